package msgpack

import (
	"encoding/binary"
	"math"
)

// Order flags of a container, as they stand in its marker's type byte.
const (
	Ordered  = 0x01 // list sorted by value; map sorted by key
	ValueOrd = 0x02 // map: values have an order too
	Preserve = 0x08 // replies only: a map whose order means something
	Persist  = 0x10 // top level only: element positions are stored
)

// ListFlags and MapFlags are the flags that a stored container can have.
const (
	ListFlags = Ordered | Persist
	MapFlags  = Ordered | ValueOrd | Persist
)

// StoredFlags returns those of a container's flags that are kept when it is
// stored: a list persists its index only when it is ordered.
func StoredFlags(k Kind, flags byte) byte {
	if k == Map {
		return flags & MapFlags
	}
	if flags&Ordered == 0 {
		return 0
	}
	return flags & ListFlags
}

// Container is a view of one list or map.
type Container struct {
	Kind  Kind   // List or Map
	Flags byte   // of its marker, 0 without one
	Count uint32 // elements or pairs, without the marker
	Body  []byte // the elements or pairs, without the marker; whatever follows is cut off only by Whole

	index []byte // Count positions in Body, each of width bytes; nil without an index
	width int    // 1, 2 or 4
}

// Open reads the header and marker of the list or map at the start of p. It
// reports false when p starts with something else or is cut short there. The
// elements are not looked at. As in the original, operations take every ext
// value that stands first for a marker, even a one-byte fixext, which a
// whole-bin write stores as an element.
func Open(p []byte) (Container, bool) {
	it := Next(p)
	if it.Kind != List && it.Kind != Map {
		return Container{}, false
	}
	c := Container{Kind: it.Kind, Count: it.Len, Body: p[it.Head:]}
	if it.Len == 0 {
		return c, true
	}
	m := Next(c.Body)
	if m.Kind == Invalid {
		return Container{}, false
	}
	if m.Kind != Ext {
		return c, true
	}
	c.Flags = m.Type
	c.Count--
	index := c.Body[m.Head : int(m.Head)+m.content()]
	c.Body = c.Body[int(m.Head)+m.content():]
	if c.Kind == Map {
		n := Skip(c.Body)
		if n == 0 {
			return Container{}, false
		}
		c.Body = c.Body[n:]
	}
	if c.Flags&Persist != 0 && c.Count > 0 {
		if w := len(index) / int(c.Count); (w == 1 || w == 2 || w == 4) && w*int(c.Count) == len(index) {
			c.index, c.width = index, w
		}
	}
	return c, true
}

// Indexed says whether At finds positions without a walk.
func (c *Container) Indexed() bool { return c.index != nil }

// At returns the position in Body of element or pair i of an indexed
// container; of Count, the end of Body.
func (c *Container) At(i uint32) int {
	if i >= c.Count {
		return len(c.Body)
	}
	pos := 0
	switch c.width {
	case 1:
		pos = int(c.index[i])
	case 2:
		pos = int(binary.BigEndian.Uint16(c.index[2*i:]))
	default:
		pos = int(binary.BigEndian.Uint32(c.index[4*i:]))
	}
	return min(pos, len(c.Body)) // a rotten index must not crash us
}

// per is the number of values of one element or pair.
func (c *Container) per() uint64 {
	if c.Kind == Map {
		return 2
	}
	return 1
}

// AppendHead appends the header of a container of n elements or pairs and, if
// flags are not zero, its marker without an index: the form of replies and of
// everything below the top level.
func AppendHead(dst []byte, k Kind, flags byte, n uint32) []byte {
	return appendHeadMarked(dst, k, flags, n, 0)
}

// appendHeadMarked appends header and marker, and of an index of indexSize
// bytes only the header: a list's elements, or a map's index and nil, follow.
func appendHeadMarked(dst []byte, k Kind, flags byte, n uint32, indexSize int) []byte {
	if flags != 0 {
		n++
	}
	if k == Map {
		dst = AppendMapHead(dst, n)
	} else {
		dst = AppendListHead(dst, n)
	}
	if flags == 0 {
		return dst
	}
	dst = AppendExtHead(dst, flags, uint32(indexSize))
	if k == Map && indexSize == 0 {
		dst = AppendNil(dst)
	}
	return dst
}

// AppendContainer appends a container in stored form: header, marker if flags
// are not zero, the index if they hold Persist, and the body of n whole
// elements or pairs.
func AppendContainer(dst []byte, k Kind, flags byte, n uint32, body []byte) []byte {
	if flags&Persist == 0 || n == 0 {
		return append(AppendHead(dst, k, flags, n), body...)
	}
	c := Container{Kind: k}
	width := indexWidth(len(body))
	dst = appendHeadMarked(dst, k, flags, n, width*int(n))
	for pos := 0; n > 0; n-- {
		switch width {
		case 1:
			dst = append(dst, byte(pos))
		case 2:
			dst = binary.BigEndian.AppendUint16(dst, uint16(pos))
		default:
			dst = binary.BigEndian.AppendUint32(dst, uint32(pos))
		}
		pos += SkipN(body[pos:], c.per())
	}
	if k == Map {
		dst = AppendNil(dst)
	}
	return append(dst, body...)
}

// indexWidth is the size of an index entry for a body of n bytes.
func indexWidth(n int) int {
	switch {
	case n <= math.MaxUint8:
		return 1
	case n <= math.MaxUint16:
		return 2
	}
	return 4
}

// WireHead returns a stored container's head as replies carry it, without
// index and Persist flag, appended to dst, and the rest of the container.
// Changed is false when the stored form is the wire form; then dst is returned
// as it came and rest is p.
func WireHead(dst, p []byte) (out, rest []byte, changed bool) {
	it := Next(p)
	if it.Len == 0 || len(p) < int(it.Head) || !isMarkerAt(Next(p[it.Head:]), p[it.Head:]) {
		return dst, p, false
	}
	c, ok := Open(p)
	if !ok || c.Flags&Persist == 0 {
		return dst, p, false
	}
	return AppendHead(dst, c.Kind, c.Flags&^Persist, c.Count), c.Body, true
}
