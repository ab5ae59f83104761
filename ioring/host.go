package ioring

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// host is what the system tells about its devices: the roots of proc and
// sysfs, which tests replace.
type host struct{ proc, sys string }

// devno is a device number, major:minor.
type devno struct{ major, minor uint32 }

func number(rdev uint64) devno { return devno{unix.Major(rdev), unix.Minor(rdev)} }

func (n devno) String() string { return fmt.Sprintf("%d:%d", n.major, n.minor) }

// dir is the sysfs directory of a block device.
func (h host) dir(n devno) string { return filepath.Join(h.sys, "dev/block", n.String()) }

// refuseBlock says why a block device must not be written to, nil if nothing
// is known against it.
func (h host) refuseBlock(n devno) error {
	partitions := h.partitions(n)
	for _, p := range append([]string{""}, partitions...) {
		m := n
		if p != "" {
			var ok bool
			if m, ok = h.readNumber(filepath.Join(h.dir(n), p, "dev")); !ok {
				continue
			}
		}
		name := "is"
		if p != "" {
			name = "its partition " + p + " is"
		}
		if at, err := h.mountOf(m); err != nil {
			return err
		} else if at != "" {
			return fmt.Errorf("%s mounted on %s", name, at)
		}
		if swap, err := h.isSwap(func(st *unix.Stat_t) bool { return isBlock(st) && number(st.Rdev) == m }); err != nil {
			return err
		} else if swap {
			return fmt.Errorf("%s swap space", name)
		}
		if holders := entries(filepath.Join(h.dir(m), "holders")); len(holders) > 0 {
			return fmt.Errorf("%s part of %s", name, strings.Join(holders, ", "))
		}
	}
	if len(partitions) > 0 {
		return fmt.Errorf("has partitions (%s): want one of them, or an unpartitioned device", strings.Join(partitions, ", "))
	}
	return nil
}

// refuseFile says why a file must not be written to.
func (h host) refuseFile(path string) error {
	var own unix.Stat_t
	if err := unix.Stat(path, &own); err != nil {
		return err
	}
	same := func(st *unix.Stat_t) bool { return st.Dev == own.Dev && st.Ino == own.Ino }
	if swap, err := h.isSwap(same); err != nil {
		return err
	} else if swap {
		return fmt.Errorf("is swap space")
	}
	loops, _ := filepath.Glob(filepath.Join(h.sys, "block/loop*/loop/backing_file"))
	for _, l := range loops {
		backing, err := os.ReadFile(l)
		var st unix.Stat_t
		if err == nil && unix.Stat(strings.TrimSpace(string(backing)), &st) == nil && same(&st) {
			return fmt.Errorf("stands behind /dev/%s", filepath.Base(filepath.Dir(filepath.Dir(l))))
		}
	}
	return nil
}

// partitions names the kernel's partitions of a device.
func (h host) partitions(n devno) []string {
	var names []string
	for _, name := range entries(h.dir(n)) {
		if _, err := os.Stat(filepath.Join(h.dir(n), name, "partition")); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// entries lists a directory; one that is absent is empty.
func entries(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return names
}

func (h host) readNumber(file string) (devno, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return devno{}, false
	}
	return parseNumber(strings.TrimSpace(string(text)))
}

func parseNumber(text string) (devno, bool) {
	major, minor, ok := strings.Cut(text, ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	return devno{uint32(a), uint32(b)}, ok && err1 == nil && err2 == nil
}

// mountOf returns where a device is mounted, "" if it is not. Mounts are
// matched by device number and, for file systems with numbers of their own
// (btrfs), by the source's.
func (h host) mountOf(n devno) (string, error) {
	f, err := os.Open(filepath.Join(h.proc, "self/mountinfo"))
	if err != nil {
		return "", fmt.Errorf("is it mounted? %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// 36 35 98:0 /root /mnt/point options optional… - type source super
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 2 {
			continue
		}
		if m, ok := parseNumber(left[2]); ok && m == n {
			return unescape(left[4]), nil
		}
		var st unix.Stat_t
		if source := unescape(right[1]); strings.HasPrefix(source, "/") &&
			unix.Stat(source, &st) == nil && isBlock(&st) && number(st.Rdev) == n {
			return unescape(left[4]), nil
		}
	}
	return "", lines.Err()
}

// isSwap reports whether a swap area matches.
func (h host) isSwap(match func(*unix.Stat_t) bool) (bool, error) {
	text, err := os.ReadFile(filepath.Join(h.proc, "swaps"))
	if os.IsNotExist(err) { // a kernel without swap
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("is it swap? %w", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasPrefix(fields[0], "/") {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(unescape(fields[0]), &st) == nil && match(&st) {
			return true, nil
		}
	}
	return false, nil
}

func isBlock(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFBLK }

// unescape undoes proc's octal escapes of blanks (\040).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// node returns the NUMA node of a device: the nearest numa_node above it in
// sysfs. -1: not known, or a machine with one node.
func (h host) node(n devno) int {
	dir, err := filepath.EvalSymlinks(h.dir(n))
	if err != nil {
		return -1
	}
	root, err := filepath.EvalSymlinks(h.sys)
	if err != nil {
		return -1
	}
	for ; len(dir) > len(root); dir = filepath.Dir(dir) {
		for _, file := range []string{"numa_node", "device/numa_node"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			if node, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && node <= maxNode {
				return max(node, -1)
			}
		}
	}
	return -1
}

// memoryDrivers name the block devices whose driver does the request in its
// caller, by copying.
var memoryDrivers = []string{"zram", "ram", "pmem"}

// isMemory reports whether a block device is memory.
func (h host) isMemory(n devno) bool {
	target, err := os.Readlink(h.dir(n))
	if err != nil {
		return false
	}
	name := filepath.Base(target)
	for _, d := range memoryDrivers {
		if rest, ok := strings.CutPrefix(name, d); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return true
		}
	}
	return false
}

// partitionTable names the partition table in the first blocks of a device of
// the given number of 512-byte sectors, "" if there is none. A master boot
// record is believed when its signature is there, each entry's status byte is
// one of the two allowed and one entry lies within the device; a GUID table by
// its signature in the second block.
func partitionTable(head []byte, sectors int64) string {
	for _, block := range []int{512, 4096} {
		if len(head) >= block+8 && string(head[block:block+8]) == "EFI PART" {
			return "GPT"
		}
	}
	if len(head) < 512 || head[510] != 0x55 || head[511] != 0xAA {
		return ""
	}
	found := false
	for e := head[446:510]; len(e) >= 16; e = e[16:] {
		if e[0] != 0x00 && e[0] != 0x80 {
			return ""
		}
		from, n := int64(binary.LittleEndian.Uint32(e[8:])), int64(binary.LittleEndian.Uint32(e[12:]))
		found = found || e[4] != 0 && n > 0 && from > 0 && from < sectors
	}
	if !found {
		return ""
	}
	return "MBR"
}

// blockSize64 returns the size of a block device in bytes.
func blockSize64(fd int) (int64, error) {
	var size uint64
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, errno
	}
	return int64(size), nil
}
