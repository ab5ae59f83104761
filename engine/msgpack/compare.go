package msgpack

import (
	"bytes"
	"cmp"
)

// Compare orders the values at the start of a and b: negative, 0 or positive.
//
//	nil < false < true < negative < non-negative integer < string < list
//	    < map < bytes < double < GeoJSON < ext < infinity
//
// Raw values compare bytewise, then by length; lists element by element, then
// the shorter first; maps by count, then key, value, key, value … in stored
// order. A double never equals an integer. Order markers do not count. From the
// first wildcard on, on either side, everything is equal.
//
// Both must be whole values (Skip > 0). No stack is needed at any depth: once
// two lists of different length are equal as far as both go, their lengths
// decide and nothing that follows matters.
func Compare(a, b []byte) int {
	if len(a) > 0 && len(b) > 0 && a[0] <= 0x7f && b[0] <= 0x7f { // the commonest of all
		return int(a[0]) - int(b[0])
	}
	left := uint64(1) // pairs of values still to compare
	verdict := 0      // the answer when all of them are equal
	for left > 0 {
		left--
		x, y := Next(a), Next(b)
		if x.Kind == Wildcard || y.Kind == Wildcard {
			return 0
		}
		if x.Kind != y.Kind {
			return cmp.Compare(x.Kind, y.Kind)
		}
		if x.Kind == Invalid {
			return 0
		}
		xc, yc := x.content(), y.content()
		ca, cb := a[x.Head:int(x.Head)+xc], b[y.Head:int(y.Head)+yc]
		a, b = a[int(x.Head)+xc:], b[int(y.Head)+yc:]
		switch x.Kind {
		case List, Map:
			var nx, ny uint64
			nx, a = unmarked(x, a)
			ny, b = unmarked(y, b)
			switch {
			case nx == ny:
				left += nx
			case x.Kind == Map:
				return cmp.Compare(nx, ny)
			default:
				left, verdict = min(nx, ny), cmp.Compare(nx, ny)
			}
		default:
			if c := compareLeaf(x, y, ca, cb); c != 0 {
				return c
			}
		}
	}
	return verdict
}

// unmarked steps over a container's order marker. It returns the number of
// values that follow.
func unmarked(it Item, p []byte) (uint64, []byte) {
	n := it.children()
	if n == 0 {
		return 0, p
	}
	m := Next(p)
	if !isMarker(m, p) {
		return n, p
	}
	p = p[int(m.Head)+m.content():]
	if it.Kind == List {
		return n - 1, p
	}
	return n - 2, p[Skip(p):]
}

// isMarker says whether the item, decoded from the start of p and standing
// first in a container, is the container's order marker: any ext but a
// one-byte fixext.
func isMarker(it Item, p []byte) bool { return it.IsExt() && p[0] != 0xd4 }

// compareLeaf orders two items of one kind that have no children; ca and cb
// are their contents.
func compareLeaf(x, y Item, ca, cb []byte) int {
	switch x.Kind {
	case Negative, Positive:
		return cmp.Compare(x.Num, y.Num)
	case Double:
		fx, fy := x.Float(), y.Float()
		switch {
		case fx < fy:
			return -1
		case fx > fy:
			return 1
		}
		return 0 // a NaN is equal to every double
	case String, Bytes, GeoJSON:
		return bytes.Compare(ca, cb)
	case Ext:
		if c := cmp.Compare(x.Type, y.Type); c != 0 {
			return c
		}
		return bytes.Compare(ca, cb)
	}
	return 0
}
