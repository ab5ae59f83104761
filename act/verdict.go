package act

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome is what a run amounts to.
type Outcome uint8

// Outcomes, in the order of their exit codes.
const (
	Pass    Outcome = iota
	Fail            // the drive is not good enough
	Invalid         // the host or the generator was not able to tell
	Error           // I/O errors or wrong data
)

// String returns the outcome in capitals.
func (o Outcome) String() string { return [...]string{"PASS", "FAIL", "INVALID", "ERROR"}[o] }

// MarshalText implements encoding.TextMarshaler.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *Outcome) UnmarshalText(text []byte) error {
	for each := Pass; each <= Error; each++ {
		if each.String() == string(text) {
			*o = each
			return nil
		}
	}
	return fmt.Errorf("outcome %q: want PASS, FAIL, INVALID or ERROR", text)
}

// Clock says from when on a latency counts.
type Clock uint8

// Clocks.
const (
	Service  Clock = iota // submitted to completed, what ACT measures
	Response              // due to completed
)

// String returns the clock's name.
func (c Clock) String() string { return [...]string{"service", "response"}[c] }

// MarshalText implements encoding.TextMarshaler.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Clock) UnmarshalText(text []byte) error {
	switch string(text) {
	case "service":
		*c = Service
	case "response":
		*c = Response
	default:
		return fmt.Errorf("clock %q: want service or response", text)
	}
	return nil
}

// Rule limits the share of slow operations: in each slice fewer than PerMille
// of 1000 operations may take Over or longer.
type Rule struct {
	Class    Class         `json:"class"`
	Clock    Clock         `json:"clock"`
	Over     time.Duration `json:"over_ns"`
	PerMille uint64        `json:"per_mille"`
	// Judged rules decide; the others are reported beside.
	Judged bool `json:"judged"`
}

// String returns the rule in words.
func (r Rule) String() string {
	return fmt.Sprintf("%s %s: under %g %% at %v or more", r.Class, r.Clock, float64(r.PerMille)/10, r.Over)
}

// holds reports whether over of total operations are few enough, by whole
// numbers.
func (r Rule) holds(over, total uint64) bool {
	return total == 0 || over*1000 < r.PerMille*total
}

// thresholds are the latencies that are counted exactly.
var thresholds = [...]time.Duration{time.Millisecond, 8 * time.Millisecond, 64 * time.Millisecond}

// perMilles are the shares that ACT's certificate allows at the thresholds.
var perMilles = [...]uint64{50, 10, 1}

// DefaultRules are ACT's three on the service time of reads, and the same on
// response time beside them.
func DefaultRules() (rules []Rule) {
	for _, clock := range []Clock{Service, Response} {
		for i, t := range thresholds {
			rules = append(rules, Rule{Class: Read, Clock: clock, Over: t, PerMille: perMilles[i], Judged: clock == Service})
		}
	}
	return rules
}

// thresholdIndex returns the place of a latency among the thresholds, -1 if it
// is not counted.
func thresholdIndex(d time.Duration) int {
	for i, t := range thresholds {
		if t == d {
			return i
		}
	}
	return -1
}

// Slice is one stretch of a run against the rules.
type Slice struct {
	Number int     `json:"number"`
	Start  float64 `json:"start"` // seconds
	End    float64 `json:"end"`
	Total  uint64  `json:"total"`
	// Over is how many operations took each threshold (1, 8, 64 ms) or longer.
	Over [len(thresholds)]uint64 `json:"over"`
	OK   bool                    `json:"ok"`
}

// judge sets OK by the rules of one class and clock.
func (s *Slice) judge(rules []Rule, class Class, clock Clock) {
	s.OK = true
	for _, r := range rules {
		if i := thresholdIndex(r.Over); i >= 0 && r.Class == class && r.Clock == clock && !r.holds(s.Over[i], s.Total) {
			s.OK = false
		}
	}
}

// LogVerdict is what a log in ACT's format amounts to.
type LogVerdict struct {
	Outcome   Outcome
	Reasons   []string
	Histogram string
	Slices    []Slice
	Length    time.Duration // of a slice
}

// DefaultSlice is the length of the slices that a certificate is judged by.
const DefaultSlice = time.Hour

