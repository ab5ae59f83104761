package ioring

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/assert"
)

const (
	// spinWait bounds the part of a wait that is a raw system call (see
	// ring.wait). Measured: waits shorter than this are nearly all there are
	// under load, and a longer one can afford the scheduler.
	spinWait = time.Millisecond

	// closeWait bounds Close. A device that has not answered by then hangs.
	closeWait = 60 * time.Second

	// maxAgain bounds how often one operation is tried again after EAGAIN or
	// EINTR before its owner gets the error.
	maxAgain = 64

	// starvedNap is the pause after the kernel had no memory for a request.
	starvedNap = time.Millisecond
)

// What a completion is for: the top byte of its user_data. Below are 24 bits
// of generation and 32 bits of slot. The kernel never sees a Go pointer.
const (
	forOp uint8 = iota
	forWake
	forCancel
)

const generationMask = 1<<24 - 1

func userData(what uint8, generation, slot uint32) uint64 {
	return uint64(what)<<56 | uint64(generation&generationMask)<<32 | uint64(slot)
}

// A flight is the queue's note of one operation with the kernel. Its index is
// the slot in user_data.
type flight struct {
	op         *Op    // keeps the operation and its buffer alive; nil when free
	generation uint32 // counts the uses of this slot, so that no completion meets a later use
	nextFree   uint32 // 1 + index of the next free slot, 0 at the end
	again      uint8  // times tried again
}

// uring is a Queue over one io_uring.
//
//	Submit ─▶ flight + submission entry ─┐
//	   └────▶ backlog (no room) ─ fill ──┤
//	                                     ▼
//	Done ◀─ reap ◀─ completions ◀─ enter (in Poll)
//
// Invariant: inFlight = flights in use + len(backlog) + len(inline) + len(ready).
type uring struct {
	waker
	ring *ring
	log  *slog.Logger

	flights  []flight
	free     uint32 // 1 + index of the first free flight
	inFlight int
	batch    int
	eager    int // device operations prepared since the last hand-over
	iopoll   bool

	backlog fifo     // Submit found no flight or no submission entry
	inline  fifo     // for devices that are memory: run by Poll itself
	ready   fifo     // over without the kernel: Done is due
	cancels []uint64 // user_data of what to cancel; at most one per flight, plus the wake-up

	slab  []byte // mapped: a timespec for each flight, then the wake-up's 8 bytes
	times []timespec
	wake  []byte
	armed bool // the wake-up's read is with the kernel

	devices deviceTable
	buffers bufferTable
	polling bool // in Poll: a Done must not call it
	closing bool
	closed  bool
}

func newUring(o Options) (*uring, error) {
	r, err := openRing(&o)
	if err != nil {
		return nil, err
	}
	q := &uring{
		ring:    r,
		log:     o.Log,
		flights: make([]flight, o.Limit),
		cancels: make([]uint64, 0, o.Limit+1),
		batch:   o.Batch,
		iopoll:  o.IOPoll,
	}
	for i := range q.flights {
		q.flights[i].nextFree = uint32(i) + 2
	}
	q.flights[o.Limit-1].nextFree = 0
	q.free = 1

	timesSize := o.Limit * int(unsafe.Sizeof(timespec{}))
	if q.slab, err = mapMemory(timesSize + 8); err != nil {
		return nil, errors.Join(err, r.close())
	}
	q.times = unsafe.Slice((*timespec)(unsafe.Pointer(&q.slab[0])), o.Limit)
	q.wake = q.slab[timesSize:]
	if err := q.waker.open(); err != nil {
		return nil, errors.Join(err, unix.Munmap(q.slab), r.close())
	}
	q.devices.open(r)
	q.buffers.open(r)
	return q, nil
}

func (q *uring) describe() string {
	s := q.ring.describe()
	if q.devices.registered {
		s += " registered-files"
	}
	if q.buffers.registered {
		s += " registered-buffers"
	}
	return s
}

// Attach implements Queue.
func (q *uring) Attach(d *Device) (File, error) { return q.devices.attach(q.ring, d) }

// Register implements Queue.
func (q *uring) Register(a *Arena) error { return q.buffers.register(q.ring, a, q.log) }

