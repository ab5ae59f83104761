package storage

import (
	"fmt"
	"syscall"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
)

const (
	// maxFlushes is how many writes a lane has in flight on a device: two
	// keep a drive busy, more delay the reads behind them.
	maxFlushes = 2
	// maxRetries bounds the repetitions of a write or read that an EAGAIN,
	// EINTR or no progress asks for.
	maxRetries = 100
	// pollWait is the longest single wait of Close and Open for I/O.
	pollWait = 100 * time.Millisecond
)

// flush is one write in flight. A lane has maxFlushes of them a device; one
// stays busy until every write before it in the same buffer is done.
type flush struct {
	op ioring.Op
	ld *laneDevice
	b  *swb // nil: the flush is idle

	start, upto int    // the part of the buffer that it makes durable
	from        int    // start, rounded down to a block
	src         []byte // what is written at from
	bounce      []byte // src of a partial flush: a copy, since the buffer goes on filling
	moved       int    // bytes of src that are written
	retries     int
	done        bool
}

// tick flushes what is old enough, or what others wait for.
func (ld *laneDevice) tick() {
	l := ld.l
	if ld.d.fenced.Load() {
		ld.fence()
		return
	}
	flushMax := l.s.dyn.Load().FlushMax
	asked := l.s.flushAsked.Load()
	for k, b := range ld.cur {
		if b == nil || b.oldTick == noTick {
			continue
		}
		limit := flushMax
		if Kind(k) == Defrag {
			limit = defragFlushMax
		}
		// The next Tick comes about as late as this one did: what would be
		// too old by then goes now.
		age := l.now - b.oldAt + (l.now - l.lastTick)
		if limit > 0 && age >= record.Time(limit/time.Millisecond) || b.oldTick < asked {
			b.want = b.fill
		}
	}
	ld.pump()
}

// wantAll asks for everything to be flushed.
func (ld *laneDevice) wantAll() {
	for _, b := range ld.cur {
		if b != nil && b.fill > wblockHeaderSize {
			b.want = b.fill
		}
	}
	ld.pump()
}

// pump starts writes as long as there is something due and a flush idle.
func (ld *laneDevice) pump() {
	if ld.d.fenced.Load() {
		return // tick and complete draw the consequences
	}
	for i := range ld.flushes {
		f := &ld.flushes[i]
		if f.b != nil {
			continue
		}
		b, start, upto := ld.nextDue()
		if b == nil || !f.begin(b, start, upto) {
			return
		}
	}
}

// nextDue picks what to write next: first what a commit waits for, then full
// buffers, the oldest first, then full units and aged parts of current ones.
func (ld *laneDevice) nextDue() (b *swb, start, upto int) {
	size, block := ld.l.s.flushSize(), ld.d.block
	for _, b := range ld.cur {
		if b != nil && b.commits != nil {
			if start, upto, ok := b.due(size, block); ok {
				return b, start, upto
			}
		}
	}
	for b := ld.queue.head; b != nil; b = b.next {
		if start, upto, ok := b.due(size, block); ok {
			return b, start, upto
		}
	}
	for _, b := range ld.cur {
		if b != nil {
			if start, upto, ok := b.due(size, block); ok {
				return b, start, upto
			}
		}
	}
	return nil, 0, 0
}

// begin submits the write of b's [start, upto). It returns false when there is
// no memory for a partial flush now.
func (f *flush) begin(b *swb, start, upto int) bool {
	block := f.ld.d.block
	from := start &^ (block - 1)
	to := (upto + block - 1) &^ (block - 1)
	f.src, f.bounce = b.buf[from:to], nil
	if to != upto {
		// Records will be added behind upto while the device reads: it gets
		// a copy, with zeros to the end of the block.
		f.bounce = f.ld.l.arena.Get(to - from)
		if f.bounce == nil {
			f.ld.l.starved = true
			return false
		}
		f.src = f.bounce[:to-from]
		clear(f.src[copy(f.src, b.buf[from:upto]):])
	}
	f.b, f.start, f.upto, f.from = b, start, upto, from
	f.moved, f.retries, f.done = 0, 0, false
	b.submitted = upto
	b.inflight++
	f.submit()
	return true
}

func (f *flush) submit() {
	d := f.ld.d
	f.op.Kind, f.op.Flags = ioring.Write, d.s.writeFlags
	f.op.File = f.ld.file
	f.op.Offset = d.s.offset(f.b.number) + int64(f.from+f.moved)
	f.op.Buf = f.src[f.moved:]
	f.ld.l.q.Submit(&f.op)
}

// complete is the Done of a write.
func (f *flush) complete(o *ioring.Op) {
	ld, b := f.ld, f.b
	if again, failed := f.account(o.Result); again {
		f.submit()
		return
	} else if failed {
		ld.d.writeErrors.Add(1)
		ld.d.fence(syscall.Errno(-o.Result).Error(), o.Offset, len(o.Buf))
	}
	if f.bounce != nil {
		ld.l.arena.Put(f.bounce)
		f.bounce, f.src = nil, nil
	}
	b.inflight--
	if ld.d.fenced.Load() && f.moved < f.length() {
		f.b = nil
		ld.fence()
		return
	}
	f.done = true
	ld.d.bytesWritten.Add(uint64(f.length()))
	ld.settle(b)
}

