package index

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePage = 2 << 20
	// stageSize is how much address space becomes accessible at a time: a
	// system call for each 400 thousand records.
	stageSize = 32 << 20
)

// region is one piece of address space, reserved whole and made accessible
// from its start in stages. Its memory is private, anonymous and zero.
type region struct {
	mapping []byte // what unix.Mmap returned
	bytes   []byte // the part that begins at a huge page
	base    unsafe.Pointer
}

// reserve reserves size bytes, of which nothing is accessible yet.
func reserve(size int64, o *Options) (region, error) {
	var r region
	mapping, err := unix.Mmap(-1, 0, int(size+hugePage), unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return r, fmt.Errorf("index: reserve %d bytes of address space (max-bytes; see also ulimit -v): %w", size, err)
	}
	r.mapping = mapping
	skip := -uintptr(unsafe.Pointer(&mapping[0])) & (hugePage - 1)
	r.bytes = mapping[skip : int64(skip)+size]
	r.base = unsafe.Pointer(&r.bytes[0])
	if !o.SmallPages {
		// A kernel without transparent huge pages answers EINVAL: the index
		// works, lookups cost a third more.
		_ = unix.Madvise(r.bytes, unix.MADV_HUGEPAGE)
	}
	if err := interleave(r.bytes, o.Nodes); err != nil {
		return r, err
	}
	return r, nil
}

// commit makes bytes from..to accessible.
func (r *region) commit(from, to uint64) error {
	err := unix.Mprotect(r.bytes[from:to], unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return fmt.Errorf("index: commit bytes %d to %d of %d: %w", from, to, len(r.bytes), err)
	}
	return nil
}

// populate makes the kernel provide zeroed pages for bytes from..to now.
func (r *region) populate(from, to uint64) error {
	return unix.Madvise(r.bytes[from:to], unix.MADV_POPULATE_WRITE)
}

func (r *region) close() error {
	if r.mapping == nil {
		return nil // heap memory, in tests
	}
	return unix.Munmap(r.mapping)
}

// maxNodes is the number of NUMA nodes that a node mask below can name.
const maxNodes = 1024

// interleave spreads the pages of b over NUMA nodes. With one node named, all
// go there, or elsewhere when it is full.
func interleave(b []byte, nodes []int) error {
	if len(nodes) == 0 {
		return nil
	}
	const mpolInterleave = 3 // linux/mempolicy.h
	var mask [maxNodes / 64]uint64
	for _, n := range nodes {
		mask[n/64] |= 1 << (n % 64)
	}
	// The kernel reads one bit less than it is told.
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		mpolInterleave, uintptr(unsafe.Pointer(&mask)), maxNodes+1, 0)
	if errno != 0 && errno != unix.ENOSYS {
		return fmt.Errorf("index: bind memory to NUMA nodes %v: %w", nodes, errno)
	}
	return nil
}