// InFlight implements Queue.
func (q *uring) InFlight() int { return q.inFlight }

// Submit implements Queue.
func (q *uring) Submit(o *Op) {
	accept(o)
	q.devices.check(o)
	assert.That(!q.closed, "no operation is submitted to a closed queue")
	q.inFlight++
	o.Slot = slotQueued
	switch {
	case q.closing:
		o.Result = -int32(unix.ECANCELED)
		q.ready.push(o, placeReady)
	case q.devices.inline(o):
		q.inline.push(o, placeInline)
	case q.backlog.n > 0 || q.free == 0 || q.ring.room() == 0:
		q.backlog.push(o, placeBacklog)
	default:
		q.launch(o)
	}
}

// accept checks and readies an operation for any queue.
func accept(o *Op) {
	assert.That(o.Slot == 0, "an operation is submitted once at a time")
	assert.That(o.Done != nil, "an operation has a Done")
	assert.That(o.Kind <= Timeout, "an operation has a known kind")
	assert.That(len(o.Buf) <= math.MaxInt32, "an operation's length fits its Result")
	o.reset()
}

// launch gives o a flight and prepares its submission. There is room for both.
func (q *uring) launch(o *Op) {
	i := q.free - 1
	f := &q.flights[i]
	assert.That(f.op == nil, "a free flight has no operation")
	q.free = f.nextFree
	f.op, f.again = o, 0
	f.generation = (f.generation + 1) & generationMask
	o.Slot, o.place = i+1, placeNone
	q.prepare(i, f)
}

// land takes an operation out of its flight, which the kernel has left.
func (q *uring) land(i uint32, f *flight) {
	f.op.Slot = 0
	f.op = nil
	f.nextFree = q.free
	q.free = i + 1
	q.inFlight--
}

// prepare fills the submission entry of what flight i asks for next.
func (q *uring) prepare(i uint32, f *flight) {
	o := f.op
	e := q.ring.next()
	e.SetUserData(userData(forOp, f.generation, i))
	if o.flags&notePolling != 0 {
		e.PrepOperation(abi.IORING_OP_POLL_ADD, o.File.fd, 0, 0, 0)
		e.SetOpFlags(pollMask(o.Kind))
		return
	}
	switch o.Kind {
	case Nop:
		e.PrepOperation(abi.IORING_OP_NOP, -1, 0, 0, 0)
	case Read:
		q.eager++
		q.prepareTransfer(e, o, abi.IORING_OP_READ, abi.IORING_OP_READ_FIXED)
	case Write:
		q.eager++
		q.prepareTransfer(e, o, abi.IORING_OP_WRITE, abi.IORING_OP_WRITE_FIXED)
		if o.Flags&DSync != 0 {
			e.SetOpFlags(unix.RWF_DSYNC)
		}
	case Fsync:
		e.PrepOperation(abi.IORING_OP_FSYNC, o.File.fd, 0, 0, 0)
		e.SetOpFlags(abi.IORING_FSYNC_DATASYNC)
		q.devices.fix(e, o.File)
	case Accept:
		e.PrepOperation(abi.IORING_OP_ACCEPT, o.File.fd, 0, 0, 0)
		e.SetOpFlags(unix.SOCK_CLOEXEC)
		if o.Flags&Multi != 0 && o.flags&noteOneShot == 0 {
			e.SetIoprio(acceptMultishot)
		}
	case Recv:
		e.PrepOperation(abi.IORING_OP_RECV, o.File.fd, address(o.Buf), uint32(len(o.Buf)), 0)
	case Send:
		rest := o.Buf[o.moved:]
		e.PrepOperation(abi.IORING_OP_SEND, o.File.fd, address(rest), uint32(len(rest)), 0)
		e.SetOpFlags(sendFlags(o))
	case Timeout:
		t := &q.times[i]
		t.sec, t.nsec = splitNanoseconds(o.Offset)
		e.PrepOperation(abi.IORING_OP_TIMEOUT, -1, uint64(uintptr(unsafe.Pointer(t))), 1, 0)
	}
}

