package ioring

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// A level is one set of set-up flags, best first. The kernel refuses a set it
// does not know with EINVAL; the next is tried.
type level struct {
	name  string
	flags uint32
}

// levels are probed in this order. What each flag is for:
//
//	SINGLE_ISSUER  one thread submits; needed for DEFER_TASKRUN
//	DEFER_TASKRUN  completions are processed inside our own enter, and nowhere else
//	COOP_TASKRUN   completions are processed at any system call, without an interrupt
//	TASKRUN_FLAG   says in the ring when there is something to process: Poll(0) needs no call
//	NO_SQARRAY     no indirection from ring slot to submission
//	SUBMIT_ALL     one bad submission does not stop the batch
//	CQSIZE         room for Limit completions
var levels = []level{
	{"single_issuer defer_taskrun no_sqarray", setupSingleIssuer | setupDeferTaskrun | abi.IORING_SETUP_TASKRUN_FLAG | setupNoSQArray | abi.IORING_SETUP_SUBMIT_ALL | abi.IORING_SETUP_CQSIZE},
	{"single_issuer defer_taskrun", setupSingleIssuer | setupDeferTaskrun | abi.IORING_SETUP_TASKRUN_FLAG | abi.IORING_SETUP_SUBMIT_ALL | abi.IORING_SETUP_CQSIZE},
	{"coop_taskrun", abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG | abi.IORING_SETUP_SUBMIT_ALL | abi.IORING_SETUP_CQSIZE},
	{"submit_all", abi.IORING_SETUP_SUBMIT_ALL | abi.IORING_SETUP_CQSIZE},
	{"plain", abi.IORING_SETUP_CQSIZE},
}

// taskrunFlags cannot be combined with SQPOLL, where no thread of ours runs
// task work.
const taskrunFlags = setupDeferTaskrun | abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG

// needFeatures are what the code cannot do without, all present since 5.11:
// both rings in one mapping, completions kept when the ring overflows, a wait
// with a time limit.
const needFeatures = featSingleMmap | featNoDrop | featExtArg

// sqIdleMs is how long an SQPOLL thread spins before it sleeps.
const sqIdleMs = 50

// ring is a mapped io_uring: submissions in, completions out, and the one
// system call between. It knows nothing of operations.
//
// Invariant: head <= tail <= head+entries for submissions (numbers wrap),
// where tail is ours and head is the kernel's.
type ring struct {
	fd         int
	enterFD    uintptr // index of the registered ring descriptor, or fd
	enterFlags uint32  // enterRegisteredRing with the former
	level      level
	flags      uint32 // as set up
	features   uint32

	rings   []byte // mapping of both rings
	entries []byte // mapping of the submission entries
	control []byte // our mapping: the argument of enter

	sqHead, sqTail, sqFlags *uint32
	sqTailLocal             uint32 // next submission; the kernel sees it at enter
	sqMask                  uint32
	sqes                    []abi.SubmissionQueueEntry64

	cqHead, cqTail *uint32
	cqMask         uint32
	cqes           []abi.CompletionQueueEvent16

	arg *waitArg  // in control
	ts  *timespec // in control

	// scratch in control holds what a structure given to register points to: a
	// stack may move under an address that is stored as a number.
	scratch unsafe.Pointer

	// fault, in tests, fails an enter before it reaches the kernel.
	fault func() unix.Errno
}

