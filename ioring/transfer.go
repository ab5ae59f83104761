package ioring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// settle takes the kernel's answer to one part of a Read or Write and says
// whether the operation is over, and with what Result, or whether the rest is
// to be asked for (again). block is the device's unit of direct I/O, 1 if
// unknown.
//
// A part may fall short for no fault of the device's: a signal, a limit of the
// kernel's on one request (MAX_RW_COUNT, 2 GiB less a page), a file system
// that ends a request at an extent.
func settle(o *Op, res int32, block int) (result int32, again bool) {
	if res < 0 {
		return res, false
	}
	o.moved += res
	left := len(o.Buf) - int(o.moved)
	switch {
	case left <= 0, res == 0: // whole, or the end of the file
		return o.moved, false
	case o.flags&noteCancelled != 0:
		return o.moved, false
	case int(o.moved)%block != 0:
		// The file ends inside a block: direct I/O cannot go on from here, and
		// there is nothing to go on to.
		return o.moved, false
	}
	return 0, true
}

// transfer runs a Read, Write or Fsync by a plain system call and returns its
// Result. It blocks for as long as the device does.
func transfer(o *Op, block int) int32 {
	for {
		res, errno := transferPart(o)
		if errno == unix.EINTR { // a signal came before the first byte moved
			continue
		}
		if errno != 0 {
			return -int32(errno)
		}
		if o.Kind == Fsync {
			return 0
		}
		if result, again := settle(o, int32(res), block); !again {
			return result
		}
	}
}

func transferPart(o *Op) (uintptr, unix.Errno) {
	fd := uintptr(o.File.fd)
	if o.Kind == Fsync {
		_, _, errno := unix.Syscall(unix.SYS_FDATASYNC, fd, 0, 0)
		return 0, errno
	}
	rest := o.Buf[o.moved:]
	offset := uintptr(o.Offset + int64(o.moved))
	if o.Kind == Write && o.Flags&DSync != 0 {
		iov := unix.Iovec{Base: unsafe.SliceData(rest)}
		iov.SetLen(len(rest))
		n, _, errno := unix.Syscall6(unix.SYS_PWRITEV2, fd, uintptr(unsafe.Pointer(&iov)), 1, offset, 0, unix.RWF_DSYNC)
		return n, errno
	}
	call := uintptr(unix.SYS_PREAD64)
	if o.Kind == Write {
		call = unix.SYS_PWRITE64
	}
	n, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest)), offset, 0, 0)
	return n, errno
}
