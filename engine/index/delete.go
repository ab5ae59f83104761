package index

import "github.com/ashlardb/ashlar/engine/record"

// Delete removes the entry of d and returns it. It does not allocate.
func (x *Index) Delete(d *record.Digest) (old Entry, ok bool) {
	return x.delete(d, 0, true)
}

// DeleteIf removes the entry of d and returns it, if its address is addr.
// Otherwise it returns the zero Entry and false.
func (x *Index) DeleteIf(d *record.Digest, addr record.Address) (Entry, bool) {
	return x.delete(d, addr, false)
}

func (x *Index) delete(d *record.Digest, addr record.Address, anyAddr bool) (old Entry, ok bool) {
	k := x.keyOf(d)
	v := x.lock(&k)
	p := x.mustSearch(&v, &k)
	if p.handle == 0 || !anyAddr && record.Address(load(x.line(p.handle), addressWord)) != addr {
		x.unlockUnchanged(&v)
		return Entry{}, false
	}
	readEntry(x.line(p.handle), &old)
	before := v.root.block
	if v.children == 0 {
		x.removeSlot(v.part, &v.root, p.at)
	} else {
		x.removeFromChild(&v, &p)
	}
	x.release(p.handle)
	x.super.partition[k.part].Add(^uint64(0))
	x.unlock(&v)
	x.tidyAfter(&v, before)
	return old, true
}
