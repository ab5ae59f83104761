package ioring

import (
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
)

// The kernel's interface beyond what package iouring-go/syscall knows of it.
// Names follow include/uapi/linux/io_uring.h; the kernel release in which each
// appeared stands beside it.
const (
	setupSingleIssuer = 1 << 12 // 6.0
	setupDeferTaskrun = 1 << 13 // 6.1
	setupNoSQArray    = 1 << 16 // 6.6

	featSingleMmap = 1 << 0 // 5.4
	featNoDrop     = 1 << 1 // 5.5
	featExtArg     = 1 << 8 // 5.11

	enterGetEvents      = 1 << 0
	enterSQWakeup       = 1 << 1
	enterExtArg         = 1 << 3 // 5.11
	enterRegisteredRing = 1 << 4 // 5.18

	registerFiles2        = 13 // 5.13
	registerBuffers2      = 15 // 5.13
	registerBuffersUpdate = 16 // 5.13
	registerRingFDs       = 20 // 5.18
	unregisterRingFDs     = 21 // 5.18

	rsrcSparse = 1 << 0 // 5.19

	sqNeedWakeup = 1 << 0
	sqCQOverflow = 1 << 1
	sqTaskrun    = 1 << 2 // 5.19

	cqeMore = 1 << 1 // 5.13

	acceptMultishot = 1 << 0 // ioprio of an accept, 5.19
)

// Sizes of kernel structures, checked below against the library's types.
const (
	sqeSize = 64
	cqeSize = 16
)

const (
	_ = -uint(sqeSize ^ unsafe.Sizeof(abi.SubmissionQueueEntry64{}))
	_ = -uint(cqeSize ^ unsafe.Sizeof(abi.CompletionQueueEvent16{}))
	_ = -uint(24 ^ unsafe.Sizeof(waitArg{}))
	_ = -uint(16 ^ unsafe.Sizeof(timespec{}))
)

// timespec is struct __kernel_timespec.
type timespec struct{ sec, nsec int64 }

// waitArg is struct io_uring_getevents_arg: the argument of enter with
// enterExtArg.
type waitArg struct {
	sigmask    uint64
	sigmaskLen uint32
	minWaitUs  uint32 // since 6.12; 0
	ts         uint64 // address of a timespec, 0 waits for ever
}

// rsrcRegister is struct io_uring_rsrc_register.
type rsrcRegister struct {
	nr, flags        uint32
	resv, data, tags uint64
}

// rsrcUpdate is struct io_uring_rsrc_update, also for ring descriptors.
type rsrcUpdate struct {
	offset, resv uint32
	data         uint64
}

// rsrcUpdate2 is struct io_uring_rsrc_update2.
type rsrcUpdate2 struct {
	offset, resv uint32
	data, tags   uint64
	nr, resv2    uint32
}
