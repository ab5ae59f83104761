package storage

import (
	"syscall"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
)

// Read is one read of a record from its device. The caller keeps it for reuse
// and sets Addr, Digest and Done; the lane owns it from Lane.Read until Done.
type Read struct {
	Addr   record.Address
	Digest record.Digest
	Done   func(r *Read)

	// Result is OK, or Unknown when the device failed, or when what it
	// returned is not the record. Moved then says that the wblock has been
	// reused since the read began, so that the record is elsewhere; otherwise
	// the fault is the device's and has been counted.
	Result record.Result
	Moved  bool
	// Flat is the verified record, until Lane.Release.
	Flat []byte

	lane    *Lane
	key     uint64 // of the wblock when the read began
	buf     []byte // from the lane's arena
	length  int    // bytes to read into buf
	moved   int
	retries int
	op      ioring.Op
	next    *Read // in the queue of those that wait

	// Of the lane's list of reads that hold memory.
	holdNext, holdPrev *Read
}

// readQueue is a FIFO of reads that wait for memory or their turn.
type readQueue struct{ head, tail *Read }

func (q *readQueue) push(r *Read) {
	r.next = nil
	if q.tail != nil {
		q.tail.next = r
	} else {
		q.head = r
	}
	q.tail = r
}

func (q *readQueue) pop() *Read {
	r := q.head
	if q.head = r.next; q.head == nil {
		q.tail = nil
	}
	r.next = nil
	return r
}

// Read reads the record at r.Addr from its device, after View has found it not
// in memory and before the Exit of the same look: exactly the record's blocks,
// in one operation. r.Done runs in a later Poll. The caller calls Release in
// it or later.
func (l *Lane) Read(r *Read) {
	assert.That(r.Done != nil && !r.op.InFlight(), "a read is idle and has a Done")
	if r.op.Done == nil {
		r.op.Done = r.complete // bound once in the life of r
	}
	d := l.devices[r.Addr.Device()].d
	assert.That(d.dev != nil, "a memory store answers every View")
	r.lane, r.Flat, r.Moved, r.buf = l, nil, false, nil
	r.moved, r.retries = 0, 0
	r.key = d.wblocks[l.s.wblockOf(r.Addr)].key.Load()
	if l.waiting.head != nil || !r.start() {
		l.waiting.push(r)
	}
}

// readDepth is how many reads a lane has with its devices at once; more wait
// in the lane. Beyond what a drive's queue takes (128 to 256 requests on most)
// the kernel hands reads to worker threads, at twice the CPU each.
const readDepth = 96

// start takes memory and submits. It returns false when there is none now, or
// when enough reads are out.
func (r *Read) start() bool {
	if r.lane.held == readDepth {
		return false
	}
	d := r.device()
	from := r.Addr.Offset() &^ int64(d.block-1)
	to := (r.Addr.Offset() + int64(r.Addr.Size()) + int64(d.block-1)) &^ int64(d.block-1)
	r.length = int(to - from)
	if r.buf = r.lane.arena.Get(r.length); r.buf == nil {
		return false
	}
	r.lane.hold(r)
	r.op.Kind, r.op.Flags = ioring.Read, 0
	r.op.File = r.lane.devices[d.number].file
	r.submit()
	return true
}

func (r *Read) submit() {
	d := r.device()
	r.op.Offset = r.Addr.Offset()&^int64(d.block-1) + int64(r.moved)
	r.op.Buf = r.buf[r.moved:r.length]
	r.lane.q.Submit(&r.op)
}

func (r *Read) device() *device { return r.lane.devices[r.Addr.Device()].d }

// complete is the Done of the device's answer.
func (r *Read) complete(o *ioring.Op) {
	d := r.device()
	switch n := o.Result; {
	case n == -int32(syscall.EAGAIN), n == -int32(syscall.EINTR):
		// Nothing was moved; the device is not to blame.
		r.retries++
	case n < 0:
		d.readErrors.Add(1)
		r.finish(record.Unknown)
		return
	default:
		whole := int(n) &^ (d.block - 1)
		if whole == 0 {
			r.retries++ // the end of a device that has shrunk, at worst
		}
		r.moved += whole
	}
	switch {
	case r.moved >= r.length:
		r.verify(d)
	case r.retries > maxRetries:
		d.readErrors.Add(1)
		r.finish(record.Unknown)
	default:
		r.submit()
	}
}

// verify checks that what came is the record: its checksum, which vouches for
// place and life of the wblock, then size and digest.
func (r *Read) verify(d *device) {
	at := int(r.Addr.Offset() & int64(d.block-1))
	flat := r.buf[at : at+r.Addr.Size() : at+r.Addr.Size()]
	size, ok := record.PeekFlat(flat)
	if ok && size == len(flat) && record.Verify(flat, r.key, r.Addr) && flatDigest(flat) == r.Digest {
		r.Flat = flat
		r.finish(record.OK)
		return
	}
	if r.Moved = d.wblocks[r.lane.s.wblockOf(r.Addr)].key.Load() != r.key; !r.Moved {
		d.checksumErrors.Add(1)
		d.readErrors.Add(1)
	}
	r.finish(record.Unknown)
}

func (r *Read) finish(res record.Result) {
	r.Result = res
	r.Done(r)
}

// Release gives back the memory of a read after its Done has begun.
func (l *Lane) Release(r *Read) {
	assert.That(!r.op.InFlight(), "a read in flight is not released")
	r.Flat = nil
	if r.buf == nil {
		return
	}
	l.letGo(r)
	l.startReads()
	if l.starved {
		l.starved = false
		for i := range l.devices {
			if l.devices[i].d.dev != nil {
				l.devices[i].pump()
			}
		}
	}
}

// hold lists a read that has memory of the arena.
func (l *Lane) hold(r *Read) {
	r.holdPrev, r.holdNext = nil, l.holding
	if l.holding != nil {
		l.holding.holdPrev = r
	}
	l.holding = r
	l.held++
}

// letGo gives a read's memory back to the arena.
func (l *Lane) letGo(r *Read) {
	if r.holdPrev != nil {
		r.holdPrev.holdNext = r.holdNext
	} else {
		l.holding = r.holdNext
	}
	if r.holdNext != nil {
		r.holdNext.holdPrev = r.holdPrev
	}
	r.holdPrev, r.holdNext = nil, nil
	l.held--
	l.arena.Put(r.buf)
	r.buf = nil
}

// startReads starts the reads that wait, as far as there is memory.
func (l *Lane) startReads() {
	for l.waiting.head != nil && l.waiting.head.start() {
		l.waiting.pop()
	}
}

// flatDigest returns the digest of a flat record whose checksum is right.
func flatDigest(flat []byte) record.Digest { return record.Digest(flat[12:32]) }
