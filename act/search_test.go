package act

import (
	"testing"
	"time"
)

// model is a drive with a limit that an overload lowers until it has rested.
type model struct {
	limit  float64
	tired  int // rests that it still needs
	recall int // rests that an overload costs
	most   float64
}

func (m *model) probe(x float64, length time.Duration, stress bool) (Probe, error) {
	m.most = max(m.most, x)
	p := Probe{Seconds: length.Seconds(), P99: 200}
	limit := m.limit
	if m.tired > 0 {
		limit, p.P99 = m.limit/4, 900
	}
	if x > limit && !stress {
		p.Outcome = Fail
		m.tired = m.recall
	}
	return p, nil
}

func TestSearchFindsTheLimit(t *testing.T) {
	for _, c := range []struct {
		name         string
		limit, start float64
		recall       int
		low, high    float64
		outcome      Outcome
	}{
		{"above the start", 37, 1, 0, 33, 37, Pass},
		{"below the start", 3, 50, 0, 2.7, 3, Pass},
		{"a drive that must rest", 37, 1, 3, 33, 37, Pass},
		{"nothing passes", 0, 1, 0, 0, 0, Fail},
		{"above the most", 5000, 1, 0, 100, 100, Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &model{limit: c.limit, recall: c.recall}
			s := Search{Start: c.start, Max: 100, Factor: 2, Precision: 0.1, Length: time.Minute, Confirm: time.Hour, Stress: time.Hour, MaxRests: 10,
				Probe: m.probe, Sleep: func(time.Duration) { m.tired = max(m.tired-1, 0) }}
			r, err := s.Run()
			if err != nil || r.X < c.low || r.X > c.high || r.Outcome != c.outcome {
				t.Fatalf("%+v %v, want %v to %v, %v", r, err, c.low, c.high, c.outcome)
			}
			if c.outcome == Pass && (!r.Confirmed || !r.Stressed || !r.Rested) {
				t.Errorf("confirmed %v, stressed %v, rested %v", r.Confirmed, r.Stressed, r.Rested)
			}
			if m.most > max(2*c.limit, c.start, 1)*1.01 && c.limit < 100 {
				t.Errorf("overdriven to %v", m.most)
			}
		})
	}
}

func TestSearchStopsAtErrors(t *testing.T) {
	s := Search{Start: 1, Max: 100, Factor: 2, Precision: 0.1, Probe: func(x float64, _ time.Duration, _ bool) (Probe, error) {
		if x > 5 {
			return Probe{Outcome: Error, Reason: "EIO"}, nil
		}
		return Probe{}, nil
	}}
	r, err := s.Run()
	if err != nil || r.Outcome != Error || r.X != 4 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestKnee(t *testing.T) {
	var curve, straight []Probe
	for x := 1.0; x <= 20; x++ {
		p99 := 100.0
		if x > 15 {
			p99 *= 1 + 3*(x-15)*(x-15)
		}
		curve = append(curve, Probe{X: x, P99: p99})
		straight = append(straight, Probe{X: x, P99: 100})
	}
	if i := knee(curve); i < 0 || curve[i].X < 13 || curve[i].X > 16 {
		t.Errorf("knee at point %d, want 15x", i)
	}
	if i := knee(straight); i != -1 {
		t.Errorf("a straight line has a knee at %d", i)
	}
}
