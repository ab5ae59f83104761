package engine

import "github.com/ashlardb/ashlar/engine/record"

// Delete removes a record. The checks run in the protocol's order: XDR rules
// (22); existence (2), where an expired record that is still there counts as
// present; set, if one is sent (4); generation (3); filter (4, 27); stored key
// (19). Operations, time to live, transaction flags and policies on existence
// are ignored, and generation and void-time of the answer are 0 whatever it
// is.
func (w *Worker) Delete(r *Request) {
	o := &deleteOutcome
	if r.xdr() {
		o = &xdrDeleteOutcome
	}
	r.begin(w, stepDelete, o)
	f := w.enter()
	if res := w.checkXDR(r); res != record.OK {
		w.finish(r, res)
	} else {
		e, found := w.ns.index.Get(&r.Digest)
		w.start(r, e, found)
	}
	w.exit(f)
}

func (w *Worker) startDelete(r *Request) {
	switch {
	case !r.found:
		w.finish(r, record.NotFound)
	case len(r.Set) != 0 && !w.setMatches(r.Set, &r.entry):
		w.finish(r, record.Parameter)
	case !r.generationMatches(true):
		w.finish(r, record.GenerationMismatch)
	case r.HasFilter || w.mustCompareKey(r):
		w.load(r)
	default:
		w.endDelete(r)
	}
}

func (w *Worker) delete(r *Request, flat []byte) {
	base := len(w.bins)
	if !w.parse(flat) {
		w.unreadable(r)
		return
	}
	if res := w.checkRecord(r, w.bins[base:]); res != record.OK {
		w.finish(r, res)
		return
	}
	w.endDelete(r)
}

func (w *Worker) endDelete(r *Request) {
	if res := w.remove(r); res != record.OK {
		w.finish(r, res)
	}
}
