package ioring

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/assert"
)

// maxEvents is how many ready descriptors one turn takes.
const maxEvents = 256

// epollQueue is the Queue of machines without io_uring.
//
//	Submit ─▶ fresh ── try ──▶ ready ─▶ Done
//	   │               │ EAGAIN           ▲
//	   │               ▼                  │
//	   │            watched ── epoll ─────┤
//	   ├────────▶ pool (blocking threads)─┤
//	   ├────────▶ timers ─────────────────┤
//	   └────────▶ inline (memory devices) ┘
//
// It makes no descriptor non-blocking but the listening ones (accept has no
// flag for it): the rest is done by MSG_DONTWAIT.
//
// Invariant: inFlight = the operations in all of these, those with the threads
// included.
type epollQueue struct {
	waker
	fd       int
	inFlight int
	events   []unix.EpollEvent
	ts       timespec // argument of epoll_pwait2: its address is given as a number, so not on the stack

	fresh    fifo // sockets not tried yet, and Nops
	inline   fifo
	ready    fifo
	watches  []watch // by descriptor
	nWatched int
	timers   timerHeap
	pool     *pool
	devices  deviceTable

	noPwait2 bool // the kernel has no epoll_pwait2 (before 5.11)
	polling  bool
	closing  bool
	closed   bool

	// fault, in tests, fails a wait before it reaches the kernel.
	fault func() unix.Errno
}

// A watch is what waits for one descriptor: readers (Accept, Recv) and
// writers (Send), each served in order.
type watch struct {
	in, out fifo
	mask    uint32 // what epoll has been told to report next
}

func newEpoll(o Options) (*epollQueue, error) {
	q := &epollQueue{events: make([]unix.EpollEvent, maxEvents)}
	var err error
	if q.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("ioring: epoll_create1: %w", err)
	}
	if err := q.waker.open(); err != nil {
		return nil, errors.Join(err, unix.Close(q.fd))
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(q.waker.fd)}
	if err := unix.EpollCtl(q.fd, unix.EPOLL_CTL_ADD, q.waker.fd, &ev); err != nil {
		return nil, errors.Join(fmt.Errorf("ioring: watch the eventfd: %w", err), q.waker.close(), unix.Close(q.fd))
	}
	q.pool = newPool(o.Threads, q.Wake)
	return q, nil
}

func (q *epollQueue) describe() string {
	return fmt.Sprintf("epoll+pread (%d threads)", q.pool.threads)
}

// Attach implements Queue.
func (q *epollQueue) Attach(d *Device) (File, error) { return q.devices.attach(nil, d) }

// Register implements Queue: there is nothing to register with.
func (q *epollQueue) Register(*Arena) error { return nil }

// InFlight implements Queue.
func (q *epollQueue) InFlight() int { return q.inFlight }

// Submit implements Queue.
func (q *epollQueue) Submit(o *Op) {
	accept(o)
	q.devices.check(o)
	assert.That(!q.closed, "no operation is submitted to a closed queue")
	q.inFlight++
	o.Slot = slotQueued
	switch {
	case q.closing:
		q.end(o, -int32(unix.ECANCELED))
	case q.devices.inline(o):
		q.inline.push(o, placeInline)
	case o.Kind == Read || o.Kind == Write || o.Kind == Fsync:
		o.block = int32(q.devices.block(o.File))
		q.pool.put(o)
	case o.Kind == Timeout:
		q.timers.push(o, now()+time.Duration(max(o.Offset, 0)))
	default:
		q.fresh.push(o, placeFresh)
	}
}

// end makes o's Done due.
func (q *epollQueue) end(o *Op, result int32) {
	o.Result = result
	q.ready.push(o, placeReady)
}

// Cancel implements Queue.
func (q *epollQueue) Cancel(o *Op) {
	if o.Slot == 0 || o.flags&noteCancelled != 0 {
		return
	}
	switch o.place {
	case placeFresh:
		q.fresh.remove(o)
	case placeInline:
		q.inline.remove(o)
	case placeTimer:
		q.timers.remove(o)
	case placeWatched:
		q.unwatch(o)
	case placePool:
		if !q.pool.remove(o) {
			return // a thread has it, and reads its notes: the result it has by then
		}
	default: // ready, with its result, or in the Done of a series, which ends after it
		o.flags |= noteCancelled
		return
	}
	o.flags |= noteCancelled
	q.end(o, -int32(unix.ECANCELED))
}

// Poll implements Queue.
func (q *epollQueue) Poll(wait time.Duration) (int, error) {
	assert.That(!q.polling, "a Done does not call Poll")
	assert.That(!q.closed, "a closed queue is not polled")
	q.polling = true
	n, err := q.poll(wait)
	q.polling = false
	return n, err
}

func (q *epollQueue) poll(wait time.Duration) (int, error) {
	q.tryFresh()
	if err := q.turn(wait); err != nil {
		return 0, err
	}
	at := now()
	for o := q.timers.due(at); o != nil; o = q.timers.due(at) {
		q.end(o, 0)
	}
	for o := q.pool.take(); o != nil; o = q.pool.take() {
		q.end(o, o.Result)
	}
	return q.runInline() + q.runReady(), nil
}

