package ioring

import "time"

// start is the zero of now.
var start = time.Now()

// now is the monotonic clock.
func now() time.Duration { return time.Since(start) }

// timerHeap holds the fallback's Timeouts, the next one first.
type timerHeap struct{ timers []timer }

type timer struct {
	at time.Duration // by now
	op *Op
}

func (h *timerHeap) len() int { return len(h.timers) }

func (h *timerHeap) first() *Op { return h.timers[0].op }

// next returns when the first timer is due.
func (h *timerHeap) next() (time.Duration, bool) {
	if len(h.timers) == 0 {
		return 0, false
	}
	return h.timers[0].at, true
}

func (h *timerHeap) push(o *Op, at time.Duration) {
	o.place = placeTimer
	h.timers = append(h.timers, timer{at, o})
	h.up(len(h.timers) - 1)
}

// due takes out a timer that is due by at, nil if none is.
func (h *timerHeap) due(at time.Duration) *Op {
	if len(h.timers) == 0 || h.timers[0].at > at {
		return nil
	}
	o := h.timers[0].op
	h.removeAt(0)
	return o
}

// remove takes out o's timer. It walks the heap: only Cancel calls it.
func (h *timerHeap) remove(o *Op) {
	for i := range h.timers {
		if h.timers[i].op == o {
			h.removeAt(i)
			return
		}
	}
}

func (h *timerHeap) removeAt(i int) {
	last := len(h.timers) - 1
	h.timers[i].op.place = placeNone
	h.timers[i] = h.timers[last]
	h.timers[last] = timer{}
	h.timers = h.timers[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
}

func (h *timerHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h.timers[parent].at <= h.timers[i].at {
			return
		}
		h.timers[parent], h.timers[i] = h.timers[i], h.timers[parent]
		i = parent
	}
}

func (h *timerHeap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.timers) {
			return
		}
		if r := child + 1; r < len(h.timers) && h.timers[r].at < h.timers[child].at {
			child = r
		}
		if h.timers[i].at <= h.timers[child].at {
			return
		}
		h.timers[i], h.timers[child] = h.timers[child], h.timers[i]
		i = child
	}
}
