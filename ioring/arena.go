package ioring

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/assert"
)

const (
	pageShift = 12
	// pageSize is the grain of an Arena: the strictest alignment direct I/O
	// asks for on common devices, and its smallest size class.
	pageSize = 1 << pageShift
	// hugeSize is the alignment of an Arena, so that huge pages can back it.
	hugeSize = 2 << 20
	// maxArena bounds an Arena: page numbers are int32.
	maxArena = 1 << 40
	// nClasses counts size classes: 4 KiB << class up to maxArena.
	nClasses = 29
)

// ArenaOptions configures NewArena. The zero value is the default.
type ArenaOptions struct {
	// SmallPages leaves huge pages out.
	SmallPages bool
	// Bind, if set, is called once with the whole memory before its first use,
	// to bind it to a NUMA node.
	Bind func(mem []byte) error
}

// Arena is memory for I/O, outside the Go heap: mapped once, aligned, in huge
// pages where the kernel has them, cut into power-of-two classes from 4 KiB
// up. It is a buddy allocator whose book-keeping lies apart from the memory.
// One thread uses it. It must outlive the queues it is registered with.
type Arena struct {
	mem    []byte
	mapped []byte // mem with the slack for alignment
	inUse  int
	users  atomic.Int32 // open queues it is registered with

	// state of each page: head of a free block of class c (c+1), head of a
	// block in use (usedBit | c+1), or inside a block (0).
	state []uint8
	// next and prev link free blocks of one class, by first page; -1 ends.
	next, prev []int32
	free       [nClasses]int32 // first free block of each class, -1 for none
}

const usedBit = 0x80

// NewArena maps size bytes, rounded up to whole 4 KiB. That is the hard limit
// of what Get gives out.
func NewArena(size int, o ArenaOptions) (*Arena, error) {
	if size <= 0 || size > maxArena {
		return nil, fmt.Errorf("ioring: arena of %d bytes: want 1 to %d", size, maxArena)
	}
	size = (size + pageSize - 1) &^ (pageSize - 1)
	mapped, err := mapMemory(size + hugeSize)
	if err != nil {
		return nil, err
	}
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(mapped))) & (hugeSize - 1))
	a := &Arena{mapped: mapped, mem: mapped[skip : skip+size : skip+size]}
	if !o.SmallPages {
		// A kernel without transparent huge pages refuses; small ones do.
		_ = unix.Madvise(a.mem, unix.MADV_HUGEPAGE)
	}
	if o.Bind != nil {
		if err := o.Bind(a.mem); err != nil {
			return nil, errors.Join(fmt.Errorf("ioring: bind an arena of %d bytes: %w", size, err), unix.Munmap(mapped))
		}
	}
	a.build()
	return a, nil
}

// build makes the largest aligned blocks that cover the memory free.
func (a *Arena) build() {
	pages := len(a.mem) >> pageShift
	a.state = make([]uint8, pages)
	a.next, a.prev = make([]int32, pages), make([]int32, pages)
	for c := range a.free {
		a.free[c] = -1
	}
	for page := 0; page < pages; {
		c := bits.Len(uint(pages-page)) - 1
		if page > 0 {
			c = min(c, bits.TrailingZeros(uint(page)))
		}
		c = min(c, nClasses-1)
		a.push(int32(page), c)
		page += 1 << c
	}
}

// Get returns n bytes, 4 KiB-aligned; their class, the next power of two, is
// the capacity. Memory used for the first time is zero, later it holds what
// its last user left. Nil means that the arena has no block of this class.
func (a *Arena) Get(n int) []byte {
	assert.That(n > 0, "an arena is asked for at least a byte")
	class := classOf(n)
	c := class
	for c < nClasses && a.free[c] < 0 {
		c++
	}
	if c >= nClasses {
		return nil
	}
	page := a.free[c]
	a.unlink(page, c)
	for c > class { // split: the upper half of each step is free
		c--
		a.push(page+1<<c, c)
	}
	a.state[page] = usedBit | uint8(class+1)
	a.inUse += pageSize << class
	from := int(page) << pageShift
	return a.mem[from : from+n : from+pageSize<<class]
}

// classOf returns the size class of n bytes: 4 KiB << class holds them.
func classOf(n int) int { return bits.Len(uint(n-1) >> pageShift) }

// Put gives back what Get returned. Its free neighbours join it.
func (a *Arena) Put(b []byte) {
	offset := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(a.mem)))
	assert.That(offset < uintptr(len(a.mem)) && offset&(pageSize-1) == 0, "what is put back came from this arena")
	page := int32(offset >> pageShift)
	assert.That(a.state[page]&usedBit != 0, "what is put back was in use")
	c := int(a.state[page]&^usedBit) - 1
	a.inUse -= pageSize << c
	a.state[page] = 0
	for c < nClasses-1 {
		buddy := page ^ 1<<c
		if int(buddy) >= len(a.state) || a.state[buddy] != uint8(c+1) {
			break
		}
		a.unlink(buddy, c)
		page &= buddy
		c++
	}
	a.push(page, c)
}

// push makes the block at page the first free one of its class: what was used
// last is still in the cache.
func (a *Arena) push(page int32, c int) {
	head := a.free[c]
	a.next[page], a.prev[page] = head, -1
	if head >= 0 {
		a.prev[head] = page
	}
	a.free[c] = page
	a.state[page] = uint8(c + 1)
}

func (a *Arena) unlink(page int32, c int) {
	next, prev := a.next[page], a.prev[page]
	if prev >= 0 {
		a.next[prev] = next
	} else {
		a.free[c] = next
	}
	if next >= 0 {
		a.prev[next] = prev
	}
	a.state[page] = 0
}

// InUse returns how many bytes are given out, in whole classes.
func (a *Arena) InUse() int { return a.inUse }

// Size returns the limit in bytes.
func (a *Arena) Size() int { return len(a.mem) }

// Close unmaps the memory. It refuses while any of it is in use, or registered
// with a queue that is open: the kernel might write there, or a later mapping
// at this address be taken for what is registered.
func (a *Arena) Close() error {
	if a.inUse != 0 {
		return fmt.Errorf("ioring: close an arena: %d bytes are still in use", a.inUse)
	}
	if n := a.users.Load(); n != 0 {
		return fmt.Errorf("ioring: close an arena: %d queues it is registered with are still open", n)
	}
	if a.mapped == nil {
		return nil
	}
	err := unix.Munmap(a.mapped)
	a.mem, a.mapped = nil, nil
	a.state, a.next, a.prev = nil, nil, nil
	for c := range a.free { // nothing is left to give out
		a.free[c] = -1
	}
	return err
}
