package engine

import (
	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
)

// Special values of a read's touch percentage.
const (
	touchDefault uint32 = 0          // the set's or namespace's
	touchNever   uint32 = 0xffffffff // -1
)

// readTouch checks a read's touch percentage and notes in the answer whether
// the record's life is to be renewed. A percentage is only looked at when the
// record has a void-time.
func (w *Worker) readTouch(r *Request) record.Result {
	if r.entry.VoidTime == 0 {
		return record.OK
	}
	pct := r.TTL
	switch {
	case pct == touchNever:
		return record.OK
	case pct == touchDefault:
		pct = w.defaultTouchPct(&r.entry)
	case pct > 100:
		return record.Parameter
	}
	if pct != 0 && touchDue(&r.entry, pct, r.Now) {
		r.TouchPct = pct
	}
	return record.OK
}

// defaultTouchPct is the percentage of reads that leave it to the settings, 0
// for never.
func (w *Worker) defaultTouchPct(e *index.Entry) uint32 {
	switch pct := w.ns.sets.get(e.SetID).options.Load().DefaultReadTouchTTLPct; {
	case pct < 0:
		return 0
	case pct > 0:
		return uint32(pct)
	}
	return uint32(w.ns.options.Load().DefaultReadTouchTTLPct)
}

// touchDue reports whether no more than pct percent of the life that the
// record's last write gave it is left.
func touchDue(e *index.Entry, pct uint32, now record.Time) bool {
	ttl := lastTTL(e)
	return uint64(now.Seconds()) >= uint64(e.VoidTime)-uint64(ttl)*uint64(pct)/100
}

// lastTTL is the time to live that the record's last write gave it, in
// seconds.
func lastTTL(e *index.Entry) uint32 {
	if lut := e.LUT.Seconds(); lut < e.VoidTime {
		return e.VoidTime - lut
	}
	return 0
}

// Touch renews the life of a record as a read asked for (Request.TouchPct):
// the record gets the time to live of its last write again, from now, and
// keeps its generation. r needs Digest, Now, Done, and the percentage as TTL;
// it has its turn like a write. When there is nothing left to do it ends with
// NotFound, or FilteredOut when another touch was first.
func (w *Worker) Touch(r *Request) {
	r.begin(w, stepTouch, &touchOutcome)
	f := w.enter()
	e, found := w.ns.index.Get(&r.Digest)
	w.start(r, e, found)
	w.exit(f)
}

func (w *Worker) startTouch(r *Request) {
	switch {
	case !r.live() || r.entry.VoidTime == 0:
		w.finish(r, record.NotFound)
	case !touchDue(&r.entry, r.TTL, r.Now) || r.Now <= r.entry.LUT:
		w.finish(r, record.FilteredOut)
	case w.lane.Overloaded(&r.Digest):
		w.finish(r, record.DeviceOverload)
	default:
		w.load(r)
	}
}

func (w *Worker) touch(r *Request, flat []byte) {
	base := len(w.bins)
	if !w.parse(flat) {
		w.unreadable(r)
		return
	}
	meta := w.old.Meta
	meta.LUT, meta.VoidTime = r.Now, r.Now.Seconds()+lastTTL(&r.entry)
	bins := w.bins[base:]
	if res := w.put(r, &meta, bins, record.FlatSize(&meta, bins)); res != record.OK {
		w.finish(r, res)
	}
}
