package sim

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/ashlardb/ashlar/ioring"
)

// pollCost is the virtual time of a Poll that finds nothing to wait for: a
// loop that polls without waiting still sees its operations complete.
const pollCost = time.Microsecond

// closeRounds bounds how long Close waits: longer than any stall that tests
// inject.
const (
	closeRounds = 1000
	closeWait   = time.Second
)

// queue implements ioring.Queue.
type queue struct {
	w      *World
	slots  []*flight // by Op.Slot less one; nil when free
	free   []uint32  // free slots
	ready  []*flight // took effect, Done not yet run, in order
	batch  []*flight // being delivered by Poll
	flying int       // occupied slots

	woken   atomic.Bool
	polling bool
	closed  bool
	dead    bool // its process has crashed
}

var _ ioring.Queue = (*queue)(nil)

// Attach returns the File of a device of this World.
func (q *queue) Attach(d *ioring.Device) (ioring.File, error) {
	f := ioring.DeviceFile(d.FD, 0)
	if q.w.deviceOf(f) == nil {
		return ioring.File{}, fmt.Errorf("sim: attach %s: descriptor %d is no device of this world", d.Path, d.FD)
	}
	return f, nil
}

// Register does nothing: all memory is known here.
func (q *queue) Register(*ioring.Arena) error { return nil }

// Submit puts o in flight.
func (q *queue) Submit(o *ioring.Op) {
	if q.dead {
		return // the process that calls is no more
	}
	w := q.w
	f := &flight{q: q, op: o, off: o.Offset, n: len(o.Buf)}
	if o.InFlight() {
		panic(f.misuse("submitted while in flight in slot ", o.Slot))
	}
	if q.closed {
		panic(f.misuse("submitted to a closed queue", ""))
	}
	if o.Done == nil {
		panic(f.misuse("submitted without a Done", ""))
	}
	q.admit(f)
	q.occupy(f)
	w.submit(f)
}

// admit finds f's device and refuses what a kernel would refuse.
func (q *queue) admit(f *flight) {
	switch k := f.op.Kind; k {
	case ioring.Nop, ioring.Timeout:
		return
	case ioring.Read, ioring.Write, ioring.Fsync:
		f.dev = q.w.deviceOf(f.op.File)
		if f.dev == nil {
			f.result = -int32(syscall.EBADF)
			return
		}
		if k != ioring.Fsync && !aligned(f.op, f.dev.block) {
			q.w.counts.Unaligned++
			f.result = -int32(syscall.EINVAL)
		}
		q.claim(f)
	default:
		f.result = -int32(syscall.EOPNOTSUPP)
	}
}

