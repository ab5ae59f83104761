package msgpack

import (
	"encoding/binary"
	"math"
)

// Kind is the kind of a value. Kinds are numbered in the order in which values
// of different kinds compare.
type Kind uint8

// Kinds, smallest first. Negative and Positive split the integers, so that two
// integers of one kind compare as unsigned numbers.
const (
	Invalid  Kind = iota // not a value: bytes cut short, or the reserved c1
	Nil                  // c0
	False                // c2
	True                 // c3
	Negative             // an integer below 0
	Positive             // an integer of 0 and above, up to 2^64-1
	String               // raw with prefix 3
	List                 // Len elements, an order marker included
	Map                  // Len pairs, an order marker included
	Bytes                // raw with any other prefix, or empty
	Double               // 32 or 64 bits
	GeoJSON              // raw with prefix 23
	Ext                  // any ext but the next two
	Infinity             // d4 ff 01
	Wildcard             // d4 ff 00: equal to everything
)

// Prefix bytes of raw values: the particle type of the content.
const (
	PrefixString  = 3
	PrefixBlob    = 4
	PrefixHLL     = 18
	PrefixGeoJSON = 23
)

// Item is a value's header: what it is and where its content lies.
type Item struct {
	Kind Kind
	Type byte   // the ext type; else 0
	Head uint8  // header size in bytes, 1 to 9; numbers have no content
	Len  uint32 // bytes of content of a raw or ext; elements of a List; pairs of a Map
	Num  uint64 // an integer in two's complement; a double's 64-bit pattern
}

// IsInt says whether the item is an integer.
func (it Item) IsInt() bool { return it.Kind == Negative || it.Kind == Positive }

// IsRaw says whether the item is a string, bytes or GeoJSON.
func (it Item) IsRaw() bool {
	return it.Kind == String || it.Kind == Bytes || it.Kind == GeoJSON
}

// IsExt says whether the item is an ext value of any sort.
func (it Item) IsExt() bool { return it.Kind >= Ext }

// Float returns a Double's value.
func (it Item) Float() float64 { return math.Float64frombits(it.Num) }

// children is the number of values that follow the item and belong to it.
func (it Item) children() uint64 {
	switch it.Kind {
	case List:
		return uint64(it.Len)
	case Map:
		return 2 * uint64(it.Len)
	}
	return 0
}

// content is the number of bytes after the header that belong to the item
// itself, children not counted.
func (it Item) content() int {
	if it.IsRaw() || it.IsExt() {
		return int(it.Len)
	}
	return 0
}

// Next decodes the header of the value at the start of p. It returns Kind
// Invalid when header or content is cut short; for lists and maps it checks
// that there is at least a byte for each child, not that the children are good.
func Next(p []byte) Item {
	if len(p) == 0 {
		return Item{}
	}
	c := p[0]
	switch {
	case c <= 0x7f:
		return Item{Kind: Positive, Head: 1, Num: uint64(c)}
	case c >= 0xe0:
		return Item{Kind: Negative, Head: 1, Num: uint64(int64(int8(c)))}
	case c <= 0x8f:
		return counted(p, Map, 1, uint32(c&0x0f))
	case c <= 0x9f:
		return counted(p, List, 1, uint32(c&0x0f))
	case c <= 0xbf:
		return raw(p, 1, uint32(c&0x1f))
	}
	return nextLong(p, c)
}

