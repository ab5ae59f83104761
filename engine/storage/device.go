package storage

import (
	"sync"
	"sync/atomic"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
)

const (
	// defragReserve is how many free wblocks of a device only defrag and
	// tombstones may take, which both make room; of the second half only
	// defrag. Small devices keep an eighth of theirs, at least one.
	defragReserve = 8
	// stopRun is how many wblocks in a row without a header of ours end the
	// scan at cold start. Never are more than one less below the pristine
	// mark, so the scan cannot stop too early.
	stopRun = 256
	// roomyShare: while more than one wblock in so many is free, wblocks in
	// the post-write cache are neither defragged nor freed.
	roomyShare = 4
)

// device is one device, file or memory stripe of the store.
type device struct {
	s       *Store
	number  int            // within the set; part of every address
	dev     *ioring.Device // nil in a memory store
	mem     []byte         // the stripe of a memory store
	name    string
	id      uint64 // XORed into the keys of its wblocks; 0 in a memory store
	block   int    // unit of I/O in bytes
	wblocks []wblock
	reserve int // wblocks that clients' writes may not take

	header   header
	fresh    bool // initialised by this Open: nothing to load
	wasClean bool // the header said so at Open

	fenced atomic.Bool // a write failed: no more of them
	deviceCounters

	mu        sync.Mutex
	free      list
	pristine  uint32 // first wblock that was never taken
	unwritten int    // wblocks below pristine without a header of ours on the device
	defrag    list
	victims   int // wblocks being defragged
	emptying  []emptied
	cache     cacheList

	loaded bool // by Load, or there was nothing to load
}

// emptied is a wblock without live records that is not yet free.
type emptied struct {
	i     uint32
	stamp uint64 // of the epoch: readers that entered before may see it
	tick  uint64 // of the store: writes reserved before have replaced its records
}

// deviceCounters count since Open.
type deviceCounters struct {
	writeQ              atomic.Int32 // full swbs that wait for their flush
	writes              atomic.Uint64
	partialWrites       atomic.Uint64
	defragReads         atomic.Uint64
	defragWrites        atomic.Uint64
	defragPartialWrites atomic.Uint64
	bytesWritten        atomic.Uint64
	readErrors          atomic.Uint64
	writeErrors         atomic.Uint64
	checksumErrors      atomic.Uint64
}

// nFreeLocked returns how many wblocks can be taken.
func (d *device) nFreeLocked() int { return d.free.n + len(d.wblocks) - int(d.pristine) }

// take reserves a wblock: one that was freed, the longest free first, else the
// next pristine one.
func (d *device) take(k Kind) (uint32, record.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	least := d.reserve
	switch k {
	case Defrag:
		least = 0
	case Tombstone:
		least = d.reserve / 2
	}
	if d.nFreeLocked() <= 2*d.reserve {
		d.reclaimLocked()
	}
	d.settleCacheLocked()
	if d.nFreeLocked() <= least {
		if len(d.emptying) > 0 {
			return 0, record.DeviceOverload // some will be free soon
		}
		return 0, record.OutOfSpace
	}
	i := d.free.popFront(d.wblocks)
	if i == 0 {
		if d.unwritten >= stopRun-1 {
			return 0, record.DeviceOverload
		}
		i = d.pristine
		d.pristine++
		if d.dev != nil {
			d.unwritten++
		}
	}
	w := &d.wblocks[i]
	assert.That(State(w.state.Load()) == StateFree, "a free wblock is in state FREE")
	assert.That(w.used.Load() == 0, "a free wblock holds nothing live")
	w.state.Store(uint32(StateReserved))
	return i, record.OK
}

// giveBack undoes take.
func (d *device) giveBack(i uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wblocks[i].state.Store(uint32(StateFree))
	d.free.pushBack(d.wblocks, i)
}

// noteWritten remembers that the header of wblock i is on the device.
func (d *device) noteWritten(i uint32) {
	w := &d.wblocks[i]
	if w.written {
		return // it belongs to the calling lane: nobody else looks
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.written = true
	d.unwritten--
}

// release ends the time in which b belonged to a lane: all of it is on the
// device, or in memory for good. The buffer goes into the post-write cache or
// back to the pool. A wblock in the cache is young and stays RESERVED: what is
// left in it may die without the help of defrag.
func (d *device) release(b *swb) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b.lane = nil
	if d.mem != nil {
		b.w.image.Store(nil)
		d.ageLocked(b.number)
		return
	}
	if budget := d.cacheBudget(); budget > 0 && d.s.cacheable(b.kind) && b.w.used.Load() > 0 {
		d.cache.push(b)
		d.trimCacheLocked(budget)
		d.settleCacheLocked()
		return
	}
	d.unlinkLocked(b)
}

// cacheBudget returns how many wblocks the post-write cache may hold.
func (d *device) cacheBudget() int {
	return int(d.s.dyn.Load().PostWriteCache / int64(d.s.wblockSize))
}

