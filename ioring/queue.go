package ioring

import "time"

// Queue is the edge between the node and the kernel: io_uring in production,
// package sim in tests. One thread owns a Queue; only Wake may be called from
// another.
type Queue interface {
	// Attach makes a device known to this queue (registered file) and
	// returns the File to use in its operations.
	Attach(d *Device) (File, error)

	// Register makes an arena's memory known to this queue (registered
	// buffers), so that device I/O in it needs no page pinning. An arena that
	// is not registered works too, at a cost. A limit of locked memory is not
	// an error.
	Register(a *Arena) error

	// Submit hands o to the queue, which owns o and o.Buf until o.Done runs.
	// It never blocks and never runs Done. When the queue is at its limit of
	// operations in flight the operation waits its turn inside the queue.
	Submit(o *Op)

	// Cancel asks for an early end of o. Its Done still runs, once, with
	// -ECANCELED or with the result it had by then.
	Cancel(o *Op)

	// Poll gives the kernel what was submitted, waits up to wait for a
	// completion or a Wake (0: does not wait), collects what has finished and
	// then runs its Dones. It returns how many ran. An error means that the
	// queue itself is broken; a failed operation is a Result, not an error.
	// A wait that a signal interrupts returns early with 0.
	Poll(wait time.Duration) (int, error)

	// Wake ends a Poll that is waiting, or makes the next one not wait. It is
	// the one method that any thread may call; it costs a system call only
	// when the owner sleeps.
	Wake()

	// InFlight returns how many operations the queue owns.
	InFlight() int

	// Close cancels what is in flight, waits for its Dones and releases the
	// queue. Devices and sockets stay open.
	Close() error
}
