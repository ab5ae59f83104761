package index

import (
	"github.com/ashlardb/ashlar/arch"
	"github.com/ashlardb/ashlar/engine/record"
)

// reduceBatch is how many entries Reduce copies at a time: 4 KiB of memory to
// fetch while no writer may pass, some microseconds.
const reduceBatch = 64

// reduceTries is how often Reduce copies a batch in vain, because writers keep
// coming, before it makes them wait for it once.
const reduceTries = 8

// Reduce calls fn on a copy of each entry of the partition, largest digest
// first, until fn returns false. With after it begins at the largest digest
// below after, which need not be in the index (any more). fn runs outside of
// locks and may call the index. Writers may run meanwhile: an entry that is in
// the index during the whole call is given exactly once, one that comes or
// goes may or may not be.
func (x *Index) Reduce(partition int, after *record.Digest, fn func(e *Entry) bool) {
	if x.LenPartition(partition) == 0 {
		return // so that a walk over all partitions costs what they hold
	}
	r := reduction{x: x, sprig: 1<<x.sprigBits - 1}
	r.key = key{part: partition}
	if after != nil {
		d := *after // of any partition: what counts is the order within it
		d[0] = byte(partition)
		d[1] = d[1]&0xF0 | byte(partition>>8)
		r.resume(&d)
	}
	for ; r.sprig >= 0; r.sprig-- {
		for r.next() {
			for i := range r.n {
				if !fn(&r.entries[i]) {
					return
				}
			}
			r.resume(&r.last)
		}
		r.below = false
	}
}

// reduction is the state of one Reduce.
type reduction struct {
	x     *Index
	sprig int  // number within the partition
	below bool // only digests below key's are still to come in this sprig
	key   key

	n       int // entries of the batch
	entries [reduceBatch]Entry
	last    record.Digest // of the batch; fn may have changed its entry
	handles [reduceBatch]uint64
}

// resume sets the place before d, in the sprig of d.
func (r *reduction) resume(d *record.Digest) {
	r.key = r.x.keyOf(d)
	r.sprig = int(orderOf(d) >> (64 - r.x.sprigBits))
	r.below = true
}

// next copies the sprig's next batch. It reports false if there is none.
func (r *reduction) next() bool {
	r.key.header = r.x.headerAt(uint64(r.key.part<<r.x.sprigBits + r.sprig))
	for range reduceTries {
		v := r.x.read(&r.key)
		if r.copyBatch(&v) {
			r.x.race.acquire(r.key.part)
			return r.n > 0
		}
	}
	v := r.x.lock(&r.key)
	r.copyBatch(&v)
	r.x.unlockUnchanged(&v)
	return r.n > 0
}

// copyBatch copies entries in two rounds, so that their lines arrive together.
// It reports false when the view no longer holds.
func (r *reduction) copyBatch(v *view) bool {
	x := r.x
	r.n = 0
	if v.root.n == 0 {
		return true
	}
	if !r.collect(v) || !v.holds() {
		return false
	}
	for i := range r.n {
		arch.Prefetch(x.line(r.handles[i]))
	}
	for i := range r.n {
		readEntry(x.line(r.handles[i]), &r.entries[i])
	}
	if r.n > 0 {
		r.last = r.entries[r.n-1].Digest
	}
	return v.holds()
}

// collect gathers the handles of the batch from the slots.
func (r *reduction) collect(v *view) bool {
	x := r.x
	p := place{child: max(v.children-1, 0), leaf: v.root, at: v.root.n}
	if v.children > 0 {
		p.leaf = x.child(v, p.child)
		p.at = p.leaf.n
	}
	if r.below {
		var ok bool
		if p, ok = x.search(v, &r.key); !ok {
			return false
		}
	}
	for {
		if !v.holds() {
			return false
		}
		slots := x.line(p.leaf.block)
		for p.at > 0 && r.n < reduceBatch {
			p.at--
			handle := load(slots, p.at) & handleMask
			r.handles[r.n] = handle
			r.n++
		}
		if r.n == reduceBatch || p.child == 0 {
			return true
		}
		p.child--
		p.leaf = x.child(v, p.child)
		p.at = p.leaf.n
	}
}
