package act

import (
	"fmt"
	"math"
	"time"
)

// Probe is one run of a rating search.
type Probe struct {
	X       float64 `json:"x"`
	Seconds float64 `json:"seconds"`
	What    string  `json:"what"` // climb, descend, bisect, reference, confirm or stress
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	P50     float64 `json:"response_p50_us"`
	P99     float64 `json:"response_p99_us"`
	P999    float64 `json:"response_p99.9_us"`
	Over1ms float64 `json:"service_over_1ms_pct"`
}

// Search finds the largest rating that a drive passes: upwards from below by
// Factor, then between the last that passed and the first that failed. A drive
// that was overdriven fails loads that it passed before; so after each failure
// the search rests until a low load has its old latency back.
type Search struct {
	Start, Max float64
	Factor     float64       // each step up; a drive is never overdriven by more. Above 1
	Precision  float64       // ends when first failure / last pass is below 1 + Precision
	Length     time.Duration // of a probe
	Confirm    time.Duration // of the last run at the rating found, 0: none
	Stress     time.Duration // of the run at twice the rating, which must end, 0: none
	Rest       time.Duration // between reference probes
	MaxRests   int

	// Probe runs a load of rating x. stress asks only that the drive keeps up.
	Probe func(x float64, length time.Duration, stress bool) (Probe, error)
	Sleep func(time.Duration)
	Note  func(Probe) // nil: nobody listens

	probes    []Probe
	reference Probe
}

// Rating is what a Search found.
type Rating struct {
	Schema  string  `json:"schema"`
	Version string  `json:"version"`
	Drives  []Drive `json:"devices"`
	Preset  string  `json:"preset"`
	// X is the largest rating that passed, 0 if none did.
	X float64 `json:"x"`
	// Confirmed says that X passed a run of full length, Stressed that 2X came
	// to its end.
	Confirmed bool    `json:"confirmed"`
	Stressed  bool    `json:"stressed"`
	Rested    bool    `json:"rested"` // the drive came back to its reference after each failure
	Probes    []Probe `json:"probes"`
	Outcome   Outcome `json:"outcome"`
	Why       string  `json:"why,omitempty"`
}

// RatingSchema names the form of a Rating in JSON.
const RatingSchema = "ashlar-act-rating/1"

// recovered is by how much a reference latency may be above what it was.
const recovered = 1.25

// Run searches. An error means that a probe could not be run.
func (s *Search) Run() (Rating, error) {
	r := Rating{Schema: RatingSchema, Version: Version, Rested: true}
	err := s.search(&r)
	r.Probes = s.probes
	return r, err
}

func (s *Search) search(r *Rating) error {
	low, high := 0.0, math.Inf(1)
	for x := s.Start; low < s.Max; {
		what := "climb"
		switch {
		case math.IsInf(high, 1):
		case low == 0:
			what = "descend"
		default:
			what = "bisect"
		}
		p, err := s.probe(what, x, s.Length, false)
		if err != nil {
			return err
		}
		switch p.Outcome {
		case Error, Invalid:
			r.X, r.Outcome, r.Why = low, p.Outcome, fmt.Sprintf("at %gx: %s", x, p.Reason)
			return nil
		case Pass:
			low = x
			if s.reference.X == 0 {
				s.reference = p
			}
		case Fail:
			high = x
			if err := s.rest(r); err != nil {
				return err
			}
		}
		if low > 0 && high/low <= 1+s.Precision || low == 0 && high <= s.Start/64 {
			break
		}
		switch {
		case low == 0:
			x = high / s.Factor
		case math.IsInf(high, 1):
			x = min(low*s.Factor, s.Max)
		default:
			x = round(math.Sqrt(low * high))
			if x <= low || x >= high {
				x = (low + high) / 2
			}
		}
	}
	r.X = low
	if low == 0 {
		r.Outcome, r.Why = Fail, fmt.Sprintf("no rating down to %gx passed", high)
		return nil
	}
	return s.confirm(r)
}

// round keeps three digits, so that ratings are numbers one can say.
func round(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x))-2)
	return math.Round(x/unit) * unit
}

// rest waits after a failure until the drive is what it was.
func (s *Search) rest(r *Rating) error {
	if s.reference.X == 0 {
		return nil // nothing has passed yet: there is nothing to come back to
	}
	for range s.MaxRests {
		s.Sleep(s.Rest)
		p, err := s.probe("reference", s.reference.X, s.Length, false)
		if err != nil {
			return err
		}
		if p.Outcome == Pass && p.P99 <= recovered*s.reference.P99 {
			return nil
		}
	}
	r.Rested = false
	return nil
}

// confirm runs the rating at full length, and twice the rating.
func (s *Search) confirm(r *Rating) error {
	if s.Confirm > 0 {
		p, err := s.probe("confirm", r.X, s.Confirm, false)
		if err != nil {
			return err
		}
		r.Confirmed = p.Outcome == Pass
		if !r.Confirmed {
			r.Outcome, r.Why = p.Outcome, fmt.Sprintf("%gx did not pass at full length: %s", r.X, p.Reason)
			return nil
		}
	}
	if s.Stress > 0 {
		p, err := s.probe("stress", 2*r.X, s.Stress, true)
		if err != nil {
			return err
		}
		r.Stressed = p.Outcome == Pass
		if !r.Stressed {
			r.Outcome, r.Why = p.Outcome, fmt.Sprintf("the stress run at %gx did not come to its end: %s", 2*r.X, p.Reason)
		}
	}
	return nil
}

func (s *Search) probe(what string, x float64, length time.Duration, stress bool) (Probe, error) {
	p, err := s.Probe(x, length, stress)
	p.What, p.X = what, x
	if err != nil {
		return p, fmt.Errorf("act: probe at %gx: %w", x, err)
	}
	s.probes = append(s.probes, p)
	if s.Note != nil {
		s.Note(p)
	}
	return p, nil
}

// probeOf sums a run up.
func probeOf(r *Result) Probe {
	p := Probe{Outcome: r.Outcome, Seconds: r.Seconds}
	for _, reason := range r.Reasons {
		if reason.Outcome == r.Outcome {
			p.Reason = joinText(p.Reason, reason.Text)
		}
	}
	for i := range r.Operations {
		if op := &r.Operations[i]; op.Class == Read && op.Device == "" {
			p.P50, p.P99, p.P999 = op.Response.P50, op.Response.P99, op.Response.P999
			p.Over1ms = percent(op.Over[Service][0], op.Count)
		}
	}
	return p
}

// knee returns the index of the point after which latency rises steeply: the
// one farthest below the chord of the curve, by log of latency. It returns -1
// for fewer than three points or a straight curve.
func knee(probes []Probe) int {
	n := len(probes)
	if n < 3 {
		return -1
	}
	y := func(i int) float64 { return math.Log(math.Max(probes[i].P99, 1)) }
	dx, dy := probes[n-1].X-probes[0].X, y(n-1)-y(0)
	if dx <= 0 || dy <= 0.2 {
		return -1
	}
	best, at := 0.1, -1
	for i := 1; i < n-1; i++ {
		if d := (probes[i].X-probes[0].X)/dx - (y(i)-y(0))/dy; d > best {
			best, at = d, i
		}
	}
	return at
}