func (q *uring) prepareTransfer(e *abi.SubmissionQueueEntry64, o *Op, op, opFixed uint8) {
	rest := o.Buf[o.moved:]
	at := address(rest)
	index, fixed := q.buffers.find(at, len(rest))
	if fixed {
		op = opFixed
	}
	e.PrepOperation(op, o.File.fd, at, uint32(len(rest)), uint64(o.Offset+int64(o.moved)))
	if fixed {
		e.SetBufIndex(index)
	}
	q.devices.fix(e, o.File)
	if o.flags&noteBlocking != 0 {
		e.SetFlags(abi.IOSQE_FLAGS_ASYNC)
	}
}

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// sendFlags: a peer that has gone away is an EPIPE, not a signal.
func sendFlags(o *Op) uint32 {
	if o.Flags&WaitAll != 0 {
		return unix.MSG_NOSIGNAL | unix.MSG_WAITALL
	}
	return unix.MSG_NOSIGNAL
}

func pollMask(k Kind) uint32 {
	if k == Send {
		return unix.POLLOUT
	}
	return unix.POLLIN
}

func splitNanoseconds(ns int64) (sec, nsec int64) {
	ns = max(ns, 0) // a time that has passed is due at once
	return ns / int64(time.Second), ns % int64(time.Second)
}

// Cancel implements Queue.
func (q *uring) Cancel(o *Op) {
	switch {
	case o.Slot == 0 || o.flags&noteCancelled != 0 || o.place == placeReady:
		return
	case o.place == placeBacklog:
		q.backlog.remove(o)
		q.finishQueued(o)
	case o.place == placeInline:
		q.inline.remove(o)
		q.finishQueued(o)
	default:
		i := o.Slot - 1
		assert.That(int(i) < len(q.flights) && q.flights[i].op == o, "an operation is cancelled on its own queue")
		o.flags |= noteCancelled
		q.cancels = append(q.cancels, userData(forOp, q.flights[i].generation, i))
	}
}

// finishQueued ends an operation that the kernel has not seen.
func (q *uring) finishQueued(o *Op) {
	o.Result = -int32(unix.ECANCELED)
	q.ready.push(o, placeReady)
}

// fill prepares what waits for room: cancellations first, they make room.
func (q *uring) fill() {
	n := 0
	for ; n < len(q.cancels) && q.ring.room() > 0; n++ {
		e := q.ring.next()
		e.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, -1, q.cancels[n], 0, 0)
		e.SetUserData(userData(forCancel, 0, 0))
	}
	q.cancels = q.cancels[:copy(q.cancels, q.cancels[n:])]
	for q.backlog.n > 0 && q.free != 0 && q.ring.room() > 0 {
		q.launch(q.backlog.pop())
	}
}

// wakeable makes sure that a Wake ends the wait to come. False: there is no
// room to ask for it; the turn does not wait and makes some.
func (q *uring) wakeable() bool {
	if !q.armed && !q.iopoll && !q.closing && q.ring.room() > 0 {
		q.arm()
	}
	return q.armed || q.iopoll || q.closing
}

// arm asks for the wake-up: a read of the eventfd that completes when another
// thread has called Wake while the owner slept.
func (q *uring) arm() {
	e := q.ring.next()
	e.PrepOperation(abi.IORING_OP_READ, int32(q.waker.fd), address(q.wake), 8, 0)
	e.SetUserData(userData(forWake, 0, 0))
	q.armed = true
}

// Poll implements Queue.
func (q *uring) Poll(wait time.Duration) (int, error) {
	assert.That(!q.polling, "a Done does not call Poll")
	assert.That(!q.closed, "a closed queue is not polled")
	q.polling = true
	n, err := q.poll(wait)
	q.polling = false
	return n, err
}

func (q *uring) poll(wait time.Duration) (int, error) {
	q.fill()
	q.eager = 0
	if err := q.turn(wait); err != nil {
		return 0, err
	}
	n, err := q.reap()
	if err != nil {
		return n, err
	}
	n += q.runInline()
	n += q.runReady()
	return n, nil
}

