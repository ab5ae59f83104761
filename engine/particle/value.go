package particle

import (
	"encoding/binary"
	"math"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Integer returns an integer value.
func Integer(n int64) record.Value { return record.Value{Type: record.Integer, Num: uint64(n)} }

// Float returns a float value.
func Float(f float64) record.Value {
	return record.Value{Type: record.Float, Num: math.Float64bits(f)}
}

// Bool returns a bool value.
func Bool(b bool) record.Value {
	v := record.Value{Type: record.Bool}
	if b {
		v.Num = 1
	}
	return v
}

// Wire returns the value as replies carry it. Only a list or map with a
// persisted index is rewritten, into dst; all others come back unchanged, so
// that the call costs a look at the type.
func Wire(dst []byte, v record.Value) (record.Value, []byte) {
	if v.Type != record.List && v.Type != record.Map {
		return v, dst
	}
	out, rest, changed := msgpack.WireHead(dst, v.Bytes)
	if !changed {
		return v, dst
	}
	out = append(out, rest...)
	v.Bytes = tail(out, len(dst))
	return v, out
}

// AppendWire appends the value's bytes as replies carry them: integers and
// floats as 8 bytes big endian, a bool as one, lists and maps without a
// persisted index.
func AppendWire(dst []byte, v record.Value) []byte {
	switch v.Type {
	case record.Null:
		return dst
	case record.Integer, record.Float:
		return binary.BigEndian.AppendUint64(dst, v.Num)
	case record.Bool:
		return append(dst, byte(v.Num))
	case record.List, record.Map:
		dst, rest, _ := msgpack.WireHead(dst, v.Bytes)
		return append(dst, rest...)
	}
	return append(dst, v.Bytes...)
}
