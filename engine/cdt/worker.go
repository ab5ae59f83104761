package cdt

import (
	"sync"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// step is the outcome of an operation on its container. With edit set, the
// worker's edit describes the container's new form.
type step struct {
	res    record.Result
	edit   bool
	result record.Value
}

func fail(res record.Result) step { return step{res: res} }

// worker holds one operation while it runs, and scratch memory that outlives it.
type worker struct {
	out  []byte // the caller's buffer: results and new values are appended
	call call
	seq  seq  // the container that the operation works on; empty when it does not exist
	has  bool // the container exists
	top  bool // the container is the bin's value itself

	exists   bool // the bin exists
	creating bool // the context may create what is missing

	// The edit: a container of editN entries that are the pieces in order.
	editKind  msgpack.Kind
	editFlags byte
	editN     int
	pieces    [][]byte

	path path

	tmp                              []byte // normalised values of arguments
	set, other, sorted, ranks, table []uint32
	spans                            []span
	values, sortedValues             [][]byte
	entries                          []entry
}

var workers = sync.Pool{New: func() any {
	// A selection tells a set, even an empty one, from spans by not being nil.
	return &worker{set: make([]uint32, 0, 16), other: make([]uint32, 0, 16), spans: make([]span, 0, 4)}
}}

// keptScratch is the number of entries of scratch that an idle worker keeps in
// each of its tables.
const keptScratch = 1 << 16

// newWorker returns a worker that appends to dst.
func newWorker(dst []byte) *worker {
	w := workers.Get().(*worker)
	w.out = dst
	return w
}

// release gives the scratch memory back and forgets every view. It returns the
// output.
func (w *worker) release() []byte {
	out := w.out
	w.out = nil
	w.call = call{}
	w.seq.Container = msgpack.Container{}
	clear(w.pieces)
	clear(w.values)
	clear(w.sortedValues)
	clear(w.entries)
	w.pieces, w.values, w.sortedValues = w.pieces[:0], w.values[:0], w.sortedValues[:0]
	w.entries, w.tmp = w.entries[:0], w.tmp[:0]
	w.path.reset(nil)
	if cap(w.tmp) > keptScratch*16 || cap(w.seq.starts) > keptScratch || cap(w.pieces) > keptScratch || cap(w.entries) > keptScratch {
		return out
	}
	workers.Put(w)
	return out
}

// begin starts the edit: a container of n entries follows in pieces. Only the
// bin's value itself keeps an index.
func (w *worker) begin(k msgpack.Kind, flags byte, n int) {
	if !w.top {
		flags &^= msgpack.Persist
	}
	w.editKind, w.editFlags, w.editN = k, msgpack.StoredFlags(k, flags), n
	w.pieces = w.pieces[:0]
}

// piece adds the next bytes of the edit.
func (w *worker) piece(p []byte) {
	if len(p) > 0 {
		w.pieces = append(w.pieces, p)
	}
}

// maxPad is the number of nils that an operation may put in front of an
// element. No record can hold as many, but a later operation of the same
// request may trim the list.
const maxPad = 1 << 24

var nils = func() []byte {
	p := make([]byte, 1024)
	for i := range p {
		p[i] = 0xc0
	}
	return p
}()

// pad adds n nils to the edit.
func (w *worker) pad(n int) {
	for n > 0 {
		k := min(n, len(nils))
		w.piece(nils[:k])
		n -= k
	}
}

// stored returns the normalised form of a value that an argument wants to
// store.
func (w *worker) stored(p []byte) ([]byte, bool) {
	start := len(w.tmp)
	out, ok := msgpack.NormalizeValue(w.tmp, p)
	if !ok {
		return nil, false
	}
	w.tmp = out
	return out[start:len(out):len(out)], true
}

// run performs the operation on the container in seq.
func (w *worker) run() step {
	if w.call.op.run == nil {
		return w.pick()
	}
	return w.call.op.run(w)
}

// apply appends the bin's new value: the old one with the edit in the place
// that the path led to.
func (w *worker) apply(old []byte) record.Value {
	start := len(w.out)
	w.out = append(w.out, old[:w.path.cut]...)
	w.out = append(w.out, w.path.lead...)
	w.out = msgpack.AppendHead(w.out, w.editKind, w.editFlags, uint32(w.editN))
	for _, p := range w.pieces {
		w.out = append(w.out, p...)
	}
	w.out = append(w.out, old[w.path.resume:]...)
	w.path.settle(w.out[start:])
	w.reindex(start)
	t := record.List
	if msgpack.Next(w.out[start:]).Kind == msgpack.Map {
		t = record.Map
	}
	return w.built(t, start)
}

// reindex gives the value that starts at start in the output its index, if it
// is to have one.
func (w *worker) reindex(start int) {
	c, ok := msgpack.Open(w.out[start:])
	if !ok || c.Flags&msgpack.Persist == 0 {
		return
	}
	at := len(w.tmp)
	w.tmp = append(w.tmp, c.Body...)
	w.out = msgpack.AppendContainer(w.out[:start], c.Kind, c.Flags, c.Count, w.tmp[at:])
}
