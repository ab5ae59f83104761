package ioring

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawSQE is struct io_uring_sqe of include/uapi/linux/io_uring.h, written down
// apart from the library's.
type rawSQE struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	length        uint32
	opFlags       uint32
	userData      uint64
	bufIndex      uint16
	personality   uint16
	spliceFd      int32
	_             [2]uint64
}

// Numbers of the kernel's, written down apart from the library's.
const (
	rawNop, rawFsync, rawReadFixed, rawWriteFixed = 0, 3, 4, 5
	rawTimeout, rawAccept                         = 11, 13
	rawRead, rawWrite, rawSend, rawRecv           = 22, 23, 26, 27
)

// TestPrepare looks at what the kernel is given for each operation.
func TestPrepare(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Entries: 64, Limit: 64, Node: -1}).(*uring)
	if !q.devices.registered || !q.buffers.registered {
		t.Skip("this kernel registers no files or buffers")
	}
	d := newFile(t, 1<<20)
	f := attach(t, q, d)
	second := attach(t, q, newFile(t, 1<<20))
	known, other := newArena(t, 1<<20), newArena(t, 1<<20)
	if err := q.Register(known); err != nil {
		t.Fatal(err)
	}
	in, out := known.Get(8192), other.Get(8192)
	for _, tt := range []struct {
		name string
		op   Op
		want rawSQE
	}{
		{"nop", Op{Kind: Nop}, rawSQE{opcode: rawNop, fd: -1}},
		{"read, registered", Op{Kind: Read, File: f, Offset: 8192, Buf: in},
			rawSQE{opcode: rawReadFixed, flags: 1, fd: 0, off: 8192, addr: address(in), length: 8192}},
		{"read, unregistered", Op{Kind: Read, File: second, Offset: 4096, Buf: out[:4096]},
			rawSQE{opcode: rawRead, flags: 1, fd: 1, off: 4096, addr: address(out), length: 4096}},
		{"read, no device", Op{Kind: Read, File: Socket(d.FD), Buf: out},
			rawSQE{opcode: rawRead, fd: int32(d.FD), addr: address(out), length: 8192}},
		{"write, registered", Op{Kind: Write, File: f, Buf: in[4096:]},
			rawSQE{opcode: rawWriteFixed, flags: 1, addr: address(in) + 4096, length: 4096}},
		{"write, durable", Op{Kind: Write, Flags: DSync, File: f, Buf: in},
			rawSQE{opcode: rawWriteFixed, flags: 1, addr: address(in), length: 8192, opFlags: 2}},
		{"write, durable, unregistered", Op{Kind: Write, Flags: DSync, File: f, Buf: out},
			rawSQE{opcode: rawWrite, flags: 1, addr: address(out), length: 8192, opFlags: 2}},
		{"fsync", Op{Kind: Fsync, File: second}, rawSQE{opcode: rawFsync, flags: 1, fd: 1, opFlags: 1}},
		{"accept", Op{Kind: Accept, File: Socket(1000)}, rawSQE{opcode: rawAccept, fd: 1000, opFlags: 0o2000000}},
		{"accept, multi", Op{Kind: Accept, Flags: Multi, File: Socket(1000)},
			rawSQE{opcode: rawAccept, ioprio: 1, fd: 1000, opFlags: 0o2000000}},
		{"recv", Op{Kind: Recv, File: Socket(1000), Buf: out}, rawSQE{opcode: rawRecv, fd: 1000, addr: address(out), length: 8192}},
		{"send", Op{Kind: Send, File: Socket(1000), Buf: out[:5]},
			rawSQE{opcode: rawSend, fd: 1000, addr: address(out), length: 5, opFlags: 0x4000}},
		{"send, all", Op{Kind: Send, Flags: WaitAll, File: Socket(1000), Buf: out[:5]},
			rawSQE{opcode: rawSend, fd: 1000, addr: address(out), length: 5, opFlags: 0x4100}},
		{"timeout", Op{Kind: Timeout, Offset: 3e9 + 5}, rawSQE{opcode: rawTimeout, fd: -1, length: 1}},
	} {
		tt.op.Done = func(*Op) {}
		tail := q.ring.sqTailLocal
		q.Submit(&tt.op)
		if q.ring.sqTailLocal != tail+1 {
			t.Fatalf("%s: %d submissions, want 1", tt.name, q.ring.sqTailLocal-tail)
		}
		got := *(*rawSQE)(unsafe.Pointer(&q.ring.sqes[tail&q.ring.sqMask]))
		slot := tt.op.Slot - 1
		if got.userData != userData(forOp, q.flights[slot].generation, slot) {
			t.Errorf("%s: user_data %#x", tt.name, got.userData)
		}
		if tt.op.Kind == Timeout {
			if at := *(*timespec)(unsafe.Pointer(&q.times[slot])); at != (timespec{3, 5}) || got.addr != uint64(uintptr(unsafe.Pointer(&q.times[slot]))) {
				t.Errorf("timeout: %+v at %#x", at, got.addr)
			}
			got.addr = 0
		}
		got.userData = 0
		if got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

// TestUserData keeps the three parts apart and holds no pointer.
func TestUserData(t *testing.T) {
	for _, tt := range []struct {
		what             uint8
		generation, slot uint32
		want             uint64
	}{
		{forOp, 0, 0, 0},
		{forOp, 1, 2, 1<<32 | 2},
		{forCancel, generationMask, 65535, 2<<56 | 0xFFFFFF<<32 | 65535},
		{forWake, 1<<24 + 5, 1, 1<<56 | 5<<32 | 1}, // generations wrap
	} {
		if got := userData(tt.what, tt.generation, tt.slot); got != tt.want {
			t.Errorf("userData(%d, %d, %d) = %#x, want %#x", tt.what, tt.generation, tt.slot, got, tt.want)
		}
	}
}

// TestSettle holds what a completion means to each kind of operation,
// including answers that this kernel and these devices do not give.
func TestSettle(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Entries: 8, Limit: 8, Node: -1}).(*uring)
	f := attach(t, q, newFile(t, 1<<20))
	q.devices.devices[f.Slot()-1].Block = 512
	buf := newArena(t, 1<<20).Get(8192)
	const more = 1
	for _, tt := range []struct {
		name   string
		op     Op
		res    int32
		result int32
		again  bool
		notes  note
	}{
		{"whole read", Op{Kind: Read, File: f, Buf: buf}, 8192, 8192, false, 0},
		{"short read", Op{Kind: Read, File: f, Buf: buf}, 512, 0, true, 0},
		{"rest of a read", Op{Kind: Read, File: f, Buf: buf, moved: 512}, 7680, 8192, false, 0},
		{"read at the end", Op{Kind: Read, File: f, Buf: buf}, 0, 0, false, 0},
		{"rest at the end", Op{Kind: Read, File: f, Buf: buf, moved: 512}, 0, 512, false, 0},
		{"end inside a block", Op{Kind: Read, File: f, Buf: buf}, 700, 700, false, 0},
		{"end inside a block, no device", Op{Kind: Read, File: Socket(1), Buf: buf}, 700, 0, true, 0},
		{"short write", Op{Kind: Write, File: f, Buf: buf}, 4096, 0, true, 0},
		{"short read, cancelled", Op{Kind: Read, File: f, Buf: buf, flags: noteCancelled}, 512, 512, false, noteCancelled},
		{"empty read", Op{Kind: Read, File: f}, 0, 0, false, 0},
		{"media error", Op{Kind: Read, File: f, Buf: buf}, -int32(unix.ENODATA), -int32(unix.ENODATA), false, 0},
		{"error after a part", Op{Kind: Write, File: f, Buf: buf, moved: 512}, -int32(unix.ENOSPC), -int32(unix.ENOSPC), false, 0},
		{"interrupted", Op{Kind: Read, File: f, Buf: buf}, -int32(unix.EINTR), 0, true, 0},
		{"interrupted by Cancel", Op{Kind: Read, File: f, Buf: buf, flags: noteCancelled}, -int32(unix.EINTR), -int32(unix.EINTR), false, noteCancelled},
		{"device queue full", Op{Kind: Read, File: f, Buf: buf}, -int32(unix.EAGAIN), 0, true, noteBlocking},
		{"device queue full, cancelled", Op{Kind: Read, File: f, Buf: buf, flags: noteCancelled}, -int32(unix.EAGAIN), -int32(unix.EAGAIN), false, noteCancelled},
		{"recv on a non-blocking socket", Op{Kind: Recv, Buf: buf}, -int32(unix.EAGAIN), 0, true, notePolling},
		{"send on a non-blocking socket", Op{Kind: Send, Buf: buf}, -int32(unix.EAGAIN), 0, true, notePolling},
		{"accept on a non-blocking socket", Op{Kind: Accept}, -int32(unix.EAGAIN), 0, true, notePolling},
		{"the socket is ready", Op{Kind: Recv, Buf: buf, flags: notePolling}, more, 0, true, 0},
		{"the watch is cancelled", Op{Kind: Recv, Buf: buf, flags: notePolling | noteCancelled}, -int32(unix.ECANCELED), -int32(unix.ECANCELED), false, noteCancelled},
		{"part received", Op{Kind: Recv, Buf: buf}, 10, 10, false, 0},
		{"end of stream", Op{Kind: Recv, Buf: buf}, 0, 0, false, 0},
		{"part sent", Op{Kind: Send, Buf: buf}, 10, 10, false, 0},
		{"part sent of all", Op{Kind: Send, Flags: WaitAll, Buf: buf}, 10, 0, true, 0},
		{"rest sent of all", Op{Kind: Send, Flags: WaitAll, Buf: buf, moved: 10}, 8182, 8192, false, 0},
		{"multi accept before 5.19", Op{Kind: Accept, Flags: Multi}, -int32(unix.EINVAL), 0, true, noteOneShot},
		{"accept on a connection", Op{Kind: Accept, Flags: Multi, flags: noteOneShot}, -int32(unix.EINVAL), -int32(unix.EINVAL), false, noteOneShot},
		{"one-shot accept on a connection", Op{Kind: Accept}, -int32(unix.EINVAL), -int32(unix.EINVAL), false, 0},
		{"timeout", Op{Kind: Timeout}, -int32(unix.ETIME), 0, false, 0},
		{"connection timed out", Op{Kind: Recv, Buf: buf}, -int32(unix.ETIMEDOUT), -int32(unix.ETIMEDOUT), false, 0},
	} {
		fl := flight{op: &tt.op}
		result, again := q.settle(&fl, tt.res)
		if again {
			result = 0
		}
		if result != tt.result || again != tt.again || tt.op.flags != tt.notes {
			t.Errorf("%s: result %s, again %v, notes %b; want %s, %v, %b", tt.name,
				resultText(result), again, tt.op.flags, resultText(tt.result), tt.again, tt.notes)
		}
	}

	stubborn := flight{op: &Op{Kind: Read, File: f, Buf: buf}}
	tries := 0
	for again := true; again && tries <= 2*maxAgain; tries++ {
		_, again = q.settle(&stubborn, -int32(unix.EAGAIN))
	}
	if tries != maxAgain+1 {
		t.Errorf("an operation that gets EAGAIN for ever is tried %d times, want %d", tries, maxAgain+1)
	}
}
