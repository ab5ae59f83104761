package ioring

import (
	"fmt"
	"log/slog"
	"slices"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/assert"
)

const (
	// maxDevices bounds the devices of one queue.
	maxDevices = 1024
	// registeredFiles is the size of the kernel's table: devices beyond it are
	// used by descriptor. The kernel wants it below RLIMIT_NOFILE.
	registeredFiles = 256
	// registeredBuffers is the size of the kernel's table of buffers.
	registeredBuffers = 64
	// maxRegisteredBuffer is the most the kernel takes as one buffer.
	maxRegisteredBuffer = 1 << 30
)

// deviceTable is the queue's devices by slot: File.Slot()-1 is the index here
// and in the kernel's table of registered files.
type deviceTable struct {
	devices    []*Device
	registered bool // the kernel has a table; the first registeredFiles slots use it
}

// open makes the kernel's table, all empty. A kernel before 5.19 has none.
func (t *deviceTable) open(r *ring) {
	reg := rsrcRegister{nr: registeredFiles, flags: rsrcSparse}
	_, err := r.register(registerFiles2, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
	t.registered = err == nil
}

// attach gives d a slot; a device attached before keeps its own.
func (t *deviceTable) attach(r *ring, d *Device) (File, error) {
	for i, known := range t.devices {
		if known == d {
			return DeviceFile(d.FD, i+1), nil
		}
	}
	if len(t.devices) == maxDevices {
		return File{}, fmt.Errorf("ioring: attach %s: the queue has %d devices already, its limit", d.Path, maxDevices)
	}
	i := len(t.devices)
	if r != nil && t.registered && i < registeredFiles {
		*(*int32)(r.scratch) = int32(d.FD)
		u := rsrcUpdate{offset: uint32(i), data: uint64(uintptr(r.scratch))}
		if n, err := r.register(uintptr(abi.IORING_REGISTER_FILES_UPDATE), unsafe.Pointer(&u), 1); err != nil || n != 1 {
			return File{}, fmt.Errorf("ioring: attach %s: register its descriptor %d: %d done: %w", d.Path, d.FD, n, err)
		}
	}
	t.devices = append(t.devices, d)
	return DeviceFile(d.FD, i+1), nil
}

// fix makes a submission use the registered file.
func (t *deviceTable) fix(e *abi.SubmissionQueueEntry64, f File) {
	if i := f.slot - 1; t.registered && i >= 0 && i < registeredFiles {
		e.SetFdIndex(i)
	}
}

// device returns the device of f, nil if it has none.
func (t *deviceTable) device(f File) *Device {
	if i := int(f.slot) - 1; i >= 0 && i < len(t.devices) {
		return t.devices[i]
	}
	return nil
}

// block returns the unit of direct I/O on f, 1 if it is no attached device or
// its I/O is not direct.
func (t *deviceTable) block(f File) int {
	if d := t.device(f); d != nil && d.Direct && d.Block > 0 {
		return d.Block
	}
	return 1
}

// check asserts the alignment of direct I/O. Some file systems would quietly
// go through the page cache otherwise, others give EINVAL.
func (t *deviceTable) check(o *Op) {
	if o.Kind != Read && o.Kind != Write {
		return
	}
	mask := int64(t.block(o.File) - 1)
	assert.That((o.Offset|int64(len(o.Buf)))&mask == 0, "offset and length of direct I/O are multiples of the device's Block")
}

// inline reports whether o is to be run in place.
func (t *deviceTable) inline(o *Op) bool {
	if o.Kind != Read && o.Kind != Write && o.Kind != Fsync {
		return false
	}
	d := t.device(o.File)
	return d != nil && d.Sync
}

// A registered buffer is memory whose pages the kernel keeps pinned.
type registeredBuffer struct{ from, to uint64 }

// bufferTable is the queue's registered buffers, by the kernel's index.
type bufferTable struct {
	buffers    []registeredBuffer
	arenas     []*Arena // whose memory they are; each counts us as a user
	registered bool     // the kernel has a table
}

// open makes the kernel's table, all empty. A kernel before 5.19 has none.
func (t *bufferTable) open(r *ring) {
	reg := rsrcRegister{nr: registeredBuffers, flags: rsrcSparse}
	_, err := r.register(registerBuffers2, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
	t.registered = err == nil
	t.buffers = make([]registeredBuffer, 0, registeredBuffers)
}

// register pins a's memory, in pieces the kernel takes. What the limit of
// locked memory forbids stays usable unpinned, and is logged.
func (t *bufferTable) register(r *ring, a *Arena, log *slog.Logger) error {
	if !t.registered || slices.Contains(t.arenas, a) {
		return nil
	}
	raiseMemlock()
	t.arenas = append(t.arenas, a)
	a.users.Add(1)
	for from := 0; from < len(a.mem); from += maxRegisteredBuffer {
		piece := a.mem[from:min(from+maxRegisteredBuffer, len(a.mem))]
		if len(t.buffers) == registeredBuffers {
			return fmt.Errorf("ioring: register an arena of %d bytes: the queue has %d registered buffers already, its limit", len(a.mem), registeredBuffers)
		}
		switch err := t.add(r, piece); err {
		case nil:
		case unix.ENOMEM, unix.EPERM, unix.EAGAIN: // the limit of locked memory
			log.Warn("device buffers are not registered: the limit of locked memory forbids it; device I/O costs some more CPU", "bytes", len(a.mem), "reason", err)
			return nil
		default:
			return fmt.Errorf("ioring: register %d bytes of an arena: %w", len(piece), err)
		}
	}
	return nil
}

func (t *bufferTable) add(r *ring, piece []byte) error {
	at := address(piece)
	*(*[2]uint64)(r.scratch) = [2]uint64{at, uint64(len(piece))} // struct iovec
	u := rsrcUpdate2{offset: uint32(len(t.buffers)), data: uint64(uintptr(r.scratch)), nr: 1}
	if _, err := r.register(registerBuffersUpdate, unsafe.Pointer(&u), unsafe.Sizeof(u)); err != nil {
		return err
	}
	t.buffers = append(t.buffers, registeredBuffer{at, at + uint64(len(piece))})
	return nil
}

// release lets the arenas go, after the ring has.
func (t *bufferTable) release() {
	for _, a := range t.arenas {
		a.users.Add(-1)
	}
	t.arenas = nil
}

// find returns the index of the registered buffer that holds n bytes at at.
func (t *bufferTable) find(at uint64, n int) (index uint16, ok bool) {
	for i := range t.buffers {
		if b := &t.buffers[i]; b.from <= at && at+uint64(n) <= b.to {
			return uint16(i), true
		}
	}
	return 0, false
}

// raiseMemlock lifts the soft limit of locked memory to the hard one.
func raiseMemlock() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_MEMLOCK, &l)
	}
}
