package ioring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fillChunk is the unit in which a new file is written in full.
const fillChunk = 1 << 20

// Bounds of Device.Block.
const (
	minBlock = 512
	maxBlock = 65536
)

// DeviceOptions configures OpenDevice. The zero value opens what exists, for
// reading and writing.
type DeviceOptions struct {
	// Size, for a file: create it if it is absent, and bring it to this many
	// bytes if it is smaller. A block device has the size it has.
	Size int64
	// Fill writes zeros over what Size adds, instead of only allocating it.
	Fill bool
	// ReadOnly opens for reading; nothing is refused that reading cannot hurt.
	ReadOnly bool
	// Buffered goes through the page cache.
	Buffered bool
	// Exclusive locks a file against others that ask for the same, and opens
	// even a read-only block device exclusively. A writable block device is
	// always exclusive.
	Exclusive bool
}

// OpenDevice opens a block device or a regular file for direct I/O and finds
// out how it wants to be used. Where the file system has no direct I/O, the
// device goes through the page cache and Direct says so.
//
// Unless ReadOnly, it refuses what others use: a block device that is mounted,
// is swap, holds partitions or a partition table, or is part of another device
// (LVM, RAID, dm-crypt); a file that is swap or stands behind a loop device.
func OpenDevice(path string, o DeviceOptions) (*Device, error) {
	d, err := openDevice(path, o, host{proc: "/proc", sys: "/sys"})
	if err != nil {
		return nil, fmt.Errorf("ioring: open %s: %w", path, err)
	}
	return d, nil
}

func openDevice(path string, o DeviceOptions, h host) (*Device, error) {
	if o.Size < 0 {
		return nil, fmt.Errorf("size %d: want 0 or more", o.Size)
	}
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	switch {
	case err == unix.ENOENT && o.Size > 0 && !o.ReadOnly:
		return openFile(path, o, h, true)
	case err != nil:
		return nil, err
	case st.Mode&unix.S_IFMT == unix.S_IFREG:
		return openFile(path, o, h, false)
	case st.Mode&unix.S_IFMT == unix.S_IFBLK:
		return openBlock(path, o, h, st.Rdev)
	}
	return nil, fmt.Errorf("is %s: want a block device or a regular file", fileType(st.Mode))
}

func fileType(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFCHR:
		return "a character device"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return fmt.Sprintf("of mode %#o", mode)
}

// access returns the open flags for o, O_DIRECT left out.
func (o *DeviceOptions) access() int {
	if o.ReadOnly {
		return unix.O_RDONLY | unix.O_CLOEXEC
	}
	return unix.O_RDWR | unix.O_CLOEXEC
}

// openDirect opens path with O_DIRECT, or without where that is refused.
func openDirect(path string, flags int, buffered bool) (fd int, direct bool, err error) {
	if !buffered {
		fd, err = unix.Open(path, flags|unix.O_DIRECT, 0o600)
		if err != unix.EINVAL { // EINVAL: the file system has no direct I/O
			return fd, true, err
		}
		if flags&unix.O_CREAT != 0 {
			flags &^= unix.O_EXCL // the failed open may have made the file
		}
	}
	fd, err = unix.Open(path, flags, 0o600)
	return fd, false, err
}

func openBlock(path string, o DeviceOptions, h host, rdev uint64) (*Device, error) {
	n := number(rdev)
	if !o.ReadOnly {
		if err := h.refuseBlock(n); err != nil {
			return nil, err
		}
	}
	flags := o.access()
	if !o.ReadOnly || o.Exclusive {
		flags |= unix.O_EXCL
	}
	fd, direct, err := openDirect(path, flags, o.Buffered)
	if err == unix.EBUSY {
		return nil, fmt.Errorf("is in use by another process, a mount or another device: %w", err)
	}
	if err != nil {
		return nil, err
	}
	d := &Device{Path: path, FD: fd, Raw: true, Direct: direct, Node: h.node(n), Space: SpaceRaw, opened: true}
	if err := d.measureBlock(h, n, o); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return d, nil
}

// measureBlock fills in size and grain, and looks at what lies on the medium.
func (d *Device) measureBlock(h host, n devno, o DeviceOptions) error {
	var err error
	if d.Size, err = blockSize64(d.FD); err != nil {
		return fmt.Errorf("size (BLKGETSIZE64): %w", err)
	}
	if d.Size == 0 {
		return errors.New("has no size: no medium, or not set up")
	}
	if d.Block, err = unix.IoctlGetInt(d.FD, unix.BLKSSZGET); err != nil {
		return fmt.Errorf("logical block size (BLKSSZGET): %w", err)
	}
	if err := d.checkBlock(); err != nil {
		return err
	}
	buf, err := mapMemory(maxBlock)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(buf) }()
	if !o.ReadOnly {
		k := min(int64(2*max(d.Block, 4096)), d.Size/int64(d.Block)*int64(d.Block))
		if _, err := d.ReadAt(buf[:k], 0); err != nil {
			return err
		}
		if table := partitionTable(buf[:k], d.Size/minBlock); table != "" {
			return fmt.Errorf("holds a partition table (%s): want an empty device or one of its partitions; wipefs removes it", table)
		}
	}
	d.Sync = h.isMemory(n) && !knowsNowait(d.FD, buf[:d.Block])
	return nil
}