// turn waits for descriptors, timers and threads.
func (q *epollQueue) turn(wait time.Duration) error {
	if t, ok := q.timers.next(); ok {
		wait = min(wait, t-now())
	}
	if wait <= 0 || q.ready.n > 0 || q.fresh.n > 0 || q.inline.n > 0 || !q.sleep() {
		q.look()
		if q.nWatched == 0 {
			return nil
		}
		_, err := q.collect(0, true)
		return err
	}
	defer q.awake()
	// As with io_uring: the first millisecond without telling the scheduler.
	n, err := q.collect(min(wait, spinWait), true)
	if n != 0 || err != nil || wait <= spinWait {
		return err
	}
	_, err = q.collect(wait-spinWait, false)
	return err
}

// collect waits for ready descriptors and serves them. It returns how many
// there were, -1 when a signal ended the wait.
func (q *epollQueue) collect(wait time.Duration, spin bool) (int, error) {
	n, errno := q.epollWait(wait, spin)
	switch errno {
	case 0:
	case unix.EINTR: // a signal, usually the runtime's preemption: nothing happened
		return -1, nil
	default:
		return 0, fmt.Errorf("ioring: epoll_wait: %w", errno)
	}
	for i := range q.events[:n] {
		fd := int(q.events[i].Fd)
		if fd == q.waker.fd {
			var count [8]byte
			_, _ = unix.Read(fd, count[:]) // ready, so it does not block
			continue
		}
		q.serve(fd, q.events[i].Events)
	}
	return n, nil
}

func (q *epollQueue) epollWait(wait time.Duration, spin bool) (int, unix.Errno) {
	if q.fault != nil {
		if errno := q.fault(); errno != 0 {
			return 0, errno
		}
	}
	spin = spin || wait == 0
	if !q.noPwait2 {
		q.ts = timespec{int64(wait / time.Second), int64(wait % time.Second)}
		n, errno := q.epollCall(unix.SYS_EPOLL_PWAIT2, uintptr(unsafe.Pointer(&q.ts)), spin)
		if errno != unix.ENOSYS {
			return n, errno
		}
		q.noPwait2 = true
	}
	ms := (wait + time.Millisecond - 1) / time.Millisecond
	return q.epollCall(unix.SYS_EPOLL_PWAIT, uintptr(ms), spin)
}

func (q *epollQueue) epollCall(call, timeout uintptr, spin bool) (int, unix.Errno) {
	events := unsafe.Pointer(&q.events[0])
	if spin {
		n, _, errno := unix.RawSyscall6(call, uintptr(q.fd), uintptr(events), maxEvents, timeout, 0, 0)
		return int(n), errno
	}
	n, _, errno := unix.Syscall6(call, uintptr(q.fd), uintptr(events), maxEvents, timeout, 0, 0)
	return int(n), errno
}

// tryFresh gives each new socket operation its first try.
func (q *epollQueue) tryFresh() {
	for range q.fresh.n {
		o := q.fresh.pop()
		if o.Kind == Nop {
			q.end(o, 0)
			continue
		}
		fd := int(o.File.fd)
		if fd < 0 {
			q.end(o, -int32(unix.EBADF))
			continue
		}
		if fd >= len(q.watches) || q.watches[fd].line(o.Kind).n == 0 { // none waits before it
			if result, wait := q.try(o); !wait {
				q.conclude(o, result)
				continue
			}
		}
		q.watchOf(fd).line(o.Kind).push(o, placeWatched)
		q.nWatched++
		q.arm(fd)
	}
}

func (q *epollQueue) watchOf(fd int) *watch {
	for fd >= len(q.watches) {
		q.watches = append(q.watches, make([]watch, fd+1-len(q.watches))...)
	}
	return &q.watches[fd]
}

func (w *watch) line(k Kind) *fifo {
	if k == Send {
		return &w.out
	}
	return &w.in
}

// serve acts on a descriptor's readiness. An error or a hang-up is news for
// both directions: the operations themselves find out which.
func (q *epollQueue) serve(fd int, events uint32) {
	if fd >= len(q.watches) {
		return
	}
	w := &q.watches[fd]
	w.mask = 0 // one-shot: this report was the last
	const broken = unix.EPOLLERR | unix.EPOLLHUP
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|broken) != 0 {
		q.advance(fd, &w.in)
	}
	if events&(unix.EPOLLOUT|broken) != 0 {
		q.advance(fd, &w.out)
	}
	q.arm(fd)
}

// advance tries the operations of one direction in order until one must wait.
func (q *epollQueue) advance(fd int, line *fifo) {
	for line.n > 0 {
		o := line.head
		result, wait := q.try(o)
		if wait {
			return
		}
		line.pop()
		q.nWatched--
		q.conclude(o, result)
		if o.Kind == Accept { // one a turn; a Multi one comes back after its Done
			return
		}
	}
}

