package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/thread"
)

// lookAtThread notes what the loop's thread has used and missed of the CPU.
func (l *loop) lookAtThread() {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
		l.cpu.Store(u.Utime.Nano() + u.Stime.Nano())
	}
	if ns, ok := thread.RunDelay(); ok {
		l.starved.Store(ns)
	}
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
