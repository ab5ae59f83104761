package ioring

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Device is an opened block device or regular file, shared by all queues of
// the process. Its fields do not change after OpenDevice.
type Device struct {
	Path string
	// FD is the descriptor, opened with O_DIRECT where the file system allows
	// it. In package sim it numbers a simulated device.
	FD int
	// Size in bytes.
	Size int64
	// Block is the unit of direct I/O in bytes: offsets, lengths and memory
	// addresses are multiples of it (512 to 65536, by statx or BLKSSZGET, not
	// by page size).
	Block int
	// Raw says that the path is a block device.
	Raw bool
	// Direct says that I/O bypasses the page cache.
	Direct bool
	// Sync says that the device is memory (zram, brd, pmem) and knows no
	// RWF_NOWAIT: an io_uring would hand each operation to a kernel worker,
	// though it is done sooner in place; so the queue runs it in place.
	Sync bool
	// Node is the NUMA node the device is attached to, -1 if unknown.
	Node int
	// Space says what stands behind the device's blocks.
	Space Space

	opened bool // by OpenDevice: FD is a descriptor of ours
}

// Space says whether the blocks of a Device were there, and written, when it
// was opened. A file's first write to a block that was only allocated, or not
// even that, costs the file system an update of its own, and a read of it
// never reaches the drive.
type Space uint8

// Kinds of space.
const (
	SpaceUnknown   Space = iota // an existing file with all its blocks, written or not
	SpaceRaw                    // a block device
	SpaceSparse                 // an existing file with holes
	SpaceAllocated              // allocated by OpenDevice (fallocate), not written
	SpaceWritten                // written in full by OpenDevice
)

func (s Space) String() string {
	switch s {
	case SpaceRaw:
		return "raw device"
	case SpaceSparse:
		return "sparse"
	case SpaceAllocated:
		return "allocated"
	case SpaceWritten:
		return "written"
	}
	return "existing"
}

// ReadAt reads len(p) bytes at off, blocking: for set-up and tools, not for
// loops. p, its length and off are aligned as Block says. A Device may be read
// from several goroutines. It returns io.EOF with what there was when the
// device ends before p does.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.transferAt(Read, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// WriteAt writes len(p) bytes at off, as ReadAt reads. They are durable after
// Flush.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	n, err := d.transferAt(Write, p, off)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

func (d *Device) transferAt(k Kind, p []byte, off int64) (int, error) {
	what := [...]string{Read: "read", Write: "write"}[k]
	switch {
	case !d.opened:
		return 0, fmt.Errorf("ioring: %s %s: the device is not open", what, d.Path)
	case len(p) > maxTransfer:
		return 0, fmt.Errorf("ioring: %s %s: %d bytes at once: want at most %d", what, d.Path, len(p), maxTransfer)
	case d.Direct && (off%int64(d.Block) != 0 || len(p)%d.Block != 0):
		return 0, fmt.Errorf("ioring: %s %s: %d bytes at %d: want multiples of %d", what, d.Path, len(p), off, d.Block)
	}
	o := Op{Kind: k, File: File{fd: int32(d.FD)}, Offset: off, Buf: p}
	if res := transfer(&o, d.Block); res < 0 {
		return 0, fmt.Errorf("ioring: %s %s: %d bytes at %d: %w", what, d.Path, len(p), off, unix.Errno(-res))
	}
	return int(o.moved), nil
}

// maxTransfer bounds one ReadAt or WriteAt: its count fits a Result.
const maxTransfer = 1 << 30

// Flush makes all completed writes durable, blocking.
func (d *Device) Flush() error {
	if !d.opened {
		return fmt.Errorf("ioring: flush %s: the device is not open", d.Path)
	}
	for {
		err := unix.Fdatasync(d.FD)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("ioring: flush %s: %w", d.Path, err)
		}
		return nil
	}
}

// Close closes the descriptor. The queues that know the device are closed
// first.
func (d *Device) Close() error {
	if !d.opened {
		return errors.New("ioring: close " + d.Path + ": the device is not open")
	}
	d.opened = false
	if err := unix.Close(d.FD); err != nil {
		return fmt.Errorf("ioring: close %s: %w", d.Path, err)
	}
	return nil
}
