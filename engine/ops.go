package engine

import (
	"github.com/ashlardb/ashlar/engine/particle"
	"github.com/ashlardb/ashlar/engine/record"
)

// writeOps applies the operations of a write in order to the bins on the
// worker's stack from base on, and collects what they answer. A failure leaves
// the bins as they happen to be: the caller drops them.
func (w *Worker) writeOps(r *Request, base int) record.Result {
	all := r.Info2&record.Info2RespondAll != 0
	w.find.forget()
	for i := range r.Ops {
		op := &r.Ops[i]
		if op.Code == record.OpTouch {
			continue // metadata only, and no answer whatever was asked for
		}
		if r.isReadAll(op) {
			w.replyAll(w.bins[base:])
			continue
		}
		v, answered, res := record.Value{}, false, record.OK
		if readsBin(op.Code) {
			v, answered, res = w.evaluate(op, w.bins[base:])
		} else {
			v, res = w.apply(op, base)
		}
		if res != record.OK {
			return res
		}
		if len(w.scratch) > scratchLimit {
			return record.TooBig
		}
		if all || answered || v.Type != record.Null {
			w.respond(op, v)
		}
	}
	return record.OK
}

// evaluate answers an operation of the read kind. answered says that a write
// answers it even if there is no value: its bin exists.
func (w *Worker) evaluate(op *record.Op, bins []record.NamedValue) (v record.Value, answered bool, res record.Result) {
	if op.Code == record.OpExpRead {
		v, res = w.expRead(op, bins)
		return v, true, res
	}
	i := w.find.find(bins, op.Name)
	if i < 0 {
		return v, false, record.OK
	}
	if op.Code == record.OpRead {
		return bins[i].Value, true, record.OK
	}
	v, res = w.readValue(op, bins[i].Value)
	return v, true, res
}

// apply carries out an operation that changes a bin.
func (w *Worker) apply(op *record.Op, base int) (v record.Value, res record.Result) {
	bins := w.bins[base:]
	if op.Code == record.OpDeleteAll {
		w.bins = w.bins[:base]
		w.find.forget()
		return v, record.OK
	}
	i := w.find.find(bins, op.Name)
	if op.Code == record.OpWrite && op.Type == record.Null {
		if i >= 0 {
			w.dropBin(base, i)
		}
		return v, record.OK
	}
	var old record.Value
	if i >= 0 {
		old = bins[i].Value
	}
	var value record.Value
	g := &w.ns.options.Load().Geo
	switch op.Code {
	case record.OpWrite:
		value, w.scratch, res = particle.Store(w.scratch, op.Type, op.Value, g)
	case record.OpIncr:
		value, w.scratch, res = particle.Incr(w.scratch, old, i >= 0, op.Type, op.Value, g)
	case record.OpAppend:
		value, w.scratch, res = particle.Append(w.scratch, old, i >= 0, op.Type, op.Value, g)
	case record.OpPrepend:
		value, w.scratch, res = particle.Prepend(w.scratch, old, i >= 0, op.Type, op.Value, g)
	default:
		value, v, res = w.modifyValue(op, old, i >= 0)
	}
	if res != record.OK {
		return v, res
	}
	w.setBin(base, i, op.Name, value)
	return v, record.OK
}

// setBin gives a bin its new value: in place, or as the last bin if there is
// none yet (i < 0). A Null value removes the bin.
func (w *Worker) setBin(base, i int, name []byte, v record.Value) {
	switch {
	case v.Type != record.Null && i >= 0:
		w.bins[base+i].Value = v
	case v.Type != record.Null:
		w.bins = append(w.bins, record.NamedValue{Name: name, Value: v})
		w.find.added(name)
	case i >= 0:
		w.dropBin(base, i)
	}
}

// dropBin removes a bin: the last one moves into its place.
func (w *Worker) dropBin(base, i int) {
	bins := w.bins[base:]
	last := len(bins) - 1
	w.find.dropped(i, bins[i].Name, bins[last].Name)
	bins[i] = bins[last]
	w.bins = w.bins[:base+last]
}
