package engine

import (
	"errors"
	"fmt"

	"github.com/ashlardb/ashlar/engine/exp"
	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

// Worker is one service loop's way into a namespace. All its methods belong
// to the loop's thread.
type Worker struct {
	ns     *Namespace
	id     int // among the namespace's workers
	lane   *storage.Lane
	reader *epoch.Reader
	counts *counters

	// bins, reply and scratch are stacks: a request takes from the top and
	// gives back when its Done has returned, so that a Done may start the next
	// request. They are grown by append; a slice of an outgrown array stays
	// good.
	bins    []record.NamedValue
	reply   []record.Bin
	scratch []byte
	depth   int // requests on the stacks

	// old is the record that the request at hand has read, rec the same as
	// expressions see it. They are done with before Done. They stand here since
	// on the Go stack they would not stay there.
	old record.Flat
	rec exp.Record

	filters filterCache
	find    binFinder // of the request at hand

	// Of requests that wait for a device: free lists, and how many wait.
	freeReads   *waitingRead
	freeCommits *waitingCommit
	pending     int
}

// scratchKeep is how much scratch memory a worker keeps when it is idle.
const scratchKeep = 4 << 20

// scratchLimit is how much a single request may use for values that its
// operations make, in bytes. It is sixteen records of the largest size; beyond
// it the request is answered with TooBig.
const scratchLimit = 128 << 20

// NewWorker makes a worker for the loop that owns q. Call it on the loop's
// thread.
func (ns *Namespace) NewWorker(q ioring.Queue) (*Worker, error) {
	w := &Worker{
		ns:      ns,
		reader:  ns.domain.Register(),
		bins:    make([]record.NamedValue, 0, 256),
		reply:   make([]record.Bin, 0, 256),
		scratch: make([]byte, 0, 64<<10),
	}
	lane, err := ns.store.NewLane(q, w.reader)
	if err != nil {
		ns.domain.Unregister(w.reader)
		return nil, err
	}
	w.lane = lane
	w.counts, w.id = ns.addCounters()
	return w, nil
}

// Close flushes the worker's write buffers and waits for that, polling its
// queue. No request should be waiting: one that still does is lost, which is
// an error.
func (w *Worker) Close() error {
	err := w.lane.Close()
	if w.pending != 0 {
		err = errors.Join(err, fmt.Errorf("namespace %s: worker closed while %d requests wait", w.ns.name, w.pending))
	}
	w.ns.domain.Unregister(w.reader)
	return err
}

// Abandon gives back the worker's memory when its queue is dead, as after the
// power cut of a simulation. What was not written is lost, and requests that
// wait are never answered.
func (w *Worker) Abandon() {
	w.lane.Abandon()
	w.ns.domain.Unregister(w.reader)
}

// Tick does what is due: flushes by age, recycled buffers, stop-writes limits.
// Call it about every 10 to 100 ms.
func (w *Worker) Tick(now record.Time) {
	w.lane.Tick(now)
	w.ns.evaluateStopWrites(now)
}

// Pending returns how many requests wait for a device.
func (w *Worker) Pending() int { return w.pending }

// frame is where a request's part of the worker's stacks begins.
type frame struct{ bins, reply, scratch int }

// enter starts a time in which r uses the worker's stacks and may look at
// shared memory.
func (w *Worker) enter() frame {
	w.reader.Enter()
	w.depth++
	return frame{len(w.bins), len(w.reply), len(w.scratch)}
}

func (w *Worker) exit(f frame) {
	w.depth--
	w.bins, w.reply, w.scratch = w.bins[:f.bins], w.reply[:f.reply], w.scratch[:f.scratch]
	if w.depth == 0 && cap(w.scratch) > scratchKeep {
		w.scratch = make([]byte, 0, scratchKeep/2)
	}
	w.reader.Exit()
}

// finish answers r: the end of every request.
func (w *Worker) finish(r *Request, res record.Result) {
	r.Result = res
	if res != record.OK {
		r.Bins = nil
		w.countFailure(res)
	}
	w.counts.add(r.outcome.of(res))
	r.Done(r)
}

func (w *Worker) countFailure(res record.Result) {
	switch res {
	case record.GenerationMismatch:
		w.counts.add(cFailGeneration)
	case record.TooBig:
		w.counts.add(cFailTooBig)
	}
}

// run takes a request's step, with its record if it asked for one.
func (w *Worker) run(r *Request, flat []byte) {
	switch r.step {
	case stepRead:
		w.read(r, flat)
	case stepWrite:
		w.write(r, flat)
	case stepDelete:
		w.delete(r, flat)
	case stepTouch:
		w.touch(r, flat)
	}
}

// load finds the bytes of r.entry and takes r's step with them, at once when
// they are in memory, else when the device has delivered them.
func (w *Worker) load(r *Request) {
	for {
		flat, ok := w.lane.View(r.entry.Addr)
		if !ok {
			w.park(r)
			return
		}
		if matches(flat, &r.entry) {
			w.run(r, flat)
			return
		}
		if !w.moved(r) {
			return
		}
	}
}

// waitingRead is a request that waits for its record.
type waitingRead struct {
	read storage.Read
	w    *Worker
	r    *Request
	next *waitingRead // in the worker's free list
}

// park starts the device read that r waits for.
func (w *Worker) park(r *Request) {
	p := w.freeReads
	if p != nil {
		w.freeReads = p.next
	} else {
		p = &waitingRead{w: w}
		p.read.Done = p.done // bound once
	}
	p.r = r
	p.read.Addr, p.read.Digest = r.entry.Addr, r.entry.Digest
	w.pending++
	w.lane.Read(&p.read)
}

// done goes on with a request whose device read has ended. The record is
// released when the request's Done has returned, by when the Request may be
// another transaction's.
func (p *waitingRead) done(rd *storage.Read) {
	w, r := p.w, p.r
	w.pending--
	f := w.enter()
	if rd.Result == record.OK && matches(rd.Flat, &r.entry) {
		w.run(r, rd.Flat)
	} else if w.moved(r) {
		w.load(r)
	}
	w.lane.Release(rd)
	w.exit(f)
	p.r, p.next, w.freeReads = nil, w.freeReads, p
}

// moved looks r's record up again because what came from its address is not
// it, and reports whether to load it once more. A record that is still where it
// was is read twice, in case the fault was on the way; then r is answered. If
// there is another version by now r's step is taken anew from the start.
func (w *Worker) moved(r *Request) bool {
	e, found := w.ns.index.Get(&r.Digest)
	same := found && e.Addr == r.entry.Addr
	if same && r.reread || r.tries == maxTries {
		w.unreadable(r)
		return false
	}
	r.tries++
	r.reread = same
	if !found || e.Generation != r.entry.Generation || e.LUT != r.entry.LUT || e.Flags&index.Tombstone != 0 {
		w.start(r, e, found)
		return false
	}
	r.entry.Addr = e.Addr
	return true
}

// start takes a request's first step with what the index says.
func (w *Worker) start(r *Request, e index.Entry, found bool) {
	r.entry, r.found = e, found && e.Flags&index.Tombstone == 0
	r.ReplyGeneration, r.ReplyVoidTime, r.TouchPct = 0, 0, 0
	switch r.step {
	case stepRead:
		w.startRead(r)
	case stepWrite:
		w.startWrite(r)
	case stepDelete:
		w.startDelete(r)
	case stepTouch:
		w.startTouch(r)
	}
}

// matches reports whether flat is the record of which the index said e. Where
// the address was reused meanwhile it is another, or none.
func matches(flat []byte, e *index.Entry) bool {
	size, ok := record.PeekFlat(flat)
	if !ok || size != e.Addr.Size() {
		return false
	}
	h := record.PeekHeader(flat)
	return h.Digest == e.Digest && h.LUT == e.LUT && h.Generation == e.Generation
}

// parse reads a record that matches into w.old. Its bins are appended to
// w.bins.
func (w *Worker) parse(flat []byte) (ok bool) {
	var err error
	if w.old, err = record.ParseFlat(flat); err != nil {
		return false
	}
	w.bins, err = w.old.AppendBins(w.bins)
	return err == nil
}

// live reports whether r's record counts as present.
func (r *Request) live() bool { return r.found && !expired(&r.entry, r.Now) }

// expired reports whether a record's life has ended by now.
func expired(e *index.Entry, now record.Time) bool {
	return e.VoidTime != 0 && e.VoidTime < now.Seconds()
}

// setMatches reports whether a message's set name is that of the record. A
// read or delete without a set name matches any.
func (w *Worker) setMatches(name []byte, e *index.Entry) bool {
	return string(w.ns.sets.get(e.SetID).name) == string(name)
}

// filter evaluates r's filter on w.old.
func (w *Worker) filter(r *Request, bins []record.NamedValue) record.Result {
	p, err := w.filters.get(r.Filter)
	if err != nil {
		return record.Parameter
	}
	w.rec = exp.Record{Meta: &w.old.Meta, Bins: bins, Size: w.old.Size(), InMemory: w.ns.inMemory, Now: r.Now}
	if p.Match(&w.rec) {
		return record.OK
	}
	return record.FilteredOut
}
