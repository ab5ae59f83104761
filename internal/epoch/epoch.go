// Package epoch says when memory that lock-free readers may still be looking
// at can be used again.
//
//	reader:   Enter ... look at shared memory ... Exit      (two atomic stores)
//	writer:   unlink the memory, stamp := Retire()
//	later:    Safe(stamp) -> nobody can still see it -> reuse
//
// A service loop or a background goroutine has one Reader a Domain. A view of
// a write buffer or a memory stripe is valid between Enter and Exit of the
// Reader that took it, and no longer: a transaction that parks for I/O exits,
// and looks everything up anew when it goes on.
package epoch

import (
	"sync"
	"sync/atomic"
)

// Domain is one set of readers and the things retired under it. The zero
// value is ready for use.
type Domain struct {
	now atomic.Uint64 // the current epoch; only grows

	mu      sync.Mutex // guards growth of readers
	readers atomic.Pointer[[]*Reader]
}

// idle is the epoch of a reader outside Enter and Exit.
const idle = ^uint64(0)

// Reader is one thread's presence in a Domain. It is not safe for concurrent
// use by several goroutines.
type Reader struct {
	_     [64]byte // neighbours on a heap page must not share the line
	epoch atomic.Uint64
	depth int
	d     *Domain
	_     [64]byte
}

// Register adds a reader. Call it at set-up: it takes a lock.
func (d *Domain) Register() *Reader {
	r := &Reader{d: d}
	r.epoch.Store(idle)
	d.mu.Lock()
	defer d.mu.Unlock()
	var old []*Reader
	if p := d.readers.Load(); p != nil {
		old = *p
	}
	readers := append(append([]*Reader(nil), old...), r)
	d.readers.Store(&readers)
	return r
}

// Unregister removes r, which must be outside Enter and Exit.
func (d *Domain) Unregister(r *Reader) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var readers []*Reader
	for _, other := range *d.readers.Load() {
		if other != r {
			readers = append(readers, other)
		}
	}
	d.readers.Store(&readers)
}

// Enter marks the start of a time in which the caller looks at shared memory.
// Calls nest.
func (r *Reader) Enter() {
	r.depth++
	if r.depth == 1 {
		r.epoch.Store(r.d.now.Load())
	}
}

// Exit ends what Enter started.
func (r *Reader) Exit() {
	r.depth--
	if r.depth == 0 {
		r.epoch.Store(idle)
	}
}

// Retire returns the stamp of something just unlinked. The caller has already
// made it unreachable for readers that enter from now on.
func (d *Domain) Retire() uint64 { return d.now.Add(1) }

// Safe reports whether no reader can still see what was retired with stamp.
func (d *Domain) Safe(stamp uint64) bool {
	p := d.readers.Load()
	if p == nil {
		return true
	}
	for _, r := range *p {
		if r.epoch.Load() < stamp {
			return false
		}
	}
	return true
}
