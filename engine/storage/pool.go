package storage

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/epoch"
)

// poolKeep is how many unused buffers stay mapped.
const poolKeep = 32

// pool holds the memory of write buffers: wblock-sized, mapped outside the Go
// heap, and given back only when no reader can see it any more.
type pool struct {
	size int // bytes of a buffer
	dom  *epoch.Domain

	mu      sync.Mutex
	limit   int // buffers that may be mapped
	mapped  map[*swb]struct{}
	free    []*swb
	retired []retiredSWB // oldest first
}

// retiredSWB is a buffer that readers may still be looking at.
type retiredSWB struct {
	b     *swb
	stamp uint64
}

// get returns an unused buffer, nil at the limit. Its bytes are of any value.
func (p *pool) get() *swb {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		p.reclaimLocked()
	}
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	if len(p.mapped) >= p.limit {
		return nil
	}
	buf, err := mapMemory(p.size)
	if err != nil {
		return nil // the system's limit, met before ours
	}
	b := &swb{buf: buf}
	p.mapped[b] = struct{}{}
	return b
}

// put takes back a buffer that nobody can see.
func (p *pool) put(b *swb) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.putLocked(b)
}

// retire takes back a buffer that was unlinked before stamp.
func (p *pool) retire(b *swb, stamp uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = append(p.retired, retiredSWB{b, stamp})
}

// reclaim makes retired buffers usable that no reader sees any more.
func (p *pool) reclaim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reclaimLocked()
}

func (p *pool) reclaimLocked() {
	n := 0
	for n < len(p.retired) && p.dom.Safe(p.retired[n].stamp) {
		p.putLocked(p.retired[n].b)
		n++
	}
	if n > 0 {
		rest := copy(p.retired, p.retired[n:])
		clear(p.retired[rest:])
		p.retired = p.retired[:rest]
	}
}

func (p *pool) putLocked(b *swb) {
	if len(p.free) >= poolKeep || len(p.mapped) > p.limit {
		p.unmapLocked(b)
		return
	}
	b.reset()
	p.free = append(p.free, b)
}

// addLimit moves the limit by n buffers.
func (p *pool) addLimit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit += n
}

func (p *pool) unmapLocked(b *swb) {
	unmapMemory(b.buf)
	delete(p.mapped, b)
	*b = swb{}
}

// close unmaps every buffer, also those that were not given back. No reader, no
// lane and no operation in flight is left. It returns how many were still out.
func (p *pool) close() (out int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out = len(p.mapped) - len(p.free) - len(p.retired)
	for b := range p.mapped {
		p.unmapLocked(b)
	}
	p.retired, p.free = nil, nil
	return out
}

// mapMemory maps size bytes of zeroed memory outside the Go heap, page
// aligned, in huge pages where the system has them.
func mapMemory(size int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("storage: map %d bytes: %w", size, err)
	}
	// Huge pages save TLB misses; a system that has none loses nothing else.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return mem, nil
}

func unmapMemory(mem []byte) {
	// An error here means that mem was not ours: a bug that the next access
	// shows, and nothing that the caller could mend.
	_ = unix.Munmap(mem)
}
