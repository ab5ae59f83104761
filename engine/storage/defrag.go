package storage

import (
	"syscall"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
)

// Victim is a wblock that is being defragged:
//
//	v, ok := s.Victim()
//	v.Done = ...
//	for !v.Complete() { pause; lane.ReadVictim(v) ... v.Done runs }
//	for { flat, a, ok := v.Next() ...
//	      if the index still leads to a: Reserve(Defrag), copy, Seal, Relocate, Free(a) }
//	s.ReleaseVictim(v)
//
// The source stays as it is until the destinations are on the device, however
// early it is released.
type Victim struct {
	Device   int
	Wblock   uint32
	Sequence uint64 // of the wblock
	// Result is valid in Done: OK, Unknown when the device failed to read a
	// part (its records stay where they are), DeviceOverload when there is no
	// memory at the moment: ask again later.
	Result record.Result
	Done   func(v *Victim)

	s     *Store
	d     *device
	lane  *Lane
	img   []byte // the wblock; of a pinned or an own buffer, or the stripe
	pin   *swb   // the image in the post-write cache
	own   *swb   // memory from the pool
	read  int    // bytes of img that are there
	op    ioring.Op
	moved int
	tries int
	scan  scan
	begun bool
}

// Victim returns the next wblock to defrag: devices take turns, and a device
// gives the one that is queued longest. ok is false when there is none, or
// when too much waits for being written already.
func (s *Store) Victim() (v *Victim, ok bool) {
	if s.toFlush.Load() > s.maxToFlush.Load()+defragHeadroom {
		return nil, false
	}
	n := uint32(len(s.devices))
	first := s.nextVictim.Add(1)
	for k := range n {
		if v := s.devices[(first+k)%n].takeVictim(); v != nil {
			return v, true
		}
	}
	return nil, false
}

func (d *device) takeVictim() *Victim {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fenced.Load() || d.defrag.n <= d.s.dyn.Load().DefragQueueMin {
		return nil
	}
	i := d.defrag.popFront(d.wblocks)
	if i == 0 {
		return nil
	}
	w := &d.wblocks[i]
	w.victim = true
	d.victims++
	v := &Victim{Device: d.number, Wblock: i, Sequence: w.key.Load() ^ d.id, s: d.s, d: d}
	if d.mem != nil {
		at := d.s.offset(i)
		v.img = d.mem[at : at+int64(d.s.wblockSize)]
		v.read = len(v.img)
	} else if b := w.image.Load(); b != nil {
		b.pins++
		v.pin, v.img, v.read = b, b.buf, len(b.buf)
	}
	return v
}

// Complete reports whether the whole wblock is there for Next.
func (v *Victim) Complete() bool { return v.img != nil && v.read == len(v.img) }

// Used returns how many bytes of the wblock are live now.
func (v *Victim) Used() int { return int(v.d.wblocks[v.Wblock].used.Load()) }

// ReadVictim reads the next flush-size of a victim that is not Complete.
// v.Done runs in a later Poll, or within ReadVictim when there is no memory.
func (l *Lane) ReadVictim(v *Victim) {
	assert.That(v.Done != nil && !v.op.InFlight() && !v.Complete(), "a victim is idle, incomplete, and has a Done")
	if v.img == nil {
		if v.own = l.s.pool.get(); v.own == nil {
			v.finish(record.DeviceOverload)
			return
		}
		v.img = v.own.buf
		v.op.Done = v.complete
	}
	v.lane, v.Result = l, record.OK
	v.moved, v.tries = 0, 0
	v.submit()
}

// part returns how many bytes one ReadVictim reads.
func (v *Victim) part() int {
	return min(max(v.s.flushSize(), v.d.block), len(v.img)-v.read)
}

func (v *Victim) submit() {
	v.op.Kind, v.op.File = ioring.Read, v.lane.devices[v.Device].file
	v.op.Offset = v.s.offset(v.Wblock) + int64(v.read+v.moved)
	v.op.Buf = v.img[v.read+v.moved : v.read+v.part()]
	v.lane.q.Submit(&v.op)
}

// complete is the Done of one read.
func (v *Victim) complete(o *ioring.Op) {
	switch n := int(o.Result); {
	case n == -int(syscall.EAGAIN), n == -int(syscall.EINTR), n >= 0 && n < v.d.block:
		v.tries++
	case n < 0:
		v.tries = maxRetries + 1
	default:
		v.moved += n &^ (v.d.block - 1)
	}
	switch {
	case v.moved >= v.part():
		v.read += v.part()
		v.d.defragReads.Add(boolUint(v.Complete()))
		v.finish(record.OK)
	case v.tries <= maxRetries:
		v.submit()
	default:
		v.d.readErrors.Add(1)
		clear(v.img[v.read : v.read+v.part()]) // no record is found there
		v.read += v.part()
		v.finish(record.Unknown)
	}
}

func (v *Victim) finish(res record.Result) {
	v.Result = res
	v.Done(v)
}

// Next returns the next record of a Complete victim, ok false at the end. flat
// is valid until ReleaseVictim.
func (v *Victim) Next() (flat []byte, a record.Address, ok bool) {
	assert.That(v.Complete(), "a victim is read before its records")
	if !v.begun {
		v.begun = true
		v.scan.begin(v.img, v.Device, v.s.offset(v.Wblock), v.Sequence^v.d.id)
	}
	return v.scan.next()
}

// ReleaseVictim says that every live record of v has been moved. The wblock
// becomes free when nothing in it is live any more and all destinations are on
// the device.
func (s *Store) ReleaseVictim(v *Victim) {
	if v.begun {
		found := v.scan.end(isComplete(v.img, v.Sequence))
		v.d.checksumErrors.Add(found.ChecksumFailures)
	}
	v.giveUp(StateEmptying)
}

// ReturnVictim puts v at the end of the queue again: its records have not all
// been moved.
func (s *Store) ReturnVictim(v *Victim) { v.giveUp(StateDefrag) }

func (v *Victim) giveUp(next State) {
	assert.That(v.d != nil && !v.op.InFlight(), "a victim is given up once, and not while it is read")
	d := v.d
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &d.wblocks[v.Wblock]
	w.victim = false
	d.victims--
	w.state.Store(uint32(next))
	if next == StateDefrag {
		d.defrag.pushBack(d.wblocks, v.Wblock)
	}
	if b := v.pin; b != nil {
		if b.pins--; b.pins == 0 && b.evicted {
			d.s.pool.retire(b, d.s.dom.Retire())
		}
	}
	if v.own != nil {
		d.s.pool.put(v.own)
	}
	d.settleLocked(v.Wblock)
	v.pin, v.own, v.img, v.d = nil, nil, nil, nil
}

func boolUint(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