// aligned reports whether an operation is fit for direct I/O.
func aligned(o *ioring.Op, block int) bool {
	b := int64(block)
	return o.Offset >= 0 && o.Offset%b == 0 && int64(len(o.Buf))%b == 0 && address(o.Buf)%uintptr(block) == 0
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// claim takes over f's buffer: it checks that no other operation in flight
// owns it and keeps what a write must not change or poisons what a read must
// not look at.
func (q *queue) claim(f *flight) {
	if f.op.Kind == ioring.Fsync {
		return
	}
	for _, other := range q.w.queues {
		for _, g := range other.slots {
			if g == nil || g.dev == nil || g.op.Kind == ioring.Write && f.op.Kind == ioring.Write {
				continue
			}
			if shares(f.op.Buf, g.op.Buf) {
				panic(f.misuse("its buffer is in flight already in a ", g))
			}
		}
	}
	if f.op.Kind == ioring.Write {
		f.data = append([]byte(nil), f.op.Buf...)
		return
	}
	for p := f.op.Buf; len(p) > 0; {
		p = p[copy(p, poisoned[:]):]
	}
}

// shares reports whether two buffers overlap in memory.
func shares(p, q []byte) bool {
	a, b := address(p), address(q)
	return len(p) > 0 && len(q) > 0 && a < b+uintptr(len(q)) && b < a+uintptr(len(p))
}

// occupy gives f a slot.
func (q *queue) occupy(f *flight) {
	if len(q.free) == 0 {
		q.slots = append(q.slots, nil)
		q.free = append(q.free, uint32(len(q.slots)))
	}
	last := len(q.free) - 1
	f.slot = q.free[last]
	q.free = q.free[:last]
	q.slots[f.slot-1] = f
	f.op.Slot = f.slot
	q.flying++
}

// vacate frees f's slot.
func (q *queue) vacate(f *flight) {
	q.slots[f.slot-1] = nil
	q.free = append(q.free, f.slot)
	q.flying--
}

// submit numbers f and puts it in flight.
func (w *World) submit(f *flight) {
	w.sequence++
	f.seq = w.sequence
	if f.dev != nil {
		w.submitted++
		if errno, ok := w.failOps[w.submitted]; ok {
			f.errno = errno
			delete(w.failOps, w.submitted)
		}
		if w.submitted == w.cutAt {
			w.cut = true
		}
	}
	f.mark = w.effects + 1
	w.launch(f)
}

// Cancel ends a Nop or Timeout at once, and one of two device operations:
// those that the device has not begun.
func (q *queue) Cancel(o *ioring.Op) {
	if q.dead || o.Slot == 0 || int(o.Slot) > len(q.slots) {
		return
	}
	f := q.slots[o.Slot-1]
	if f == nil || f.op != o || f.index < 0 || f.cancelled {
		return
	}
	if f.dev == nil || q.w.coin() {
		f.cancelled = true
		q.w.hasten(f)
	}
}

// Poll lets time pass until an operation of this queue has completed, a Wake
// comes or wait is over, and runs the Dones of what has completed.
func (q *queue) Poll(wait time.Duration) (int, error) {
	w := q.w
	if q.polling {
		panic("sim: Poll called from a Done")
	}
	q.polling = true
	defer func() { q.polling = false }()
	woken := q.woken.Swap(false)
	deadline := w.now + max(wait, pollCost)
	if woken {
		deadline = w.now + pollCost
	}
	for len(q.ready) == 0 && !q.dead && !q.closed && !w.cut {
		if len(w.flying) == 0 || w.flying[0].at > deadline {
			w.now = deadline
			break
		}
		w.step()
	}
	switch {
	case q.dead || w.cut:
		return 0, ErrPowerCut
	case q.closed:
		return 0, ErrClosed
	}
	return q.deliver()
}

// deliver runs the Dones of what is ready now; what they submit is not ready
// before the next Poll.
func (q *queue) deliver() (int, error) {
	q.batch, q.ready = q.ready, q.batch[:0]
	for i, f := range q.batch {
		q.batch[i] = nil
		q.vacate(f)
		f.deliver()
		f.op.Done(f.op)
		if q.dead {
			return i + 1, ErrPowerCut
		}
	}
	n := len(q.batch)
	q.batch = q.batch[:0]
	return n, nil
}

// Wake makes the next Poll not wait.
func (q *queue) Wake() { q.woken.Store(true) }

// InFlight returns how many operations the queue owns.
func (q *queue) InFlight() int {
	if q.dead {
		return 0
	}
	return q.flying
}

// Close cancels what is in flight, runs its Dones and takes the queue out of
// the World.
func (q *queue) Close() error {
	if q.dead || q.closed {
		return nil
	}
	for round := 0; q.flying > 0; round++ {
		if round == closeRounds {
			return fmt.Errorf("sim: close: %d operations still in flight after %v", q.flying, closeRounds*closeWait)
		}
		for _, f := range q.slots {
			if f != nil {
				q.Cancel(f.op)
			}
		}
		if _, err := q.Poll(closeWait); err != nil {
			return err
		}
	}
	q.closed = true
	q.w.forget(q)
	return nil
}
