package storage

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
)

const (
	// loadDepth is how many wblocks are read ahead at cold start.
	loadDepth = 3
	// loadChunk is the size of one read then, in bytes.
	loadChunk = 1 << 20
)

// LoadStats say how far Load has come and what it has found.
type LoadStats struct {
	Device  int
	Name    string
	Wblocks int // of the device, the header's apart
	Scanned int // wblocks looked at so far
	Written int // of those, wblocks with a header of ours
	Bytes   int64
	// Unreadable counts wblocks that the device could not read, wholly or in
	// part. They are left alone until the next start.
	Unreadable int
	// Trailers counts wblocks whose header was damaged and whose trailer
	// stood in for it.
	Trailers int
	scanStats
}

// Load reads a device from its first wblock on and calls visit for each valid
// record: flat and a view are valid until visit returns, sequence is that of
// its wblock (of two copies of a record with equal last-update-time and
// generation the one of the higher sequence was written later). When visit
// returns false, Load ends early with ErrStopped. progress, if not nil, is
// called after each wblock.
//
// q is a queue of the calling thread. Devices may be loaded at the same time
// by different threads. visit may call Account and Free.
func (s *Store) Load(q ioring.Queue, device int, visit func(flat []byte, a record.Address, sequence uint64) bool,
	progress func(LoadStats)) (LoadStats, error) {
	d := s.devices[device]
	st := LoadStats{Device: device, Name: d.name, Wblocks: len(d.wblocks) - 1}
	if d.loaded {
		return st, nil // fresh, or a memory store: nothing is there
	}
	file, err := q.Attach(d.dev)
	if err != nil {
		return st, fmt.Errorf("storage: %s: attach: %w", d.name, err)
	}
	// Writes that were in flight when the process died may be in the device's
	// volatile cache only: what is read below is served, so it must stay.
	if err := (&setup{q: q, file: file, d: d}).sync(); err != nil {
		return st, err
	}
	ld := &loader{d: d, q: q, file: file, visit: visit, progress: progress, LoadStats: st}
	err = ld.run()
	return ld.LoadStats, err
}

// ErrStopped is what Load returns when its visit has stopped it.
var ErrStopped = fmt.Errorf("storage: load was stopped by its caller")

// loader is one Load.
type loader struct {
	d        *device
	q        ioring.Queue
	file     ioring.File
	visit    func(flat []byte, a record.Address, sequence uint64) bool
	progress func(LoadStats)
	slots    [loadDepth]loadSlot
	blank    int    // wblocks in a row without a header of ours
	last     uint32 // the last wblock with one
	LoadStats
}

// loadSlot is a wblock that is being read.
type loadSlot struct {
	buf    []byte
	reads  []loadRead
	flying int
	failed bool
}

// loadRead is one read of a part of a wblock.
type loadRead struct {
	op      ioring.Op
	slot    *loadSlot
	ld      *loader
	offset  int64  // what is still to be read
	buf     []byte // and where to
	step    int    // length of the next operation
	retries int
}

// run reads ahead as long as the device looks written, and visits wblock after
// wblock in order.
func (l *loader) run() error {
	for i := range l.slots {
		if err := l.slots[i].init(l); err != nil {
			return err
		}
		defer unmapMemory(l.slots[i].buf)
	}
	defer l.drain()
	n := uint32(len(l.d.wblocks))
	if l.d.wasClean {
		n = min(n, max(1, l.d.header.pristine)) // nothing was written behind it
	}
	ahead := uint32(1) // next wblock to be asked for
	for i := uint32(1); i < n && l.blank < stopRun; i++ {
		slot := &l.slots[i%loadDepth]
		if ahead == i && l.blank > 0 {
			// Among blank wblocks reading whole ones would be in vain.
			slot.probe(l, i)
			if err := l.wait(slot); err != nil {
				return err
			}
			if _, _, ok := l.identify(i, slot.buf); !ok && !slot.failed {
				l.blank++
				l.Scanned++
				ahead++
				continue
			}
		}
		for ; ahead < n && ahead < i+loadDepth && (ahead == i || l.blank == 0); ahead++ {
			l.slots[ahead%loadDepth].read(l, ahead)
		}
		if err := l.wait(slot); err != nil {
			return err
		}
		if !l.visitWblock(i, slot) {
			return ErrStopped
		}
		l.Scanned++
		if l.progress != nil {
			l.progress(l.LoadStats)
		}
	}
	l.d.loaded = true
	l.d.pristine = l.last + 1
	return nil
}