func (d *Device) checkBlock() error {
	if d.Block < minBlock || d.Block > maxBlock || d.Block&(d.Block-1) != 0 {
		return fmt.Errorf("block of %d bytes for direct I/O: want a power of two from %d to %d", d.Block, minBlock, maxBlock)
	}
	return nil
}

// knowsNowait reports whether the device can say "not now" to a request.
func knowsNowait(fd int, buf []byte) bool {
	_, err := unix.Preadv2(fd, [][]byte{buf}, 0, unix.RWF_NOWAIT)
	return err != unix.EOPNOTSUPP
}

func openFile(path string, o DeviceOptions, h host, create bool) (_ *Device, err error) {
	flags := o.access()
	if create {
		flags |= unix.O_CREAT | unix.O_EXCL
	} else if !o.ReadOnly {
		if err := h.refuseFile(path); err != nil {
			return nil, err
		}
	}
	fd, direct, err := openDirect(path, flags, o.Buffered)
	if err != nil {
		return nil, err
	}
	d := &Device{Path: path, FD: fd, Direct: direct, opened: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Close(fd))
			if create { // leave no half-made file behind
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	if o.Exclusive {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, fmt.Errorf("lock: is it open in another process? %w", err)
		}
	}
	if err := d.measureFile(h, o); err != nil {
		return nil, err
	}
	if create {
		return d, syncDir(filepath.Dir(path))
	}
	return d, nil
}

func (d *Device) measureFile(h host, o DeviceOptions) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.FD, &st); err != nil {
		return err
	}
	d.Size, d.Node = st.Size, h.node(number(st.Dev))
	if st.Blocks*512 < st.Size { // st_blocks counts 512 bytes whatever the file system
		d.Space = SpaceSparse
	}
	if d.Size < o.Size && !o.ReadOnly {
		if err := d.grow(o); err != nil {
			return err
		}
	}
	if d.Size == 0 {
		return errors.New("is empty: want a file with content, or a size to bring it to")
	}
	if err := d.align(); err != nil {
		return err
	}
	return d.checkBlock()
}

// grow brings a file to o.Size bytes, and to the drive.
func (d *Device) grow(o DeviceOptions) error {
	from := d.Size
	var err error = unix.EOPNOTSUPP
	if !o.Fill {
		err = ignoringEINTR(func() error { return unix.Fallocate(d.FD, 0, from, o.Size-from) })
		d.Space = SpaceAllocated
	}
	if err == unix.EOPNOTSUPP { // asked to, or a file system that cannot allocate
		err = d.fill(from, o.Size)
		d.Space = SpaceWritten
	}
	if err != nil {
		return fmt.Errorf("bring the file from %d to %d bytes: %w", from, o.Size, err)
	}
	d.Size = o.Size
	return ignoringEINTR(func() error { return unix.Fsync(d.FD) })
}

// fill writes zeros from from to to. It goes through the page cache, by a
// descriptor of its own: the ends need not be aligned.
func (d *Device) fill(from, to int64) error {
	f, err := os.OpenFile(d.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	zeros := make([]byte, fillChunk)
	for at := from; at < to && err == nil; at += fillChunk {
		_, err = f.WriteAt(zeros[:min(fillChunk, to-at)], at)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// align finds the grain of direct I/O on a file: the kernel says it (6.1 and
// later), or we try. A file system that says there is none is read through the
// page cache.
func (d *Device) align() error {
	d.Block = minBlock
	if !d.Direct {
		return nil
	}
	var stx unix.Statx_t
	err := unix.Statx(d.FD, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &stx)
	if err != nil || stx.Mask&unix.STATX_DIOALIGN == 0 {
		return d.probeBlock()
	}
	if stx.Dio_offset_align == 0 {
		d.Direct = false
		flags, err := unix.FcntlInt(uintptr(d.FD), unix.F_GETFL, 0)
		if err == nil {
			_, err = unix.FcntlInt(uintptr(d.FD), unix.F_SETFL, flags&^unix.O_DIRECT)
		}
		return err
	}
	d.Block = max(minBlock, int(stx.Dio_offset_align), int(stx.Dio_mem_align))
	return nil
}

// probeBlock takes the smallest length the file can be read by. A short file
// cannot tell; 4096 suits every common one.
func (d *Device) probeBlock() error {
	if d.Size < maxBlock {
		d.Block = pageSize
		return nil
	}
	buf, err := mapMemory(maxBlock)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(buf) }()
	for d.Block = minBlock; d.Block <= maxBlock; d.Block *= 2 {
		err := ignoringEINTR(func() error {
			_, err := unix.Pread(d.FD, buf[:d.Block], 0)
			return err
		})
		if err != unix.EINVAL {
			return err
		}
	}
	return fmt.Errorf("direct I/O refuses blocks from %d to %d bytes", minBlock, maxBlock)
}

// syncDir makes a new name in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