// length returns how many bytes the write has to move.
func (f *flush) length() int {
	block := f.ld.d.block
	return (f.upto+block-1)&^(block-1) - f.from
}

// account takes in the result of one submission: whether the write goes on
// with another, or has failed.
func (f *flush) account(result int32) (again, failed bool) {
	switch {
	case result == -int32(syscall.EAGAIN), result == -int32(syscall.EINTR):
		// Nothing was moved; the device is not to blame.
		f.retries++
	case result < 0:
		return false, true
	default:
		n := int(result) &^ (f.ld.d.block - 1)
		if n == 0 {
			f.retries++ // no whole block: as if nothing was moved
		}
		f.moved += n
	}
	if f.moved >= f.length() {
		return false, false
	}
	return f.retries <= maxRetries, f.retries > maxRetries
}

// settle moves b's flushed prefix over the writes that are done, and does what
// follows from that.
func (ld *laneDevice) settle(b *swb) {
	l := ld.l
	for moved := true; moved; {
		moved = false
		for i := range ld.flushes {
			f := &ld.flushes[i]
			if f.b == b && f.done && f.start == b.flushed {
				b.flushed = f.upto
				ld.countFlush(f)
				f.b, f.done = nil, false
				moved = true
			}
		}
	}
	assert.That(b.flushed <= b.submitted && b.submitted <= b.fill, "flushed <= submitted <= fill")
	if b.flushed > 0 {
		ld.d.noteWritten(b.number)
	}
	b.noteFlushed(l.s.tick.Load(), l.now)
	l.noteOldest()
	done := b.takeCommits()
	if b.full && b.flushed == len(b.buf) {
		ld.finish(b)
	}
	ld.pump()
	finishCommits(done, record.OK)
}

// countFlush counts a write that does not complete its buffer.
func (ld *laneDevice) countFlush(f *flush) {
	if f.upto&(ld.l.s.flushSize()-1) == 0 {
		return
	}
	if f.b.kind == Defrag {
		ld.d.defragPartialWrites.Add(1)
	} else {
		ld.d.partialWrites.Add(1)
	}
}

// finish lets go of a buffer that is wholly on the device.
func (ld *laneDevice) finish(b *swb) {
	ld.queue.remove(b)
	if !ld.fenced {
		ld.queued--
		ld.d.writeQ.Add(-1)
		ld.l.s.toFlush.Add(-1)
	}
	ld.countWrite(b.kind)
	ld.d.release(b)
}

// noteOldest publishes the tick before which all that this lane reserved is on
// its device. Buffers of fenced devices do not count: nothing can be done for
// them any more.
func (l *Lane) noteOldest() {
	oldest := noTick
	for i := range l.devices {
		ld := &l.devices[i]
		if ld.d.fenced.Load() {
			continue
		}
		for _, b := range ld.cur {
			if b != nil {
				oldest = min(oldest, b.oldTick)
			}
		}
		for b := ld.queue.head; b != nil; b = b.next {
			oldest = min(oldest, b.oldTick)
		}
	}
	if oldest != l.oldest.Load() {
		l.oldest.Store(oldest)
	}
}

// fence draws the lane's consequences of a fenced device: its commits fail,
// its full buffers no longer count as waiting. The buffers stay, for readers.
func (ld *laneDevice) fence() {
	if !ld.fenced {
		ld.fenced = true
		ld.d.writeQ.Add(-ld.queued)
		ld.l.s.toFlush.Add(-ld.queued)
		ld.queued = 0
		ld.l.noteOldest()
	}
	for _, b := range ld.cur {
		if b != nil {
			finishCommits(b.takeAllCommits(), record.Unknown)
		}
	}
	for b := ld.queue.head; b != nil; b = b.next {
		finishCommits(b.takeAllCommits(), record.Unknown)
	}
}

// busy reports whether a flush is in flight, or due and possible.
func (ld *laneDevice) busy() bool {
	if ld.d.dev == nil {
		return false
	}
	for i := range ld.flushes {
		if ld.flushes[i].op.InFlight() {
			return true
		}
	}
	if ld.d.fenced.Load() {
		return false
	}
	if ld.queue.head != nil {
		return true
	}
	for _, b := range ld.cur {
		if b != nil && b.fill > wblockHeaderSize && b.flushed < b.fill {
			return true
		}
	}
	return false
}

// close gives the lane's current buffers away. What a fenced device has not
// taken is an error.
func (ld *laneDevice) close() error {
	if ld.d.dev != nil && ld.d.fenced.Load() {
		ld.fence()
		return fmt.Errorf("storage: %s: a write had failed: what came after it is in memory only", ld.d.name)
	}
	for k, b := range ld.cur {
		if b == nil {
			continue
		}
		ld.cur[k] = nil
		assert.That(b.open == 0, "records are sealed before their lane closes")
		// On the device the wblock stays as the last partial flush left it.
		clear(b.buf[b.fill:])
		ld.d.release(b)
	}
	return nil
}

// abandon fails what a lane with a broken queue can no longer write.
func (l *Lane) abandon() {
	for i := range l.devices {
		ld := &l.devices[i]
		if ld.d.dev != nil && ld.busy() {
			ld.d.fence("the lane's queue is broken", 0, 0)
			ld.fence()
		}
	}
}
