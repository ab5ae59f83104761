package particle

import (
	"encoding/binary"

	"github.com/ashlardb/ashlar/engine/geo"
	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Store turns what a client writes to a bin into the value that is kept. It
// appends to dst when the stored form differs from the wire form (lists, maps,
// GeoJSON); else v.Bytes is wire itself. g is the namespace's geometry section,
// nil for the defaults.
//
// Results: Parameter for Null, a type that does not exist, or bytes that are no
// value of the type; Unknown for a bad list or map; GeoInvalid for bad GeoJSON.
func Store(dst []byte, t record.Type, wire []byte, g *geo.Options) (v record.Value, out []byte, res record.Result) {
	switch t {
	case record.Integer:
		n, ok := integer(wire)
		if !ok {
			return record.Value{}, dst, record.Parameter
		}
		return Integer(int64(n)), dst, record.OK
	case record.Float:
		if len(wire) != 8 {
			return record.Value{}, dst, record.Parameter
		}
		return record.Value{Type: t, Num: binary.BigEndian.Uint64(wire)}, dst, record.OK
	case record.Bool:
		if len(wire) != 1 || wire[0] > 1 {
			return record.Value{}, dst, record.Parameter
		}
		return record.Value{Type: t, Num: uint64(wire[0])}, dst, record.OK
	case record.List, record.Map:
		return storeContainer(dst, t, wire)
	case record.GeoJSON:
		out, ok := geo.AppendStored(dst, wire, g)
		if !ok {
			return record.Value{}, dst, record.GeoInvalid
		}
		return record.Value{Type: t, Bytes: tail(out, len(dst))}, out, record.OK
	case record.HLL:
		if !validHLL(wire) {
			return record.Value{}, dst, record.Parameter
		}
	default:
		if !isBytes(t) {
			return record.Value{}, dst, record.Parameter
		}
	}
	return record.Value{Type: t, Bytes: wire[:len(wire):len(wire)]}, dst, record.OK
}

func storeContainer(dst []byte, t record.Type, wire []byte) (record.Value, []byte, record.Result) {
	want := msgpack.List
	if t == record.Map {
		want = msgpack.Map
	}
	if msgpack.Next(wire).Kind != want {
		return record.Value{}, dst, record.Unknown
	}
	out, ok := msgpack.Normalize(dst, wire)
	if !ok {
		return record.Value{}, dst, record.Unknown
	}
	return record.Value{Type: t, Bytes: tail(out, len(dst))}, out, record.OK
}

// tail returns what was appended to out after its first n bytes, without room
// to grow: a later append to it must not run into out.
func tail(out []byte, n int) []byte { return out[n:len(out):len(out)] }

// integer decodes an integer of 1, 2, 4 or 8 bytes; the short ones are zero
// extended.
func integer(wire []byte) (uint64, bool) {
	switch len(wire) {
	case 1:
		return uint64(wire[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(wire)), true
	case 4:
		return uint64(binary.BigEndian.Uint32(wire)), true
	case 8:
		return binary.BigEndian.Uint64(wire), true
	}
	return 0, false
}