// turn goes to the kernel once in the usual case: it hands over submissions
// and waits, if there is nothing to do without waiting.
func (q *uring) turn(wait time.Duration) error {
	if wait <= 0 || q.busy() || !q.wakeable() || !q.sleep() {
		q.look()
		if q.ring.unsubmitted() == 0 && !q.ring.mustEnter() && q.ring.flags&abi.IORING_SETUP_IOPOLL == 0 {
			return nil
		}
		return q.judge(q.ring.gather())
	}
	defer q.awake()
	if q.iopoll {
		return q.pollDevices(wait)
	}
	errno := q.ring.wait(min(wait, spinWait), true)
	if errno != unix.ETIME && errno != 0 || wait <= spinWait || q.ring.completed() > 0 {
		return q.judge(errno)
	}
	// A quiet millisecond: the rest of the wait leaves our P to others.
	return q.judge(q.ring.wait(wait-spinWait, false))
}

// busy reports whether something can be done without waiting.
func (q *uring) busy() bool {
	return q.ready.n > 0 || q.inline.n > 0 || q.ring.completed() > 0 || len(q.cancels) > 0 ||
		q.backlog.n > 0 && q.free != 0
}

// pollDevices is the wait of an IOPOLL queue. The wake-up cannot be a read in
// such a ring. With device operations out, the wait lasts until one completes;
// without, it is for the wake-up alone.
func (q *uring) pollDevices(wait time.Duration) error {
	if q.inFlight > 0 {
		return q.judge(q.ring.enter(1, enterGetEvents, enterWait))
	}
	ms := int((wait + time.Millisecond - 1) / time.Millisecond)
	fds := [1]unix.PollFd{{Fd: int32(q.waker.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], ms)
	if n == 1 {
		var count [8]byte
		_, err = unix.Read(q.waker.fd, count[:])
	}
	if err == unix.EINTR {
		return nil
	}
	return err
}

// judge sorts the outcomes of an enter: each ordinary one has its line.
func (q *uring) judge(errno unix.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.ETIME: // the wait ended without a completion
		return nil
	case unix.EINTR: // a signal, usually the runtime's preemption: nothing happened
		return nil
	case unix.EBUSY: // completions overflowed the ring: reap, then try again
		return nil
	case unix.EAGAIN: // no memory for a request: what we prepared stays prepared
		if q.ring.completed() == 0 {
			time.Sleep(starvedNap)
		}
		return nil
	case unix.EEXIST, unix.EBADF: // SINGLE_ISSUER; or a registered descriptor, which is the thread's own
		return fmt.Errorf("ioring: io_uring_enter: is the queue used by a thread that did not make it? %w", errno)
	case unix.EBADR: // the kernel had no memory to keep a completion
		return fmt.Errorf("ioring: the kernel dropped completions: %w", errno)
	}
	return fmt.Errorf("ioring: io_uring_enter: %w", errno)
}

// reap reads the completions that are there now and runs their Dones. Device
// operations they submit go to the kernel on the way, in batches, so that the
// device does not wait for the last Done.
func (q *uring) reap() (int, error) {
	ran := 0
	for n := q.ring.completed(); n > 0; n-- {
		data, res, flags := q.ring.pop()
		if q.complete(data, res, flags) {
			ran++
		}
		if q.eager >= q.batch && n > 1 {
			q.eager = 0
			if err := q.judge(q.ring.submit()); err != nil {
				return ran, err
			}
		}
	}
	return ran, nil
}

// complete acts on one completion and reports whether a Done ran.
func (q *uring) complete(data uint64, res int32, flags uint32) bool {
	switch uint8(data >> 56) {
	case forWake:
		q.armed = false
		return false
	case forCancel: // how that went shows in the operation's own completion
		return false
	}
	i := uint32(data)
	f := &q.flights[i]
	o := f.op
	assert.That(o != nil && f.generation == uint32(data>>32)&generationMask, "a completion meets the operation it is for")

	result, again := q.settle(f, res)
	if again {
		q.relaunch(i, f)
		return false
	}
	o.Result = result
	o.More = o.Kind == Accept && o.Flags&Multi != 0 && result >= 0 && (flags&cqeMore != 0 || o.flags&noteCancelled == 0)
	if !o.More {
		q.land(i, f)
		o.Done(o)
		return true
	}
	if flags&cqeMore == 0 { // the kernel has ended the series, we have not
		q.relaunch(i, f)
	}
	o.Done(o)
	return true
}

