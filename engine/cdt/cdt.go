package cdt

import (
	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Read runs a reading operation on a bin's value v; exists is false when the
// record has no such bin, of which nothing is told whatever the argument is. A
// result of type Null means that there is nothing to tell. Its Bytes are a view of v or of out, which is dst with what was
// appended.
//
// Results: Parameter for arguments that are no operation, or one that changes;
// IncompatibleType when the bin, or what the context leads to, is not the
// operation's container; NotApplicable for a context that leads nowhere, an
// index or rank out of bounds, and a return type that does not fit.
func Read(dst []byte, v record.Value, exists bool, arg []byte) (result record.Value, out []byte, res record.Result) {
	w := newWorker(dst)
	result, res = w.read(v, exists, arg)
	out = w.release()
	if res != record.OK {
		return record.Value{}, dst, res
	}
	return result, out, record.OK
}

func (w *worker) read(v record.Value, exists bool, arg []byte) (record.Value, record.Result) {
	if !exists { // whatever is asked of it
		return record.Value{}, record.OK
	}
	o, ok := parseOuter(arg)
	if !ok {
		return record.Value{}, record.Parameter
	}
	if res := w.open(&o, v, false); res != record.OK {
		return record.Value{}, res
	}
	if o.op == opSelect {
		st := w.runSelect(&o, v)
		return st.result, st.res
	}
	if !o.decode(&w.call) {
		return record.Value{}, record.Parameter
	}
	st := w.run()
	return st.result, st.res
}

// Modify runs a changing operation on a bin's value. next is the new value: v
// itself when nothing changed, of type Null when the bin was absent and stays
// so. result is as with Read. The old value is not touched; when res is not OK
// it stands.
//
// Results, besides those of Read: ElementNotFound and ElementExists when the
// write flags forbid to create or to overwrite; TooBig when no record could
// hold the value.
func Modify(dst []byte, v record.Value, exists bool, arg []byte) (next, result record.Value, out []byte, res record.Result) {
	w := newWorker(dst)
	if !exists {
		v = record.Value{}
	}
	next, result, res = w.modify(v, exists, arg)
	out = w.release()
	if res != record.OK {
		return record.Value{}, record.Value{}, dst, res
	}
	return next, result, out, record.OK
}

func (w *worker) modify(v record.Value, exists bool, arg []byte) (next, result record.Value, res record.Result) {
	o, ok := parseOuter(arg)
	if !ok {
		return v, result, record.Parameter
	}
	if res := w.open(&o, v, true); res != record.OK {
		return v, result, res
	}
	if o.op == opSelect { // one that changes nothing
		st := w.runSelect(&o, v)
		return v, st.result, st.res
	}
	if !w.has && !w.call.op.creates {
		if exists && w.call.op.absent == record.IncompatibleType {
			return v, result, record.OK
		}
		return v, result, w.call.op.absent
	}
	if !o.decode(&w.call) {
		return v, result, record.Parameter
	}
	st := w.run()
	if st.res != record.OK {
		return v, result, st.res
	}
	if !st.edit {
		return v, st.result, record.OK
	}
	return w.apply(v.Bytes), st.result, record.OK
}

// open checks the operation and leads the worker to the container that it is
// for. The operation's arguments are only looked at later. v has type Null when
// the bin is absent.
func (w *worker) open(o *outer, v record.Value, modify bool) record.Result {
	w.path.reset(v.Bytes)
	w.exists = v.Type != record.Null
	w.top = o.ctx == nil
	if o.op == opSelect {
		if v.Type != record.List && v.Type != record.Map {
			return record.IncompatibleType
		}
		return record.OK
	}
	isList := o.op >= 0 && o.op < listOpEnd
	if w.top && w.exists && (v.Type != record.Map || isList) && (v.Type != record.List || !isList) {
		return record.IncompatibleType
	}
	w.call.op = lookup(o.op)
	w.creating = modify && w.call.op != nil
	if !w.top {
		if res := w.follow(o.ctx, v); res != record.OK {
			return res
		}
		if o.cut {
			return record.Parameter
		}
	} else if w.exists {
		w.path.found(0, len(v.Bytes))
	}
	kind := msgpack.Map
	if isList {
		kind = msgpack.List
	}
	w.has = w.path.at >= 0
	c := msgpack.Container{Kind: kind}
	if w.has {
		var ok bool
		if c, ok = msgpack.Open(v.Bytes[w.path.at:]); !ok || c.Kind != kind {
			return record.IncompatibleType
		}
	}
	w.seq.reset(c, w.top)
	if w.call.op == nil || w.call.op.modify != modify {
		return record.Parameter
	}
	return record.OK
}
