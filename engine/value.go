package engine

import (
	"github.com/ashlardb/ashlar/engine/cdt"
	"github.com/ashlardb/ashlar/engine/particle"
	"github.com/ashlardb/ashlar/engine/record"
)

// The one place where operations on the inside of values meet the packages
// that know them. Expression operations are not offered yet: they end with
// Unsupported, unless they are malformed, which is judged first.

// readValue answers a list, map, bits or HLL read of a bin that exists.
func (w *Worker) readValue(op *record.Op, old record.Value) (v record.Value, res record.Result) {
	switch op.Code {
	case record.OpCDTRead:
		v, w.scratch, res = cdt.Read(w.scratch, old, true, op.Value)
	case record.OpBitsRead:
		v, w.scratch, res = particle.BitsRead(w.scratch, old, true, op.Type, op.Value)
	case record.OpHLLRead:
		if op.Type != record.Blob {
			return v, record.Parameter
		}
		v, w.scratch, res = particle.HLLRead(w.scratch, old, true, op.Value)
	default:
		res = record.Parameter
	}
	return v, res
}

// modifyValue carries out a list, map, bits, HLL or expression operation: the
// bin's new value, Null to remove it, and the answer.
func (w *Worker) modifyValue(op *record.Op, old record.Value, exists bool) (value, answer record.Value, res record.Result) {
	switch op.Code {
	case record.OpCDTModify:
		value, answer, w.scratch, res = cdt.Modify(w.scratch, old, exists, op.Value)
	case record.OpBitsModify:
		value, w.scratch, res = particle.BitsModify(w.scratch, old, exists, op.Type, op.Value)
	case record.OpHLLModify:
		if op.Type != record.Blob {
			return value, answer, record.Parameter
		}
		value, answer, w.scratch, res = particle.HLLModify(w.scratch, old, exists, op.Value)
	case record.OpExpModify:
		res = wellFormed(op)
	default:
		res = record.Parameter // no such operation
	}
	return value, answer, res
}

// expRead answers an expression operation, on w.old with the bins as they are
// now.
func (w *Worker) expRead(op *record.Op, _ []record.NamedValue) (record.Value, record.Result) {
	return record.Value{}, wellFormed(op)
}

// wellFormed is Parameter for an operation whose value is not a msgpack list,
// and else Unsupported.
func wellFormed(op *record.Op) record.Result {
	if len(op.Value) == 0 || op.Value[0]&0xf0 != 0x90 && op.Value[0]&0xfe != 0xdc {
		return record.Parameter
	}
	return record.Unsupported
}
