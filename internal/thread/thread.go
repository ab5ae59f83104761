// Package thread tells what the kernel did to the calling thread: the facts by
// which measuring tools know that their host, not their subject, was slow.
package thread

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// RunDelay returns how long the calling thread has waited for a CPU since it
// was made, in nanoseconds, from the second figure of schedstat; false where
// the kernel does not count it. It costs three system calls.
func RunDelay() (int64, bool) {
	var buf [128]byte
	f, err := unix.Open("/proc/thread-self/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	n, err := unix.Read(f, buf[:])
	_ = unix.Close(f)
	if err != nil || n <= 0 {
		return 0, false
	}
	return parse(buf[:n])
}

// parse reads the second figure of a schedstat line.
func parse(line []byte) (int64, bool) {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return 0, false
	}
	ns, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return ns, err == nil
}