func (d *device) trimCacheLocked(budget int) {
	for d.cache.n > budget {
		b := d.cache.head
		d.cache.remove(b)
		d.unlinkLocked(b)
	}
}

// unlinkLocked hides b from new readers and retires its buffer.
func (d *device) unlinkLocked(b *swb) {
	b.w.image.Store(nil)
	d.ageLocked(b.number)
	if b.pins > 0 {
		b.evicted = true
		return
	}
	d.s.pool.retire(b, d.s.dom.Retire())
}

// noteFreed looks at wblock i after its used bytes went down to left. It takes
// the lock only when that may change the state.
func (d *device) noteFreed(i uint32, left int32) {
	switch State(d.wblocks[i].state.Load()) {
	case StateUsed:
		if left >= d.s.lwmBytes.Load() {
			return
		}
	case StateDefrag, StateEmptying:
		if left > 0 {
			return
		}
	default:
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleLocked(i)
}

// settleLocked moves a wblock to the state that its used bytes ask for.
func (d *device) settleLocked(i uint32) {
	w := &d.wblocks[i]
	used := w.used.Load()
	switch State(w.state.Load()) {
	case StateUsed:
		switch {
		case used == 0:
			d.emptyLocked(i)
		case used < d.s.lwmBytes.Load():
			w.state.Store(uint32(StateDefrag))
			d.defrag.pushBack(d.wblocks, i)
		}
	case StateDefrag:
		if used == 0 && d.queuedLocked(i) {
			d.defrag.remove(d.wblocks, i)
			d.emptyLocked(i)
		}
	case StateEmptying:
		if used == 0 && !w.waiting {
			d.emptyLocked(i)
		}
	}
}

// roomyLocked reports whether defrag can leave young wblocks alone.
func (d *device) roomyLocked() bool { return d.nFreeLocked()*roomyShare > len(d.wblocks) }

// settleCacheLocked makes the wblocks of the post-write cache candidates for
// defrag although they are young, when room is scarce.
func (d *device) settleCacheLocked() {
	if d.roomyLocked() {
		return
	}
	for b := d.cache.head; b != nil; b = b.cacheNext {
		d.ageLocked(b.number)
	}
}

// ageLocked ends the youth of a wblock: from now on its used bytes decide.
func (d *device) ageLocked(i uint32) {
	if w := &d.wblocks[i]; State(w.state.Load()) == StateReserved {
		w.state.Store(uint32(StateUsed))
		d.settleLocked(i)
	}
}

// queuedLocked reports whether a wblock in state DEFRAG is in the queue, and
// not a victim.
func (d *device) queuedLocked(i uint32) bool { return !d.wblocks[i].victim }

// emptyLocked sends a wblock without live records on its way to FREE.
func (d *device) emptyLocked(i uint32) {
	w := &d.wblocks[i]
	w.state.Store(uint32(StateEmptying))
	w.waiting = true
	d.emptying = append(d.emptying, emptied{i: i, stamp: d.s.dom.Retire(), tick: d.s.tick.Add(1)})
}

// reclaimLocked frees the wblocks that no reader sees and whose records'
// replacements are on the device. When that is wanting and free wblocks are
// scarce, it asks all lanes to flush.
func (d *device) reclaimLocked() {
	n := 0
	for n < len(d.emptying) {
		e := d.emptying[n]
		if !d.s.flushedThrough(e.tick) {
			if d.nFreeLocked() <= 2*d.reserve {
				d.s.askFlush(d.emptying[len(d.emptying)-1].tick)
			}
			break
		}
		if !d.s.dom.Safe(e.stamp) {
			break
		}
		n++
		d.freeLocked(e.i)
	}
	if n > 0 {
		d.emptying = d.emptying[:copy(d.emptying, d.emptying[n:])]
	}
}

func (d *device) freeLocked(i uint32) {
	w := &d.wblocks[i]
	if b := w.image.Load(); b != nil {
		// The epoch has passed since the last address into it died: nobody
		// can hold a view, and the buffer is usable at once.
		assert.That(b.cached && b.pins == 0, "a dead wblock's image is only in the cache")
		d.cache.remove(b)
		w.image.Store(nil)
		d.s.pool.put(b)
	}
	w.waiting = false
	w.state.Store(uint32(StateFree))
	d.free.pushBack(d.wblocks, i)
}

// reclaim is reclaimLocked for callers without the lock. It costs a lock and
// no more when nothing waits.
func (d *device) reclaim() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleCacheLocked()
	if len(d.emptying) > 0 {
		d.reclaimLocked()
	}
}

// fence stops writes to the device after one failed.
func (d *device) fence(reason string, offset int64, size int) {
	if d.fenced.Swap(true) {
		return
	}
	d.s.log.Error("device failed a write: no more writes to it, reads go on",
		"namespace", d.s.namespace, "device", d.name, "offset", offset, "bytes", size, "reason", reason)
}
