package index

import (
	"unsafe"

	"github.com/ashlardb/ashlar/arch"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
)

// Get returns a copy of the entry of d, as it was at one moment during the
// call. It takes no lock and does not allocate; while a writer is at the
// digest's sprig it spins.
func (x *Index) Get(d *record.Digest) (e Entry, found bool) {
	header, order := x.locate(d)
	s, ok := readPlain(header)
	if ok {
		handle := x.candidate(&s, order)
		if s.holds() && (handle == 0 || x.copyIf(&s, handle, d, &e)) {
			x.race.acquire(d.Partition())
			return e, handle != 0
		}
	}
	found = x.get(d, &e)
	return e, found
}

// get is Get for every case: large sprigs, equal order bits, writers at work.
//
//go:noinline
func (x *Index) get(d *record.Digest, e *Entry) bool {
	k := x.keyOf(d)
	for i := 0; ; i++ {
		v := x.read(&k)
		p, ok := x.search(&v, &k)
		if ok && p.handle == 0 {
			x.race.acquire(k.part)
			*e = Entry{}
			return false
		}
		if ok {
			if readEntry(x.line(p.handle), e); v.holds() {
				x.race.acquire(k.part)
				return true
			}
		}
		spin(i)
	}
}

// plain is the header of a sprig that is one leaf: the usual case, in which a
// lookup is a few dozen instructions without an unpredictable branch.
type plain struct {
	header unsafe.Pointer
	w0, w1 uint64
}

// readPlain reads a header. It reports false for a directory, and when a
// writer is at the sprig.
func readPlain(header unsafe.Pointer) (s plain, ok bool) {
	s = plain{header: header, w1: load(header, 1)}
	s.w0 = load(header, 0)
	return s, s.w1&locked == 0 && s.w1>>childrenShift == 0 && s.holds()
}

// holds reports whether the sprig has not changed since its header was read.
func (s *plain) holds() bool { return load(s.header, 1) == s.w1 }

// guess returns the slots of the sprig, and where to expect the order bits.
func (x *Index) guess(s *plain, order uint64) (slots unsafe.Pointer, n, at int) {
	n = int(s.w0 >> blockBits)
	return x.line(s.w0 & blockMask), n, interpolate(order, n)
}

// candidate returns the handle in a slot with these order bits, or 0 if there
// is none. If the sprig has changed meanwhile the answer means nothing.
func (x *Index) candidate(s *plain, order uint64) uint64 {
	slots, n, at := x.guess(s, order)
	if n == 0 {
		return 0
	}
	line := at &^ (lineSlots - 1)
	c := countLess(unsafe.Add(slots, line*8), order)
	if c == lineSlots || c == 0 && load(slots, line)&^handleMask != order {
		c = lowerBound(slots, n, order, at) - line // another line's
	}
	if line+c == n {
		return 0
	}
	slot := load(slots, line+c)
	if slot&^handleMask != order {
		return 0
	}
	return slot & handleMask
}

// copyIf copies the entry of the handle to e if it is that of d, and reports
// whether it did and the sprig still holds.
func (x *Index) copyIf(s *plain, handle uint64, d *record.Digest, e *Entry) bool {
	p := x.line(handle)
	if !entryHas(p, d) {
		return false
	}
	readEntry(p, e)
	return s.holds()
}

// batchSize is how many digests go through the stages of GetBatch together:
// enough to hide one memory access behind the others, few enough that what
// was prefetched is still in the first-level cache when its turn comes.
const batchSize = 32

// batch is some digests on their way through the stages of GetBatch.
type batch []pending

type pending struct {
	sprig  plain
	order  uint64
	handle uint64 // 0: no such record
	ok     bool   // what is known holds so far; else Get has to find out
}

// GetBatch is Get for several digests: es[i] and found[i] answer ds[i]. Each
// entry is as it was at one moment during the call; the moments differ. It
// goes over the digests in stages, each of which touches only what the stage
// before it has prefetched, and costs a third of as many Gets. The slices have
// the same length. It does not allocate.
func (x *Index) GetBatch(ds []record.Digest, es []Entry, found []bool) {
	assert.That(len(es) == len(ds) && len(found) == len(ds), "GetBatch has an entry and a bool for each digest")
	var all [batchSize]pending
	for len(ds) > 0 {
		n := min(len(ds), batchSize)
		b := batch(all[:n])
		b.locate(x, ds)
		b.readHeaders(x)
		b.findSlots(x)
		b.copyEntries(x, ds, es, found)
		ds, es, found = ds[n:], es[n:], found[n:]
	}
}

// locate computes where the headers are.
func (b batch) locate(x *Index, ds []record.Digest) {
	for i := range b {
		p := &b[i]
		p.sprig.header, p.order = x.locate(&ds[i])
		arch.Prefetch(p.sprig.header)
	}
}

// readHeaders computes where the slots should be.
func (b batch) readHeaders(x *Index) {
	for i := range b {
		p := &b[i]
		if p.sprig, p.ok = readPlain(p.sprig.header); p.ok {
			slots, _, at := x.guess(&p.sprig, p.order)
			arch.Prefetch(unsafe.Add(slots, at*8))
		}
	}
}

// findSlots reads the handles of the entries.
func (b batch) findSlots(x *Index) {
	for i := range b {
		p := &b[i]
		if !p.ok {
			continue
		}
		p.handle = x.candidate(&p.sprig, p.order)
		if p.ok = p.sprig.holds(); p.ok && p.handle != 0 {
			arch.Prefetch(x.line(p.handle))
		}
	}
}

// copyEntries gives the answers.
func (b batch) copyEntries(x *Index, ds []record.Digest, es []Entry, found []bool) {
	for i := range b {
		p := &b[i]
		switch {
		case p.ok && p.handle == 0:
			x.race.acquire(ds[i].Partition())
			es[i], found[i] = Entry{}, false
		case p.ok && x.copyIf(&p.sprig, p.handle, &ds[i], &es[i]):
			x.race.acquire(ds[i].Partition())
			found[i] = true
		default:
			found[i] = x.get(&ds[i], &es[i])
		}
	}
}
