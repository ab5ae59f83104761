package index

import (
	"sync/atomic"
	"unsafe"

	"github.com/ashlardb/ashlar/internal/assert"
)

// A sprig header is two words:
//
//	word 0   bits  0-39  handle of the block: a leaf's slots, or a directory; 0: none
//	         bits 40-63  number of records
//	word 1   bits  0-31  version; odd: locked by a writer
//	         bits 32-47  lines of the block
//	         bits 48-63  leaves in the directory; 0: the block is a leaf
//
// Writers store word 0 and what it leads to only while the version is odd.
const (
	headerSize = 16
	blockBits  = handleBits
	blockMask  = handleMask

	versionMask   = 1<<32 - 1
	locked        = 1
	linesShift    = 32
	childrenShift = 48
)

// view is one sprig as its header had it at one moment.
type view struct {
	header   unsafe.Pointer
	word     uint64 // word 1 while the view holds
	root     leaf   // the block: its one leaf, unless there are children
	children int    // leaves of the directory in root.block; 0: none
	part     int
}

// newView takes apart the two words of a header.
func newView(header unsafe.Pointer, part int, w0, w1 uint64) view {
	return view{
		header: header, word: w1, part: part,
		root:     leaf{block: w0 & blockMask, n: int(w0 >> blockBits), lines: int(w1 >> linesShift & 0xFFFF)},
		children: int(w1 >> childrenShift),
	}
}

// read returns the sprig of k as it is when no writer is at it.
func (x *Index) read(k *key) view {
	for i := 0; ; i++ {
		w1 := load(k.header, 1)
		if w1&locked == 0 {
			if w0 := load(k.header, 0); load(k.header, 1) == w1 {
				return newView(k.header, k.part, w0, w1)
			}
		}
		spin(i)
	}
}

// holds reports whether nothing of the sprig has changed since the view was
// taken: what was read from it until now is true, and its handles lead to
// memory that is mapped. Under the sprig's lock it is always true.
func (v *view) holds() bool { return load(v.header, 1) == v.word }

// lock returns the sprig of k, locked. The caller unlocks it soon, without
// waiting for anything in between.
func (x *Index) lock(k *key) view {
	for i := 0; ; i++ {
		w1 := load(k.header, 1)
		if w1&locked == 0 && atomic.CompareAndSwapUint64((*uint64)(unsafe.Add(k.header, 8)), w1, w1|locked) {
			x.race.acquire(k.part)
			return newView(k.header, k.part, load(k.header, 0), w1|locked)
		}
		spin(i)
	}
}

// unlock publishes the view as the sprig's new state.
func (x *Index) unlock(v *view) {
	assert.That(v.word&locked != 0, "a sprig that is unlocked was locked")
	x.race.release(v.part)
	version := (v.word + 1) & versionMask // even, and not the one before the lock
	store(v.header, 0, v.root.block|uint64(v.root.n)<<blockBits)
	store(v.header, 1, version|uint64(v.root.lines)<<linesShift|uint64(v.children)<<childrenShift)
}

// unlockUnchanged ends a lock under which nothing was stored, so that readers
// need not start again.
func (x *Index) unlockUnchanged(v *view) {
	x.race.release(v.part)
	store(v.header, 1, v.word&^locked)
}
