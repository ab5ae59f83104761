package engine

import (
	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
)

// Write answers a request of the write path: a write, a touch, an operate, or
// with the DELETE flag a delete. No other Write, Touch or Delete of the same
// digest may run until Done.
//
// A write either does all that it asks or nothing. The checks run in the
// protocol's order, and the first that fails is the answer: transaction
// roll flags (25); XDR rules (22); devices that cannot keep up (18);
// stop-writes (8); a missing set name where one is demanded (4); the list of
// operations (4, 21); transaction id (25); existence (2, 5); generation (3);
// set (4, 22); filter (4, 27); stored key (19, 16); time to live (4, 22); each
// operation; a record left without bins (2); its size (13); space (8).
func (w *Worker) Write(r *Request) {
	if r.Info2&record.Info2Delete != 0 {
		w.Delete(r)
		return
	}
	o := &writeOutcome
	if r.xdr() {
		o = &xdrWriteOutcome
	}
	r.begin(w, stepWrite, o)
	f := w.enter()
	if res := w.checkWrite(r); res != record.OK {
		w.finish(r, res)
	} else {
		e, found := w.ns.index.Get(&r.Digest)
		w.start(r, e, found)
	}
	w.exit(f)
}

// checkWrite is what is checked before the record is looked up.
func (w *Worker) checkWrite(r *Request) (res record.Result) {
	if r.Info4&(record.Info4RollForward|record.Info4RollBack) != 0 {
		return record.EnterpriseOnly
	}
	if res := w.checkXDR(r); res != record.OK {
		return res
	}
	if w.lane.Overloaded(&r.Digest) {
		return record.DeviceOverload
	}
	if w.ns.stop.Load() != nil {
		return record.OutOfSpace
	}
	if len(r.Set) == 0 && w.ns.options.Load().DisallowNullSetname {
		return record.Parameter
	}
	if r.scan, res = r.scanOps(); res != record.OK {
		return res
	}
	if r.HasMRT {
		return record.EnterpriseOnly
	}
	return record.OK
}

// checkXDR holds writes and deletes to the namespace's rules on where they
// may come from.
func (w *Worker) checkXDR(r *Request) record.Result {
	o := w.ns.options.Load()
	if r.xdr() && o.RejectXDRWrites || !r.xdr() && o.RejectNonXDRWrites {
		w.counts.add(cFailXDRForbidden)
		return record.Forbidden
	}
	return record.OK
}

// startWrite decides what the index alone can decide, and goes on to the
// record if it is needed.
func (w *Worker) startWrite(r *Request) {
	res := w.checkEntry(r)
	if res != record.OK {
		if r.found {
			r.header()
		}
		w.finish(r, res)
		return
	}
	if r.live() && w.needsOld(r) {
		w.load(r)
		return
	}
	w.write(r, nil)
}

// checkEntry checks existence, generation and set.
func (w *Worker) checkEntry(r *Request) record.Result {
	mustExist := r.Info3&(record.Info3UpdateOnly|record.Info3ReplaceOnly) != 0 || r.scan.touch
	live := r.live()
	if mustExist && !live {
		return record.NotFound
	}
	if r.Info2&record.Info2CreateOnly != 0 && live {
		return record.Exists
	}
	if !r.generationMatches(live) {
		return record.GenerationMismatch
	}
	return w.checkSet(r, live)
}

// generationMatches applies the generation policy. A record that does not
// exist has generation 0.
func (r *Request) generationMatches(live bool) bool {
	g := uint32(0)
	if live {
		g = uint32(r.entry.Generation)
	}
	switch {
	case r.Info2&record.Info2Generation != 0:
		return r.Generation == g
	case r.Info2&record.Info2GenerationGT != 0:
		return r.Generation > g
	}
	return true
}

func (w *Worker) checkSet(r *Request, live bool) record.Result {
	var s *set
	if live {
		if !w.setMatches(r.Set, &r.entry) {
			return record.Parameter
		}
		s = w.ns.sets.get(r.entry.SetID)
	} else {
		if s = w.ns.sets.findOrAdd(r.Set); s == nil {
			return record.Parameter
		}
		if n := s.options.Load().StopWritesCount; n != 0 && s.objects() >= n {
			return record.Forbidden
		}
	}
	if n := s.options.Load().StopWritesSize; n != 0 && s.bytes() > n {
		return record.Forbidden
	}
	return record.OK
}

// needsOld reports whether a write of a live record must read it. A write that
// replaces everything must not, unless something of the record is compared or
// kept.
func (w *Worker) needsOld(r *Request) bool {
	return !r.replaces() || r.HasFilter || r.entry.Flags&index.HasKey != 0
}

// write makes the new record. flat is the old one; nil when there is none, or
// nothing of it is needed.
func (w *Worker) write(r *Request, flat []byte) {
	base := len(w.bins)
	w.old = record.Flat{}
	if flat != nil && !w.parse(flat) {
		w.unreadable(r)
		return
	}
	res := w.build(r, base)
	if res != record.OK {
		if r.live() {
			r.header()
		}
		w.finish(r, res)
	}
}

