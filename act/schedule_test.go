package act

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/internal/stat"
)

var seedFlag = flag.Uint64("seed", 0, "seed of what tests draw (0: a fresh one)")

// testSeed returns the seed of a test and prints it, so that it can be run
// again.
func testSeed(t testing.TB) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	return seed
}

// perMs counts arrivals in each millisecond.
func perMs(schedules []*schedule, length time.Duration, r *rng) []int {
	counts := make([]int, length/time.Millisecond)
	for _, s := range schedules {
		for {
			due := s.advance(r)
			if due >= length {
				break
			}
			counts[due/time.Millisecond]++
		}
	}
	return counts
}

func TestDispersion(t *testing.T) {
	r := newRNG(testSeed(t), 0)
	streams := func(a Arrival, rate uint64, n, threads int) (out []*schedule) {
		for i := range n {
			out = append(out, newSchedule(perSecond(rate).Over(n), a, i, n, threads, r))
		}
		return out
	}
	for _, c := range []struct {
		name      string
		s         []*schedule
		low, high float64
	}{
		{"uniform", streams(Uniform, 4000, 1, 10), 0, 0.2},
		{"uniform, four devices", streams(Uniform, 4000, 4, 10), 0, 0.2},
		{"act5", streams(ACT5, 4000, 1, 10), 0, 0.2},
		{"poisson", streams(Poisson, 4000, 1, 10), 0.93, 1.07},
		{"poisson, four devices", streams(Poisson, 4000, 4, 10), 0.93, 1.07},
		{"act6, 10 threads", streams(ACT6, 2000, 1, 10), 4, 12},
		{"act6, 160 threads", streams(ACT6, 4000, 1, 160), 60, 170},
	} {
		counts := perMs(c.s, 20*time.Second, r)
		if d := stat.Dispersion(counts); d < c.low || d > c.high {
			t.Errorf("%s: dispersion %.3f, want %v to %v", c.name, d, c.low, c.high)
		}
		sum := 0
		for _, n := range counts {
			sum += n
		}
		want := 4000 * 20
		if c.name == "act6, 10 threads" {
			want = 2000 * 20
		}
		if math.Abs(float64(sum-want)) > 0.02*float64(want) {
			t.Errorf("%s: %d arrivals, want %d", c.name, sum, want)
		}
	}
}

func TestRateIsNeverTruncated(t *testing.T) {
	for _, c := range []struct {
		rate    Rate
		a       Arrival
		threads int
	}{
		{perSecond(1999), Uniform, 1000}, {perSecond(1999), ACT5, 1000}, {perSecond(1999), ACT6, 1000},
		{ratio(400, 17), Uniform, 10}, {perSecond(7), Uniform, 1}, {perSecond(999_983), ACT6, 96}, {ratio(1, 3), Uniform, 1},
	} {
		t.Run(fmt.Sprint(c.rate, c.a), func(t *testing.T) {
			s := newSchedule(c.rate, c.a, 0, 1, c.threads, nil)
			const n = 300_000
			var due time.Duration
			for range n + 1 {
				due = s.advance(nil)
			}
			// The k-th arrival (from 0 on), or its burst, is due at k/rate.
			k := uint64(n)
			if c.a == ACT6 {
				k = n / uint64(c.threads) * uint64(c.threads)
			}
			want := float64(k) * float64(c.rate.Den) / float64(c.rate.Num) * 1e9
			if math.Abs(float64(due)-want) > 2+want*1e-15 {
				t.Errorf("arrival %d due at %d ns, want %.0f", n, due, want)
			}
		})
	}
}

func TestPoissonGapsAreExponential(t *testing.T) {
	r := newRNG(testSeed(t), 1)
	s := newSchedule(perSecond(10_000), Poisson, 0, 1, 1, r)
	var gaps []float64
	last := s.advance(r)
	for range 100_000 {
		due := s.advance(r)
		gaps = append(gaps, float64(due-last)/1e5)
		last = due
	}
	slices.Sort(gaps)
	worst := 0.0 // Kolmogorov-Smirnov
	for i, g := range gaps {
		worst = math.Max(worst, math.Abs(1-math.Exp(-g)-float64(i)/float64(len(gaps))))
	}
	if limit := 1.95 / math.Sqrt(float64(len(gaps))); worst > limit { // 0.1 %
		t.Errorf("distance %.5f from exponential, want at most %.5f", worst, limit)
	}
}

func TestScheduleDoesNotAllocate(t *testing.T) {
	r := newRNG(1, 1)
	for a := Uniform; a <= ACT6; a++ {
		s := newSchedule(perSecond(1000), a, 0, 1, 10, r)
		if n := testing.AllocsPerRun(1000, func() { s.advance(r) }); n != 0 {
			t.Errorf("%v: %v allocations", a, n)
		}
	}
}
