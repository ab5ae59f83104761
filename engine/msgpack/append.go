package msgpack

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// AppendNil appends nil.
func AppendNil(dst []byte) []byte { return append(dst, 0xc0) }

// AppendBool appends a bool.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

// AppendInt appends an integer in its smallest form.
func AppendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(v))
}

// AppendUint appends a non-negative integer in its smallest form.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v <= 0x7f:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

// AppendDouble appends a 64-bit float.
func AppendDouble(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(v))
}

// AppendRawHead appends the smallest header for a raw value of n bytes.
func AppendRawHead(dst []byte, n uint32) []byte {
	switch {
	case n <= 31:
		return append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdb), n)
}

// AppendRaw appends a raw value with its prefix byte.
func AppendRaw(dst []byte, prefix byte, content []byte) []byte {
	dst = append(AppendRawHead(dst, uint32(len(content)+1)), prefix)
	return append(dst, content...)
}

// AppendListHead appends the smallest header for a list of n elements, an
// order marker counted.
func AppendListHead(dst []byte, n uint32) []byte { return appendHead(dst, 0x90, 0xdc, n) }

// AppendMapHead appends the smallest header for a map of n pairs, an order
// marker counted.
func AppendMapHead(dst []byte, n uint32) []byte { return appendHead(dst, 0x80, 0xde, n) }

func appendHead(dst []byte, fix, long byte, n uint32) []byte {
	switch {
	case n <= 15:
		return append(dst, fix|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, long+1), n)
}

// AppendExtHead appends the smallest variable-length header for an ext value
// of n bytes of content: the form of order markers.
func AppendExtHead(dst []byte, typ byte, n uint32) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, 0xc7, byte(n), typ)
	case n <= math.MaxUint16:
		return append(binary.BigEndian.AppendUint16(append(dst, 0xc8), uint16(n)), typ)
	}
	return append(binary.BigEndian.AppendUint32(append(dst, 0xc9), n), typ)
}

// appendExtFixed is AppendExtHead with the fixed-size headers where they fit.
func appendExtFixed(dst []byte, typ byte, n uint32) []byte {
	switch n {
	case 1, 2, 4, 8, 16:
		return append(dst, 0xd4+byte(bits.TrailingZeros32(n)), typ)
	}
	return AppendExtHead(dst, typ, n)
}

// AppendCompact appends the value that it heads, found at the start of p, in
// its smallest form: integers, raw and ext values; floats and constants as they
// are. Lists and maps: the header only.
func AppendCompact(dst []byte, it Item, p []byte) []byte {
	switch it.Kind {
	case Negative:
		return AppendInt(dst, int64(it.Num))
	case Positive:
		return AppendUint(dst, it.Num)
	case String, Bytes, GeoJSON:
		return append(AppendRawHead(dst, it.Len), p[it.Head:int(it.Head)+int(it.Len)]...)
	case List:
		return AppendListHead(dst, it.Len)
	case Map:
		return AppendMapHead(dst, it.Len)
	}
	if it.IsExt() {
		dst = appendExtFixed(dst, it.Type, it.Len)
		return append(dst, p[it.Head:int(it.Head)+it.content()]...)
	}
	return append(dst, p[:it.Head]...)
}
