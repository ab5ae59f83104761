package ioring

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync"

	"golang.org/x/sys/unix"
)

// Bounds of Options, from the kernel's own (IORING_MAX_ENTRIES,
// IORING_MAX_CQ_ENTRIES).
const (
	maxEntries = 32768
	maxLimit   = 65536
)

// Options configures New. The zero value of a field means its default.
type Options struct {
	// Entries is how many operations one system call can hand over, a power
	// of two. Default 1024.
	Entries int
	// Limit is how many operations may be with the kernel at once; more wait
	// in the queue. A service loop needs one for each connection (its Recv)
	// and one for each device operation. Default 16384.
	Limit int
	// Batch is how many device operations Poll collects while it runs Dones
	// before it hands them over in the middle: lower gives the device work
	// earlier, higher saves system calls. Default 3: of 1, 2, 3, 4, 8 and 32 it
	// gave the most operations per second at depths 8 and 32, at 0.75 and 0.72
	// of fio's CPU. What goes to sockets waits for the end of the turn.
	Batch int
	// Node is the NUMA node preferred for the ring's memory, -1 for the node
	// of the calling thread.
	Node int
	// Fallback forces the implementation without io_uring.
	Fallback bool
	// Threads is the number of threads that do device I/O in the fallback.
	// Default 8.
	Threads int
	// SQPoll lets a kernel thread pick up submissions. It burns a core.
	SQPoll bool
	// IOPoll polls the device for completions instead of waiting for its
	// interrupt. Only device reads and writes work on such a queue, and only
	// on devices with poll queues; others give -EOPNOTSUPP.
	IOPoll bool
	// Log takes what is worth a line at start-up. Default slog.Default().
	Log *slog.Logger

	// For tests: level skips the first flag sets of the probing, completions
	// makes the kernel's ring of completions smaller than what can be in flight.
	level, completions int
}

func (o *Options) setDefaults() {
	if o.Entries == 0 {
		o.Entries = 1024
	}
	if o.Limit == 0 {
		o.Limit = 16384
	}
	if o.Batch == 0 {
		o.Batch = 3
	}
	if o.Threads == 0 {
		o.Threads = 8
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

func (o *Options) validate() error {
	var errs []error
	bad := func(name string, got, lo, hi int) {
		if got < lo || got > hi {
			errs = append(errs, fmt.Errorf("ioring: %s %d: want %d to %d", name, got, lo, hi))
		}
	}
	bad("Entries", o.Entries, 1, maxEntries)
	if o.Entries > 0 && bits.OnesCount(uint(o.Entries)) != 1 {
		errs = append(errs, fmt.Errorf("ioring: Entries %d: want a power of two", o.Entries))
	}
	bad("Limit", o.Limit, 1, maxLimit)
	bad("Batch", o.Batch, 1, maxEntries)
	bad("Threads", o.Threads, 1, 256)
	bad("Node", o.Node, -1, maxNode)
	if o.IOPoll && o.Fallback {
		errs = append(errs, errors.New("ioring: IOPoll with Fallback: want one of them"))
	}
	return errors.Join(errs...)
}

// warnFallback: once for a process, however many queues it makes.
var warnFallback sync.Once

// New makes a queue for the calling thread, which must be locked
// (runtime.LockOSThread) and remain the only one to use it, Wake apart.
//
// It is an io_uring with the best flags the kernel takes. Where the kernel
// refuses io_uring as such (EPERM, ENOSYS, or a release before 5.11), it is
// epoll with a few threads for device I/O, which costs more CPU, and the log
// says so.
func New(o Options) (Queue, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Fallback {
		return newEpoll(o)
	}
	q, err := newUring(o)
	switch {
	case err == nil:
		o.Log.Debug("queue", "is", q.describe())
		return q, nil
	case o.IOPoll, !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSYS):
		return nil, err
	}
	warnFallback.Do(func() {
		o.Log.Warn("io_uring is not available: using epoll and threads instead, at several times the CPU per device operation", "reason", err)
	})
	return newEpoll(o)
}

// Describe says in a few words what New chose, for the log.
func Describe(q Queue) string {
	if d, ok := q.(interface{ describe() string }); ok {
		return d.describe()
	}
	return fmt.Sprintf("%T", q)
}
