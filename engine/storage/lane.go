package storage

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

// Lane is one thread's way into the store: a service loop's, or defrag's. It
// has write buffers of its own, so that writing takes no lock. All its methods
// and every Done belong to the thread of its Queue.
type Lane struct {
	s       *Store
	q       ioring.Queue
	rd      *epoch.Reader
	arena   *ioring.Arena
	devices []laneDevice

	// oldest is the smallest oldTick of the lane's buffers: all that the lane
	// reserved before that tick of the store is on its device.
	oldest atomic.Uint64

	now, lastTick record.Time // of the latest Tick and the one before
	turn          ioring.Op   // a Nop whose Done starts the group commits of a loop turn
	turnCommits   []*swb      // buffers with commits that no flush covers yet
	starved       bool        // a partial flush found no memory
	waiting       readQueue   // reads without memory
	holding       *Read       // reads with memory
	held          int         // how many those are
	spare         []*swb      // of a memory store: buffer structs for reuse
	closed        bool

	hits, misses uint64 // of View, not yet published
	published    laneCounters
}

// laneCounters are a lane's share of the store's statistics.
type laneCounters struct {
	hits, misses atomic.Uint64
}

// laneDevice is what a lane keeps of one device.
type laneDevice struct {
	l       *Lane
	d       *device
	file    ioring.File
	cur     [nKinds]*swb
	queue   swbQueue // full buffers, not yet wholly on the device
	queued  int32
	flushes [maxFlushes]flush
	fenced  bool // this lane has drawn the consequences
}

// NewLane makes the calling thread's lane. q is the thread's queue. rd is the
// thread's epoch reader in the store's domain: views are taken and used
// between its Enter and Exit.
func (s *Store) NewLane(q ioring.Queue, rd *epoch.Reader) (*Lane, error) {
	assert.That(rd != nil, "a lane has an epoch reader")
	l := &Lane{s: s, q: q, rd: rd, devices: make([]laneDevice, len(s.devices))}
	l.oldest.Store(noTick)
	l.turn = ioring.Op{Kind: ioring.Nop, Done: l.turnDone}
	for i, d := range s.devices {
		ld := &l.devices[i]
		ld.l, ld.d = l, d
		for j := range ld.flushes {
			f := &ld.flushes[j]
			f.ld = ld
			f.op.Done = f.complete
		}
		if d.dev == nil {
			continue
		}
		file, err := q.Attach(d.dev)
		if err != nil {
			return nil, fmt.Errorf("storage: %s: attach to the loop's queue: %w", d.name, err)
		}
		ld.file = file
	}
	if !s.memory {
		arena, err := ioring.NewArena(s.readBuffers, ioring.ArenaOptions{})
		if err != nil {
			return nil, fmt.Errorf("storage: read buffers of a lane, %d bytes: %w", s.readBuffers, err)
		}
		if err := q.Register(arena); err != nil {
			return nil, errors.Join(fmt.Errorf("storage: register read buffers: %w", err), arena.Close())
		}
		l.arena = arena
	}
	s.addLane(l)
	return l, nil
}

// Overloaded reports whether writes of d's record are refused at the moment,
// so that the caller need not read the old record first.
func (l *Lane) Overloaded(d *record.Digest) bool {
	ld := l.pick(d)
	return ld.d.fenced.Load() || l.s.toFlush.Load() > l.s.maxToFlush.Load()
}

func (l *Lane) pick(d *record.Digest) *laneDevice {
	return &l.devices[d.DeviceHash()%uint32(len(l.devices))]
}

