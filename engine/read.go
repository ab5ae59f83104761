package engine

import (
	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/particle"
	"github.com/ashlardb/ashlar/engine/record"
)

// Read answers a request of the read path: its bins, all bins, or only the
// header.
//
// The checks run in the protocol's order, and the first that fails is the
// answer: transactions and linearized reads, which are not offered (25);
// absent or expired (2); another set (4); read-touch percentage (4); filter
// (4, 27); stored key (19); then the operations one by one.
func (w *Worker) Read(r *Request) {
	r.begin(w, stepRead, &readOutcome)
	f := w.enter()
	linearize := r.Info3&(record.Info3SCReadType|record.Info3SCReadRelax) == record.Info3SCReadType
	if r.HasMRT || r.Info4&record.Info4VerifyRead != 0 || linearize {
		w.finish(r, record.EnterpriseOnly)
	} else {
		e, found := w.ns.index.Get(&r.Digest)
		w.start(r, e, found)
	}
	w.exit(f)
}

// startRead decides what the index alone can decide.
func (w *Worker) startRead(r *Request) {
	if !r.found {
		w.finish(r, record.NotFound)
		return
	}
	r.header()
	if res := w.checkRead(r); res != record.OK {
		w.finish(r, res)
		return
	}
	if r.Info1&record.Info1NoBins != 0 && !r.HasFilter && !w.mustCompareKey(r) {
		w.finish(r, record.OK)
		return
	}
	w.load(r)
}

func (w *Worker) checkRead(r *Request) record.Result {
	if !r.live() {
		return record.NotFound
	}
	if len(r.Set) != 0 && !w.setMatches(r.Set, &r.entry) {
		return record.Parameter
	}
	return w.readTouch(r)
}

// mustCompareKey reports whether r sends a key and its record stores one.
func (w *Worker) mustCompareKey(r *Request) bool {
	return r.HasKey && r.entry.Flags&index.HasKey != 0
}

// read answers from the record.
func (w *Worker) read(r *Request, flat []byte) {
	base := len(w.bins)
	if !w.parse(flat) {
		w.unreadable(r)
		return
	}
	bins := w.bins[base:]
	if res := w.checkRecord(r, bins); res != record.OK {
		w.finish(r, res)
		return
	}
	if r.Info1&record.Info1NoBins != 0 {
		w.finish(r, record.OK)
		return
	}
	first := len(w.reply)
	res := w.readOps(r, bins)
	r.Bins = w.reply[first:]
	w.finish(r, res)
}

// checkRecord is what reads, writes and deletes check of the content of w.old:
// first the filter, then the stored key.
func (w *Worker) checkRecord(r *Request, bins []record.NamedValue) record.Result {
	if r.HasFilter {
		if res := w.filter(r, bins); res != record.OK {
			return res
		}
	}
	if key := w.old.Key; r.HasKey && len(key) != 0 && string(key) != string(r.Key) {
		return record.KeyMismatch
	}
	return record.OK
}

func (w *Worker) readOps(r *Request, bins []record.NamedValue) record.Result {
	if len(r.Ops) > record.MaxOps {
		return record.Parameter
	}
	if r.Info1&record.Info1GetAll != 0 {
		w.replyAll(bins)
		return record.OK
	}
	if len(r.Ops) == 0 {
		return record.Parameter
	}
	all := r.Info2&record.Info2RespondAll != 0
	w.find.forget()
	for i := range r.Ops {
		op := &r.Ops[i]
		if !validBinName(op.Name) {
			return record.BinName
		}
		if !readsBin(op.Code) {
			return record.Parameter
		}
		v, _, res := w.evaluate(op, bins)
		if res != record.OK {
			return res
		}
		if v.Type != record.Null || all {
			w.respond(op, v)
		}
		if len(w.scratch) > scratchLimit {
			return record.TooBig
		}
	}
	return record.OK
}

// replyAll answers with all bins in storage order.
func (w *Worker) replyAll(bins []record.NamedValue) {
	for i := range bins {
		w.reply = append(w.reply, record.Bin{Code: record.OpRead, Name: bins[i].Name, Value: w.wire(bins[i].Value)})
	}
}

// respond answers an operation.
func (w *Worker) respond(op *record.Op, v record.Value) {
	w.reply = append(w.reply, record.Bin{Code: op.Code, Name: op.Name, Value: w.wire(v)})
}

// wire gives a value the form that replies carry. Only lists and maps with a
// persisted index differ; they need scratch memory.
func (w *Worker) wire(v record.Value) record.Value {
	if v.Type == record.List || v.Type == record.Map {
		v, w.scratch = particle.Wire(w.scratch, v)
	}
	return v
}

// unreadable answers a request whose record the device does not give back as
// it was written. It is never answered with.
func (w *Worker) unreadable(r *Request) {
	w.counts.add(cUnreadable)
	w.ns.logUnreadable(&r.entry)
	if r.step != stepDelete {
		r.header()
	}
	w.finish(r, record.Unknown)
}