// openRing probes the levels from o.level on.
func openRing(o *Options) (*ring, error) {
	defer preferNode(o.Node)()
	var err error
	for _, l := range levels[o.level:] {
		var r *ring
		if r, err = openRingAt(o, l); err == nil {
			return r, nil
		}
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return nil, err
}

func openRingAt(o *Options, l level) (*ring, error) {
	p := abi.IOURingParams{Flags: l.flags, CQEntries: uint32(max(o.Limit, 4*o.Entries))}
	p.CQEntries = min(p.CQEntries, maxLimit)
	if o.completions != 0 {
		p.CQEntries = uint32(o.completions)
	}
	if o.SQPoll {
		p.Flags = p.Flags&^taskrunFlags | abi.IORING_SETUP_SQPOLL
		p.SQThreadIdle = sqIdleMs
	}
	if o.IOPoll {
		p.Flags |= abi.IORING_SETUP_IOPOLL
	}
	fd, err := abi.IOURingSetup(uint(o.Entries), &p)
	if err != nil {
		return nil, fmt.Errorf("ioring: io_uring_setup (%s): %w", l.name, err)
	}
	unix.CloseOnExec(fd)
	r := &ring{fd: fd, enterFD: uintptr(fd), level: l, flags: p.Flags, features: p.Features}
	if missing := needFeatures &^ p.Features; missing != 0 {
		return nil, errors.Join(fmt.Errorf("ioring: this kernel's io_uring lacks features %#x (5.11 has them): %w", missing, unix.ENOSYS), r.close())
	}
	if err := r.mapRings(&p); err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.registerFD()
	return r, nil
}

func (r *ring) mapRings(p *abi.IOURingParams) (err error) {
	size := int(p.CQOffset.Cqes) + int(p.CQEntries)*cqeSize
	if r.flags&setupNoSQArray == 0 {
		size = max(size, int(p.SQOffset.Array)+int(p.SQEntries)*4)
	}
	if r.rings, err = r.mapAt(int64(abi.IORING_OFF_SQ_RING), size); err != nil {
		return err
	}
	if r.entries, err = r.mapAt(int64(abi.IORING_OFF_SQES), int(p.SQEntries)*sqeSize); err != nil {
		return err
	}
	if r.control, err = mapMemory(unix.Getpagesize()); err != nil {
		return err
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[offset])) }

	r.sqHead, r.sqTail, r.sqFlags = word(p.SQOffset.Head), word(p.SQOffset.Tail), word(p.SQOffset.Flags)
	r.sqMask = *word(p.SQOffset.RingMask)
	r.sqTailLocal = *r.sqTail
	r.sqes = unsafe.Slice((*abi.SubmissionQueueEntry64)(unsafe.Pointer(&r.entries[0])), p.SQEntries)
	if r.flags&setupNoSQArray == 0 {
		array := unsafe.Slice(word(p.SQOffset.Array), p.SQEntries)
		for i := range array { // ring slot i always holds entry i
			array[i] = uint32(i)
		}
	}

	r.cqHead, r.cqTail = word(p.CQOffset.Head), word(p.CQOffset.Tail)
	r.cqMask = *word(p.CQOffset.RingMask)
	r.cqes = unsafe.Slice((*abi.CompletionQueueEvent16)(unsafe.Pointer(&r.rings[p.CQOffset.Cqes])), p.CQEntries)

	r.arg = (*waitArg)(unsafe.Pointer(&r.control[0]))
	r.ts = (*timespec)(unsafe.Pointer(&r.control[unsafe.Sizeof(waitArg{})]))
	r.arg.ts = uint64(uintptr(unsafe.Pointer(r.ts)))
	r.scratch = unsafe.Pointer(&r.control[64])
	return nil
}

func (r *ring) mapAt(offset int64, size int) ([]byte, error) {
	mem, err := unix.Mmap(r.fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("ioring: map %d bytes of the ring at %#x: %w", size, offset, err)
	}
	return mem, nil
}

// registerFD saves the kernel a descriptor look-up per call. The index is the
// calling thread's own; a kernel before 5.18, or a thread with 16 rings, goes
// on with the descriptor.
func (r *ring) registerFD() {
	u := rsrcUpdate{offset: ^uint32(0), data: uint64(r.fd)}
	if n, err := r.register(registerRingFDs, unsafe.Pointer(&u), 1); err == nil && n == 1 {
		r.enterFD, r.enterFlags = uintptr(u.offset), enterRegisteredRing
	}
}