// Reserve returns zeroed space for a record of size bytes, whole rblocks, and
// its address. The caller fills it, calls Seal before its thread returns to
// Poll, and publishes the address; the record counts as live from now on.
//
// The result is OutOfSpace when the device is full or fenced, DeviceOverload
// when too much waits for being written or a wblock will be free shortly,
// TooBig when no wblock holds so much.
func (l *Lane) Reserve(k Kind, d *record.Digest, size int) ([]byte, record.Address, record.Result) {
	assert.That(size > 0 && size%record.RblockSize == 0, "a record is whole rblocks")
	ld := l.pick(d)
	if ld.d.fenced.Load() {
		return nil, 0, record.OutOfSpace
	}
	if k <= Replica && l.s.toFlush.Load() > l.s.maxToFlush.Load()+int32(k)*replicaHeadroom {
		return nil, 0, record.DeviceOverload
	}
	b := ld.cur[k]
	if b == nil || size > b.room() {
		if size > l.s.MaxRecord() {
			return nil, 0, record.TooBig
		}
		var res record.Result
		if b, res = ld.rotate(k); res != record.OK {
			return nil, 0, res
		}
	}
	if !l.s.memory && b.oldTick == noTick {
		tick := l.s.tick.Load()
		b.noteReserve(tick, l.now, size)
		if tick < l.oldest.Load() {
			l.oldest.Store(tick)
		}
	}
	at := b.fill
	space := b.buf[at : at+size : at+size]
	clear(space)
	b.fill += size
	b.open++
	b.w.used.Add(int32(size))
	return space, record.MakeAddress(ld.d.number, l.s.offset(b.number)+int64(at), size), record.OK
}

// Seal writes the checksum of the record that Reserve gave space for. The
// record may be on its way to the device afterwards: it must not change.
func (l *Lane) Seal(space []byte, a record.Address) {
	ld := &l.devices[a.Device()]
	b := ld.d.wblocks[l.s.wblockOf(a)].image.Load()
	assert.That(b != nil && b.lane == l && b.open > 0, "a record is sealed once, by the lane that reserved it")
	record.Seal(space, b.w.key.Load(), a)
	b.open--
	if l.s.memory {
		b.submitted, b.flushed = b.fill, b.fill
		if b.full && b.open == 0 {
			ld.releaseMemory(b)
		}
		return
	}
	if b.open == 0 && (b.full || b.fill-b.submitted >= l.s.flushSize()) {
		ld.pump()
	}
}

// rotate gives the lane a fresh buffer of a kind and sends the old one to its
// flush. When there is none, the old one stays.
func (ld *laneDevice) rotate(k Kind) (*swb, record.Result) {
	i, res := ld.d.take(k)
	if res != record.OK {
		return nil, res
	}
	b := ld.newBuffer(i)
	if b == nil {
		ld.d.giveBack(i)
		return nil, record.DeviceOverload
	}
	if old := ld.cur[k]; old != nil {
		ld.retire(old)
	}
	s := ld.l.s
	sequence := s.sequence.Add(1)
	b.begin(ld.l, ld.d, i, k, sequence)
	b.w.key.Store(sequence ^ ld.d.id)
	b.w.image.Store(b)
	ld.cur[k] = b
	return b, record.OK
}

// newBuffer returns the memory for wblock i.
func (ld *laneDevice) newBuffer(i uint32) *swb {
	if !ld.l.s.memory {
		return ld.l.s.pool.get()
	}
	at := ld.l.s.offset(i)
	buf := ld.d.mem[at : at+int64(ld.l.s.wblockSize)]
	b := &swb{}
	if n := len(ld.l.spare); n > 0 {
		b, ld.l.spare = ld.l.spare[n-1], ld.l.spare[:n-1]
	}
	b.buf = buf
	b.reset()
	return b
}

// retire closes a buffer for records and queues it for its flush.
func (ld *laneDevice) retire(b *swb) {
	b.finish()
	if ld.l.s.memory {
		if b.open == 0 {
			ld.releaseMemory(b)
		}
		return
	}
	ld.queue.push(b)
	ld.queued++
	ld.d.writeQ.Add(1)
	ld.l.s.toFlush.Add(1)
	ld.pump()
}

// releaseMemory ends the lane's part in a wblock of a memory store.
func (ld *laneDevice) releaseMemory(b *swb) {
	ld.countWrite(b.kind)
	ld.d.release(b)
	b.reset()
	ld.l.spare = append(ld.l.spare, b)
}

