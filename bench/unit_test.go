package bench

import (
	"encoding/binary"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/stat"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./bench -run '^%s$' -seed %d", t.Name(), seed)
	return seed
}

// fits fails when counts are too unlikely under the expected distribution:
// once in a million runs by chance.
func fits(t *testing.T, name string, observed []int, expected []float64) {
	t.Helper()
	x := stat.ChiSquare(observed, expected)
	if p := (distuv.ChiSquared{K: float64(len(observed) - 1)}).Survival(x); p < 1e-6 {
		t.Errorf("%s: chi-square %.1f over %d cells, p = %g: not the distribution", name, x, len(observed), p)
	}
}

func TestKeyDistributions(t *testing.T) {
	const n, draws = 100, 200_000
	even := slices.Repeat([]float64{draws / n}, n)
	zipf := make([]float64, n)
	sum := 0.0
	for i := range zipf {
		sum += math.Pow(float64(i+1), -0.99)
	}
	for i := range zipf {
		zipf[i] = draws * math.Pow(float64(i+1), -0.99) / sum
	}
	hot := make([]float64, n)
	for i := range hot {
		hot[i] = draws * 0.1 / 80
		if i < 20 {
			hot[i] = draws * 0.9 / 20
		}
	}
	latest := slices.Clone(zipf)
	slices.Reverse(latest)
	for _, tt := range []struct {
		dist      string
		expected  []float64
		scattered bool // which key has which rank is not said
	}{
		{"uniform", even, false},
		{"sequential", even, false},
		{"hot:0.9:0.2", hot, false},
		{"zipfian", zipf, true},
		{"latest", latest, false},
	} {
		t.Run(tt.dist, func(t *testing.T) {
			r := newRNG(testSeed(t))
			p, err := newPicker(tt.dist, n, 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			counts := make([]int, n)
			for range draws {
				k := p.next(r)
				if k >= n {
					t.Fatalf("key %d of %d", k, n)
				}
				counts[k]++
			}
			if tt.scattered {
				unscattered := make([]int, n)
				for rank := range uint64(n) {
					unscattered[rank] = counts[scatter(rank, n)]
				}
				counts = unscattered
			}
			fits(t, tt.dist, counts, tt.expected)
		})
	}
	// More than one theta, over a space too large to count by key.
	for _, theta := range []string{"0.5", "1", "1.5"} {
		p, err := newPicker("latest:"+theta, 1<<40, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		r, th := newRNG(testSeed(t)), 0.0
		if th, err = strconv.ParseFloat(theta, 64); err != nil {
			t.Fatal(err)
		}
		first, second := 0, 0
		for range draws {
			switch 1<<40 - 1 - p.next(r) {
			case 0:
				first++
			case 1:
				second++
			}
		}
		if th < 1 {
			continue // the first ranks are too rare to count
		}
		if ratio := float64(first) / float64(second); math.Abs(ratio/math.Pow(2, th)-1) > 0.1 {
			t.Errorf("theta %s: rank 0 is drawn %.2f times as often as rank 1, want %.2f", theta, ratio, math.Pow(2, th))
		}
	}
}

// TestScatter: every key is hit once.
func TestScatter(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 4, 5, 100, 1000, 4097} {
		seen := map[uint64]bool{}
		for k := range n {
			s := scatter(k, n)
			if s >= n || seen[s] {
				t.Fatalf("scatter(%d, %d) = %d: outside or taken", k, n, s)
			}
			seen[s] = true
		}
	}
}

func TestSequentialShares(t *testing.T) {
	counts := make([]int, 10)
	for loop := range 3 {
		p, err := newPicker("sequential", 10, loop, 3)
		if err != nil {
			t.Fatal(err)
		}
		for range []int{4, 3, 3}[loop] {
			counts[p.next(nil)]++
		}
	}
	if !slices.Equal(counts, slices.Repeat([]int{1}, 10)) {
		t.Errorf("three loops hit the keys %v times, want once each", counts)
	}
}

func TestBadDistributions(t *testing.T) {
	for _, bad := range []string{"", "even", "zipfian:0", "zipfian:11", "zipfian:x", "zipfian:-1", "hot", "hot:2:0.1", "hot:0.5:0"} {
		if _, err := newPicker(bad, 10, 0, 1); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("%q: error %v, want one that names it", bad, err)
		}
	}
}

