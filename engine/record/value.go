package record

import (
	"encoding/binary"
	"math"
)

// ParseWire reads a value in wire form. It accepts what the protocol accepts
// of the fixed-size types (integers of 1, 2, 4 or 8 bytes, the short ones
// zero-extended; floats of 8; bools of one byte, 0 or 1) and of null, whose
// bytes are ignored; else the answer is Parameter. The bytes of other known
// types are taken as they are, as a view: whether a list, map, geojson or HLL
// is well formed is for their packages to say. Unknown types are Parameter.
func ParseWire(t Type, wire []byte) (Value, Result) {
	v := Value{Type: t}
	switch {
	case t == Null:
	case t == Integer:
		switch len(wire) {
		case 1:
			v.Num = uint64(wire[0])
		case 2:
			v.Num = uint64(binary.BigEndian.Uint16(wire))
		case 4:
			v.Num = uint64(binary.BigEndian.Uint32(wire))
		case 8:
			v.Num = binary.BigEndian.Uint64(wire)
		default:
			return Value{}, Parameter
		}
	case t == Float:
		if len(wire) != 8 {
			return Value{}, Parameter
		}
		v.Num = binary.BigEndian.Uint64(wire)
	case t == Bool:
		if len(wire) != 1 || wire[0] > 1 {
			return Value{}, Parameter
		}
		v.Num = uint64(wire[0])
	case t.Known():
		v.Bytes = wire
	default:
		return Value{}, Parameter
	}
	return v, OK
}

// WireSize returns the size of a value in wire form, in bytes.
func (v *Value) WireSize() int {
	switch v.Type {
	case Null:
		return 0
	case Integer, Float:
		return 8
	case Bool:
		return 1
	}
	return len(v.Bytes)
}

// AppendWire appends a value in wire form: integers and floats as 8 bytes, big
// endian, bools as one.
func (v *Value) AppendWire(dst []byte) []byte {
	switch v.Type {
	case Null:
		return dst
	case Integer, Float:
		return binary.BigEndian.AppendUint64(dst, v.Num)
	case Bool:
		return append(dst, byte(v.Num))
	}
	return append(dst, v.Bytes...)
}

// Known reports whether bins of type t can exist (Null is the type of a bin
// that does not).
func (t Type) Known() bool { return t < 64 && knownTypes>>t&1 == 1 }

// IsBlob reports whether t is Blob or one of the types that behave like it.
func (t Type) IsBlob() bool { return t < 64 && blobTypes>>t&1 == 1 }

const (
	blobTypes = 1<<Blob | 1<<JavaBlob | 1<<CSharpBlob | 1<<PythonBlob | 1<<RubyBlob |
		1<<PHPBlob | 1<<ErlangBlob | 1<<Vector
	knownTypes uint64 = 1<<Integer | 1<<Float | 1<<String | 1<<Bool | 1<<HLL | 1<<Map |
		1<<List | 1<<GeoJSON | blobTypes
)

// flatSize returns the size of the value's particle in a flat record.
func (v *Value) flatSize() int {
	switch v.Type {
	case Integer:
		return 2 + intSize(v.Num)
	case Float:
		return 1 + 8
	case Bool:
		return 1 + 1
	}
	return 1 + 4 + len(v.Bytes)
}

// intSize returns the fewest of 1, 2, 4 or 8 bytes that hold x.
func intSize(x uint64) int {
	switch {
	case x <= math.MaxUint8:
		return 1
	case x <= math.MaxUint16:
		return 2
	case x <= math.MaxUint32:
		return 4
	}
	return 8
}

// putFlat writes the value's particle and returns its size.
func (v *Value) putFlat(dst []byte) int {
	le := binary.LittleEndian
	dst[0] = byte(v.Type)
	switch v.Type {
	case Integer:
		size := intSize(v.Num)
		dst[1] = byte(size)
		switch size {
		case 1:
			dst[2] = byte(v.Num)
		case 2:
			le.PutUint16(dst[2:], uint16(v.Num))
		case 4:
			le.PutUint32(dst[2:], uint32(v.Num))
		default:
			le.PutUint64(dst[2:], v.Num)
		}
		return 2 + size
	case Float:
		le.PutUint64(dst[1:], v.Num)
		return 1 + 8
	case Bool:
		dst[1] = byte(v.Num)
		return 1 + 1
	}
	le.PutUint32(dst[1:], uint32(len(v.Bytes)))
	return 1 + 4 + copy(dst[5:], v.Bytes)
}

// cutParticle splits a particle off p.
func cutParticle(p []byte) (v Value, rest []byte, ok bool) {
	if len(p) < 2 {
		return v, p, false
	}
	le := binary.LittleEndian
	v.Type = Type(p[0])
	switch v.Type {
	case Integer:
		size := int(p[1])
		if p = p[2:]; len(p) < size {
			return v, p, false
		}
		switch size {
		case 1:
			v.Num = uint64(p[0])
		case 2:
			v.Num = uint64(le.Uint16(p))
		case 4:
			v.Num = uint64(le.Uint32(p))
		case 8:
			v.Num = le.Uint64(p)
		default:
			return v, p, false
		}
		return v, p[size:], true
	case Float:
		if len(p) < 9 {
			return v, p, false
		}
		v.Num = le.Uint64(p[1:])
		return v, p[9:], true
	case Bool:
		v.Num = uint64(p[1])
		return v, p[2:], p[1] <= 1
	}
	if !v.Type.Known() || len(p) < 5 {
		return v, p, false
	}
	n := int(le.Uint32(p[1:]))
	if p = p[5:]; n > len(p) {
		return v, p, false
	}
	v.Bytes = p[:n:n]
	return v, p[n:], true
}