// wait polls until a slot's reads are done.
func (l *loader) wait(s *loadSlot) error {
	for s.flying > 0 {
		if _, err := l.q.Poll(pollWait); err != nil {
			return fmt.Errorf("storage: %s: load: %w", l.d.name, err)
		}
	}
	return nil
}

func (s *loadSlot) init(l *loader) error {
	var err error
	if s.buf, err = mapMemory(l.d.s.wblockSize); err != nil {
		return err
	}
	chunk := min(loadChunk, len(s.buf)/2)
	s.reads = make([]loadRead, len(s.buf)/chunk)
	for i := range s.reads {
		r := &s.reads[i]
		r.slot, r.ld, r.op.Done = s, l, r.complete
	}
	return nil
}

// read submits the reads of wblock i.
func (s *loadSlot) read(l *loader, i uint32) {
	s.failed = false
	chunk := len(s.buf) / len(s.reads)
	for j := range s.reads {
		s.part(l, j, i, j*chunk, chunk)
	}
}

// probe submits the reads of the blocks with header and trailer of wblock i.
func (s *loadSlot) probe(l *loader, i uint32) {
	s.failed = false
	s.part(l, 0, i, 0, l.d.block)
	s.part(l, 1, i, len(s.buf)-l.d.block, l.d.block)
}

// part submits read j: size bytes at position at of wblock i.
func (s *loadSlot) part(l *loader, j int, i uint32, at, size int) {
	r := &s.reads[j]
	r.offset, r.buf, r.step, r.retries = l.d.s.offset(i)+int64(at), s.buf[at:at+size], size, 0
	s.flying++
	r.submit()
}

func (r *loadRead) submit() {
	r.op.Kind, r.op.File, r.op.Offset, r.op.Buf = ioring.Read, r.ld.file, r.offset, r.buf[:r.step]
	r.ld.q.Submit(&r.op)
}

// complete is the Done of one operation. When the device cannot read, blocks
// are tried one by one; those that stay unreadable are zeroed, and the scan
// finds what is around them.
func (r *loadRead) complete(o *ioring.Op) {
	block := r.ld.d.block
	switch n := int(o.Result); {
	case n == -int(syscall.EAGAIN), n == -int(syscall.EINTR), n >= 0 && n < block:
		if r.retries++; r.retries > maxRetries {
			r.lose(len(r.buf))
		}
	case n < 0 && r.step > block:
		r.step = block
	case n < 0:
		r.lose(block)
	default:
		n &^= block - 1
		r.advance(n)
		r.step *= 2 // after an error, carefully on; otherwise the rest is less
	}
	if len(r.buf) > 0 {
		r.step = min(r.step, len(r.buf))
		r.submit()
		return
	}
	r.slot.flying--
}

func (r *loadRead) advance(n int) { r.offset, r.buf, r.retries = r.offset+int64(n), r.buf[n:], 0 }

// lose gives up the next n bytes of a read.
func (r *loadRead) lose(n int) {
	clear(r.buf[:n])
	r.slot.failed = true
	r.advance(n)
	r.ld.d.readErrors.Add(1)
}

