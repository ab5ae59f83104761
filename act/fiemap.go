package act

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's FIEMAP, which says where a file's bytes lie.
const (
	fsIocFiemap      = 0xc020660b
	fiemapFlagSync   = 0x1
	extentLast       = 0x1
	extentUnknown    = 0x2
	extentDelalloc   = 0x4
	extentEncoded    = 0x8
	extentInline     = 0x200
	extentUnwritten  = 0x800
	extentsPerCall   = 128
	maxExtentsLooked = 1 << 20
)

type fiemapExtent struct {
	logical, physical, length uint64
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

type fiemap struct {
	start, length uint64
	flags         uint32
	mapped        uint32
	count         uint32
	_             uint32
	extents       [extentsPerCall]fiemapExtent
}

// errNotWritten says that parts of a file do not lie on the drive.
var errNotWritten = errors.New("is not written in full")

// checkWritten makes sure that reads of a file reach the drive: no holes, no
// blocks that are only allocated. Where the file system cannot tell, known is
// false.
func checkWritten(fd int, size int64) (known bool, err error) {
	at := uint64(0)
	for range maxExtentsLooked / extentsPerCall {
		m := &fiemap{start: at, length: uint64(size) - at, flags: fiemapFlagSync, count: extentsPerCall}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(m)))
		if errno == unix.EOPNOTSUPP || errno == unix.ENOTTY || errno == unix.EINVAL {
			return false, nil
		}
		if errno != 0 {
			return false, fmt.Errorf("FIEMAP: %w", errno)
		}
		for i := range m.mapped {
			e := &m.extents[i]
			if e.logical > at {
				return true, fmt.Errorf("%w: a hole of %d bytes at %d", errNotWritten, e.logical-at, at)
			}
			if e.flags&(extentUnwritten|extentUnknown|extentDelalloc|extentEncoded|extentInline) != 0 {
				return true, fmt.Errorf("%w: %d bytes at %d are allocated and not written (flags %#x)", errNotWritten, e.length, e.logical, e.flags)
			}
			at = e.logical + e.length
		}
		if at >= uint64(size) {
			return true, nil
		}
		if m.mapped == 0 || m.extents[m.mapped-1].flags&extentLast != 0 {
			return true, fmt.Errorf("%w: a hole of %d bytes at %d", errNotWritten, uint64(size)-at, at)
		}
	}
	return false, nil
}
