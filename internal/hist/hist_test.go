package hist

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./internal/hist -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestLog2Buckets(t *testing.T) {
	const ms, us = time.Millisecond, time.Microsecond
	for _, tt := range []struct {
		name   string
		unit   Unit
		d      time.Duration
		bucket int
	}{
		{"nothing", Msec, 0, 0},
		{"a clock set back", Msec, -5 * ms, 0},
		{"just below a unit", Msec, ms - 1, 0},
		{"a unit", Msec, ms, 1},
		{"just below two", Msec, 2*ms - 1, 1},
		{"two", Msec, 2 * ms, 2},
		{"three", Msec, 3 * ms, 2},
		{"four", Msec, 4 * ms, 3},
		{"65536 ms", Msec, 65536 * ms, 17},
		{"below a microsecond", Usec, us - 1, 0},
		{"five microseconds", Usec, 5 * us, 3},
		{"the longest duration", Usec, 1<<63 - 1, 54},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := NewLog2("x", tt.unit, 1)
			h.Recorder(0).Record(tt.d)
			totals := h.Totals()
			if got := slices.Index(totals[:], 1); got != tt.bucket {
				t.Errorf("%v lands in bucket %d, want %d", tt.d, got, tt.bucket)
			}
		})
	}
}

// TestSlices follows what latencies: shows from the first operation on.
func TestSlices(t *testing.T) {
	const zero = ",0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00"
	h := NewLog2("{test}-read", Msec, 2)
	at := time.Unix(1000, 0)
	text := func() string { return string(h.AppendText(nil)) }
	step := func(what, want string) {
		t.Helper()
		h.Tick(at)
		at = at.Add(10 * time.Second)
		if got := text(); got != want {
			t.Errorf("%s:\n got  %s\n want %s", what, got, want)
		}
	}
	step("no slice before the first tick", "{test}-read:")
	step("a histogram nobody used has no slice", "{test}-read:")
	for range 30 {
		h.Recorder(0).Record(100 * time.Microsecond)
	}
	for range 9 {
		h.Recorder(1).Record(5 * time.Millisecond)
	}
	h.Recorder(1).Record(200 * time.Second) // above the last column's bound
	step("both loops, last column", "{test}-read:msec,4.0,25.00,25.00,25.00"+strings.Repeat(",2.50", 14))
	step("a quiet slice", "{test}-read:msec,0.0,0.00"+zero)
	h.Reset(Usec)
	step("no slice after a reset", "{test}-read:")
	h.Recorder(0).Record(3 * time.Microsecond)
	step("the other unit", "{test}-read:usec,0.1,100.00,100.00"+strings.TrimSuffix(zero, ",0.00"))
}

func TestLog2From(t *testing.T) {
	var counts [Buckets]uint64
	h := NewLog2From("x", Msec, func() [Buckets]uint64 { return counts })
	h.Tick(time.Unix(0, 1))
	counts[1] = 10
	h.Tick(time.Unix(10, 1))
	s, ok := h.Last()
	if !ok || s.Count != 10 || s.Over[0] != 10 || s.Over[1] != 0 {
		t.Errorf("slice %+v, %v: want 10 operations, all over 1 ms, none over 2", s, ok)
	}
	if !h.Active() {
		t.Error("not active after 10 operations")
	}
}

func TestDump(t *testing.T) {
	h := NewLog2("{test}-read", Msec, 1)
	for b, n := range map[time.Duration]int{0: 100, 1: 20, 7: 3, 9: 1, 17: 2} {
		for range n {
			h.Recorder(0).Record(b * time.Millisecond)
		}
	}
	const want = "histogram dump: {test}-read (126 total) msec\n" +
		" (00: 0000000100) (01: 0000000020) (03: 0000000003) (04: 0000000001)\n" +
		" (05: 0000000002)\n"
	if got := string(h.AppendDump(nil)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	r := NewLog2("x", Msec, 1).Recorder(0)
	h := NewHDR(DefaultRange)
	d := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() { d += 12345; r.Record(d); h.Record(d) }); n != 0 {
		t.Errorf("recording allocates %v times, want 0", n)
	}
}

// TestReadersSeeEveryRecord has loops record while others look: counts never
// fall, and at the end nothing is missing.
func TestReadersSeeEveryRecord(t *testing.T) {
	const loops, each = 4, 2000
	log := NewLog2("x", Usec, loops)
	var hs []*HDR
	var group sync.WaitGroup
	for i := range loops {
		h := NewHDR(Range{Lowest: 1, Highest: time.Second, Digits: 2})
		hs = append(hs, h)
		group.Go(func() {
			for n := range each {
				log.Recorder(i).Record(time.Duration(n) * time.Microsecond)
				h.Record(time.Duration(n) * time.Microsecond)
			}
		})
	}
	last := int64(0)
	for n := range 50 {
		if got := Merge(hs...).TotalCount(); got < last {
			t.Fatalf("the total fell from %d to %d", last, got)
		} else {
			last = got
		}
		log.Tick(time.Unix(int64(n), 0))
	}
	group.Wait()
	sum := uint64(0)
	for _, n := range log.Totals() {
		sum += n
	}
	if got := Merge(hs...).TotalCount(); got != loops*each || sum != loops*each {
		t.Errorf("%d and %d records counted, want %d", got, sum, loops*each)
	}
}

