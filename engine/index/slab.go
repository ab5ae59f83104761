package index

import (
	"sync/atomic"
	"unsafe"

	"github.com/ashlardb/ashlar/arch"
	"github.com/ashlardb/ashlar/internal/assert"
)

const (
	lineSize  = 64 // the grain of all memory; a cache line where it matters
	slabLines = 1024
	slabSize  = slabLines * lineSize
	// usableLines is what a slab has beside its own header line.
	usableLines = slabLines - 1

	maxShards = 16
)

const _ = uint(-(hugePage % slabSize)) // a huge page is whole slabs

// Size classes. Class 0 is for entries; class n for blocks of n lines up to
// maxLeafLines; the last three for the directories of very large sprigs.
const (
	entryClass = 0
	nClasses   = maxLeafLines + 4
)

// classLines gives the size of a class's blocks in lines.
var classLines = func() (lines [nClasses]int) {
	for c := range lines {
		lines[c] = c
	}
	lines[entryClass] = 1
	lines[maxLeafLines+1] = 255
	lines[maxLeafLines+2] = 511
	lines[maxLeafLines+3] = usableLines
	return lines
}()

// classOf returns the smallest class whose blocks have at least n lines.
func classOf(n int) int {
	class := n
	if n > maxLeafLines {
		for class = maxLeafLines + 1; classLines[class] < n; class++ {
		}
	}
	return class
}

// perSlab returns how many blocks of a class a slab holds.
func perSlab(class int) int { return usableLines / classLines[class] }

// slab is the header of a slab, in its first line. The shard's lock guards it.
// Blocks begin at line 1, one after the other.
type slab struct {
	class, shard uint32
	used         uint32 // blocks in use
	vacating     uint32 // 1: in no list, so that it deals no more blocks; see tidy.go
	fresh        uint32 // blocks that were ever in use: those after are untouched
	free         uint64 // line, within the slab, of the first block to use again; 0: none
	next, prev   uint64 // neighbours in the shard's list, as slab handles; 0: none
}

const _ = uint(lineSize - unsafe.Sizeof(slab{})) // the header is one line

// shard is an allocator of its own for the partitions of one remainder, so
// that service loops seldom meet at its lock.
type shard struct {
	spin spinLock
	_    [arch.CacheLine - 4]byte
	// heads are the slabs of each class that have a block to give: a list of
	// handles, 0 ends it. Slabs that are all in use are in no list.
	heads [nClasses]uint64
	slabs [nClasses]uint64 // slabs of each class
	used  [nClasses]uint64 // blocks in use of each class

	vacating uint64 // the slab whose blocks are being moved out; 0: none
	cursor   uint32 // its block to look at next
	_        [arch.CacheLine]byte
}

// pool deals slabs to the shards.
type pool struct {
	spin  spinLock
	_     [arch.CacheLine - 4]byte
	free  uint64        // list of slabs that came back, by slab.next
	next  atomic.Uint64 // the first slab never dealt, as a handle; written under spin
	inUse atomic.Uint64 // slabs dealt and not come back
	_     [arch.CacheLine]byte
}

// line returns the memory of a handle: a line's number from the region's start.
func (x *Index) line(handle uint64) unsafe.Pointer {
	return unsafe.Add(x.region.base, handle*lineSize)
}

func (x *Index) slab(handle uint64) *slab {
	return (*slab)(x.line(handle &^ (slabLines - 1)))
}

func (x *Index) shardOf(part int) *shard {
	return &x.super.shards[part&(int(x.super.nShards)-1)]
}