// arrivals returns the moments of the first n operations of all loops.
func arrivals(t *testing.T, rate string, a Arrival, loops, n int, seed uint64) []time.Duration {
	t.Helper()
	r, err := ParseRate(rate)
	if err != nil {
		t.Fatal(err)
	}
	var all []time.Duration
	for i := range loops {
		s, g := newSchedule(r, a, i, loops), newRNG(seed+uint64(i))
		last := time.Duration(-1)
		for range n / loops {
			at := s.due(g)
			if at < last {
				t.Fatalf("rate %s: due at %v after %v", rate, at, last)
			}
			last = at
			all = append(all, at)
		}
	}
	slices.Sort(all)
	return all
}

func TestArrivalDispersion(t *testing.T) {
	for _, tt := range []struct {
		arrival  Arrival
		loops    int
		min, max float64
	}{
		{Constant, 1, 0, 0.2}, {Constant, 3, 0, 0.2}, {Poisson, 1, 0.9, 1.1}, {Poisson, 3, 0.9, 1.1},
	} {
		all := arrivals(t, "10000", tt.arrival, tt.loops, 60_000, testSeed(t))
		counts := make([]int, 5000) // of a millisecond: 10 each
		for _, at := range all {
			if ms := int(at / time.Millisecond); ms < len(counts) {
				counts[ms]++
			}
		}
		if got := stat.Dispersion(counts); got < tt.min || got > tt.max {
			t.Errorf("%s arrivals of %d loops: dispersion %.3f, want %v to %v", tt.arrival, tt.loops, got, tt.min, tt.max)
		}
	}
}

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		rate string
		at   time.Duration
		due  float64
	}{
		{"5000", 2 * time.Second, 10_000},
		{"1000..3000/10s", 10 * time.Second, 20_000},
		{"1000..3000/10s", 5 * time.Second, 7_500},
		{"1000..3000/10s", 11 * time.Second, 23_000},
		{"100/1s,200/2s,50", 4 * time.Second, 550},
	} {
		r, err := ParseRate(tt.rate)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Due(tt.at); math.Abs(got-tt.due) > 1e-6*tt.due {
			t.Errorf("%s: %v due after %v, want %v", tt.rate, got, tt.at, tt.due)
		}
		n := 0
		for _, at := range arrivals(t, tt.rate, Constant, 2, int(2*tt.due), 1) {
			if at < tt.at {
				n++
			}
		}
		if math.Abs(float64(n)-tt.due) > 4 {
			t.Errorf("%s: the schedule has %d operations in %v, want %v", tt.rate, n, tt.at, tt.due)
		}
	}
	for _, bad := range []string{"x", "-5", "1..2", "1/0s", "1/x", "1,2", "NaN", "1/1s,", "Inf"} {
		if _, err := ParseRate(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("rate %q: error %v, want one that names it", bad, err)
		}
	}
	if r, err := ParseRate("0"); err != nil || r.Open() {
		t.Errorf("rate 0: %v, %v; want a closed loop", r, err)
	}
}

func TestMix(t *testing.T) {
	for _, tt := range []struct {
		text  string
		share map[opKind]float64
		once  bool
	}{
		{"I", map[opKind]float64{opInsert: 1}, true},
		{"DB", map[opKind]float64{opDelete: 1}, true},
		{"RU,80", map[opKind]float64{opRead: .8, opUpdate: .2}, false},
		{"RU,100", map[opKind]float64{opRead: 1}, false},
		{"RR,30", map[opKind]float64{opRead: .3, opReplace: .7}, false},
		{"RUD,60,30", map[opKind]float64{opRead: .6, opUpdate: .3, opDelete: .1}, false},
		{"read=0.5,rmw=0.25,exists=0.25", map[opKind]float64{opRead: .5, opRMW: .25, opExists: .25}, false},
	} {
		m, err := parseMix(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if m.once != tt.once || len(m.kinds) != len(tt.share) {
			t.Errorf("%s: kinds %v, once %v", tt.text, m.kinds, m.once)
		}
		if len(m.kinds) < 2 {
			continue
		}
		const draws = 100_000
		r := newRNG(testSeed(t))
		counts := map[opKind]int{}
		for range draws {
			counts[m.pick(r)]++
		}
		var observed []int
		var expected []float64
		for k, share := range tt.share {
			observed, expected = append(observed, counts[k]), append(expected, share*draws)
		}
		fits(t, tt.text, observed, expected)
	}
	for _, bad := range []string{"", "X", "RU", "RU,101", "RU,-1", "RU,x", "RUD,60,50", "RUF,1", "I,5", "read=0.5", "read=2", "read=0.5,read=0.5", "fly=1"} {
		if _, err := parseMix(bad); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("workload %q: error %v, want one that names it", bad, err)
		}
	}
}