// visitWblock hands out the records of wblock i. It returns false when the
// caller has had enough.
func (l *loader) visitWblock(i uint32, slot *loadSlot) bool {
	d := l.d
	l.Bytes += int64(len(slot.buf))
	h, complete, ok := l.identify(i, slot.buf)
	if slot.failed {
		l.Unreadable++
		d.wblocks[i].state.Store(uint32(StateBad))
	}
	if !ok {
		if !slot.failed {
			l.blank++ // a wblock that cannot be read might well be written
		} else {
			l.last, l.blank = i, 0
		}
		return true
	}
	l.Written++
	l.last, l.blank = i, 0
	w := &d.wblocks[i]
	w.written = true
	w.key.Store(h.sequence ^ d.id)
	var c scan
	c.begin(slot.buf, d.number, d.s.offset(i), h.sequence^d.id)
	goOn := true
	for goOn {
		flat, a, ok := c.next()
		if !ok {
			break
		}
		goOn = l.visit(flat, a, h.sequence)
	}
	found := c.end(complete)
	l.scanStats.add(&found)
	d.checksumErrors.Add(found.ChecksumFailures)
	return goOn
}

// identify returns the header of a wblock. complete says that its trailer
// equals it: the wblock was written to its end. A trailer alone stands in for
// a header that is damaged.
func (l *loader) identify(i uint32, img []byte) (h blockHeader, complete, ok bool) {
	h, headOK := l.ours(i, img)
	t, tailOK := l.ours(i, img[len(img)-wblockHeaderSize:])
	switch {
	case headOK:
		return h, tailOK && t == h, true
	case tailOK:
		l.Trailers++
		return t, true, true
	}
	return h, false, false
}

// ours decodes a header and checks that it was written for wblock i of this
// device in its present life.
func (l *loader) ours(i uint32, p []byte) (blockHeader, bool) {
	h, ok := decodeBlockHeader(p)
	return h, ok && h.device == l.d.id && h.number == i && int(h.size) == l.d.s.wblockSize
}

// drain waits for the reads that are still in flight when run ends early.
func (l *loader) drain() {
	for i := range l.slots {
		for l.slots[i].flying > 0 {
			for j := range l.slots[i].reads {
				if r := &l.slots[i].reads[j]; r.op.InFlight() {
					l.q.Cancel(&r.op)
				}
			}
			if _, err := l.q.Poll(pollWait); err != nil {
				return // the queue is broken: nothing of it runs any more
			}
		}
	}
}

// Account says, during the cold start, that the record at a is live.
func (s *Store) Account(a record.Address) {
	assert.That(!s.loaded.Load(), "records are accounted before LoadDone")
	s.devices[a.Device()].wblocks[s.wblockOf(a)].used.Add(int32(a.Size()))
}

// LoadDone ends the cold start: what was accounted is what is live. Wblocks
// without any are free, those below the low-water mark are queued for defrag,
// the emptiest first. Every device has been loaded.
func (s *Store) LoadDone() {
	if s.loaded.Load() {
		return
	}
	for _, d := range s.devices {
		assert.That(d.loaded, "every device is loaded before LoadDone")
		d.loadDone()
	}
	s.loaded.Store(true)
}

func (d *device) loadDone() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var sparse []uint32
	for i := uint32(1); i < d.pristine; i++ {
		w := &d.wblocks[i]
		if !w.written {
			d.unwritten++
		}
		switch used := w.used.Load(); {
		case State(w.state.Load()) == StateBad:
		case used == 0:
			d.free.pushBack(d.wblocks, i)
		case used < d.s.lwmBytes.Load():
			w.state.Store(uint32(StateDefrag))
			sparse = append(sparse, i)
		default:
			w.state.Store(uint32(StateUsed))
		}
	}
	slices.SortFunc(sparse, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(d.wblocks[a].used.Load(), d.wblocks[b].used.Load()), cmp.Compare(a, b))
	})
	for _, i := range sparse {
		d.defrag.pushBack(d.wblocks, i)
	}
}