// countWrite counts a wblock that was filled and written.
func (ld *laneDevice) countWrite(k Kind) {
	if k == Defrag {
		ld.d.defragWrites.Add(1)
	} else {
		ld.d.writes.Add(1)
	}
}

// View returns the record at a, when its wblock is in memory: a view that is
// valid until the Exit of the lane's epoch reader. a was looked up after that
// reader's Enter.
func (l *Lane) View(a record.Address) ([]byte, bool) {
	d := l.devices[a.Device()].d
	off, size := a.Offset(), int64(a.Size())
	if d.mem != nil {
		l.hits++
		return d.mem[off : off+size : off+size], true
	}
	b := d.wblocks[l.s.wblockOf(a)].image.Load()
	if b == nil {
		l.misses++
		return nil, false
	}
	l.hits++
	off &= int64(l.s.wblockSize) - 1
	return b.buf[off : off+size : off+size], true
}

// Tick does what time asks for: it flushes what has reached its age, recycles
// buffers and wblocks, and takes note of devices that were fenced elsewhere.
// now must not go back. Call it about every 10 to 100 ms, also while idle.
func (l *Lane) Tick(now record.Time) {
	l.lastTick, l.now = l.now, max(now, l.now)
	l.publish()
	for i := range l.devices {
		ld := &l.devices[i]
		ld.d.reclaim()
		if ld.d.dev != nil {
			ld.tick()
		}
	}
	l.s.pool.reclaim()
	l.startReads()
}

// publish makes the lane's counters visible to Stats.
func (l *Lane) publish() {
	if l.hits > 0 || l.misses > 0 {
		l.published.hits.Add(l.hits)
		l.published.misses.Add(l.misses)
		l.hits, l.misses = 0, 0
	}
}

// Dirty reports whether a record of this lane is not on its device yet: a loop
// that wants to sleep for long has to Tick first.
func (l *Lane) Dirty() bool { return l.oldest.Load() != noTick }

// Close flushes all that the lane holds and waits for it: it polls the lane's
// queue, where Dones of others may run meanwhile. Commits that still wait are
// answered. No read may be in flight. An error says which device has not
// taken everything; the lane is closed all the same.
func (l *Lane) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	for i := range l.devices {
		l.devices[i].wantAll()
	}
	var errs []error
	for l.busy() {
		if !l.flying() {
			errs = append(errs, errors.New("storage: close of a lane: reads hold the memory that its flush needs"))
			l.abandon()
			break
		}
		if _, err := l.q.Poll(pollWait); err != nil {
			errs = append(errs, fmt.Errorf("storage: close of a lane: %w", err))
			l.abandon()
			break
		}
	}
	for i := range l.devices {
		if err := l.devices[i].close(); err != nil {
			errs = append(errs, err)
		}
	}
	l.publish()
	l.oldest.Store(noTick)
	l.s.removeLane(l)
	return errors.Join(errs...)
}

// Abandon ends a lane whose queue is dead, as after the power cut of a
// simulation: nothing is flushed, no Done runs any more.
func (l *Lane) Abandon() {
	if l.closed {
		return
	}
	l.closed = true
	for l.holding != nil {
		l.letGo(l.holding)
	}
	for i := range l.devices {
		for j := range l.devices[i].flushes {
			if f := &l.devices[i].flushes[j]; f.bounce != nil {
				l.arena.Put(f.bounce)
				f.bounce = nil
			}
		}
	}
	l.oldest.Store(noTick)
	l.s.removeLane(l)
}

// flying reports whether an operation of the lane is with the queue.
func (l *Lane) flying() bool {
	if l.turn.InFlight() {
		return true
	}
	for i := range l.devices {
		for j := range l.devices[i].flushes {
			if l.devices[i].flushes[j].op.InFlight() {
				return true
			}
		}
	}
	return false
}

// busy reports whether Close has to wait.
func (l *Lane) busy() bool {
	if l.turn.InFlight() {
		return true
	}
	for i := range l.devices {
		if l.devices[i].busy() {
			return true
		}
	}
	return false
}
