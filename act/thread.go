package act

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// lookAtThread notes what the calling thread has used and missed of the CPU.
func lookAtThread(r *recorder) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
		r.cpu.Store(u.Utime.Nano() + u.Stime.Nano())
		r.involuntary.Store(u.Nivcsw)
	}
	if ns, ok := runDelay(); ok {
		r.starved.Store(ns)
	}
}

// runDelay returns how long the calling thread has waited for a CPU, from the
// second figure of schedstat; false where the kernel does not count it.
func runDelay() (int64, bool) {
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
	fields := bytes.Fields(buf[:n])
	if len(fields) < 2 {
		return 0, false
	}
	ns, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return ns, err == nil
}

// resultText says what an operation's result means.
func resultText(result int32) string {
	if result < 0 {
		return unix.ErrnoName(unix.Errno(-result)) + " (" + unix.Errno(-result).Error() + ")"
	}
	return "only " + strconv.Itoa(int(result)) + " bytes were moved"
}
