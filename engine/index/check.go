package index

import (
	"errors"
	"fmt"

	"github.com/ashlardb/ashlar/engine/record"
)

// Check walks the whole index and reports what contradicts its invariants:
// order and place of every record, shapes of blocks and directories, counts of
// records, blocks and slabs, free lists. It returns nil when all is well. No
// writer may run meanwhile. It costs about as much as reducing everything.
func (x *Index) Check() error {
	c := checker{x: x}
	for p := range record.Partitions {
		c.partition(p)
		if len(c.errs) > maxCheckErrors {
			break
		}
	}
	c.slabs()
	return errors.Join(c.errs...)
}

// maxCheckErrors ends a check that would report every record.
const maxCheckErrors = 20

type checker struct {
	x        *Index
	errs     []error
	used     [maxShards][nClasses]uint64 // blocks that sprigs refer to
	children uint64
	records  int
	last     record.Digest // the largest digest of the partition so far
	lastKey  key
	any      bool
}

func (c *checker) errorf(format string, args ...any) {
	if len(c.errs) <= maxCheckErrors {
		c.errs = append(c.errs, fmt.Errorf("index: check: "+format, args...))
	}
}

func (c *checker) partition(p int) {
	c.records, c.any = 0, false
	for s := range 1 << c.x.sprigBits {
		c.sprig(p, s)
	}
	if n := c.x.LenPartition(p); n != c.records {
		c.errorf("partition %d: counter says %d records, sprigs have %d", p, n, c.records)
	}
}

func (c *checker) sprig(p, s int) {
	x := c.x
	k := key{part: p, header: x.headerAt(uint64(p<<x.sprigBits + s))}
	v := x.read(&k)
	if v.children == 0 {
		c.leaf(&v, s, v.root)
		return
	}
	if v.children < 2 || v.children > v.root.lines*lineChildren {
		c.errorf("partition %d sprig %d: %d leaves in a directory of %d lines", p, s, v.children, v.root.lines)
		return
	}
	c.block(&v, s, v.root)
	c.children += uint64(v.children)
	sum := 0
	for i := range v.children {
		l := x.child(&v, i)
		if l.n == 0 {
			c.errorf("partition %d sprig %d: leaf %d of %d is empty", p, s, i, v.children)
		} else if first := load(x.line(v.root.block), 2*i); first != load(x.line(l.block), 0) {
			c.errorf("partition %d sprig %d: leaf %d begins with slot %#x, directory says %#x",
				p, s, i, load(x.line(l.block), 0), first)
		}
		c.leaf(&v, s, l)
		sum += l.n
	}
	if sum != v.root.n {
		c.errorf("partition %d sprig %d: header says %d records, leaves have %d", p, s, v.root.n, sum)
	}
}

// block counts a block that a sprig refers to.
func (c *checker) block(v *view, s int, l leaf) {
	if l.block == 0 || l.lines == 0 {
		c.errorf("partition %d sprig %d: block %d of %d lines for %d slots", v.part, s, l.block, l.lines, l.n)
		return
	}
	c.count(v, s, l.block, classOf(l.lines))
}

// count notes that a sprig uses a block, whose slab has to be of that class.
func (c *checker) count(v *view, s int, block uint64, class int) {
	x := c.x
	if block < x.firstSlab || block >= x.super.pool.next.Load() {
		c.errorf("partition %d sprig %d: handle %d is outside of the slabs", v.part, s, block)
		return
	}
	shard := uint32(v.part) & (x.super.nShards - 1)
	if h := x.slab(block); h.class != uint32(class) || h.shard != shard {
		c.errorf("partition %d sprig %d: handle %d is in a slab of class %d shard %d, want %d and %d",
			v.part, s, block, h.class, h.shard, class, shard)
		return
	}
	c.used[shard][class]++
}

