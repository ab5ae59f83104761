package stat

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// MinBlocks is the smallest number of blocks a run may have for an interval
// to mean something.
const MinBlocks = 8

// draws is how often the runs are drawn anew: enough for the ends of a 95 %
// interval to be steady to about a tenth of its width.
const draws = 1000

// confidence is the share of the draws that the interval holds.
const confidence = 0.95

// ErrTooShort says that a run has too few blocks to compare.
var ErrTooShort = errors.New("run too short to compare")

// Interval is a ratio with its 95 % confidence interval.
type Interval struct {
	Low, Mid, High float64
}

// String shows the interval as changes in percent: "+3.1 % (-0.4 % to +6.9 %)".
func (i Interval) String() string {
	return fmt.Sprintf("%s (%s to %s)", percent(i.Mid), percent(i.Low), percent(i.High))
}

func percent(ratio float64) string {
	if math.IsInf(ratio, 0) || math.IsNaN(ratio) {
		return "?"
	}
	return fmt.Sprintf("%+.1f %%", (ratio-1)*100)
}

// Ratio returns m of next as a multiple of m of base, with its interval by a
// circular block bootstrap: stretches of neighbouring blocks are drawn with
// replacement from each run.
func Ratio(base, next []Block, m Metric, r *rand.Rand) (Interval, error) {
	if err := errors.Join(check("base", base), check("new", next)); err != nil {
		return Interval{}, err
	}
	if len(base) < MinBlocks || len(next) < MinBlocks {
		return Interval{}, fmt.Errorf("stat: %d and %d blocks, want at least %d each: %w", len(base), len(next), MinBlocks, ErrTooShort)
	}
	a, b := newTable(base), newTable(next)
	mid := m.of(b, b.all()) / m.of(a, a.all())
	if math.IsNaN(mid) || math.IsInf(mid, 0) {
		return Interval{}, fmt.Errorf("stat: %s: a run without operations cannot be compared", m.Name)
	}
	ratios := make([]float64, 0, draws)
	timesA, timesB := make([]int, len(base)), make([]int, len(next))
	for range draws {
		draw(timesA, r)
		draw(timesB, r)
		if q := m.of(b, timesB) / m.of(a, timesA); !math.IsNaN(q) {
			ratios = append(ratios, q)
		}
	}
	slices.Sort(ratios)
	tail := (1 - confidence) / 2
	return Interval{
		Low:  ratios[int(tail*float64(len(ratios)))],
		Mid:  mid,
		High: ratios[int((1-tail)*float64(len(ratios)-1))],
	}, nil
}

// draw fills times with how often each block is drawn: stretches of about the
// cube root of their number, from anywhere, around the end.
func draw(times []int, r *rand.Rand) {
	clear(times)
	n := len(times)
	length := max(1, int(math.Round(math.Cbrt(float64(n)))))
	for drawn := 0; drawn < n; {
		start := r.IntN(n)
		for i := 0; i < length && drawn < n; i++ {
			times[(start+i)%n]++
			drawn++
		}
	}
}

// Verdict is the outcome of a rule.
type Verdict uint8

// Verdicts.
const (
	Pass       Verdict = iota // the change is within the tolerance, surely
	Worse                     // it is beyond the tolerance, surely
	CannotTell                // the interval holds both
)

// String returns the verdict's name.
func (v Verdict) String() string {
	return [...]string{"pass", "regression", "cannot tell"}[v]
}

// Rule is a limit on a metric's change: "p99>+10%" is broken by a p99 that is
// more than a tenth above the base's, "rate<-5%" by a rate that is more than a
// twentieth below.
type Rule struct {
	Metric Metric
	limit  float64 // as a ratio
	above  bool
}

// ParseRule reads a rule.
func ParseRule(text string) (Rule, error) {
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return Rule{}, fmt.Errorf("rule %q: want METRIC>+N%% or METRIC<-N%%, such as p99>+10%%", text)
	}
	m, err := ParseMetric(strings.TrimSpace(text[:at]))
	if err != nil {
		return Rule{}, fmt.Errorf("rule %q: %w", text, err)
	}
	number, hasSign := strings.CutSuffix(strings.TrimSpace(text[at+1:]), "%")
	change, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !hasSign || change <= -100 || math.IsInf(change, 0) || math.IsNaN(change) {
		return Rule{}, fmt.Errorf("rule %q: %q: want a change in percent such as +10%%", text, text[at+1:])
	}
	return Rule{Metric: m, limit: 1 + change/100, above: text[at] == '>'}, nil
}

// String returns the rule as ParseRule reads it.
func (r Rule) String() string {
	op := map[bool]string{true: ">", false: "<"}[r.above]
	return fmt.Sprintf("%s%s%+g%%", r.Metric.Name, op, math.Round((r.limit-1)*1e6)/1e4)
}

// Judge says whether the interval breaks the rule.
func (r Rule) Judge(i Interval) Verdict {
	broken, kept := i.Low > r.limit, i.High <= r.limit
	if !r.above {
		broken, kept = i.High < r.limit, i.Low >= r.limit
	}
	switch {
	case broken:
		return Worse
	case kept:
		return Pass
	}
	return CannotTell
}