// TestHDRPlaces compares every place with the library's own recorder.
func TestHDRPlaces(t *testing.T) {
	r := newRand(t)
	for _, rg := range []Range{
		{1, time.Second, 1}, {1, time.Minute, 3}, {100, time.Hour, 3}, {1000, time.Hour, 2}, {3, 1 << 40, 5},
	} {
		h := NewHDR(rg)
		want := hdrhistogram.New(int64(rg.Lowest), int64(rg.Highest), rg.Digits)
		record := func(v int64) {
			h.Record(time.Duration(v))
			if err := want.RecordValue(v); err != nil {
				t.Fatal(err)
			}
		}
		record(0)
		record(int64(rg.Highest))
		for range 5000 {
			record(r.Int64N(int64(rg.Highest)) >> r.IntN(40))
		}
		if got := Merge(h); !got.Equals(want) {
			t.Errorf("range %+v: counts lie elsewhere than the library puts them", rg)
		}
	}
}

// TestHDRPercentiles compares with sorted values.
func TestHDRPercentiles(t *testing.T) {
	r := newRand(t)
	rg := Range{Lowest: 1, Highest: time.Minute, Digits: 3}
	hs := []*HDR{NewHDR(rg), NewHDR(rg)}
	var all []time.Duration
	for i := range 20000 {
		d := time.Duration(r.Int64N(int64(time.Minute)) >> r.IntN(30))
		all = append(all, d)
		hs[i%2].Record(d)
	}
	slices.Sort(all)
	m := Merge(hs...)
	for _, p := range []float64{1, 50, 90, 99, 99.9, 100} {
		want := all[min(int(p/100*float64(len(all))+0.9999999), len(all))-1]
		got := m.Percentile(p)
		if diff := got - want; diff < -want/1000-1 || diff > want/1000+1 {
			t.Errorf("p%v: %v, want %v to 0.1 %%", p, got, want)
		}
	}
	if m.Longest != all[len(all)-1] {
		t.Errorf("longest %v, want %v exactly", m.Longest, all[len(all)-1])
	}
}

func TestHDRClampsAndResets(t *testing.T) {
	h := NewHDR(Range{Lowest: 1, Highest: time.Second, Digits: 3})
	h.Record(5 * time.Second)
	h.Record(-time.Second)
	m := Merge(h)
	if m.TotalCount() != 2 || m.Clamped != 1 || m.Longest != 5*time.Second || m.Min() != 0 {
		t.Errorf("total %d, clamped %d, longest %v, least %d: want 2, 1, 5s, 0", m.TotalCount(), m.Clamped, m.Longest, m.Min())
	}
	h.Record(time.Millisecond)
	if d := Merge(h).Since(m); d.TotalCount() != 1 || d.Clamped != 0 {
		t.Errorf("since: total %d, clamped %d: want 1, 0", d.TotalCount(), d.Clamped)
	}
	h.Reset()
	if m := Merge(h); m.TotalCount() != 0 || m.Clamped != 0 || m.Longest != 0 {
		t.Errorf("after a reset: total %d, clamped %d, longest %v", m.TotalCount(), m.Clamped, m.Longest)
	}
}

// TestLogReadsBack writes a log and reads it with the library's reader.
func TestLogReadsBack(t *testing.T) {
	var b bytes.Buffer
	start := time.UnixMilli(1_700_000_000_500)
	l, err := NewLog(&b, start, "ashlar bench\nsecond line")
	if err != nil {
		t.Fatal(err)
	}
	h := NewHDR(DefaultRange)
	h.RecordN(3*time.Millisecond, 7)
	m := Merge(h)
	if err := l.Interval("read", start, start.Add(time.Second), m); err != nil {
		t.Fatal(err)
	}
	if err := l.Interval("two words", start, start, m); err == nil {
		t.Error("a tag with a space was accepted")
	}
	for _, want := range []string{"# second line", "#[StartTime: 1700000000", "Tag=read,0.500000,1.000000,3."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	got, err := hdrhistogram.NewHistogramLogReader(&b).NextIntervalHistogram()
	if err != nil || got == nil {
		t.Fatalf("reading back: %v, %v", got, err)
	}
	if got.TotalCount() != 7 || got.Tag() != "read" {
		t.Errorf("read back %d values of %q, want 7 of read", got.TotalCount(), got.Tag())
	}
}

func BenchmarkRecord(b *testing.B) {
	r := NewLog2("x", Msec, 1).Recorder(0)
	h := NewHDR(DefaultRange)
	b.Run("log2", func(b *testing.B) {
		d := time.Duration(0)
		for b.Loop() {
			d += 977
			r.Record(d)
		}
	})
	b.Run("hdr", func(b *testing.B) {
		d := time.Duration(0)
		for b.Loop() {
			d = (d + 977) & (1<<30 - 1)
			h.Record(d)
		}
	})
}
