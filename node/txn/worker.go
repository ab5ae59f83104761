package txn

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/proto"
)

// Moment is a point in time by both of a loop's clocks.
type Moment struct {
	Mono int64       // nanoseconds of a clock that never goes back
	Wall record.Time // milliseconds since record.EpochUnix
}

// Request is one transaction, embedded in the connection that waits for it
// and used again and again. Init binds it once.
type Request struct {
	// The engine's part: what is asked and, in answer, Result,
	// ReplyGeneration, ReplyVoidTime and Bins.
	engine.Request
	// Last says that the answer ends one of several messages (proto.Reply).
	Last bool

	answer func(*Request)
	w      *Worker
	ns     *Namespace
	kind   kind
	hasKey bool // it is this request's turn in the table

	started  int64 // Moment.Mono of the message's arrival
	deadline int64

	place place
	turn  Task
}

// Init binds the request to what happens with its answer. answer runs on the
// loop that started the request, exactly once a Start, and may run inside it.
func (r *Request) Init(answer func(*Request)) {
	r.answer = answer
	r.Request.Done = func(*engine.Request) { r.w.finish(r) }
	r.turn.Run = func() { r.w.takeTurn(r) }
}

// Worker runs the transactions of one service loop, on its thread.
type Worker struct {
	shared      *Shared
	inbox       *Inbox
	clock       func() Moment
	spaces      []space
	earlyErrors atomic.Uint64

	// ready are the loop's own requests whose turn has come: run by Run, not
	// by the request that left, so that a long queue is no deep stack.
	readyFirst, readyLast *Task
	lastWrite             int64 // Moment.Mono when a write last started or ended

	freeTouch             *touch
	nTouches, busyTouches int // made, on their way
}

// space is a loop's way into one namespace.
type space struct {
	ns       *Namespace
	engine   *engine.Worker
	counters *counters
}

