package act

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Steady says whether a run came to a steady state, by the rule of SNIA's
// performance test specification on latencies: over five rounds a figure stays
// within 20 % of its average from least to most, and its trend within 10 %.
// A load of fixed rate has no other figure that could tell.
type Steady struct {
	// Round is the last round of the first steady window, 0 if there is none.
	Round   int     `json:"round"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"round_s"`
	// Of each round, of reads by service time.
	LogP99 []float64 `json:"log10_p99_us"`
	Mean   []float64 `json:"mean_us"`
	Over   []float64 `json:"over_1ms_pct"`
}

// Figures of the steady-state rule.
const (
	steadyWindow = 5
	steadyRange  = 0.20
	steadySlope  = 0.10
	// steadyFloor is a share over 1 ms, in percent, below which its ups and
	// downs do not matter: a fiftieth of what the rule allows.
	steadyFloor = 0.1
	steadyRound = 60.0 // seconds, in runs that have enough of them
	steadyLeast = 10   // rounds that a shorter run is cut into
)

// steadiness cuts the timeline of a class into rounds.
func steadiness(blocks []timeBlock) Steady {
	var s Steady
	if len(blocks) == 0 {
		return s
	}
	total := blocks[len(blocks)-1].end.Seconds()
	s.Seconds = math.Min(steadyRound, total/steadyLeast)
	var h *hdrhistogram.Histogram
	var done, over uint64
	edge := s.Seconds
	for i := range blocks {
		b := &blocks[i]
		if h == nil {
			h = hdrhistogram.Import(b.service.Export())
		} else {
			h.Merge(b.service)
		}
		done, over = done+b.done, over+b.over[Service][0]
		if b.end.Seconds() < edge-1e-6 {
			continue
		}
		for edge <= b.end.Seconds()+1e-6 {
			edge += s.Seconds
		}
		if done > 0 {
			s.LogP99 = append(s.LogP99, math.Log10(math.Max(float64(h.ValueAtQuantile(99))/1e3, 1)))
			s.Mean = append(s.Mean, meanOf(h))
			s.Over = append(s.Over, percent(over, done))
		}
		h, done, over = nil, 0, 0
	}
	s.Rounds = len(s.Mean)
	for end := steadyWindow; end <= s.Rounds && s.Round == 0; end++ {
		if isSteady(s.LogP99[end-steadyWindow:end], 0) && isSteady(s.Mean[end-steadyWindow:end], 0) && isSteady(s.Over[end-steadyWindow:end], steadyFloor) {
			s.Round = end
		}
	}
	return s
}

// isSteady holds one window against the rule. An average below floor counts
// as floor.
func isSteady(y []float64, floor float64) bool {
	low, high, sum := y[0], y[0], 0.0
	for _, v := range y {
		low, high, sum = math.Min(low, v), math.Max(high, v), sum+v
	}
	n := float64(len(y))
	average := sum / n
	var xy, xx float64
	for i, v := range y {
		d := float64(i) - (n-1)/2
		xy += d * (v - average)
		xx += d * d
	}
	scale := math.Max(average, floor)
	return high-low <= steadyRange*scale && math.Abs(xy/xx*(n-1)) <= steadySlope*scale
}

// Confidence says how much a provisional pass is worth: neighbouring latencies
// go up and down together, so that stretches of time are counted and not
// operations.
type Confidence struct {
	Blocks int `json:"blocks"`
	// Bad is the number of blocks that by themselves break a judged rule.
	Bad int `json:"bad_blocks"`
	// BadShareMost is the share of bad blocks that the true one is below, with
	// a confidence of 95 % (exact binomial bound).
	BadShareMost float64 `json:"bad_share_at_most"`
}

// confidence looks at each block of the judged class by itself.
func confidence(blocks []timeBlock, rules []Rule) Confidence {
	var c Confidence
	for i := range blocks {
		b := &blocks[i]
		if b.done == 0 {
			continue
		}
		c.Blocks++
		for _, r := range rules {
			if k := thresholdIndex(r.Over); k >= 0 && r.Judged && r.Class == Read && !r.holds(b.over[r.Clock][k], b.done) {
				c.Bad++
				break
			}
		}
	}
	c.BadShareMost = binomialBound(c.Bad, c.Blocks, 0.95)
	return c
}

// binomialBound returns the upper bound of Clopper and Pearson: the share at
// which k or fewer of n come with a chance of 1 - confidence.
func binomialBound(k, n int, confidence float64) float64 {
	if n == 0 || k >= n {
		return 1
	}
	low, high := float64(k)/float64(n), 1.0
	for range 60 {
		p := (low + high) / 2
		if atMost(k, n, p) > 1-confidence {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// atMost returns the chance of k or fewer of n at a share of p.
func atMost(k, n int, p float64) float64 {
	sum := 0.0
	ln, _ := math.Lgamma(float64(n + 1))
	for i := 0; i <= k; i++ {
		a, _ := math.Lgamma(float64(i + 1))
		b, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(ln - a - b + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}
