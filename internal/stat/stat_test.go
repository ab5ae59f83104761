package stat

import (
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./internal/stat -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// blockOf makes a block of a second from plain values.
func blockOf(values ...int64) Block {
	slices.Sort(values)
	b := Block{Seconds: 1}
	for i, v := range values {
		if i > 0 && v == values[i-1] {
			b.Counts[len(b.Counts)-1]++
			continue
		}
		b.Values, b.Counts = append(b.Values, v), append(b.Counts, 1)
	}
	return b
}

// run makes a run of n seconds with log-normal latencies whose level wanders
// from second to second, as on a shared machine, times factor.
func run(r *rand.Rand, n int, factor float64) []Block {
	blocks := make([]Block, n)
	level := 0.0
	for i := range blocks {
		level = 0.6*level + 0.05*r.NormFloat64()
		values := make([]int64, 100)
		for j := range values { // in steps of 2 %, as a histogram has them
			steps := math.Round((level + 0.5*r.NormFloat64()) / 0.02)
			values[j] = int64(factor * 100_000 * math.Exp(0.02*steps))
		}
		blocks[i] = blockOf(values...)
	}
	return blocks
}

func metric(t *testing.T, name string) Metric {
	t.Helper()
	m, err := ParseMetric(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMetrics compares with the sorted values themselves.
func TestMetrics(t *testing.T) {
	r := newRand(t)
	var blocks []Block
	var all []int64
	for range 5 {
		values := make([]int64, 1+r.IntN(100))
		for i := range values {
			values[i] = r.Int64N(50)
		}
		all = append(all, values...)
		blocks = append(blocks, blockOf(values...))
	}
	slices.Sort(all)
	var sum float64
	for _, v := range all {
		sum += float64(v)
	}
	for name, want := range map[string]float64{
		"p50":   float64(all[(len(all)+1)/2-1]),
		"p99":   float64(all[int(math.Ceil(0.99*float64(len(all))))-1]),
		"max":   float64(all[len(all)-1]),
		"mean":  sum / float64(len(all)),
		"rate":  float64(len(all)) / 5,
		"p0.01": float64(all[0]),
	} {
		if got := metric(t, name).Of(blocks); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// TestSameAgainstSame: of 200 pairs of equal runs at most 5 % are called worse
// by a rule with a tolerance of 5 %.
func TestSameAgainstSame(t *testing.T) {
	r := newRand(t)
	rule, err := ParseRule("p99>+5%")
	if err != nil {
		t.Fatal(err)
	}
	alarms := 0
	for range 200 {
		i, err := Ratio(run(r, 30, 1), run(r, 30, 1), rule.Metric, r)
		if err != nil {
			t.Fatal(err)
		}
		if rule.Judge(i) == Worse {
			alarms++
		}
	}
	if alarms > 10 {
		t.Errorf("%d of 200 equal pairs called worse, want at most 10", alarms)
	}
}

// TestTrueChangeIsFound: a fifth more latency breaks a rule of +5 % in at
// least 95 of 100 pairs.
func TestTrueChangeIsFound(t *testing.T) {
	r := newRand(t)
	rule, err := ParseRule("p50>+5%")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for range 100 {
		i, err := Ratio(run(r, 60, 1), run(r, 60, 1.2), rule.Metric, r)
		if err != nil {
			t.Fatal(err)
		}
		if i.Low > i.Mid || i.Mid > i.High {
			t.Fatalf("interval %+v does not hold its middle", i)
		}
		if rule.Judge(i) == Worse {
			found++
		}
	}
	if found < 95 {
		t.Errorf("a change of 20 %% found in %d of 100 pairs, want at least 95", found)
	}
}

func TestRatioRefuses(t *testing.T) {
	r := newRand(t)
	good, empty := run(r, MinBlocks, 1), make([]Block, MinBlocks)
	p99 := metric(t, "p99")
	if _, err := Ratio(good[:MinBlocks-1], good, p99, r); !errors.Is(err, ErrTooShort) {
		t.Errorf("seven blocks: error %v, want ErrTooShort", err)
	}
	if _, err := Ratio(empty, good, p99, r); err == nil || !strings.Contains(err.Error(), "without operations") {
		t.Errorf("an empty run: error %v, want one that says so", err)
	}
	bad := slices.Clone(good)
	bad[3] = Block{Values: []int64{2, 1}, Counts: []uint64{1}}
	if _, err := Ratio(good, bad, p99, r); err == nil || !strings.Contains(err.Error(), "block 3") {
		t.Errorf("a broken block: error %v, want one that names it", err)
	}
}

func TestRules(t *testing.T) {
	for _, tt := range []struct {
		rule     string
		interval Interval
		want     Verdict
	}{
		{"p99>+10%", Interval{1.11, 1.2, 1.3}, Worse},
		{"p99>+10%", Interval{0.9, 1.0, 1.1}, Pass},
		{"p99>+10%", Interval{1.0, 1.1, 1.2}, CannotTell},
		{"p99 > 10%", Interval{1.2, 1.3, 1.4}, Worse},
		{"rate<-5%", Interval{0.8, 0.9, 0.94}, Worse},
		{"rate<-5%", Interval{0.96, 1, 1.1}, Pass},
		{"rate<-5%", Interval{0.9, 0.97, 1.1}, CannotTell},
	} {
		r, err := ParseRule(tt.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Judge(tt.interval); got != tt.want {
			t.Errorf("%s on %v: %v, want %v", r, tt.interval, got, tt.want)
		}
		again, err := ParseRule(r.String())
		if err != nil || again != r {
			t.Errorf("%q reads back as %v, error %v", r.String(), again, err)
		}
	}
	for _, bad := range []string{"", "p99", "p99>10", "p100>+1%", "p0>+1%", "px>+1%", "p99>+x%", "p99>-100%", "q99>+1%", "p99>NaN%"} {
		if _, err := ParseRule(bad); err == nil {
			t.Errorf("rule %q was accepted", bad)
		}
	}
}

func TestDispersion(t *testing.T) {
	r := newRand(t)
	poisson := make([]int, 20000)
	for i := range poisson { // counts of exponential gaps with mean 1/4
		for at := r.ExpFloat64() / 4; at < 1; at += r.ExpFloat64() / 4 {
			poisson[i]++
		}
	}
	for _, tt := range []struct {
		name     string
		counts   []int
		min, max float64
	}{
		{"even", []int{4, 4, 4, 4}, 0, 0},
		{"Poisson", poisson, 0.95, 1.05},
		{"bursts", []int{0, 0, 0, 16, 0, 0, 0, 16}, 10, 14},
		{"none", nil, 0, 0},
		{"nothing happened", []int{0, 0}, 0, 0},
	} {
		if got := Dispersion(tt.counts); got < tt.min || got > tt.max {
			t.Errorf("%s: %v, want %v to %v", tt.name, got, tt.min, tt.max)
		}
	}
}

func TestChiSquare(t *testing.T) {
	if got := ChiSquare([]int{8, 12}, []float64{10, 10}); math.Abs(got-0.8) > 1e-12 {
		t.Errorf("ChiSquare = %v, want 0.8", got)
	}
}
