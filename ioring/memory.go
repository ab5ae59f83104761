package ioring

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxNode bounds NUMA node numbers: the mask below has this many bits.
const maxNode = 1023

// mpolPreferred asks for memory of one node and takes another's if it is full.
const mpolPreferred = 1

// nodeMask is a kernel node mask with one bit set.
type nodeMask [(maxNode + 1) / 64]uint64

func maskOf(node int) *nodeMask {
	var m nodeMask
	m[node/64] = 1 << (node % 64)
	return &m
}

// preferNode makes the calling thread's allocations, the kernel's for it
// included, prefer node until the returned func runs. -1 changes nothing. A
// kernel without NUMA refuses, which is no loss.
func preferNode(node int) (restore func()) {
	if node < 0 {
		return func() {}
	}
	const nBits = maxNode + 2 // the kernel counts one less
	var oldMode int32
	var old nodeMask
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&oldMode)), uintptr(unsafe.Pointer(&old)), nBits, 0, 0, 0)
	if errno != 0 {
		return func() {}
	}
	mask := maskOf(node)
	_, _, errno = unix.Syscall(unix.SYS_SET_MEMPOLICY, mpolPreferred, uintptr(unsafe.Pointer(mask)), nBits)
	if errno != 0 {
		return func() {}
	}
	return func() {
		_, _, _ = unix.Syscall(unix.SYS_SET_MEMPOLICY, uintptr(oldMode), uintptr(unsafe.Pointer(&old)), nBits)
	}
}

// mapMemory maps size bytes of zeroed memory outside the Go heap.
func mapMemory(size int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("ioring: map %d bytes: %w", size, err)
	}
	return mem, nil
}
