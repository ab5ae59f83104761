package index

import (
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
)

// Put inserts e, or replaces the entry of its digest, which it then returns.
// ErrFull is the only error. It does not allocate on the heap.
func (x *Index) Put(e *Entry) (old Entry, replaced bool, err error) {
	checkEntry(e)
	k := x.keyOf(&e.Digest)
	v := x.lock(&k)
	p := x.mustSearch(&v, &k)
	if p.handle != 0 {
		at := x.line(p.handle)
		readEntry(at, &old)
		writeEntry(at, e)
		x.unlock(&v)
		return old, true, nil
	}
	return old, false, x.insertAndUnlock(&v, &k, p, e)
}

// PutIf inserts e, or replaces the entry of its digest if better says so of
// it. old is the entry that was found, put says whether e is in the index now.
// better runs under the sprig's lock: it must be quick, must not call the
// index and must not panic.
func (x *Index) PutIf(e *Entry, better func(old Entry) bool) (old Entry, found, put bool, err error) {
	checkEntry(e)
	k := x.keyOf(&e.Digest)
	v := x.lock(&k)
	p := x.mustSearch(&v, &k)
	if p.handle == 0 {
		err = x.insertAndUnlock(&v, &k, p, e)
		return old, false, err == nil, err
	}
	at := x.line(p.handle)
	readEntry(at, &old)
	if !better(old) {
		x.unlockUnchanged(&v)
		return old, true, false, nil
	}
	writeEntry(at, e)
	x.unlock(&v)
	return old, true, true, nil
}

// Relocate changes the address of d's entry from from to to, and reports
// whether it did: not if the record is gone or has moved elsewhere since.
func (x *Index) Relocate(d *record.Digest, from, to record.Address) bool {
	k := x.keyOf(d)
	v := x.lock(&k)
	p := x.mustSearch(&v, &k)
	if p.handle == 0 || record.Address(load(x.line(p.handle), addressWord)) != from {
		x.unlockUnchanged(&v)
		return false
	}
	store(x.line(p.handle), addressWord, uint64(to))
	x.unlock(&v)
	return true
}

func checkEntry(e *Entry) {
	assert.That(e.LUT <= MaxLUT, "a last-update-time has 40 bits")
	assert.That(e.SetID <= MaxSetID, "a set id has 12 bits")
}

// mustSearch is search under the sprig's lock.
func (x *Index) mustSearch(v *view, k *key) place {
	p, ok := x.search(v, k)
	assert.That(ok, "a locked sprig does not change under a search")
	return p
}

func (x *Index) insertAndUnlock(v *view, k *key, p place, e *Entry) error {
	before := v.root.block
	err := x.insert(v, k, p, e)
	x.unlock(v)
	x.tidyAfter(v, before)
	return err
}

// insert adds an entry at p. On error the records are as they were.
func (x *Index) insert(v *view, k *key, p place, e *Entry) error {
	handle := x.alloc(k.part, entryClass)
	if handle == 0 {
		return ErrFull
	}
	at := x.line(handle)
	writeEntry(at, e)
	for i := entryWords; i < lineSize/8; i++ {
		store(at, i, 0)
	}
	if !x.insertHandle(v, k, p, handle) {
		x.release(handle)
		return ErrFull
	}
	x.super.partition[k.part].Add(1)
	return nil
}

// insertHandle adds a slot for the handle at p. It reports false at a limit.
func (x *Index) insertHandle(v *view, k *key, p place, handle uint64) bool {
	if p.leaf.n == maxLeafSlots {
		split := false
		if v.children == 0 {
			split = x.toDirectory(v)
		} else {
			split = x.splitChild(v, p.child)
		}
		if !split {
			return false
		}
		p = x.mustSearch(v, k)
	}
	if v.children == 0 {
		return x.insertSlot(v.part, &v.root, p.at, k.order|handle)
	}
	if !x.insertSlot(v.part, &p.leaf, p.at, k.order|handle) {
		return false
	}
	x.setChild(v, p.child, p.leaf)
	v.root.n++
	return true
}