func TestSpecs(t *testing.T) {
	for _, tt := range []struct{ text, back string }{
		{"I", "I4"}, {"I8,S10,B3,D,b", "I8 S10 B3 D b"}, {"3*S5", "3*S5"},
		{"[I4,2*S3]", "[I4,2*S3]"}, {"{I2:S4,3*S5:[D]}", "{I2:S4,3*S5:[D]}"}, {"[]", "[]"}, {" I1 , { S1 : I1 } ", "I1 {S1:I1}"},
	} {
		specs, err := parseSpecs(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		var parts []string
		for i := range specs {
			parts = append(parts, specs[i].String())
		}
		if got := strings.Join(parts, " "); got != tt.back {
			t.Errorf("%q reads as %q, want %q", tt.text, got, tt.back)
		}
	}
	for _, bad := range []string{"", "I9", "I0", "S", "Sx", "X", "[I4", "{I4}", "{D:I1}", "I4,", "0*I1", "9999999*I1", "I4]", "S99999999", strings.Repeat("[", 40) + strings.Repeat("]", 40)} {
		if _, err := parseSpecs(bad); err == nil || !strings.Contains(err.Error(), "object spec") {
			t.Errorf("%q: error %v, want one about the object spec", bad, err)
		}
	}
}

// TestSpecValues reads the values back with an independent decoder.
func TestSpecValues(t *testing.T) {
	specs, err := parseSpecs("2*I3,S128,B50,D,b,[I1,2*S4,D],{3*S2:I2,I1:b}")
	if err != nil {
		t.Fatal(err)
	}
	v := &values{r: newRNG(testSeed(t)), compress: 0.5}
	ops := v.bins("bin", specs)
	names := []string{"bin", "bin_2", "bin_3", "bin_4", "bin_5", "bin_6", "bin_7", "bin_8"}
	types := []record.Type{record.Integer, record.Integer, record.String, record.Blob, record.Float, record.Bool, record.List, record.Map}
	for i, op := range ops {
		if string(op.Name) != names[i] || op.Type != types[i] || op.Code != record.OpWrite {
			t.Errorf("bin %d: %s of type %d, want %s of type %d", i, op.Name, op.Type, names[i], types[i])
		}
	}
	if n := binary.BigEndian.Uint64(ops[0].Value); n >= 1<<23 {
		t.Errorf("I3 is %d, want a number of 3 bytes", n)
	}
	if s := ops[2].Value; len(s) != 128 || strings.Count(string(s), "x") < 64 {
		t.Errorf("half-compressible S128 is %q", s)
	}
	var list []any
	if err := msgpack.Unmarshal(ops[6].Value, &list); err != nil || len(list) != 4 {
		t.Fatalf("list %x: %v, %v; want 4 elements", ops[6].Value, list, err)
	}
	if s, ok := list[1].(string); !ok || len(s) != 5 || s[0] != byte(record.String) {
		t.Errorf("S4 in a list is %q, want its type byte and 4 letters", list[1])
	}
	if n := msgpackMapLen(t, ops[7].Value); n != 4 {
		t.Errorf("map of %d entries, want 4", n)
	}
}

func msgpackMapLen(t *testing.T, p []byte) int {
	t.Helper()
	d := msgpack.NewDecoder(strings.NewReader(string(p)))
	n, err := d.DecodeMapLen()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * n {
		if err := d.Skip(); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func FuzzSpec(f *testing.F) {
	f.Add("I4,S10,[3*I2,{S1:D}]")
	f.Add("{{")
	f.Fuzz(func(t *testing.T, text string) {
		specs, err := parseSpecs(text)
		if err != nil {
			return
		}
		for i := range specs {
			again, err := parseSpecs(specs[i].String())
			if err != nil || again[0].String() != specs[i].String() {
				t.Errorf("%q writes as %q, which reads as %v, %v", text, specs[i].String(), again, err)
			}
		}
	})
}
