package act

import (
	"fmt"
	"math"
	"time"
)

// Arrival says how operations are spread over time.
type Arrival uint8

// Arrivals.
const (
	// Uniform: each stream evenly, the streams of several devices in turn.
	Uniform Arrival = iota
	// Poisson: independently of one another, as the requests of many clients.
	Poisson
	// ACT5: one even stream of records for all devices, as ACT 5.2.
	ACT5
	// ACT6: service threads on one grid of time, all at the same moment, as
	// ACT 6.0 to 6.6. Only for comparison with figures measured so.
	ACT6
)

// ParseArrival reads an arrival's name.
func ParseArrival(text string) (Arrival, error) {
	for a := Uniform; a <= ACT6; a++ {
		if a.String() == text {
			return a, nil
		}
	}
	return 0, fmt.Errorf("arrival %q: want uniform, poisson, act5 or act6", text)
}

// String returns the arrival's name.
func (a Arrival) String() string { return [...]string{"uniform", "poisson", "act5", "act6"}[a] }

// schedule yields the moments at which the operations of one stream are due,
// as nanoseconds from the start of the run.
//
// Even arrivals are exact for ever: what a period has beyond whole nanoseconds
// is carried on as a fraction.
type schedule struct {
	rate  Rate
	whole time.Duration // of the period
	rest  uint64        // of the period, in nanoseconds / rate.Num
	carry uint64        // invariant: below rate.Num

	burst int // operations due at one moment
	left  int // of the current burst

	poisson bool
	mean    float64 // ns between operations
	gap     float64 // ns, below one, that was not given out yet

	next time.Duration
}

// newSchedule returns the schedule of a stream that is asked for rate, which
// is above zero. Part of parts streams that share one load are offset from one
// another by a part of the period; an act6 stream holds bursts of threads.
func newSchedule(rate Rate, a Arrival, part, parts, threads int, r *rng) *schedule {
	s := &schedule{rate: rate, burst: 1, left: 1, poisson: a == Poisson}
	each := rate
	if a == ACT6 && threads > 1 {
		s.burst = threads
		s.left = threads
		each = rate.Over(threads)
		part, parts = 0, 1 // all threads of all streams start at 0
	}
	s.rate = each
	s.whole, s.rest = each.period()
	s.mean = float64(time.Second) / each.Float()
	if s.poisson {
		s.step(r)
	} else if parts > 1 {
		s.next = time.Duration(float64(part) / float64(parts) * s.mean)
	}
	return s
}

// advance returns when the next operation is due and moves on. r is for
// arrivals that are drawn.
func (s *schedule) advance(r *rng) time.Duration {
	due := s.next
	if s.left--; s.left > 0 {
		return due
	}
	s.left = s.burst
	s.step(r)
	return due
}

// step moves next to the following moment.
func (s *schedule) step(r *rng) {
	if s.poisson {
		s.gap += r.exponential() * s.mean
		whole := math.Floor(s.gap)
		s.gap -= whole
		s.next += time.Duration(whole)
		return
	}
	s.next += s.whole
	if s.carry += s.rest; s.carry >= s.rate.Num {
		s.carry -= s.rate.Num
		s.next++
	}
}
