package storage

import (
	"errors"
	"fmt"
)

// Check verifies every invariant of the store's tables. No lane is within one
// of its methods meanwhile. An error is a bug of ours.
func (s *Store) Check() error {
	var errs []error
	for _, d := range s.devices {
		errs = append(errs, d.check()...)
	}
	return errors.Join(errs...)
}

func (d *device) check() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("storage: check: %s: "+format, append([]any{d.name}, args...)...))
	}
	places := d.placesLocked(bad)
	unwritten, victims := 0, 0
	for n := range d.wblocks[1:] {
		i := uint32(n) + 1
		w := &d.wblocks[i]
		state, used, where := State(w.state.Load()), int(w.used.Load()), places[i]
		if used < 0 || used > d.s.MaxRecord() {
			bad("wblock %d: %d used bytes, want 0 to %d", i, used, d.s.MaxRecord())
		}
		if want := d.placeFor(i, state); where != want && d.s.loaded.Load() {
			bad("wblock %d in state %v is %v, want %v", i, state, where, want)
		}
		if (state == StateFree || w.waiting) && used != 0 {
			bad("wblock %d in state %v: %d used bytes, want 0", i, state, used)
		}
		if i < d.pristine && !w.written && d.dev != nil {
			unwritten++
		}
		if w.victim {
			victims++
		}
		for _, e := range d.checkImage(i, state) {
			bad("wblock %d in state %v: %s", i, state, e)
		}
	}
	if d.s.loaded.Load() && unwritten != d.unwritten {
		bad("%d unwritten wblocks, counted %d", unwritten, d.unwritten)
	}
	if victims != d.victims {
		bad("%d victims, counted %d", victims, d.victims)
	}
	if q := d.writeQ.Load(); q < 0 {
		bad("write queue of %d", q)
	}
	return errs
}

// place is the list that a wblock is in.
type place uint8

const (
	nowhere place = iota
	inFree
	isPristine
	inDefrag
	inEmptying
)

func (p place) String() string {
	return [...]string{"in no list", "in the free list", "pristine", "in the defrag queue", "in the emptying list"}[p]
}

// placeFor returns where a wblock in a state belongs.
func (d *device) placeFor(i uint32, state State) place {
	switch w := &d.wblocks[i]; {
	case state == StateFree && i >= d.pristine:
		return isPristine
	case state == StateFree:
		return inFree
	case state == StateDefrag && !w.victim:
		return inDefrag
	case state == StateEmptying && w.waiting:
		return inEmptying
	}
	return nowhere
}

// placesLocked walks the lists.
func (d *device) placesLocked(bad func(string, ...any)) []place {
	places := make([]place, len(d.wblocks))
	put := func(i uint32, p place) {
		switch {
		case i == 0 || int(i) >= len(places):
			bad("%v: wblock %d, want 1 to %d", p, i, len(places)-1)
		case places[i] != nowhere:
			bad("wblock %d is %v and %v", i, places[i], p)
		default:
			places[i] = p
		}
	}
	for i := d.pristine; int(i) < len(places); i++ {
		put(i, isPristine)
	}
	walk := func(l *list, p place) {
		n, prev := 0, uint32(0)
		for i := l.head; i != 0 && n <= len(places); i = d.wblocks[i].next {
			put(i, p)
			if d.wblocks[i].prev != prev {
				bad("wblock %d %v: the one before is %d, want %d", i, p, d.wblocks[i].prev, prev)
			}
			prev = i
			n++
		}
		if n != l.n || prev != l.tail {
			bad("wblocks %v: %d ending with %d, counted %d ending with %d", p, n, prev, l.n, l.tail)
		}
	}
	walk(&d.free, inFree)
	walk(&d.defrag, inDefrag)
	for _, e := range d.emptying {
		put(e.i, inEmptying)
	}
	return places
}

// checkImage compares the image of wblock i with its state.
func (d *device) checkImage(i uint32, state State) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	b := d.wblocks[i].image.Load()
	switch {
	case b == nil:
		if state == StateReserved {
			fault("no image")
		}
		return faults
	case state == StateFree || state == StateBad:
		fault("has an image")
	case b.number != i || b.w != &d.wblocks[i]:
		fault("the image is of wblock %d", b.number)
	case state == StateReserved && b.cached != (b.lane == nil):
		fault("the image is in the cache: %v, a lane has it: %v", b.cached, b.lane != nil)
	case state != StateReserved && !b.cached:
		fault("the image is in no cache")
	case b.flushed > b.submitted || b.submitted > b.fill || b.fill > len(b.buf):
		fault("flushed %d, submitted %d, fill %d: want ascending, to %d", b.flushed, b.submitted, b.fill, len(b.buf))
	}
	return faults
}
