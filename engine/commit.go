package engine

import (
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
)

// waitingCommit is a request that waits for its record to be durable. It keeps
// the answer's bins meanwhile: the worker's stacks and the old record are not
// the request's for so long.
type waitingCommit struct {
	commit storage.Commit
	w      *Worker
	r      *Request
	bins   []record.Bin
	bytes  []byte
	next   *waitingCommit // in the worker's free list
}

// answerKeep is how many bytes a waitingCommit in the free list may hold on to.
const answerKeep = 64 << 10

// commit answers r when the record at addr is as durable as the namespace
// promises.
func (w *Worker) commit(r *Request, addr record.Address) {
	if !w.ns.commits {
		w.finish(r, record.OK)
		return
	}
	c := w.freeCommits
	if c != nil {
		w.freeCommits = c.next
	} else {
		c = &waitingCommit{w: w}
		c.commit.Done = c.done // bound once
	}
	c.r = r
	if len(r.Bins) != 0 {
		c.keep(r.Bins)
		r.Bins = c.bins
	}
	c.commit.Addr = addr
	w.pending++
	w.lane.Durable(&c.commit)
}

// done answers a request whose record is on the device, or will not get there.
// In the latter case readers may have seen it already.
func (c *waitingCommit) done(*storage.Commit) {
	w, r := c.w, c.r
	w.pending--
	f := w.enter()
	w.finish(r, c.commit.Result)
	w.exit(f)
	clear(c.bins)
	c.r, c.bins, c.bytes = nil, c.bins[:0], c.bytes[:0]
	if cap(c.bytes) > answerKeep {
		c.bytes = nil
	}
	c.next, w.freeCommits = w.freeCommits, c
}

// keep copies an answer's bins.
func (c *waitingCommit) keep(bins []record.Bin) {
	need := 0
	for i := range bins {
		need += len(bins[i].Name) + len(bins[i].Value.Bytes)
	}
	if cap(c.bytes) < need {
		c.bytes = make([]byte, 0, need) // it must not move while views of it are made
	}
	for _, b := range bins {
		b.Name = c.clone(b.Name)
		b.Value.Bytes = c.clone(b.Value.Bytes)
		c.bins = append(c.bins, b)
	}
}

func (c *waitingCommit) clone(p []byte) []byte {
	n := len(c.bytes)
	c.bytes = append(c.bytes, p...)
	return c.bytes[n:len(c.bytes):len(c.bytes)]
}