// NewWorker makes the worker of the calling loop, whose queue is q, whose
// inbox is reached from other loops and whose clock gives the time.
func (s *Shared) NewWorker(q ioring.Queue, inbox *Inbox, clock func() Moment) (*Worker, error) {
	w := &Worker{shared: s, inbox: inbox, clock: clock}
	for _, ns := range s.namespaces {
		e, err := ns.Engine.NewWorker(q)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("txn: namespace %s: %w", ns.Name, err), w.Close())
		}
		w.spaces = append(w.spaces, space{ns: ns, engine: e, counters: new(counters)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := len(s.workers)
	if id == s.loops {
		return nil, errors.Join(fmt.Errorf("txn: worker %d: want at most %d", id+1, s.loops), w.Close())
	}
	for i := range w.spaces {
		for k := range kindNames {
			w.spaces[i].counters.latency[k] = w.spaces[i].ns.latency[k].Recorder(id)
		}
	}
	s.workers = append(s.workers, w)
	return w, nil
}

// Start begins the transaction that m asks for, which arrived whole at
// arrived. r takes over m.Ops and views of m until its answer. The order of
// the checks is the original's.
func (w *Worker) Start(r *Request, m *proto.Message, arrived Moment) {
	r.w, r.ns, r.hasKey = w, nil, false
	r.started = arrived.Mono
	r.Reset()
	r.Ops = m.Ops
	r.Last = isBatch(m)
	if r.Last {
		w.shared.batches.log(w.shared, arrived)
		w.refuseEarly(r, record.Unsupported)
		return
	}
	ns := w.shared.byName[string(m.Namespace())]
	if ns == nil {
		w.refuseEarly(r, record.NamespaceUnknown)
		return
	}
	r.ns = ns
	if !m.Has(proto.Digest) {
		w.shared.queries.log(w.shared, arrived)
		w.refuse(r, record.Unsupported)
		return
	}
	r.deadline = arrived.Mono + w.maxWait(m.TransactionTTL)
	if w.late(r) {
		w.refuse(r, record.TimedOut)
		return
	}
	digest := m.Field(proto.Digest)
	if len(digest) != record.DigestSize {
		w.refuse(r, record.Parameter)
		return
	}
	r.Digest = record.Digest(digest)
	r.fill(m)
	r.Now = arrived.Wall
	switch {
	case m.Info2&record.Info2Write != 0:
		w.startWrite(r, m)
	case m.Info1&record.Info1Read != 0:
		r.kind = kindRead
		w.spaces[ns.id].engine.Read(&r.Request)
	default:
		w.refuse(r, record.Parameter)
	}
}

// isBatch: such a message names its namespaces and digests in a field of its
// own.
func isBatch(m *proto.Message) bool {
	return m.Info1&record.Info1Batch != 0 || m.Has(proto.BatchIndex) || m.Has(proto.BatchWithSet)
}

// maxWait returns how long a transaction may wait for its turn, in
// nanoseconds. ttl is the client's, in milliseconds, 0 for none.
func (w *Worker) maxWait(ttl uint32) int64 {
	if ttl == 0 {
		return w.shared.maxWait.Load()
	}
	return int64(ttl) * int64(time.Millisecond)
}

func (w *Worker) late(r *Request) bool { return w.clock().Mono > r.deadline }

// fill takes what the engine wants to know from m.
func (r *Request) fill(m *proto.Message) {
	r.Info1, r.Info2, r.Info3, r.Info4 = m.Info1, m.Info2, m.Info3, m.Info4
	r.Set = m.Field(proto.Set)
	r.Key, r.HasKey = m.Field(proto.Key), m.Has(proto.Key)
	r.Generation, r.TTL = m.Generation, m.TTL
	r.Filter, r.HasFilter = m.Field(proto.Filter), m.Has(proto.Filter)
	r.HasMRT = m.Has(proto.MRTID)
}

// startWrite asks for the turn of r's key.
func (w *Worker) startWrite(r *Request, m *proto.Message) {
	r.kind = kindWrite
	if m.Has(proto.UDFPackage) && m.Info2&record.Info2Delete == 0 {
		w.shared.udfs.log(w.shared, Moment{Mono: r.started})
		w.refuse(r, record.Unsupported)
		return
	}
	w.queue(r)
}

// queue asks for the turn of r's key and, if it is now, runs r.
func (w *Worker) queue(r *Request) {
	switch w.shared.table.enter(r, int(r.ns.pendingLimit.Load())) {
	case admitted:
		w.run(r)
	case queued: // takeTurn goes on
	case keyIsBusy:
		inc(&w.spaces[r.ns.id].counters.keyBusy)
		w.end(r, record.KeyBusy)
	}
}

// takeTurn runs on r's loop once it is r's turn after a wait.
func (w *Worker) takeTurn(r *Request) {
	r.hasKey = true // from here on, also to give it up
	if w.late(r) {
		inc(&w.spaces[r.ns.id].counters.startTimeout)
		w.end(r, record.TimedOut)
		return
	}
	r.Now = w.clock().Wall // the record may have changed since: no older than that
	w.run(r)
}

// run hands r, whose turn it is, to the engine.
func (w *Worker) run(r *Request) {
	r.hasKey = true
	w.lastWrite = w.clock().Mono
	e := w.spaces[r.ns.id].engine
	if r.kind == kindTouch {
		e.Touch(&r.Request)
		return
	}
	e.Write(&r.Request)
}

// finish ends a transaction that the engine has answered.
func (w *Worker) finish(r *Request) {
	now := w.clock().Mono
	w.spaces[r.ns.id].counters.took(r.kind, r.Result, time.Duration(now-r.started))
	if r.kind != kindRead {
		w.lastWrite = now // it may have waited for a device before it wrote
	}
	ns, digest, pct := r.ns, r.Digest, r.TouchPct // the answer may start r's next
	w.end(r, r.Result)
	if pct != 0 {
		w.touch(ns, &digest, pct)
	}
}

// end hands r's key on, if it has it, and answers.
func (w *Worker) end(r *Request, result record.Result) {
	if r.hasKey {
		r.hasKey = false
		if next := w.shared.table.leave(r); next != nil {
			w.hand(next)
		}
	}
	r.Result = result
	r.answer(r)
}

// hand tells next's loop that its turn has come.
func (w *Worker) hand(next *Request) {
	if next.w != w {
		next.w.inbox.Post(&next.turn)
		return
	}
	t := &next.turn
	assert.That(t.next == nil && t != w.readyLast, "a request has one turn at a time")
	if w.readyLast == nil {
		w.readyFirst = t
	} else {
		w.readyLast.next = t
	}
	w.readyLast = t
}

// Run runs the loop's requests whose turn has come, including those that
// become ready meanwhile, at most limit of them. It returns whether some are
// left.
func (w *Worker) Run(limit int) (more bool) {
	for ; w.readyFirst != nil && limit > 0; limit-- {
		t := w.readyFirst
		w.readyFirst, t.next = t.next, nil
		if w.readyFirst == nil {
			w.readyLast = nil
		}
		t.Run()
	}
	return w.readyFirst != nil
}

// touch renews the life of a record that a read found near its end: a
// transaction of its own, behind the answer, that takes its turn among the
// key's writes. Nobody waits for it, so with too many on their way it is left
// out: a later read asks again.
func (w *Worker) touch(ns *Namespace, d *record.Digest, pct uint32) {
	t := w.freeTouch
	switch {
	case t != nil:
		w.freeTouch = t.free
	case w.nTouches == maxTouches:
		return
	default:
		w.nTouches++
		t = new(touch)
		t.Init(func(*Request) {
			w.busyTouches--
			t.free, w.freeTouch = w.freeTouch, t
		})
	}
	w.busyTouches++
	now := w.clock()
	t.Reset()
	t.w, t.ns, t.kind, t.hasKey = w, ns, kindTouch, false
	t.started, t.deadline = now.Mono, now.Mono+w.maxWait(0)
	t.Digest, t.TTL, t.Now = *d, pct, now.Wall
	w.queue(&t.Request)
}

// maxTouches bounds the touches of a loop that are on their way.
const maxTouches = 256

// touch is an internal transaction, kept for reuse.
type touch struct {
	Request
	free *touch
}

// refuse answers a request of a known namespace that does not reach the engine.
func (w *Worker) refuse(r *Request, result record.Result) {
	c := w.spaces[r.ns.id].counters
	if result == record.TimedOut {
		inc(&c.startTimeout)
	} else {
		inc(&c.startError)
	}
	w.end(r, result)
}

// refuseEarly answers a request that belongs to no namespace.
func (w *Worker) refuseEarly(r *Request, result record.Result) {
	inc(&w.earlyErrors)
	w.end(r, result)
}

// LastWrite returns when a write last started or ended, by Moment.Mono: while the
// engine may still have something to flush, it wants its Tick often.
func (w *Worker) LastWrite() int64 { return w.lastWrite }

// Idle reports whether nothing that the worker started by itself is on its
// way. Clients' requests are the caller's to know.
func (w *Worker) Idle() bool { return w.busyTouches == 0 && w.readyFirst == nil }

// Tick lets the engine do what is due at a time.
func (w *Worker) Tick() {
	now := w.clock().Wall
	for i := range w.spaces {
		w.spaces[i].engine.Tick(now)
	}
}

// Close flushes what the loop has written and waits for it. The worker is
// idle and no request is on its way. The counters stay readable.
func (w *Worker) Close() error {
	assert.That(w.Idle(), "a worker is closed when it is idle")
	var errs []error
	for i := range w.spaces {
		errs = append(errs, w.spaces[i].engine.Close())
	}
	return errors.Join(errs...)
}