// nextLong decodes the headers c0 to df.
func nextLong(p []byte, c byte) Item {
	head := int(headSizes[c-0xc0])
	if head == 0 || len(p) < head {
		return Item{}
	}
	switch c {
	case 0xc0:
		return Item{Kind: Nil, Head: 1}
	case 0xc2:
		return Item{Kind: False, Head: 1}
	case 0xc3:
		return Item{Kind: True, Head: 1}
	case 0xc4, 0xd9:
		return raw(p, head, uint32(p[1]))
	case 0xc5, 0xda:
		return raw(p, head, uint32(binary.BigEndian.Uint16(p[1:])))
	case 0xc6, 0xdb:
		return raw(p, head, binary.BigEndian.Uint32(p[1:]))
	case 0xc7:
		return ext(p, head, uint32(p[1]))
	case 0xc8:
		return ext(p, head, uint32(binary.BigEndian.Uint16(p[1:])))
	case 0xc9:
		return ext(p, head, binary.BigEndian.Uint32(p[1:]))
	case 0xca:
		f := math.Float32frombits(binary.BigEndian.Uint32(p[1:]))
		return Item{Kind: Double, Head: 5, Num: math.Float64bits(float64(f))}
	case 0xcb:
		return Item{Kind: Double, Head: 9, Num: binary.BigEndian.Uint64(p[1:])}
	case 0xcc:
		return Item{Kind: Positive, Head: 2, Num: uint64(p[1])}
	case 0xcd:
		return Item{Kind: Positive, Head: 3, Num: uint64(binary.BigEndian.Uint16(p[1:]))}
	case 0xce:
		return Item{Kind: Positive, Head: 5, Num: uint64(binary.BigEndian.Uint32(p[1:]))}
	case 0xcf:
		return Item{Kind: Positive, Head: 9, Num: binary.BigEndian.Uint64(p[1:])}
	case 0xd0:
		return signed(2, int64(int8(p[1])))
	case 0xd1:
		return signed(3, int64(int16(binary.BigEndian.Uint16(p[1:]))))
	case 0xd2:
		return signed(5, int64(int32(binary.BigEndian.Uint32(p[1:]))))
	case 0xd3:
		return signed(9, int64(binary.BigEndian.Uint64(p[1:])))
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return ext(p, head, 1<<(c-0xd4))
	case 0xdc:
		return counted(p, List, head, uint32(binary.BigEndian.Uint16(p[1:])))
	case 0xdd:
		return counted(p, List, head, binary.BigEndian.Uint32(p[1:]))
	case 0xde:
		return counted(p, Map, head, uint32(binary.BigEndian.Uint16(p[1:])))
	default: // 0xdf
		return counted(p, Map, head, binary.BigEndian.Uint32(p[1:]))
	}
}

// headSizes holds the header sizes of c0 to df; 0 is the reserved c1.
var headSizes = [32]uint8{
	1, 0, 1, 1, 2, 3, 5, 3, 4, 6, 5, 9, 2, 3, 5, 9,
	2, 3, 5, 9, 2, 2, 2, 2, 2, 2, 3, 5, 3, 5, 3, 5,
}

func signed(head uint8, n int64) Item {
	if n < 0 {
		return Item{Kind: Negative, Head: head, Num: uint64(n)}
	}
	return Item{Kind: Positive, Head: head, Num: uint64(n)}
}

func counted(p []byte, k Kind, head int, n uint32) Item {
	it := Item{Kind: k, Head: uint8(head), Len: n}
	if it.children() > uint64(len(p)-head) {
		return Item{}
	}
	return it
}

func raw(p []byte, head int, n uint32) Item {
	if uint64(n) > uint64(len(p)-head) {
		return Item{}
	}
	it := Item{Kind: Bytes, Head: uint8(head), Len: n}
	if n > 0 {
		switch p[head] {
		case PrefixString:
			it.Kind = String
		case PrefixGeoJSON:
			it.Kind = GeoJSON
		}
	}
	return it
}

func ext(p []byte, head int, n uint32) Item {
	if uint64(n) > uint64(len(p)-head) {
		return Item{}
	}
	it := Item{Kind: Ext, Type: p[head-1], Head: uint8(head), Len: n}
	if p[0] == 0xd4 && it.Type == 0xff {
		switch p[head] {
		case 0:
			it.Kind = Wildcard
		case 1:
			it.Kind = Infinity
		}
	}
	return it
}

// Skip returns the size in bytes of the value at the start of p, children
// included, or 0 when p does not hold a whole value. Memory and stack are
// constant at any depth.
func Skip(p []byte) int { return SkipN(p, 1) }

// SkipN returns the size of the n values at the start of p, or 0 (also for
// n = 0) when p does not hold as many.
func SkipN(p []byte, n uint64) int {
	at := 0
	for n > 0 {
		if at < len(p) {
			if size := int(fixedSizes[p[at]]); size != 0 && size <= len(p)-at {
				at += size
				n--
				continue
			}
		}
		it := Next(p[at:])
		if it.Kind == Invalid {
			return 0
		}
		n += it.children() - 1
		at += int(it.Head) + it.content()
		if n > uint64(len(p)-at) {
			return 0
		}
	}
	return at
}

// fixedSizes holds the sizes of the values whose first byte tells it; 0 for
// the others.
var fixedSizes = func() (sizes [256]uint8) {
	for c := range sizes {
		switch {
		case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
			sizes[c] = 1
		case c >= 0xa0 && c <= 0xbf:
			sizes[c] = uint8(1 + c&0x1f)
		case c == 0xca, c == 0xcb, c >= 0xcc && c <= 0xd3:
			sizes[c] = headSizes[c-0xc0]
		case c >= 0xd4 && c <= 0xd8:
			sizes[c] = 2 + 1<<(c-0xd4)
		}
	}
	return sizes
}()
