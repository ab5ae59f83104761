package bench

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Arrival says how operations of an open loop are spread over time.
type Arrival uint8

// Arrivals.
const (
	Constant Arrival = iota // evenly
	Poisson                 // independently of one another
)

// ParseArrival reads "constant" or "poisson".
func ParseArrival(text string) (Arrival, error) {
	switch text {
	case "constant":
		return Constant, nil
	case "poisson":
		return Poisson, nil
	}
	return 0, fmt.Errorf("arrival %q: want constant or poisson", text)
}

// String returns the arrival's name.
func (a Arrival) String() string { return [...]string{"constant", "poisson"}[a] }

// Rate is how many operations a second are asked for as time goes on: a list
// of legs, the last of which lasts for ever. In a leg the rate goes evenly from
// one value to another. No legs: a closed loop.
type Rate struct {
	legs []leg
	text string
}

type leg struct {
	from, to float64 // operations a second
	length   time.Duration
}

// ParseRate reads a rate:
//
//	5000                        constant
//	1000..20000/60s             a ramp that takes 60 s, then its end value
//	1000/10s,2000/10s,4000      steps
//
// An empty text or 0 is a closed loop.
func ParseRate(text string) (Rate, error) {
	r := Rate{text: text}
	if text == "" || text == "0" {
		return Rate{}, nil
	}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		l, timed, err := parseLeg(part)
		if err != nil {
			return Rate{}, fmt.Errorf("rate %q: %w", text, err)
		}
		if !timed && i < len(parts)-1 {
			return Rate{}, fmt.Errorf("rate %q: %q: only the last step has no length", text, part)
		}
		r.legs = append(r.legs, l)
	}
	return r, nil
}

// endless is the length of a leg that has none.
const endless = time.Duration(math.MaxInt64)

var errRate = errors.New("want RATE, RATE/LENGTH or FROM..TO/LENGTH, rates above 0")

func parseLeg(text string) (l leg, timed bool, err error) {
	rates, length, timed := strings.Cut(text, "/")
	l.length = endless
	if timed {
		if l.length, err = time.ParseDuration(length); err != nil || l.length <= 0 {
			return leg{}, false, fmt.Errorf("%q: length %q: want a duration such as 10s", text, length)
		}
	}
	from, to, ramp := strings.Cut(rates, "..")
	if !ramp {
		to = from
	} else if !timed {
		return leg{}, false, fmt.Errorf("%q: a ramp needs a length, as in %s/60s", text, text)
	}
	l.from, err = strconv.ParseFloat(from, 64)
	var errTo error
	l.to, errTo = strconv.ParseFloat(to, 64)
	if err != nil || errTo != nil || !(l.from > 0) || !(l.to > 0) || math.IsInf(l.from, 0) || math.IsInf(l.to, 0) {
		return leg{}, false, fmt.Errorf("%q: %w", text, errRate)
	}
	return l, timed, nil
}

// Open reports whether the rate makes an open loop.
func (r Rate) Open() bool { return len(r.legs) > 0 }

// String returns the rate as it was written.
func (r Rate) String() string { return r.text }

// Due returns how many operations are due in the first d of a run.
func (r Rate) Due(d time.Duration) float64 {
	sum := 0.0
	for i, l := range r.legs {
		length := l.length
		if i == len(r.legs)-1 {
			sum += l.count(min(d, length)) + l.to*max(d-length, 0).Seconds()
			break
		}
		sum += l.count(min(d, length))
		if d -= length; d <= 0 {
			break
		}
	}
	return sum
}

// count returns how many operations are due in the first t of the leg.
func (l leg) count(t time.Duration) float64 {
	s := t.Seconds()
	if l.from == l.to {
		return l.from * s
	}
	slope := (l.to - l.from) / l.length.Seconds()
	return l.from*s + slope*s*s/2
}

// at returns when, in the leg, its n-th operation is due, n from 0 on.
func (l leg) at(n float64) time.Duration {
	var s float64
	if l.from == l.to {
		s = n / l.from
	} else {
		slope := (l.to - l.from) / l.length.Seconds()
		s = (math.Sqrt(l.from*l.from+2*slope*n) - l.from) / slope
	}
	return time.Duration(math.Round(s * 1e9))
}

// schedule yields the moments at which one loop's operations are due. Of
// several loops each takes its share of the rate, and constant arrivals are
// dealt in turn, so that together they are as even as one loop's.
type schedule struct {
	arrival Arrival
	legs    []leg
	start   time.Duration // of the current leg
	leg     int
	next    float64 // the number, within the leg, of this loop's next operation
	loops   float64
}

func newSchedule(r Rate, a Arrival, loop, loops int) *schedule {
	return &schedule{arrival: a, legs: r.legs, next: float64(loop), loops: float64(loops)}
}

// due returns the moment of the next operation, from the start of the run.
func (s *schedule) due(r *rng) time.Duration {
	for {
		l := s.legs[s.leg]
		number := s.next
		if total := l.total(); number >= total {
			s.turn(number - total)
			continue
		}
		if s.arrival == Poisson {
			s.next += r.exponential() * s.loops
		} else {
			s.next += s.loops
		}
		return s.start + l.at(number)
	}
}

// total returns the operations of the whole leg.
func (l leg) total() float64 {
	if l.length == endless {
		return math.Inf(1)
	}
	return l.count(l.length)
}

// turn goes to the next leg, of which rest operations are over already. Behind
// the last leg its end value goes on.
func (s *schedule) turn(rest float64) {
	l := s.legs[s.leg]
	s.start += l.length
	s.next = rest
	if s.leg < len(s.legs)-1 {
		s.leg++
		return
	}
	s.legs = []leg{{from: l.to, to: l.to, length: endless}}
	s.leg = 0
}

// exponential returns an exponentially distributed number with mean 1.
func (r *rng) exponential() float64 { return -math.Log(1 - r.float()) }
