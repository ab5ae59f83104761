package numa

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pin ties the calling thread to cpus. The caller has locked its goroutine to
// the thread (runtime.LockOSThread).
func Pin(cpus ...int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("numa: pin to CPUs %v: %w", cpus, err)
	}
	return nil
}

// Affinity returns the CPUs that the calling thread may run on.
func Affinity() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("numa: affinity: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * int(unsafe.Sizeof(set[0])) * 8 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// Memory policies of the kernel, from linux/mempolicy.h.
const (
	mpolBind   = 2
	mpolFNode  = 1 << 0 // get_mempolicy: the node of an address
	mpolFAddr  = 1 << 1 // get_mempolicy: look at an address
	maskWords  = 16     // 1024 nodes
	wordBits   = 64
	nodesLimit = maskWords * wordBits
)

// Bind makes the memory of p, which is mapped and page-aligned, come from
// node. Pages touched before stay where they are. A node of -1 means any, and
// does nothing; so does a kernel without NUMA.
func Bind(p []byte, node int) error {
	if node < 0 || len(p) == 0 {
		return nil
	}
	if node >= nodesLimit {
		return fmt.Errorf("numa: bind to node %d: want below %d", node, nodesLimit)
	}
	var mask [maskWords]uint64
	mask[node/wordBits] = 1 << (node % wordBits)
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		mpolBind, uintptr(unsafe.Pointer(&mask)), nodesLimit+1, 0)
	if errno == unix.ENOSYS {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("numa: bind %d bytes to node %d: %w", len(p), node, errno)
	}
	return nil
}

// NodeAt returns the node that holds the page of p[0]; the kernel faults the
// page in if it was never touched.
func NodeAt(p []byte) (int, error) {
	var node int32
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&node)), 0, 0,
		uintptr(unsafe.Pointer(&p[0])), mpolFNode|mpolFAddr, 0)
	if errno != 0 {
		return -1, fmt.Errorf("numa: node of an address: %w", errno)
	}
	return int(node), nil
}