// conclude ends o, or one of the series that it asks for.
func (q *epollQueue) conclude(o *Op, result int32) {
	o.More = o.Kind == Accept && o.Flags&Multi != 0 && result >= 0
	q.end(o, result)
}

// try runs o without blocking. wait: it is not the descriptor's time yet.
func (q *epollQueue) try(o *Op) (result int32, wait bool) {
	for {
		res, errno := q.call(o)
		switch errno {
		case 0:
			if o.Kind != Send || o.Flags&WaitAll == 0 || res == 0 {
				return int32(res), false
			}
			if result, again := settle(o, int32(res), 1); !again {
				return result, false
			}
		case unix.EINTR: // a signal came first: again
		case unix.EAGAIN:
			return 0, true
		default:
			return -int32(errno), false
		}
	}
}

func (q *epollQueue) call(o *Op) (uintptr, unix.Errno) {
	fd := uintptr(o.File.fd)
	switch o.Kind {
	case Accept:
		if err := unix.SetNonblock(int(fd), true); err != nil {
			return 0, err.(unix.Errno)
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, fd, 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		return n, errno
	case Recv:
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.Buf))), uintptr(len(o.Buf)), unix.MSG_DONTWAIT, 0, 0)
		return n, errno
	}
	rest := o.Buf[o.moved:]
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return n, errno
}

// arm tells epoll what the descriptor's operations wait for.
func (q *epollQueue) arm(fd int) {
	w := &q.watches[fd]
	var mask uint32
	if w.in.n > 0 {
		mask |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if w.out.n > 0 {
		mask |= unix.EPOLLOUT
	}
	if mask == 0 || mask == w.mask {
		return
	}
	ev := unix.EpollEvent{Events: mask | unix.EPOLLONESHOT, Fd: int32(fd)}
	err := unix.EpollCtl(q.fd, unix.EPOLL_CTL_MOD, fd, &ev)
	if err == unix.ENOENT { // first use of this descriptor, or of its number
		err = unix.EpollCtl(q.fd, unix.EPOLL_CTL_ADD, fd, &ev)
	}
	if err != nil { // not a socket, or closed under us: each operation fails with that
		q.fail(fd, -int32(err.(unix.Errno)))
		return
	}
	w.mask = mask
}

func (q *epollQueue) fail(fd int, result int32) {
	w := &q.watches[fd]
	for ; w.in.n > 0; q.nWatched-- {
		q.end(w.in.pop(), result)
	}
	for ; w.out.n > 0; q.nWatched-- {
		q.end(w.out.pop(), result)
	}
	w.mask = 0
}

func (q *epollQueue) unwatch(o *Op) {
	w := &q.watches[o.File.fd]
	w.line(o.Kind).remove(o)
	w.mask = 0 // the number may be another socket's when it is next used: tell epoll anew
	q.nWatched--
}

func (q *epollQueue) runInline() int {
	n := q.inline.n
	for range n {
		if q.inline.n == 0 { // a Done cancelled the rest
			return n
		}
		o := q.inline.pop()
		q.finish(o, transfer(o, q.devices.block(o.File)))
	}
	return n
}

func (q *epollQueue) runReady() int {
	n := q.ready.n
	for range n {
		o := q.ready.pop()
		if o.More {
			q.finishOne(o)
			continue
		}
		q.finish(o, o.Result)
	}
	return n
}

func (q *epollQueue) finish(o *Op, result int32) {
	q.inFlight--
	o.Slot, o.Result = 0, result
	o.Done(o)
}

// finishOne runs Done for one connection of a Multi accept, which goes on
// unless it was cancelled before or meanwhile.
func (q *epollQueue) finishOne(o *Op) {
	o.place = placeNone
	o.Done(o)
	o.More = false
	if q.closing || o.flags&noteCancelled != 0 {
		q.end(o, -int32(unix.ECANCELED))
		return
	}
	q.fresh.push(o, placeFresh)
}

// Close implements Queue.
func (q *epollQueue) Close() error {
	assert.That(!q.polling, "a Done does not call Close")
	if q.closed {
		return nil
	}
	q.closing = true
	q.cancelAll()
	deadline := time.Now().Add(closeWait)
	for q.inFlight > 0 {
		if _, err := q.Poll(10 * time.Millisecond); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ioring: %d operations have not ended %v after they were cancelled", q.inFlight, closeWait)
		}
	}
	q.closed = true
	q.pool.close()
	return errors.Join(q.waker.close(), unix.Close(q.fd))
}

func (q *epollQueue) cancelAll() {
	for q.fresh.n > 0 {
		q.Cancel(q.fresh.head)
	}
	for q.inline.n > 0 {
		q.Cancel(q.inline.head)
	}
	for fd := range q.watches {
		q.fail(fd, -int32(unix.ECANCELED))
	}
	for q.timers.len() > 0 {
		q.Cancel(q.timers.first())
	}
	for o := q.pool.steal(); o != nil; o = q.pool.steal() {
		q.end(o, -int32(unix.ECANCELED))
	}
}
