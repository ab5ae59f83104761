package act

import (
	"math"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
)

func rounds(latency func(minute int) time.Duration, minutes int) []timeBlock {
	var out []timeBlock
	for m := range minutes {
		h := hist.NewHDR(measured)
		h.RecordN(latency(m), 1000)
		merged := hist.Merge(h).Histogram
		out = append(out, timeBlock{start: time.Duration(m) * time.Minute, end: time.Duration(m+1) * time.Minute, counters: counters{done: 1000}, service: merged, response: merged})
	}
	return out
}

func TestSteadyState(t *testing.T) {
	flat := steadiness(rounds(func(int) time.Duration { return 200 * time.Microsecond }, 20))
	if flat.Round != 5 || flat.Rounds != 20 {
		t.Errorf("a flat line is steady after round %d of %d, want 5 of 20", flat.Round, flat.Rounds)
	}
	settles := steadiness(rounds(func(m int) time.Duration { return time.Duration(100+max(0, 10-m)*50) * time.Microsecond }, 20))
	if settles.Round < 13 || settles.Round > 15 {
		t.Errorf("a line that settles in minute 10 is steady after round %d", settles.Round)
	}
	rises := steadiness(rounds(func(m int) time.Duration { return time.Duration(100*math.Pow(1.1, float64(m))) * time.Microsecond }, 30))
	if rises.Round != 0 {
		t.Errorf("a rising line is steady after round %d", rises.Round)
	}
}

func TestBinomialBound(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want float64 // computed with whole-number binomials
	}{{0, 10, 0.2589}, {0, 100, 0.0295}, {1, 10, 0.3942}, {5, 50, 0.1988}, {3, 3, 1}, {0, 0, 1}} {
		if got := binomialBound(c.k, c.n, 0.95); math.Abs(got-c.want) > 0.0003 {
			t.Errorf("%d of %d: %.4f, want %.4f", c.k, c.n, got, c.want)
		}
	}
}