// build checks the record's content, applies the operations to its bins, which
// lie on the worker's stack from base on, and stores the outcome. It returns a
// failure to be answered; with OK the request has been answered or waits for
// its commit.
func (w *Worker) build(r *Request, base int) record.Result {
	live := r.live()
	if live {
		if res := w.checkRecord(r, w.bins[base:]); res != record.OK {
			return res
		}
	}
	meta := record.Meta{Digest: r.Digest, Set: r.Set, Key: w.old.Key}
	if len(meta.Key) == 0 && r.HasKey {
		if !storableKey(r.Key) {
			return record.Unsupported
		}
		meta.Key = r.Key
	}
	var res record.Result
	if meta.VoidTime, res = w.voidTime(r, live); res != record.OK {
		return res
	}
	meta.Generation, meta.LUT = r.nextGeneration(live), r.nextLUT(live)
	if r.replaces() {
		w.bins = w.bins[:base]
	}
	// Expressions in the operations see the record as it will be, less its
	// new size.
	w.old.Meta = meta
	first, before := len(w.reply), len(w.bins)-base
	if res := w.writeOps(r, base); res != record.OK {
		return res
	}
	r.Bins = w.reply[first:]
	bins := w.bins[base:]
	switch {
	case len(bins) == 0:
		return w.deleteEmpty(r, before)
	case len(bins) > record.MaxBins:
		return record.Parameter
	}
	return w.storeChecked(r, &meta, bins)
}

// storableKey reports whether a KEY field can be stored: it has a type, and an
// integer has eight bytes.
func storableKey(key []byte) bool {
	return len(key) > 0 && (record.Type(key[0]) != record.Integer || len(key) == 1+8)
}

// nextGeneration is the generation after this write: 1 for a new record.
func (r *Request) nextGeneration(live bool) uint16 {
	if !live {
		return 1
	}
	return nextGeneration(r.entry.Generation)
}

// nextGeneration follows a generation: 0 is never used.
func nextGeneration(g uint16) uint16 {
	if g == 1<<16-1 {
		return 1
	}
	return g + 1
}

// nextLUT is the last-update-time of this write. It never goes backwards, and
// where the generation starts anew over an older copy (a tombstone, an expired
// record) it moves on, or that copy could win at the next cold start.
func (r *Request) nextLUT(live bool) record.Time {
	switch {
	case live:
		return max(r.Now, r.entry.LUT)
	case r.entry.LUT != 0:
		return max(r.Now, r.entry.LUT+1)
	}
	return r.Now
}

// deleteEmpty ends a write that left no bins: the record is deleted if it had
// any before the operations.
func (w *Worker) deleteEmpty(r *Request, before int) record.Result {
	if before == 0 {
		return record.NotFound
	}
	w.counts.add(cDeletedLastBin)
	return w.remove(r)
}

// storeChecked holds the record to its limits and stores it.
func (w *Worker) storeChecked(r *Request, meta *record.Meta, bins []record.NamedValue) record.Result {
	size := record.FlatSize(meta, bins)
	if size > w.ns.options.Load().MaxRecordSize {
		return record.TooBig
	}
	return w.put(r, meta, bins, size)
}

// put writes a record and makes the index point to it. With OK the request has
// been answered or waits for its commit.
func (w *Worker) put(r *Request, meta *record.Meta, bins []record.NamedValue, size int) record.Result {
	space, addr, res := reserve(w.lane, meta, size)
	if res != record.OK {
		return res
	}
	record.EncodeFlat(space, meta, bins)
	e := entryOf(meta, addr, w.ns.sets.find(meta.Set).id)
	if r.entry.Addr != 0 {
		e.Flags |= w.ns.shadows
	}
	// The checksum comes after the index, which may be full: nobody reads it
	// in memory, and the record cannot be flushed before.
	old, replaced, err := w.ns.index.Put(&e)
	if err != nil {
		record.EncodeVoid(space)
		w.lane.Seal(space, addr)
		w.ns.store.Free(addr)
		return record.OutOfSpace
	}
	w.lane.Seal(space, addr)
	if replaced {
		w.forget(&old)
	}
	w.ns.sets.get(e.SetID).account(w.id, &e, +1)
	if meta.Tombstone {
		r.ReplyGeneration, r.ReplyVoidTime = 0, 0
	} else {
		r.ReplyGeneration, r.ReplyVoidTime = uint32(meta.Generation), meta.VoidTime
	}
	w.commit(r, addr)
	return record.OK
}

// reserve returns room for a record of size bytes. A tombstone finds some on a
// device that is full: without it a delete could make none.
func reserve(l *storage.Lane, meta *record.Meta, size int) ([]byte, record.Address, record.Result) {
	size = record.RoundFlat(size)
	space, addr, res := l.Reserve(storage.Master, &meta.Digest, size)
	if res == record.OutOfSpace && meta.Tombstone {
		return l.Reserve(storage.Tombstone, &meta.Digest, size)
	}
	return space, addr, res
}

// entryOf is the index entry of a record at addr.
func entryOf(meta *record.Meta, addr record.Address, setID uint16) index.Entry {
	e := index.Entry{
		Digest: meta.Digest, Addr: addr, LUT: meta.LUT, Generation: meta.Generation,
		VoidTime: meta.VoidTime, SetID: setID,
	}
	if len(meta.Key) != 0 {
		e.Flags |= index.HasKey
	}
	if meta.Tombstone {
		e.Flags |= index.Tombstone
	}
	return e
}

// forget takes what the index no longer points to off the books.
func (w *Worker) forget(old *index.Entry) {
	w.ns.sets.get(old.SetID).account(w.id, old, -1)
	w.ns.store.Free(old.Addr)
}

// remove deletes r's record: on devices a tombstone takes its place, or the
// record would be back after a restart. With OK the request has been answered
// or waits for its commit.
func (w *Worker) remove(r *Request) record.Result {
	if w.ns.inMemory {
		if old, ok := w.ns.index.Delete(&r.Digest); ok {
			w.forget(&old)
		}
		r.ReplyGeneration, r.ReplyVoidTime = 0, 0
		w.finish(r, record.OK)
		return record.OK
	}
	meta := record.Meta{
		Digest: r.Digest, Generation: r.nextGeneration(true), LUT: r.nextLUT(true),
		Set: w.ns.sets.get(r.entry.SetID).name, Tombstone: true,
	}
	return w.put(r, &meta, nil, record.FlatSize(&meta, nil))
}