func (c *checker) leaf(v *view, s int, l leaf) {
	x := c.x
	if l == (leaf{}) {
		return
	}
	if l.n == 0 || l.n > l.lines*lineSlots || l.lines > maxLeafLines {
		c.errorf("partition %d sprig %d: leaf of %d slots in %d lines", v.part, s, l.n, l.lines)
		return
	}
	c.block(v, s, l)
	for i := range l.n {
		c.slot(v, s, load(x.line(l.block), i))
	}
	for i := l.n; i%lineSlots != 0; i++ {
		if slot := load(x.line(l.block), i); slot != pad {
			c.errorf("partition %d sprig %d: slot %d after the last of %d is %#x", v.part, s, i, l.n, slot)
		}
	}
	c.records += l.n
}

func (c *checker) slot(v *view, s int, slot uint64) {
	x := c.x
	handle := slot & handleMask
	before := len(c.errs)
	if c.count(v, s, handle, entryClass); len(c.errs) > before {
		return
	}
	var e Entry
	readEntry(x.line(handle), &e)
	k := x.keyOf(&e.Digest)
	if k.header != v.header {
		c.errorf("partition %d sprig %d: digest %x does not belong here", v.part, s, e.Digest)
	}
	if k.order != slot&^handleMask {
		c.errorf("partition %d sprig %d: slot has order bits %#x, its digest %x has %#x",
			v.part, s, slot>>handleBits, e.Digest, k.order>>handleBits)
	}
	if c.any && compareEntry(x.line(handle), &c.lastKey) <= 0 {
		c.errorf("partition %d sprig %d: digest %x comes after %x", v.part, s, e.Digest, c.last)
	}
	c.any, c.last, c.lastKey = true, e.Digest, k
}

// slabs holds the allocator to what the sprigs use.
func (c *checker) slabs() {
	x := c.x
	var dealt uint64
	for i := range x.super.nShards {
		sh := &x.super.shards[i]
		for class := range nClasses {
			if sh.used[class] != c.used[i][class] {
				c.errorf("shard %d class %d: %d blocks in use, sprigs refer to %d", i, class, sh.used[class], c.used[i][class])
			}
			c.list(sh, i, class)
			dealt += sh.slabs[class]
		}
	}
	p := &x.super.pool
	if n := p.inUse.Load(); n != dealt {
		c.errorf("pool: %d slabs dealt out, shards have %d", n, dealt)
	}
	free := uint64(0)
	next := p.next.Load()
	for at := p.free; at != 0 && free <= next/slabLines; at = x.slab(at).next {
		free++
	}
	if ever := (next - x.firstSlab) / slabLines; free+dealt != ever {
		c.errorf("pool: %d slabs free and %d dealt out, want %d together", free, dealt, ever)
	}
	if n := x.super.children.Load(); n != c.children {
		c.errorf("directories have %d leaves, counter says %d", c.children, n)
	}
}

// list walks one list of slabs with a block to give, and their free lists.
func (c *checker) list(sh *shard, i uint32, class int) {
	x := c.x
	listed, room := uint64(0), uint64(0)
	for at := sh.heads[class]; at != 0 && listed <= sh.slabs[class]; at = x.slab(at).next {
		listed++
		room += c.slab(at, i, class)
	}
	if at := sh.vacating; at != 0 && int(x.slab(at).class) == class {
		listed++
		room += c.slab(at, i, class)
	}
	if want := sh.slabs[class]*uint64(perSlab(class)) - sh.used[class]; room != want {
		c.errorf("shard %d class %d: room for %d blocks in %d listed slabs, want %d", i, class, room, listed, want)
	}
}

// slab checks one slab with a block to give and returns how many it has.
func (c *checker) slab(at uint64, i uint32, class int) (room uint64) {
	x := c.x
	s := x.slab(at)
	if int(s.class) != class || s.shard != i || (s.vacating != 0) != (x.super.shards[i].vacating == at) {
		c.errorf("slab %d: class %d shard %d in the list of %d, %d; vacating %d", at, s.class, s.shard, class, i, s.vacating)
		return 0
	}
	free := uint32(0)
	for b := s.free; b != 0 && free <= s.fresh; b = load(x.line(at+b), freeLinkWord) {
		free++
	}
	if s.used+free != s.fresh || int(s.used) >= perSlab(class) || s.used == 0 {
		c.errorf("slab %d: %d blocks in use and %d in the free list, of %d ever used", at, s.used, free, s.fresh)
	}
	return uint64(perSlab(class)) - uint64(s.used)
}
