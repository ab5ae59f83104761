package ioring

// Kind says what an Op asks for.
type Kind uint8

// Kinds of operation.
const (
	Nop     Kind = iota // completes with Result 0; measures the ring itself
	Read                // File at Offset -> Buf
	Write               // Buf -> File at Offset; durable at Done with DSync
	Fsync               // flush File's volatile cache (fdatasync)
	Accept              // listening socket File -> Result is the new descriptor
	Recv                // socket File -> Buf; Result 0 is the peer's end of stream
	Send                // Buf -> socket File; all of it with WaitAll
	Timeout             // Done after Offset nanoseconds, Result 0
)

// Flags modify an Op.
type Flags uint8

// Flags of an operation.
const (
	// DSync makes a Write durable before its Done (RWF_DSYNC).
	DSync Flags = 1 << iota
	// WaitAll makes a Send complete only when all of Buf went out or failed.
	WaitAll
	// Multi makes an Accept run Done once for each connection until it is
	// cancelled or fails; More is set while further calls will follow.
	Multi
)

// File names what an Op works on, for one Queue: a device as Attach returned
// it, or a socket. It is a plain value; the zero File is none.
type File struct {
	fd   int32 // descriptor; in package sim the number of a device
	slot int32 // 1 + index among the queue's registered files, 0 for none
}

// Socket returns the File of a socket's descriptor.
func Socket(fd int) File { return File{fd: int32(fd)} }

// DeviceFile returns the File of a device that a Queue has registered under
// slot (0: not registered). Only implementations of Queue call it.
func DeviceFile(fd, slot int) File { return File{fd: int32(fd), slot: int32(slot)} }

// FD returns the descriptor.
func (f File) FD() int { return int(f.fd) }

// Slot returns 1 + the index among registered files, or 0.
func (f File) Slot() int { return int(f.slot) }

// Op is one operation, embedded in the struct that waits for it: the owner
// allocates it once, at start-up, and reuses it. Between Submit and Done it
// belongs to the Queue.
type Op struct {
	Kind   Kind
	Flags  Flags
	More   bool  // valid in Done of a Multi operation: further calls follow
	Result int32 // valid in Done: bytes moved, a descriptor, or -errno
	File   File
	// Offset is the position in the file in bytes, a multiple of the device's
	// Block for devices; nanoseconds from now for Timeout.
	Offset int64
	// Buf is what is moved. For devices its address and length are multiples
	// of the device's Block, and it lies in an Arena. For Recv and Send it
	// must lie outside the Go heap too (an Arena, or any mapped memory).
	Buf []byte
	// Done is called once by Poll, on the polling thread (for a Multi
	// operation once per result). It may Submit any Op, o included.
	Done func(o *Op)

	// Slot is the queue's own note of where the operation is in flight, 0
	// when it is not. Only implementations of Queue write it.
	Slot uint32

	next  *Op   // link of the list the operation waits in
	moved int32 // bytes moved by earlier parts of a transfer that fell short
	block int32 // the device's unit of direct I/O, for the fallback's threads
	place place // which list holds it while Slot is slotQueued
	flags note  // what happened to it since Submit
}

// slotQueued is the Slot of an operation that a queue owns and has not given
// to the kernel.
const slotQueued = ^uint32(0)

// place names the list an operation waits in inside a queue.
type place uint8

const (
	placeNone    place = iota // in no list: with the kernel, or in the Done of a series
	placeBacklog              // no room in the kernel's queue yet
	placeInline               // runs in Poll: a device that is memory
	placeReady                // finished; its Done is due
	placePool                 // with the threads: waits, runs or is over (fallback)
	placeFresh                // socket not tried yet (fallback)
	placeWatched              // socket not ready (fallback)
	placeTimer                // in the heap of timers (fallback)
)

// note is a set of facts about an operation in flight.
type note uint8

const (
	noteCancelled note = 1 << iota // Cancel was called: nothing is tried again
	notePolling                    // the kernel watches the socket for us; then we try again
	noteBlocking                   // a kernel worker may block on it: it said EAGAIN before
	noteOneShot                    // the kernel knows no multishot accept: re-arm each time
)

// reset forgets an earlier flight.
func (o *Op) reset() {
	o.More = false
	o.next, o.moved, o.place, o.flags = nil, 0, placeNone, 0
}