// relaunch submits the rest of a flight's operation. It keeps its flight, and
// goes before what has not started yet.
func (q *uring) relaunch(i uint32, f *flight) {
	if q.ring.room() == 0 {
		// Room comes with a hand-over. If even that makes none (EAGAIN, EBUSY),
		// the operation restarts from the backlog, where progress is kept.
		q.ring.submit()
	}
	if q.ring.room() > 0 {
		q.prepare(i, f)
		return
	}
	o := f.op
	f.op = nil
	f.nextFree = q.free
	q.free = i + 1
	o.Slot = slotQueued
	q.backlog.push(o, placeBacklog)
}

// settle decides what a completion means for its operation: its Result, or
// another try. Each errno that is not the operation's last word has its line.
func (q *uring) settle(f *flight, res int32) (result int32, again bool) {
	o := f.op
	cancelled := o.flags&noteCancelled != 0
	if o.flags&notePolling != 0 { // the socket is ready, or broken: the operation itself finds out
		o.flags &^= notePolling
		if cancelled {
			return -int32(unix.ECANCELED), false
		}
		return 0, true
	}
	switch unix.Errno(-res) {
	case unix.EINTR: // a kernel worker was interrupted before the first byte
		return res, !cancelled && f.tryAgain()
	case unix.EAGAIN:
		if cancelled || !f.tryAgain() {
			return res, false
		}
		switch o.Kind {
		case Read, Write: // the device's queue was full: let a kernel worker wait for it
			o.flags |= noteBlocking
		case Accept, Recv, Send: // the descriptor is non-blocking: watch it
			o.flags |= notePolling
		}
		return 0, true
	case unix.EINVAL:
		if o.Kind == Accept && o.Flags&Multi != 0 && o.flags&noteOneShot == 0 { // a kernel before 5.19
			o.flags |= noteOneShot
			return 0, !cancelled
		}
	case unix.ETIME:
		if o.Kind == Timeout { // this is how a timeout succeeds
			return 0, false
		}
	}
	switch o.Kind {
	case Read, Write:
		return settle(o, res, q.devices.block(o.File))
	case Send:
		if res > 0 && o.Flags&WaitAll != 0 {
			return settle(o, res, 1)
		}
		if res == 0 && o.moved > 0 {
			return o.moved, false
		}
	}
	return res, false
}

func (f *flight) tryAgain() bool {
	if f.again >= maxAgain {
		return false
	}
	f.again++
	return true
}

// runInline runs the operations on memory devices that are there now.
func (q *uring) runInline() int {
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

// runReady runs the Dones that are due without the kernel.
func (q *uring) runReady() int {
	n := q.ready.n
	for range n {
		o := q.ready.pop()
		q.finish(o, o.Result)
	}
	return n
}

// finish ends an operation that has no flight.
func (q *uring) finish(o *Op, result int32) {
	q.inFlight--
	o.Slot, o.Result = 0, result
	o.Done(o)
}

// Close implements Queue. An operation that a Done submits meanwhile gets
// -ECANCELED. A device that answers nothing for a minute makes Close give up
// with an error: then the memory of what is in flight must stay mapped.
func (q *uring) Close() error {
	assert.That(!q.polling, "a Done does not call Close")
	if q.closed {
		return nil
	}
	q.closing = true
	for q.backlog.n > 0 {
		q.finishQueued(q.backlog.pop())
	}
	for q.inline.n > 0 {
		q.finishQueued(q.inline.pop())
	}
	for i := range q.flights {
		if o := q.flights[i].op; o != nil {
			q.Cancel(o)
		}
	}
	if q.armed {
		q.cancels = append(q.cancels, userData(forWake, 0, 0))
	}
	err := q.drain(time.Now().Add(closeWait))
	q.closed = true
	if err != nil {
		// The kernel still has operations: what it may touch stays mapped.
		return errors.Join(err, q.waker.close(), q.ring.close())
	}
	q.buffers.release()
	return errors.Join(q.waker.close(), q.ring.close(), unix.Munmap(q.slab))
}

func (q *uring) drain(deadline time.Time) error {
	for q.inFlight > 0 || q.armed {
		if _, err := q.Poll(10 * time.Millisecond); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ioring: %d operations have not ended %v after they were cancelled", q.inFlight, closeWait)
		}
	}
	return nil
}