// register runs io_uring_register, whose result some operations need.
func (r *ring) register(op uintptr, arg unsafe.Pointer, n uintptr) (int, error) {
	for {
		res, _, errno := unix.Syscall6(abi.SYS_IO_URING_REGISTER, uintptr(r.fd), op, uintptr(arg), n, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(res), nil
	}
}

// room returns how many more submissions fit.
func (r *ring) room() int {
	return len(r.sqes) - int(r.sqTailLocal-atomic.LoadUint32(r.sqHead))
}

// next returns the next submission entry, cleared. The caller has made sure of
// room and fills the entry before the next enter.
func (r *ring) next() *abi.SubmissionQueueEntry64 {
	e := &r.sqes[r.sqTailLocal&r.sqMask]
	r.sqTailLocal++
	e.Reset()
	return e
}

// unsubmitted returns how many submissions the kernel has not taken.
func (r *ring) unsubmitted() uint32 { return r.sqTailLocal - atomic.LoadUint32(r.sqHead) }

// completed returns how many completions wait to be read.
func (r *ring) completed() uint32 { return atomic.LoadUint32(r.cqTail) - *r.cqHead }

// pop reads the oldest completion; there is one. The entry is copied before
// the kernel may use it again.
func (r *ring) pop() (data uint64, res int32, flags uint32) {
	head := *r.cqHead
	c := &r.cqes[head&r.cqMask]
	data, res, flags = c.UserData(), c.Result(), c.Flags()
	atomic.StoreUint32(r.cqHead, head+1)
	return data, res, flags
}

// mustEnter reports whether completions exist that only an enter brings into
// the ring: deferred task work, or an overflow list.
func (r *ring) mustEnter() bool {
	return atomic.LoadUint32(r.sqFlags)&(sqTaskrun|sqCQOverflow) != 0
}

// submit hands over what was prepared, without waiting.
func (r *ring) submit() unix.Errno { return r.enter(0, 0, enterNow) }

// gather hands over what was prepared and brings completions into the ring,
// without waiting.
func (r *ring) gather() unix.Errno { return r.enter(0, enterGetEvents, enterNow) }

// How an enter is called.
const (
	enterNow  = iota // does not wait: no scheduler call
	enterSpin        // waits at most 1 ms: no scheduler call either, see wait
	enterWait        // waits: the scheduler may use our P meanwhile
)

// wait hands over what was prepared and waits for one completion, at most for
// d. ETIME says that none came.
//
// With spin, the wait is a raw system call: the Go scheduler does not know
// that the thread sleeps, which saves the loss and re-acquisition of its P.
// That must be short (the caller bounds d to spinWait) and is interrupted by
// the runtime's preemption signal when the garbage collector wants to stop
// the world.
func (r *ring) wait(d time.Duration, spin bool) unix.Errno {
	r.ts.sec, r.ts.nsec = int64(d/time.Second), int64(d%time.Second)
	if spin {
		return r.enter(1, enterGetEvents|enterExtArg, enterSpin)
	}
	return r.enter(1, enterGetEvents|enterExtArg, enterWait)
}

func (r *ring) enter(least, flags uint32, how int) (errno unix.Errno) {
	atomic.StoreUint32(r.sqTail, r.sqTailLocal)
	submit := r.unsubmitted()
	if r.flags&abi.IORING_SETUP_SQPOLL != 0 {
		// The atomic store above orders the tail before this look at the flag.
		if atomic.LoadUint32(r.sqFlags)&sqNeedWakeup != 0 {
			flags |= enterSQWakeup
		} else if flags == 0 {
			return 0 // the kernel's thread is awake and sees the new tail
		}
	}
	if r.fault != nil {
		if errno := r.fault(); errno != 0 {
			return errno
		}
	}
	var arg, argLen uintptr
	if flags&enterExtArg != 0 {
		arg, argLen = uintptr(unsafe.Pointer(r.arg)), unsafe.Sizeof(waitArg{})
	}
	if how == enterWait {
		_, _, errno = unix.Syscall6(abi.SYS_IO_URING_ENTER, r.enterFD, uintptr(submit), uintptr(least), uintptr(flags|r.enterFlags), arg, argLen)
	} else {
		_, _, errno = unix.RawSyscall6(abi.SYS_IO_URING_ENTER, r.enterFD, uintptr(submit), uintptr(least), uintptr(flags|r.enterFlags), arg, argLen)
	}
	return errno
}

// close releases the ring; the kernel ends what is left in it by itself.
func (r *ring) close() error {
	var errs []error
	if r.enterFlags != 0 {
		u := rsrcUpdate{offset: uint32(r.enterFD)}
		if _, err := r.register(unregisterRingFDs, unsafe.Pointer(&u), 1); err != nil {
			errs = append(errs, fmt.Errorf("ioring: unregister the ring's descriptor: %w", err))
		}
	}
	for _, mem := range [][]byte{r.rings, r.entries, r.control} {
		if mem != nil {
			errs = append(errs, unix.Munmap(mem))
		}
	}
	return errors.Join(append(errs, unix.Close(r.fd))...)
}

// describe names the flags and features in use.
func (r *ring) describe() string {
	words := []string{"io_uring", r.level.name}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{r.flags&abi.IORING_SETUP_SQPOLL != 0, "sqpoll"},
		{r.flags&abi.IORING_SETUP_IOPOLL != 0, "iopoll"},
		{r.enterFlags != 0, "registered-fd"},
	} {
		if f.on {
			words = append(words, f.name)
		}
	}
	return strings.Join(words, " ")
}
