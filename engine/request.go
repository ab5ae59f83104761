package engine

import (
	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
)

// Request is one transaction on one record. The caller fills the first part,
// hands it to a Worker and keeps hands off until Done; everything it points to
// stays as it is until then. From its Done on it may be used for the next.
type Request struct {
	// Info1 to Info4 are the message's flags (record.Info1Read and so on).
	Info1, Info2, Info3, Info4 byte
	Digest                     record.Digest
	// Set is the set name as sent; empty: none.
	Set []byte
	// Key is the message's key field, type byte and value, if HasKey.
	Key []byte
	// Generation is what the generation policies compare with.
	Generation uint32
	// TTL is the time to live of a write in seconds, or a special value of
	// package record; of a read it is the read-touch percentage.
	TTL uint32
	// Filter is the packed filter expression, if HasFilter.
	Filter            []byte
	HasKey, HasFilter bool
	HasMRT            bool // the message has a transaction id
	Ops               []record.Op
	Now               record.Time
	Result            record.Result // answer, valid in Done
	ReplyGeneration   uint32        // answer
	ReplyVoidTime     uint32        // answer
	Bins              []record.Bin  // answer: views, valid until Done returns
	// TouchPct is part of a read's answer: if it is not 0 the read asks for
	// the record's life to be renewed. The caller then starts, when the record's
	// turn comes, Worker.Touch with this percentage as TTL.
	TouchPct uint32
	// Done is called exactly once, on the worker's thread: within Read, Write
	// or Touch, or from the worker's Queue. It may start the next transaction.
	Done func(r *Request)

	w       *Worker
	step    step
	outcome *outcome
	entry   index.Entry // what the index said
	found   bool        // entry is a record, maybe an expired one
	scan    opScan
	tries   int
	reread  bool // the record is read a second time from where it is
}

// step is where a parked request goes on.
type step uint8

const (
	stepRead step = iota
	stepWrite
	stepDelete
	stepTouch
)

// maxTries is how often a request looks a record up again that was moved while
// it was being read. Each time takes a device read as long as a whole round of
// defrag of that wblock, or a write in between, so even two are rare.
const maxTries = 16

// Reset makes r ready for the next transaction: everything but Done is zero.
func (r *Request) Reset() { *r = Request{Done: r.Done} }

// begin prepares a request on its worker.
func (r *Request) begin(w *Worker, s step, o *outcome) {
	r.w, r.step, r.outcome = w, s, o
	r.Result, r.ReplyGeneration, r.ReplyVoidTime, r.Bins, r.TouchPct = record.OK, 0, 0, nil, 0
	r.entry, r.found, r.tries, r.reread = index.Entry{}, false, 0, false
}

// header puts the record's generation and void-time into the answer.
func (r *Request) header() {
	r.ReplyGeneration, r.ReplyVoidTime = uint32(r.entry.Generation), r.entry.VoidTime
}

// xdr reports whether the request comes from XDR.
func (r *Request) xdr() bool { return r.Info1&record.Info1XDR != 0 }

// replaces reports whether a write drops the old bins first.
func (r *Request) replaces() bool {
	return r.Info3&(record.Info3CreateOrReplace|record.Info3ReplaceOnly) != 0
}
