package ioring

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// States of a waker.
const (
	wakerAwake    = iota // the owner runs and will look at its inbox before it sleeps
	wakerNotified        // Wake was called since the owner last looked
	wakerAsleep          // the owner waits in the kernel: Wake must write to the eventfd
	wakerClosed
)

// A waker carries Wake from any thread to the owner of a queue. Wake costs an
// atomic operation while the owner is awake and one write to an eventfd when
// it sleeps.
//
// No wake-up is lost: the owner goes to sleep only by the step awake → asleep,
// which fails after a Wake, and a Wake after that step writes to the eventfd,
// which the owner's wait in the kernel includes.
type waker struct {
	state atomic.Uint32
	users atomic.Int32 // threads between their look at the state and the end of their write
	fd    int
}

func (w *waker) open() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("ioring: eventfd for wake-ups: %w", err)
	}
	w.fd = fd
	return nil
}

// Wake implements Queue.
func (w *waker) Wake() {
	for {
		switch w.state.Load() {
		case wakerNotified, wakerClosed:
			return
		case wakerAwake:
			if w.state.CompareAndSwap(wakerAwake, wakerNotified) {
				return
			}
		case wakerAsleep:
			w.users.Add(1)
			if w.state.CompareAndSwap(wakerAsleep, wakerNotified) {
				w.write()
				w.users.Add(-1)
				return
			}
			w.users.Add(-1)
		}
	}
}

// write adds one to the eventfd. It cannot block: the counter holds 2^64-2
// and grows by one per sleep.
func (w *waker) write() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		if _, err := unix.Write(w.fd, one[:]); err != unix.EINTR {
			return
		}
	}
}

// look consumes a Wake that came while the owner was awake.
func (w *waker) look() bool {
	return w.state.Load() == wakerNotified && w.state.CompareAndSwap(wakerNotified, wakerAwake)
}

// sleep announces that the owner is about to wait. False: do not, a Wake has
// come; it is consumed.
func (w *waker) sleep() bool {
	if w.state.CompareAndSwap(wakerAwake, wakerAsleep) {
		return true
	}
	w.look()
	return false
}

// awake ends sleep and reports whether a Wake ended it.
func (w *waker) awake() bool {
	return w.state.Swap(wakerAwake) == wakerNotified
}

// close makes later Wakes do nothing and waits for those under way before it
// closes the eventfd, whose number something else may get.
func (w *waker) close() error {
	w.state.Store(wakerClosed)
	for w.users.Load() != 0 {
		runtime.Gosched()
	}
	return unix.Close(w.fd)
}
