package txn

import (
	"encoding/binary"
	"sync"

	"github.com/ashlardb/ashlar/internal/assert"
)

// nStripes is the number of locks over the keys being written, a power of
// two. At most one write a connection is in flight, so a stripe's chain is a
// few requests long even with every connection writing.
const nStripes = 1024

// admission is what the table says to a write.
type admission uint8

const (
	admitted  admission = iota // its turn: run it, then leave
	queued                     // it waits; another's leave returns it
	keyIsBusy                  // the queue of its key is full
)

// table holds the keys that are being written, and who waits for them.
type table struct {
	stripes [nStripes]stripe
}

// stripe is a lock and a chain of the requests whose turn it is, one a key.
// Padded: two loops that lock neighbours do not share a line.
type stripe struct {
	mu    sync.Mutex
	chain *Request
	_     [48]byte
}

// place is a request's part of the table, guarded by its stripe's lock.
//
// Invariant: a request whose turn it is is on its stripe's chain and holds
// the queue of its key: first to last, n of them; all others have none.
type place struct {
	chain       *Request // next on the stripe's chain
	next        *Request // next in the key's queue
	first, last *Request // the key's queue
	n           int
}

// enter asks for r's turn. limit is the longest queue of a key, 0 for any.
func (t *table) enter(r *Request, limit int) admission {
	s := t.stripe(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.chain
	for owner != nil && !owner.sameKey(r) {
		owner = owner.place.chain
	}
	if owner == nil {
		r.place = place{chain: s.chain}
		s.chain = r
		return admitted
	}
	q := &owner.place
	if limit > 0 && q.n >= limit {
		return keyIsBusy
	}
	r.place = place{}
	if q.last == nil {
		q.first = r
	} else {
		q.last.place.next = r
	}
	q.last = r
	q.n++
	return queued
}

// leave ends r's turn and returns whose turn it is now, nil for nobody's.
func (t *table) leave(r *Request) *Request {
	s := t.stripe(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	link := &s.chain
	for *link != nil && *link != r {
		link = &(*link).place.chain
	}
	assert.That(*link == r, "a request that leaves had its turn")
	next := r.place.first
	if next == nil {
		*link = r.place.chain
	} else {
		next.place = place{chain: r.place.chain, first: next.place.next, last: r.place.last, n: r.place.n - 1}
		if next.place.first == nil {
			next.place.last = nil
		}
		*link = next
	}
	r.place = place{}
	return next
}

// stripe returns the stripe of r's key. Bytes 12 to 15 of a digest choose
// nothing else.
func (t *table) stripe(r *Request) *stripe {
	return &t.stripes[(binary.LittleEndian.Uint32(r.Digest[12:])+uint32(r.ns.id))%nStripes]
}

func (r *Request) sameKey(other *Request) bool {
	return r.Digest == other.Digest && r.ns == other.ns
}
