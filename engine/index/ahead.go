package index

import (
	"math"
	"sync"
	"sync/atomic"
)

// maxAhead limits how much memory is touched before it is needed.
const maxAhead = 64 << 20

// ahead touches slabs before they are dealt, on its own goroutine, so that the
// kernel's zeroing of pages (some 100 µs for a huge one) does not fall on a
// writer. It is a matter of speed only: without it everything works.
type ahead struct {
	wakeAt atomic.Uint64 // the byte whose dealing wakes the goroutine
	wake   chan struct{}
	wg     sync.WaitGroup
}

// notice is told that the region is in use up to byte end. It is called under
// the pool's lock and does not wait.
func (a *ahead) notice(end uint64) {
	if end < a.wakeAt.Load() {
		return
	}
	a.wakeAt.Store(math.MaxUint64) // until the goroutine says otherwise
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// start begins to populate after byte done, which is in use by now.
func (a *ahead) start(x *Index, done uint64) {
	a.wake = make(chan struct{}, 1)
	a.wakeAt.Store(done)
	a.wg.Go(func() {
		for range a.wake {
			end, err := x.populateAhead(done)
			if err != nil {
				return // an old kernel, or no memory: pages come when touched
			}
			done = max(done, end)
		}
	})
}

func (a *ahead) stop() {
	close(a.wake)
	a.wg.Wait()
}

// populateAhead touches an eighth of what is in use, up to maxAhead, after
// what is in use; bytes before done were touched before. It returns how far
// it came.
func (x *Index) populateAhead(done uint64) (uint64, error) {
	p := &x.super.pool
	p.spin.lock()
	used := p.next.Load() * lineSize
	end := used + min(used/8, maxAhead)
	end = min(end/hugePage*hugePage, uint64(len(x.region.bytes)))
	ok := x.commitLocked(end)
	p.spin.unlock()
	if !ok {
		return done, ErrFull
	}
	from := max(done, used)
	for at := from; at < end; at = at/hugePage*hugePage + hugePage { // in steps: each holds up the process's other page faults
		if err := x.region.populate(at/pageSize*pageSize, min(at/hugePage*hugePage+hugePage, end)); err != nil {
			return at, err
		}
	}
	if end < uint64(len(x.region.bytes)) {
		x.ahead.wakeAt.Store(used + max(end-min(end, used), hugePage)/2)
	}
	return end, nil
}
