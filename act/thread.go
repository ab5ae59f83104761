package act

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/thread"
)

// lookAtThread notes what the calling thread has used and missed of the CPU.
func lookAtThread(r *recorder) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
		r.cpu.Store(u.Utime.Nano() + u.Stime.Nano())
		r.involuntary.Store(u.Nivcsw)
	}
	if ns, ok := thread.RunDelay(); ok {
		r.starved.Store(ns)
	}
}

// resultText says what an operation's result means.
func resultText(result int32) string {
	if result < 0 {
		return unix.ErrnoName(unix.Errno(-result)) + " (" + unix.Errno(-result).Error() + ")"
	}
	return "only " + strconv.Itoa(int(result)) + " bytes were moved"
}