// JudgeLog judges one histogram of a log by slices, which start at 0 and of
// which only whole ones count. The slice is rounded up to whole report
// intervals. A histogram in microseconds knows 1,024, 8,192 and 65,536 µs in
// the place of 1, 8 and 64 ms.
func JudgeLog(l *Log, histogram string, slice time.Duration, rules []Rule) (LogVerdict, error) {
	found := false
	for _, h := range l.Histograms {
		found = found || h == histogram
	}
	if !found {
		return LogVerdict{}, fmt.Errorf("act: the log has no histogram %q, only %s", histogram, strings.Join(l.Histograms, ", "))
	}
	if slice <= 0 {
		return LogVerdict{}, fmt.Errorf("act: slice of %v: want more than 0", slice)
	}
	slice = (slice + l.Interval - 1) / l.Interval * l.Interval
	v := LogVerdict{Histogram: histogram, Length: slice}
	bits := [...]int{0, 3, 6} // 2^k units at the thresholds
	if l.Microseconds {
		bits = [...]int{10, 13, 16}
	}
	broken := ""
	for end := slice; end <= l.Last(); end += slice {
		before, after := l.at(histogram, end-slice), l.at(histogram, end)
		if before == nil || after == nil {
			broken = fmt.Sprintf("the report of %v or %v is missing", end-slice, end)
			break
		}
		d, ok := after.minus(before)
		if !ok {
			broken = fmt.Sprintf("counts go down before %v", end)
			break
		}
		s := Slice{Number: len(v.Slices) + 1, Start: (end - slice).Seconds(), End: end.Seconds(), Total: d.total()}
		for i, k := range bits {
			s.Over[i] = d.atOrAbove(k)
		}
		s.judge(rules, Read, Service)
		v.Slices = append(v.Slices, s)
	}
	v.decide(l, broken)
	return v, nil
}

// decide draws the outcome from slices and messages.
func (v *LogVerdict) decide(l *Log, broken string) {
	reason := func(o Outcome, format string, args ...any) {
		v.Outcome = max(v.Outcome, o)
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
	for _, s := range v.Slices {
		if !s.OK {
			reason(Fail, "slice %d: %s of %d operations at or over 1, 8, 64 ms", s.Number, overText(s), s.Total)
		}
		if s.Total == 0 {
			reason(Invalid, "slice %d: no operation", s.Number)
		}
	}
	stopped := l.stopped()
	if stopped != "" {
		reason(Fail, "stopped early after %v: %s", l.Last(), stopped)
	}
	if errs := l.ioErrors(); len(errs) > 0 {
		reason(Error, "%d error messages, the first: %s", len(errs), errs[0])
	}
	if broken != "" {
		reason(Invalid, "the log is damaged: %s", broken)
	}
	if v.Outcome != Pass {
		return
	}
	if l.Last() < l.Duration {
		reason(Invalid, "the log ends after %v of %v", l.Last(), l.Duration)
	} else if len(v.Slices) == 0 {
		reason(Invalid, "no whole slice of %v in %v", v.Length, l.Last())
	}
}

func overText(s Slice) string {
	parts := make([]string, len(s.Over))
	for i, n := range s.Over {
		parts[i] = fmt.Sprintf("%d (%.4f %%)", n, percent(n, s.Total))
	}
	return strings.Join(parts, ", ")
}

func percent(n, total uint64) float64 {
	if total == 0 {
		return 0
	}
	return 100 * float64(n) / float64(total)
}

// WriteText writes the verdict for people.
func (v *LogVerdict) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", v.Outcome)
	for _, r := range v.Reasons {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	fmt.Fprintf(&b, "\n%s, slices of %v\n%6s %12s %14s %14s %14s\n", v.Histogram, v.Length, "slice", "operations", ">= 1 ms", ">= 8 ms", ">= 64 ms")
	for _, s := range v.Slices {
		fmt.Fprintf(&b, "%6d %12d", s.Number, s.Total)
		for _, n := range s.Over {
			fmt.Fprintf(&b, " %12.4f %%", percent(n, s.Total))
		}
		if !s.OK {
			b.WriteString("  over the limit")
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
