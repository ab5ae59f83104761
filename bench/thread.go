package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lookAtThread notes what the loop's thread has used and missed of the CPU.
func (l *loop) lookAtThread() {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
		l.cpu.Store(u.Utime.Nano() + u.Stime.Nano())
	}
	if ns, ok := runDelay(); ok {
		l.starved.Store(ns)
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

// clockTicks is the kernel's USER_HZ: the unit of CPU times in /proc, the same
// on every architecture that Linux runs on today.
const clockTicks = 100

// processCPU returns the CPU time that a process has used, user and system.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: server process %d: %w", pid, err)
	}
	// The command's name, in parentheses, may hold anything: count from its end.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("bench: server process %d: /proc/%d/stat has %d fields", pid, pid, len(fields))
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("bench: server process %d: CPU times %q and %q", pid, fields[11], fields[12])
	}
	return time.Duration(user+system) * time.Second / clockTicks, nil
}
