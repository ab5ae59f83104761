package particle

import (
	"encoding/binary"
	"math"

	"github.com/ashlardb/ashlar/engine/geo"
	"github.com/ashlardb/ashlar/engine/record"
)

// memcacheOperand is the size of an integer operand of the old memcache
// increment: 8 bytes of delta and 8 that are ignored.
const memcacheOperand = 16

// Incr adds the operand of type t to a bin: integer to integer, wrapping
// around 64 bits, or float to float. An absent bin takes the operand as a write
// would, so dst and g are those of Store.
//
// Results, besides those of Store on an absent bin: Parameter for an operand of
// a type that does not exist or of a wrong size, IncompatibleType when the
// types differ or cannot be added, Unknown on a GeoJSON bin.
func Incr(dst []byte, old record.Value, exists bool, t record.Type, wire []byte, g *geo.Options) (v record.Value, out []byte, res record.Result) {
	if !Known(t) {
		return record.Value{}, dst, record.Parameter
	}
	switch {
	case !exists:
		return Store(dst, t, wire, g)
	case old.Type == record.GeoJSON:
		return record.Value{}, dst, record.Unknown
	case old.Type != t:
		return record.Value{}, dst, record.IncompatibleType
	case t == record.Integer && len(wire) == memcacheOperand:
		return memcacheIncr(old, binary.BigEndian.Uint64(wire)), dst, record.OK
	case t == record.Integer:
		n, ok := integer(wire)
		if !ok {
			return record.Value{}, dst, record.Parameter
		}
		return Integer(int64(old.Num + n)), dst, record.OK
	case t == record.Float:
		if len(wire) != 8 {
			return record.Value{}, dst, record.Parameter
		}
		delta := math.Float64frombits(binary.BigEndian.Uint64(wire))
		return Float(math.Float64frombits(old.Num) + delta), dst, record.OK
	}
	return record.Value{}, dst, record.IncompatibleType
}

// memcacheIncr adds delta, stopping at 0 on the way down: a negative delta
// larger than the value, taken as unsigned, gives 0.
func memcacheIncr(old record.Value, delta uint64) record.Value {
	if int64(delta) < 0 && -delta > old.Num {
		return Integer(0)
	}
	return Integer(int64(old.Num + delta))
}

// Append puts the operand behind a bin's value. Both must be of one type that
// holds plain bytes: a string, or the same sort of blob. An absent bin takes
// the operand as a write would.
//
// Results, besides those of Store on an absent bin: Parameter for an operand of
// a type that does not exist, IncompatibleType for other types, Unknown on a
// GeoJSON bin.
func Append(dst []byte, old record.Value, exists bool, t record.Type, wire []byte, g *geo.Options) (v record.Value, out []byte, res record.Result) {
	if !exists && Known(t) {
		return Store(dst, t, wire, g)
	}
	if res := extendable(old, t); res != record.OK {
		return record.Value{}, dst, res
	}
	return joined(dst, t, old.Bytes, wire)
}

// Prepend is Append in front.
func Prepend(dst []byte, old record.Value, exists bool, t record.Type, wire []byte, g *geo.Options) (v record.Value, out []byte, res record.Result) {
	if !exists && Known(t) {
		return Store(dst, t, wire, g)
	}
	if res := extendable(old, t); res != record.OK {
		return record.Value{}, dst, res
	}
	return joined(dst, t, wire, old.Bytes)
}

func extendable(old record.Value, t record.Type) record.Result {
	switch {
	case !Known(t):
		return record.Parameter
	case old.Type == record.GeoJSON:
		return record.Unknown
	case old.Type != t || !isBytes(t):
		return record.IncompatibleType
	}
	return record.OK
}

func joined(dst []byte, t record.Type, a, b []byte) (record.Value, []byte, record.Result) {
	out := append(append(dst, a...), b...)
	return record.Value{Type: t, Bytes: tail(out, len(dst))}, out, record.OK
}