// alloc returns a block of the class for a sprig of the partition, or 0 when
// the memory limit is reached. Its contents are arbitrary.
func (x *Index) alloc(part, class int) uint64 {
	sh := x.shardOf(part)
	sh.spin.lock()
	defer sh.spin.unlock()
	if v := sh.vacating; v != 0 && sh.heads[class] == 0 && int(x.slab(v).class) == class {
		x.stopVacatingLocked(sh) // no other slab has room
	}
	at := sh.heads[class]
	if at == 0 {
		if at = x.takeSlab(); at == 0 {
			return 0
		}
		*x.slab(at) = slab{class: uint32(class), shard: uint32(part) & (x.super.nShards - 1)}
		sh.slabs[class]++
		sh.heads[class] = at
	}
	s := x.slab(at)
	block := at
	if s.free != 0 {
		block += s.free
		s.free = load(x.line(block), freeLinkWord)
	} else {
		block += 1 + uint64(s.fresh)*uint64(classLines[class])
		s.fresh++
		if int(s.fresh) < perSlab(class) {
			arch.Prefetch(x.line(block + uint64(classLines[class]))) // its turn is near
		}
	}
	s.used++
	sh.used[class]++
	if int(s.used) == perSlab(class) {
		x.unlink(sh, at)
	}
	return block
}

// release gives a block back to the shard that dealt it.
func (x *Index) release(block uint64) {
	at := block &^ (slabLines - 1)
	s := x.slab(at)
	sh := &x.super.shards[s.shard]
	sh.spin.lock()
	defer sh.spin.unlock()
	assert.That(s.used > 0, "a block that is released was in use")
	class := int(s.class)
	if int(s.used) == perSlab(class) && s.vacating == 0 {
		x.link(sh, at)
	}
	store(x.line(block), 0, unused)
	store(x.line(block), freeLinkWord, s.free)
	s.free = block - at
	s.used--
	sh.used[class]--
	switch {
	case s.used > 0:
		x.considerLocked(sh, at)
		return
	case s.vacating != 0:
		sh.vacating = 0
	default:
		x.unlink(sh, at)
	}
	sh.slabs[class]--
	x.giveSlab(at)
}

// link puts the slab at the head of its shard's list.
func (x *Index) link(sh *shard, at uint64) {
	s := x.slab(at)
	s.prev, s.next = 0, sh.heads[s.class]
	if s.next != 0 {
		x.slab(s.next).prev = at
	}
	sh.heads[s.class] = at
}

// unlink takes the slab out of its shard's list.
func (x *Index) unlink(sh *shard, at uint64) {
	s := x.slab(at)
	if s.prev != 0 {
		x.slab(s.prev).next = s.next
	} else {
		sh.heads[s.class] = s.next
	}
	if s.next != 0 {
		x.slab(s.next).prev = s.prev
	}
	s.prev, s.next = 0, 0
}

// takeSlab deals a slab, or returns 0 at the memory limit.
func (x *Index) takeSlab() uint64 {
	p := &x.super.pool
	p.spin.lock()
	defer p.spin.unlock()
	at := p.free
	switch {
	case at != 0:
		p.free = x.slab(at).next
	case p.next.Load() >= x.limit:
		return 0
	default:
		at = p.next.Load()
		if !x.commitLocked((at + slabLines) * lineSize) {
			return 0
		}
		p.next.Store(at + slabLines)
		x.ahead.notice((at + slabLines) * lineSize)
	}
	p.inUse.Add(1)
	return at
}

// giveSlab takes back a slab of which no block is in use.
func (x *Index) giveSlab(at uint64) {
	p := &x.super.pool
	p.spin.lock()
	defer p.spin.unlock()
	x.slab(at).next = p.free
	p.free = at
	p.inUse.Add(^uint64(0))
}

// commitLocked makes the region accessible up to at least byte to, and
// reports whether it is. The caller holds the pool's lock.
func (x *Index) commitLocked(to uint64) bool {
	if to <= x.committed {
		return true
	}
	end := min((to+stageSize-1)/stageSize*stageSize, uint64(len(x.region.bytes)))
	if x.region.commit(x.committed, end) != nil {
		return false // the kernel's limit is as good as ours: the index is full
	}
	x.committed = end
	return true
}
