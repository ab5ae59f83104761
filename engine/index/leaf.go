package index

import (
	"math/bits"
	"unsafe"
)

const (
	lineSlots    = lineSize / 8
	maxLeafLines = 128
	maxLeafSlots = maxLeafLines * lineSlots // 8 KiB: what an insert moves at most
	minLeafSlots = maxLeafSlots / 4         // below it a leaf of a directory looks for a neighbour to join
)

// leaf is a sorted array of slots in a block of some lines.
//
// Slots after the last, in its line, are pads.
//
// A slot is the order bits of a digest (24, on top) and the handle of its
// entry (40). Slots are sorted by order bits, those with equal bits by the
// whole digests of their entries.
type leaf struct {
	block uint64 // 0: no slots
	n     int    // slots in use
	lines int
}

// linesFor returns the lines that n slots need.
func linesFor(n int) int { return (n + lineSlots - 1) / lineSlots }

// interpolate returns where a slot with these order bits is to be expected
// among n uniform ones: below n.
func interpolate(order uint64, n int) int { return int(order >> handleBits * uint64(n) >> orderBits) }

// pad is what follows the last slot in its line: not less than any slot.
const pad = ^uint64(0)

// padLine fills the line in which the n slots end.
func padLine(slots unsafe.Pointer, n int) {
	for i := n; i%lineSlots != 0; i++ {
		store(slots, i, pad)
	}
}

// countLess returns how many slots of a line are less than want. It has no
// branch: where the answer is in a line is as good as random, and a branch on
// it would cost more than the eight comparisons.
func countLess(line unsafe.Pointer, want uint64) (n int) {
	return int(less(load(line, 0), want) + less(load(line, 1), want) +
		less(load(line, 2), want) + less(load(line, 3), want) +
		less(load(line, 4), want) + less(load(line, 5), want) +
		less(load(line, 6), want) + less(load(line, 7), want))
}

// less returns 1 if a < b, else 0.
func less(a, b uint64) uint64 {
	_, borrow := bits.Sub64(a, b, 0)
	return borrow
}

// nearbyLines is how many lines around the expected place are looked at before
// the binary search: with uniform digests the place is off by less than half
// the root of n, a line or two.
const nearbyLines = 4

// lowerBound returns the first of n slots that is not less than want, or n. It
// begins at the line of the slot guess, which is below n.
func lowerBound(slots unsafe.Pointer, n int, want uint64, guess int) int {
	low, high := 0, n // the answer is in low..high
	at := guess &^ (lineSlots - 1)
	for range nearbyLines {
		c := countLess(unsafe.Add(slots, at*8), want)
		if c > 0 && c < lineSlots {
			return at + c
		}
		if c == 0 {
			high = at
			at -= lineSlots
		} else {
			low = at + lineSlots
			at = low
		}
		if low >= high {
			return high
		}
	}
	for low < high {
		mid := int(uint(low+high) / 2)
		if load(slots, mid) < want {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// place is where a search ended.
type place struct {
	child  int    // leaf in the directory; 0 when there is none
	leaf   leaf   // the leaf
	at     int    // the digest's slot, or where it would be inserted
	handle uint64 // of its entry; 0: the digest is not in the index
}

// findInLeaf looks for k in l, expecting it at guess. It reports false when
// the view no longer holds, and what it found means nothing.
func (x *Index) findInLeaf(v *view, l leaf, k *key, guess int) (at int, handle uint64, ok bool) {
	if l.n == 0 {
		return 0, 0, true
	}
	slots := x.line(l.block)
	at = lowerBound(slots, l.n, k.order, guess)
	if at == l.n {
		return at, 0, v.holds()
	}
	slot := load(slots, at)
	if slot&^handleMask != k.order {
		return at, 0, v.holds()
	}
	if !v.holds() {
		return 0, 0, false
	}
	if handle = slot & handleMask; compareEntry(x.line(handle), k) == 0 {
		return at, handle, true
	}
	return x.findAmongEqual(v, l, k, at)
}

// findAmongEqual looks for k among the slots with its order bits, of which the
// first is at from: by binary search over the digests of their entries.
func (x *Index) findAmongEqual(v *view, l leaf, k *key, from int) (at int, handle uint64, ok bool) {
	slots := x.line(l.block)
	low, high := from, l.n
	if above := k.order + 1<<handleBits; above != 0 {
		high = lowerBound(slots, l.n, above, from)
	}
	for low < high {
		mid := int(uint(low+high) / 2)
		c, ok := x.compareSlot(v, load(slots, mid), k)
		if !ok {
			return 0, 0, false
		}
		if c < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < l.n {
		slot := load(slots, low)
		c, ok := x.compareSlot(v, slot, k)
		if !ok {
			return 0, 0, false
		}
		if c == 0 {
			return low, slot & handleMask, true
		}
	}
	return low, 0, v.holds()
}

// compareSlot orders the digest behind a slot against k's. It reports false
// when the view no longer holds.
func (x *Index) compareSlot(v *view, slot uint64, k *key) (c int, ok bool) {
	if bits := slot &^ handleMask; bits != k.order {
		if bits < k.order {
			return -1, true
		}
		return 1, true
	}
	if !v.holds() {
		return 0, false
	}
	return compareEntry(x.line(slot&handleMask), k), true
}

// insertSlot puts slot at position at. It reports false at the memory limit,
// with the leaf as it was. The leaf has less than maxLeafSlots.
func (x *Index) insertSlot(part int, l *leaf, at int, slot uint64) bool {
	slots := x.line(l.block)
	if l.n < l.lines*lineSlots {
		move(unsafe.Add(slots, (at+1)*8), unsafe.Add(slots, at*8), l.n-at)
		store(slots, at, slot)
		if l.n++; l.n%lineSlots == 1 {
			padLine(slots, l.n)
		}
		return true
	}
	lines := min(l.lines+1+l.lines/16, maxLeafLines)
	block := x.alloc(part, classOf(lines))
	if block == 0 {
		return false
	}
	bigger := x.line(block)
	move(bigger, slots, at)
	store(bigger, at, slot)
	move(unsafe.Add(bigger, (at+1)*8), unsafe.Add(slots, at*8), l.n-at)
	if l.lines > 0 {
		x.release(l.block)
	}
	l.block, l.lines = block, lines
	l.n++
	padLine(bigger, l.n)
	return true
}

// removeSlot takes the slot at position at out, and returns lines that have
// become superfluous.
func (x *Index) removeSlot(part int, l *leaf, at int) {
	slots := x.line(l.block)
	move(unsafe.Add(slots, at*8), unsafe.Add(slots, (at+1)*8), l.n-at-1)
	l.n--
	store(slots, l.n, pad)
	if l.n == 0 {
		x.release(l.block)
		*l = leaf{}
		return
	}
	// Two lines of slack and an eighth: a sprig that loses and wins a record
	// in turn must not copy its slots each time.
	if linesFor(l.n)+2+l.lines/8 <= l.lines {
		x.resize(part, l, linesFor(l.n)) // no memory for that: the leaf stays as it is
	}
}

// resize moves a leaf to a block of so many lines, enough for its slots. It
// reports false at the memory limit, with the leaf as it was.
func (x *Index) resize(part int, l *leaf, lines int) bool {
	block := x.alloc(part, classOf(lines))
	if block == 0 {
		return false
	}
	slots := x.line(block)
	move(slots, x.line(l.block), l.n)
	padLine(slots, l.n)
	x.release(l.block)
	l.block, l.lines = block, lines
	return true
}
