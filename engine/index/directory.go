package index

import (
	"unsafe"

	"github.com/ashlardb/ashlar/internal/assert"
)

// A directory is a sorted array of the leaves of a large sprig, 16 bytes each:
//
//	word 0   the leaf's first slot
//	word 1   bits 0-39 its block, bits 40-55 slots in use, bits 56-63 lines
//
// No leaf of a directory is empty.
const (
	childSize     = 16
	lineChildren  = lineSize / childSize
	maxDirLines   = usableLines
	childNShift   = blockBits
	childLineBits = 8
)

// child returns the i-th leaf of the directory.
func (x *Index) child(v *view, i int) leaf {
	w := load(x.line(v.root.block), 2*i+1)
	return leaf{
		block: w & blockMask,
		n:     int(w >> childNShift & 0xFFFF),
		lines: int(w >> (64 - childLineBits)),
	}
}

// setChild stores l as the i-th leaf of the directory.
func (x *Index) setChild(v *view, i int, l leaf) {
	dir := x.line(v.root.block)
	store(dir, 2*i, load(x.line(l.block), 0))
	store(dir, 2*i+1, l.block|uint64(l.n)<<childNShift|uint64(l.lines)<<(64-childLineBits))
}

// search looks for k in the sprig. It reports false when the view no longer
// holds, and what it found means nothing.
func (x *Index) search(v *view, k *key) (p place, ok bool) {
	if v.children == 0 {
		p.leaf = v.root
		p.at, p.handle, ok = x.findInLeaf(v, v.root, k, interpolate(k.order, v.root.n))
		return p, ok
	}
	if p.child, ok = x.findChild(v, k); !ok {
		return p, false
	}
	p.leaf = x.child(v, p.child)
	if !v.holds() {
		return p, false
	}
	p.at, p.handle, ok = x.findInLeaf(v, p.leaf, k, p.leaf.n/2)
	return p, ok
}

// findChild returns the last leaf whose first slot is not after k, or the
// first leaf.
func (x *Index) findChild(v *view, k *key) (i int, ok bool) {
	dir := x.line(v.root.block)
	low, high := 1, v.children // the first leaf that begins after k is in low..high
	for low < high {
		mid := int(uint(low+high) / 2)
		c, ok := x.compareSlot(v, load(dir, 2*mid), k)
		if !ok {
			return 0, false
		}
		if c <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1, true
}

// toDirectory turns the sprig's one leaf, which is full, into a directory of
// two. It reports false at the memory limit, with the sprig as it was.
func (x *Index) toDirectory(v *view) bool {
	dir := x.alloc(v.part, classOf(1))
	if dir == 0 {
		return false
	}
	left := v.root
	right, ok := x.splitLeaf(v.part, &left)
	if !ok {
		x.release(dir)
		return false
	}
	v.root.block, v.root.lines, v.children = dir, 1, 2
	x.setChild(v, 0, left)
	x.setChild(v, 1, right)
	x.super.children.Add(2)
	return true
}

const _ = uint(-(maxLeafSlots / 2 % lineSlots)) // half a full leaf is whole lines: nothing to pad

// splitLeaf moves the upper half of l, which is full, to a leaf of its own. Both have room for
// a slot then. It reports false at the memory limit, with l as it was.
func (x *Index) splitLeaf(part int, l *leaf) (right leaf, ok bool) {
	half := l.n / 2
	right = leaf{n: l.n - half, lines: linesFor(l.n-half) + 1}
	right.block = x.alloc(part, classOf(right.lines))
	if right.block == 0 {
		return right, false
	}
	slots := x.line(right.block)
	move(slots, unsafe.Add(x.line(l.block), half*8), right.n)
	padLine(slots, right.n)
	l.n = half
	x.resize(part, l, linesFor(half)+1) // no memory for that: it keeps the larger block
	return right, true
}

// splitChild splits the i-th leaf. It reports false at a limit, of memory or
// of the directory, with the leaves as they were.
func (x *Index) splitChild(v *view, i int) bool {
	if v.children == v.root.lines*lineChildren && !x.resizeDir(v, min(v.root.lines+1+v.root.lines/4, maxDirLines)) {
		return false
	}
	left := x.child(v, i)
	right, ok := x.splitLeaf(v.part, &left)
	if !ok {
		return false
	}
	at := unsafe.Add(x.line(v.root.block), (i+1)*childSize)
	move(unsafe.Add(at, childSize), at, 2*(v.children-i-1))
	v.children++
	x.setChild(v, i, left)
	x.setChild(v, i+1, right)
	x.super.children.Add(1)
	return true
}

// resizeDir moves the directory to a block of so many lines. It reports false
// at a limit, with the directory as it was.
func (x *Index) resizeDir(v *view, lines int) bool {
	if lines == v.root.lines {
		return false
	}
	block := x.alloc(v.part, classOf(lines))
	if block == 0 {
		return false
	}
	move(x.line(block), x.line(v.root.block), 2*v.children)
	x.release(v.root.block)
	v.root.block, v.root.lines = block, lines
	return true
}

// removeFromChild takes a slot out of a leaf of the directory, and joins or
// drops leaves that have become small.
func (x *Index) removeFromChild(v *view, p *place) {
	l := p.leaf
	x.removeSlot(v.part, &l, p.at)
	v.root.n--
	if l.n == 0 {
		x.dropChild(v, p.child)
	} else {
		x.setChild(v, p.child, l)
		if l.n < minLeafSlots {
			x.join(v, p.child)
		}
	}
	if v.children == 1 {
		x.toLeaf(v)
	} else if lines := (v.children + lineChildren - 1) / lineChildren; lines < v.root.lines/2 {
		x.resizeDir(v, lines)
	}
}

// join appends the leaf after i to leaf i, or leaf i to the one before it, if
// the two make half a leaf at most.
func (x *Index) join(v *view, i int) {
	if i == v.children-1 {
		i--
	}
	left, right := x.child(v, i), x.child(v, i+1)
	n := left.n + right.n
	if n > maxLeafSlots/2 {
		return
	}
	if lines := linesFor(n) + 1; left.lines < lines && !x.resize(v.part, &left, lines) {
		return // no memory for the larger block; two small leaves are correct too
	}
	move(unsafe.Add(x.line(left.block), left.n*8), x.line(right.block), right.n)
	left.n = n
	padLine(x.line(left.block), n)
	x.setChild(v, i, left)
	x.release(right.block)
	x.dropChild(v, i+1)
}

// dropChild takes the i-th leaf, whose block is gone, out of the directory.
func (x *Index) dropChild(v *view, i int) {
	at := unsafe.Add(x.line(v.root.block), i*childSize)
	move(at, unsafe.Add(at, childSize), 2*(v.children-i-1))
	v.children--
	x.super.children.Add(^uint64(0))
}

// toLeaf turns a directory of one leaf into that leaf.
func (x *Index) toLeaf(v *view) {
	l := x.child(v, 0)
	assert.That(l.n == v.root.n, "a sprig has the records of its leaves")
	x.release(v.root.block)
	v.root, v.children = l, 0
	x.super.children.Add(^uint64(0))
}
