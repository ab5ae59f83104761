// Package ioring is the door to devices and sockets.
//
// One service loop owns one Queue and is the only thread that touches it:
//
//	loop:  Submit(op) ... Submit(op) ─▶ Poll(wait) ─▶ kernel
//	                                        │
//	       next step of the transaction ◀─ op.Done(op), on the loop's thread
//
// In production the Queue is an io_uring (New). Where io_uring is forbidden it
// is an epoll loop with a few pread threads behind the same interface. In
// tests it is package sim: memory, a seed and faults. Memory the kernel
// writes to comes from an Arena, outside the Go heap, and belongs to the queue
// from Submit until Done.
//
// What a Done submits goes to the kernel with the next Poll; device operations
// go earlier, a few at a time, while the Dones of one Poll still run. Poll
// waits in two parts: up to a millisecond in a raw system call, which the Go
// scheduler does not notice and the runtime's preemption signal can interrupt,
// and the rest in an ordinary one, which frees the processor for other
// goroutines. The collector is stalled by neither.
//
// Wake is for other threads: they put their message where the owner looks
// after each Poll, then call it. It costs a system call only when the owner
// sleeps.
//
// OpenDevice finds out how a device wants to be used (grain, size, NUMA node,
// whether it is memory) and refuses those that others use.
//
// The order of closing is queues, then arenas and devices.
//
// The package knows descriptors, offsets and bytes. What they mean is the
// business of its callers: engine/storage for devices, node/service for
// sockets, act for drives under test.
package ioring
