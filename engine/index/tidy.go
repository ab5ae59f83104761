package index

// All sprigs grow in step, and each leaves behind the block that has become
// too small. Those lie scattered: a slab of which one block in a hundred is
// still in use cannot return to the pool, and the blocks of a size that
// nobody needs any more would cost five bytes a record. So a writer that has
// just changed its sprig's block moves a few others out of a sparse slab.

const (
	// tidyMoves is how many blocks a writer moves at most, each a copy of
	// some lines. One would keep pace with the blocks that become free.
	tidyMoves = 2
	// tidyLooks is how many blocks it looks at to find them.
	tidyLooks = 64
	// A class is sparse when two slabs' worth of its blocks are free, and at
	// least the sparseFraction-th part.
	sparseFraction = 3
)

// unused is the first word of a block that is not in use: no slot is like it.
const unused = pad

// considerLocked makes the slab the one to be vacated, if its class is sparse
// and it is sparser than most. The caller holds the shard's lock and has just
// released a block of the slab.
func (x *Index) considerLocked(sh *shard, at uint64) {
	s := x.slab(at)
	class, per := int(s.class), uint64(perSlab(int(s.class)))
	capacity := sh.slabs[class] * per
	free := capacity - sh.used[class]
	if sh.vacating != 0 || class == entryClass || free < 2*per || free*sparseFraction < capacity ||
		uint64(s.used)*sh.slabs[class] > sh.used[class] {
		return
	}
	x.unlink(sh, at)
	s.vacating = 1
	sh.vacating, sh.cursor = at, 0
}

// stopVacatingLocked makes the slab that was to be vacated one like others.
func (x *Index) stopVacatingLocked(sh *shard) {
	at := sh.vacating
	x.slab(at).vacating, sh.vacating = 0, 0
	x.link(sh, at)
}

// tidy moves some blocks out of the slab that the partition's shard vacates.
// The caller holds no lock.
func (x *Index) tidy(part int) {
	sh := x.shardOf(part)
	for range tidyMoves {
		block, slot := x.nextToMove(sh)
		if block == 0 {
			return
		}
		x.moveBlock(block, slot)
	}
}

// nextToMove returns a block in use of the slab to be vacated and its first
// slot, or 0 when there is none, or none was found in a reasonable time.
func (x *Index) nextToMove(sh *shard) (block, slot uint64) {
	sh.spin.lock()
	defer sh.spin.unlock()
	at := sh.vacating
	if at == 0 {
		return 0, 0
	}
	s := x.slab(at)
	for range tidyLooks {
		if sh.cursor == s.fresh { // what is left belongs to directories, or came in between
			x.stopVacatingLocked(sh)
			return 0, 0
		}
		block = at + 1 + uint64(sh.cursor)*uint64(classLines[s.class])
		sh.cursor++
		if slot = load(x.line(block), 0); slot != unused {
			return block, slot
		}
	}
	return 0, 0
}

// moveBlock moves the slots of a sprig to another block, if slot was the first
// of them and the sprig is one leaf. It finds the sprig by the digest of the
// slot's entry. Slot and digest may be of the past, or no such thing at all if
// the block was dealt just now: then no sprig has the block, and it stays.
func (x *Index) moveBlock(block, slot uint64) {
	handle := slot & handleMask
	if handle < x.firstSlab || handle >= x.super.pool.next.Load() {
		return
	}
	var e Entry
	readEntry(x.line(handle), &e)
	k := x.keyOf(&e.Digest)
	v := x.lock(&k)
	if v.children != 0 || v.root.block != block || !x.resize(v.part, &v.root, v.root.lines) {
		x.unlockUnchanged(&v)
		return
	}
	x.unlock(&v)
}

// tidyAfter is called by a writer after its unlock: before is the block that
// the sprig had. Only a change of blocks makes holes.
func (x *Index) tidyAfter(v *view, before uint64) {
	if v.root.block != before {
		x.tidy(v.part)
	}
}
