package ioring

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/assert"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./ioring -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// implementation is one way to make a Queue on this machine.
type implementation struct {
	name    string
	options Options
}

// implementations are all of them: each level of flags, small rings that run
// out of everything, and the fallback.
func implementations() []implementation {
	var all []implementation
	for i, l := range levels {
		all = append(all, implementation{"uring " + l.name, Options{Entries: 64, Limit: 256, Node: -1, level: i}})
	}
	return append(all,
		implementation{"uring small", Options{Entries: 2, Limit: 3, Node: -1}},
		implementation{"uring overflowing", Options{Entries: 4, Limit: 256, Node: -1, completions: 4}},
		implementation{"uring batch 1", Options{Entries: 64, Limit: 256, Batch: 1, Node: -1}},
		implementation{"fallback", Options{Fallback: true, Threads: 3, Node: -1}},
	)
}

// quiet is a log that keeps nothing.
var quiet = slog.New(slog.DiscardHandler)

// eachQueue runs f on a fresh queue of each implementation, with the test's
// goroutine locked to its thread.
func eachQueue(t *testing.T, f func(t *testing.T, q Queue)) {
	for _, i := range implementations() {
		t.Run(i.name, func(t *testing.T) {
			lockThread(t)
			f(t, newQueue(t, i.options))
		})
	}
}

// lockThread keeps the test on one thread until the queues it makes later are
// closed.
func lockThread(t testing.TB) {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

// newQueue makes a queue and closes it at the end of the test.
func newQueue(t testing.TB, o Options) Queue {
	t.Helper()
	o.Log = quiet
	q, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if _, fellBack := q.(*epollQueue); fellBack && !o.Fallback {
		t.Skipf("io_uring is not available here")
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		closeArenas(t)
	})
	return q
}

// patience bounds each wait of a test: reached only when something hangs.
const patience = 30 * time.Second

// pollUntil polls until done says so.
func pollUntil(t testing.TB, q Queue, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if _, err := q.Poll(100 * time.Millisecond); err != nil {
			t.Fatalf("Poll: %v", err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("not done after %v; %d in flight", patience, q.InFlight())
		}
	}
}

// call submits o and polls until its Done has run.
func call(t testing.TB, q Queue, o *Op) int32 {
	t.Helper()
	done := false
	o.Done = func(*Op) { done = true }
	q.Submit(o)
	pollUntil(t, q, func() bool { return done })
	if o.InFlight() {
		t.Fatalf("operation is in flight after its Done")
	}
	return o.Result
}

func wantResult(t testing.TB, what string, got, want int32) {
	t.Helper()
	if got != want {
		t.Errorf("%s: result %s, want %s", what, resultText(got), resultText(want))
	}
}

func resultText(r int32) string {
	if r < 0 {
		return unix.ErrnoName(unix.Errno(-r))
	}
	return fmt.Sprint(r)
}

func newArena(t testing.TB, size int) *Arena {
	t.Helper()
	a, err := NewArena(size, ArenaOptions{})
	if err != nil {
		t.Fatalf("NewArena: %v", err)
	}
	t.Cleanup(func() {
		openArenas = append(openArenas, a)
		closeArenas(t)
	})
	return a
}

// openArenas wait for the queues they are registered with, whose cleanup comes
// later because they are older.
var openArenas []*Arena

func closeArenas(t testing.TB) {
	t.Helper()
	var left []*Arena
	for _, a := range openArenas {
		if a.users.Load() != 0 {
			left = append(left, a)
			continue
		}
		a.inUse = 0
		if err := a.Close(); err != nil {
			t.Errorf("close an arena: %v", err)
		}
	}
	openArenas = left
}

// newFile makes a device of a fresh file.
func newFile(t testing.TB, size int64) *Device {
	t.Helper()
	d, err := OpenDevice(filepath.Join(t.TempDir(), "device"), DeviceOptions{Size: size})
	if err != nil {
		t.Fatalf("OpenDevice: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func attach(t testing.TB, q Queue, d *Device) File {
	t.Helper()
	f, err := q.Attach(d)
	if err != nil {
		t.Fatalf("Attach: %v", err)
	}
	return f
}

// socketPair returns two connected stream sockets.
func socketPair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("socketpair: %v", err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// listener returns a listening TCP socket and its address.
func listener(t testing.TB, flags int) (int, unix.Sockaddr) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("bind: %v", err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		t.Fatalf("listen: %v", err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	return fd, at
}

func dial(t testing.TB, to unix.Sockaddr) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, to); err != nil {
		t.Fatalf("connect: %v", err)
	}
	return fd
}

func TestNop(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		for range 100 {
			wantResult(t, "nop", call(t, q, &Op{Kind: Nop}), 0)
		}
	})
}

// TestDeviceIO writes through the queue and reads back both through the queue
// and by plain system calls.
func TestDeviceIO(t *testing.T) {
	const size = 1 << 20
	for _, tt := range []struct {
		name       string
		registered bool
		flags      Flags
	}{
		{"registered buffer", true, 0},
		{"unregistered buffer", false, 0},
		{"registered buffer, dsync", true, DSync},
		{"unregistered buffer, dsync", false, DSync},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, q Queue) {
				d, a := newFile(t, size), newArena(t, 4<<20)
				if tt.registered {
					if err := q.Register(a); err != nil {
						t.Fatalf("Register: %v", err)
					}
				}
				f := attach(t, q, d)
				for _, n := range []int{d.Block, 4096, 128 << 10} {
					for _, offset := range []int64{0, int64(d.Block), size - int64(n)} {
						out, in := a.Get(n), a.Get(n)
						for i := range out {
							out[i] = byte(i*7 + n + int(offset)/512)
						}
						clear(in)
						what := fmt.Sprintf("%d bytes at %d", n, offset)
						wantResult(t, "write "+what, call(t, q, &Op{Kind: Write, Flags: tt.flags, File: f, Offset: offset, Buf: out}), int32(n))
						wantResult(t, "read "+what, call(t, q, &Op{Kind: Read, File: f, Offset: offset, Buf: in}), int32(n))
						if !bytes.Equal(in, out) {
							t.Errorf("read %s: not what was written", what)
						}
						plain := make([]byte, n)
						readPlain(t, d.Path, plain, offset)
						if !bytes.Equal(plain, out) {
							t.Errorf("the file at %s: not what was written", what)
						}
						a.Put(in)
						a.Put(out)
					}
				}
				wantResult(t, "fsync", call(t, q, &Op{Kind: Fsync, File: f}), 0)
			})
		})
	}
}

func readPlain(t *testing.T, path string, p []byte, offset int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(p, offset); err != nil {
		t.Fatalf("plain read: %v", err)
	}
}

// TestReadAtEnd asks for more than the file holds.
func TestReadAtEnd(t *testing.T) {
	for _, tt := range []struct {
		name         string
		size, offset int64
		ask          int
		want         int32
	}{
		{"end inside a block", 10000, 0, 16384, 10000},
		{"end at a block", 8192, 0, 16384, 8192},
		{"from the last bytes on", 10000, 8192, 4096, 10000 - 8192},
		{"from the end on", 8192, 8192, 4096, 0},
		{"past the end", 8192, 65536, 4096, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, q Queue) {
				path := filepath.Join(t.TempDir(), "file")
				content := bytes.Repeat([]byte("ashlar. "), int(tt.size)/8)
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				d, err := OpenDevice(path, DeviceOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				buf := newArena(t, 1<<20).Get(tt.ask)
				got := call(t, q, &Op{Kind: Read, File: attach(t, q, d), Offset: tt.offset, Buf: buf})
				wantResult(t, "read", got, tt.want)
				if got > 0 && !bytes.Equal(buf[:got], content[tt.offset:tt.offset+int64(got)]) {
					t.Error("read: not what the file holds")
				}
			})
		})
	}
}

func TestOperationErrors(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		d, buf := newFile(t, 1<<20), newArena(t, 1<<20).Get(8192)
		f := attach(t, q, d)
		readOnly, err := OpenDevice(d.Path, DeviceOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer readOnly.Close()
		gone, _ := socketPair(t)
		unix.Shutdown(gone, unix.SHUT_RDWR)

		for _, tt := range []struct {
			name string
			op   Op
			want unix.Errno
		}{
			{"read from a closed descriptor", Op{Kind: Read, File: Socket(1 << 20), Buf: buf[:4096]}, unix.EBADF},
			{"write to a closed descriptor", Op{Kind: Write, File: Socket(1 << 20), Buf: buf[:4096]}, unix.EBADF},
			{"fsync of a closed descriptor", Op{Kind: Fsync, File: Socket(1 << 20)}, unix.EBADF},
			{"recv from a closed descriptor", Op{Kind: Recv, File: Socket(1 << 20), Buf: buf}, unix.EBADF},
			{"no descriptor", Op{Kind: Recv, File: Socket(-1), Buf: buf}, unix.EBADF},
			{"recv from a file", Op{Kind: Recv, File: Socket(d.FD), Buf: buf}, unix.ENOTSOCK},
			{"accept on a file", Op{Kind: Accept, File: Socket(d.FD)}, unix.ENOTSOCK},
			{"accept on a connection", Op{Kind: Accept, File: Socket(gone)}, unix.EINVAL},
			{"send to nobody", Op{Kind: Send, File: Socket(gone), Buf: buf[:1]}, unix.EPIPE},
			{"negative offset", Op{Kind: Read, File: f, Offset: -4096, Buf: buf[:4096]}, unix.EINVAL},
			{"write to a device opened for reading", Op{Kind: Write, File: attach(t, q, readOnly), Buf: buf[:4096]}, unix.EBADF},
		} {
			wantResult(t, tt.name, call(t, q, &tt.op), -int32(tt.want))
		}
		// The queue works after all that.
		wantResult(t, "read", call(t, q, &Op{Kind: Read, File: f, Buf: buf}), 8192)
	})
}

// TestSendRecv moves more than the socket holds, in both styles.
func TestSendRecv(t *testing.T) {
	const size = 4 << 20
	for _, nonblock := range []bool{false, true} {
		t.Run(fmt.Sprintf("nonblocking %v", nonblock), func(t *testing.T) {
			eachQueue(t, func(t *testing.T, q Queue) {
				a, b := socketPair(t)
				unix.SetNonblock(a, nonblock)
				unix.SetNonblock(b, nonblock)
				arena := newArena(t, 16<<20)
				out, in := arena.Get(size), arena.Get(size)
				for i := range out {
					out[i] = byte(i * 31 >> 3)
				}
				got, sent := 0, false
				send := Op{Kind: Send, Flags: WaitAll, File: Socket(a), Buf: out}
				send.Done = func(o *Op) {
					wantResult(t, "send", o.Result, size)
					sent = true
				}
				recv := Op{Kind: Recv, File: Socket(b), Buf: in}
				recv.Done = func(o *Op) {
					if o.Result <= 0 {
						t.Errorf("recv after %d bytes: result %s", got, resultText(o.Result))
						return
					}
					got += int(o.Result)
					if o.Buf = in[got:]; got < size {
						q.Submit(o)
					}
				}
				q.Submit(&send)
				q.Submit(&recv)
				pollUntil(t, q, func() bool { return sent && got == size || t.Failed() })
				if !bytes.Equal(in, out) {
					t.Error("received is not what was sent")
				}
				unix.Shutdown(a, unix.SHUT_WR)
				wantResult(t, "recv at the end of the stream", call(t, q, &Op{Kind: Recv, File: Socket(b), Buf: in}), 0)
			})
		})
	}
}

// TestRecvWaits has the peer send only when the owner already waits.
func TestRecvWaits(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		a, b := socketPair(t)
		buf := newArena(t, 1<<20).Get(4096)
		for i := range 20 {
			go func() {
				time.Sleep(time.Millisecond / 2 * time.Duration(i%5))
				unix.Write(a, []byte("ping"))
			}()
			wantResult(t, "recv", call(t, q, &Op{Kind: Recv, File: Socket(b), Buf: buf}), 4)
		}
	})
}

func TestAccept(t *testing.T) {
	for _, flags := range []int{0, unix.SOCK_NONBLOCK} {
		t.Run(fmt.Sprintf("nonblocking %v", flags != 0), func(t *testing.T) {
			eachQueue(t, func(t *testing.T, q Queue) {
				fd, at := listener(t, flags)
				early := dial(t, at)
				got := call(t, q, &Op{Kind: Accept, File: Socket(fd)})
				if got < 0 {
					t.Fatalf("accept of a waiting connection: %s", resultText(got))
				}
				checkConnected(t, early, int(got))

				late := make(chan int, 1)
				go func() { time.Sleep(5 * time.Millisecond); late <- dial(t, at) }()
				got = call(t, q, &Op{Kind: Accept, File: Socket(fd)})
				if got < 0 {
					t.Fatalf("accept of a later connection: %s", resultText(got))
				}
				checkConnected(t, <-late, int(got))
			})
		})
	}
}

// checkConnected sends a byte from one end to the other and closes the second.
func checkConnected(t *testing.T, client, server int) {
	t.Helper()
	unix.Write(client, []byte{42})
	var p [1]byte
	if n, err := unix.Read(server, p[:]); n != 1 || p[0] != 42 {
		t.Errorf("a byte through the accepted connection: %d %d %v, want 1 42", n, p[0], err)
	}
	unix.Close(server)
}

// TestAcceptMulti takes more connections than a small ring has completions.
func TestAcceptMulti(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		const want = 50
		fd, at := listener(t, 0)
		accepted := 0
		ended := false
		o := Op{Kind: Accept, Flags: Multi, File: Socket(fd)}
		o.Done = func(o *Op) {
			if o.More {
				if o.Result < 0 {
					t.Errorf("accept: %s with More set", resultText(o.Result))
				}
				unix.Close(int(o.Result))
				accepted++
				return
			}
			wantResult(t, "last accept", o.Result, -int32(unix.ECANCELED))
			ended = true
		}
		q.Submit(&o)
		for range want / 2 {
			dial(t, at)
		}
		pollUntil(t, q, func() bool { return accepted == want/2 })
		for range want / 2 {
			dial(t, at)
		}
		pollUntil(t, q, func() bool { return accepted == want })
		if !o.InFlight() {
			t.Error("a multi accept is not in flight while it lasts")
		}
		q.Cancel(&o)
		pollUntil(t, q, func() bool { return ended })
		if o.InFlight() || q.InFlight() != 0 {
			t.Errorf("after the cancelled accept: %d in flight", q.InFlight())
		}
	})
}

// TestAcceptCancelInDone ends a multi accept from its own Done.
func TestAcceptCancelInDone(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		fd, at := listener(t, 0)
		for range 5 {
			dial(t, at)
		}
		var o Op
		ended, after := false, 0
		o = Op{Kind: Accept, Flags: Multi, File: Socket(fd), Done: func(o *Op) {
			if ended {
				after++
			}
			if o.Result >= 0 {
				unix.Close(int(o.Result))
				q.Cancel(o)
			}
			ended = !o.More
		}}
		q.Submit(&o)
		pollUntil(t, q, func() bool { return ended })
		for range 3 {
			q.Poll(0)
		}
		if after != 0 {
			t.Errorf("Done ran %d times after More was false", after)
		}
	})
}

func TestTimeout(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		for _, d := range []time.Duration{-1, 0, 1, 100 * time.Microsecond, 3 * time.Millisecond} {
			from := time.Now()
			wantResult(t, fmt.Sprintf("timeout of %v", d), call(t, q, &Op{Kind: Timeout, Offset: int64(d)}), 0)
			if took := time.Since(from); took < d {
				t.Errorf("timeout of %v: done after %v", d, took)
			}
		}
	})
}

// TestTimeoutOrder starts timers in another order than they end.
func TestTimeoutOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		if u, ok := q.(*uring); ok && len(u.flights) < 8 {
			t.Skip("a ring that holds fewer timers starts the rest later")
		}
		var order []int
		ops := make([]Op, 5)
		for i, ms := range []int{40, 10, 30, 0, 20} {
			ops[i] = Op{Kind: Timeout, Offset: int64(ms) * 1e6, Done: func(*Op) { order = append(order, ms) }}
			q.Submit(&ops[i])
		}
		pollUntil(t, q, func() bool { return len(order) == 5 })
		if fmt.Sprint(order) != "[0 10 20 30 40]" {
			t.Errorf("timers ended in the order %v", order)
		}
	})
}

func TestCancel(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		a, _ := socketPair(t)
		fd, _ := listener(t, 0)
		arena := newArena(t, 32<<20)
		canceled := -int32(unix.ECANCELED)
		full := arena.Get(8 << 20)
		for _, tt := range []struct {
			name   string
			op     Op
			poll   int // turns before the cancel
			accept func(int32) bool
		}{
			{name: "recv", op: Op{Kind: Recv, File: Socket(a), Buf: arena.Get(4096)}, poll: 1},
			{name: "recv at once", op: Op{Kind: Recv, File: Socket(a), Buf: arena.Get(4096)}},
			{name: "accept", op: Op{Kind: Accept, File: Socket(fd)}, poll: 1},
			{name: "timeout", op: Op{Kind: Timeout, Offset: int64(time.Hour)}, poll: 1},
			{name: "timeout at once", op: Op{Kind: Timeout, Offset: int64(time.Hour)}},
			{name: "send that does not fit", op: Op{Kind: Send, Flags: WaitAll, File: Socket(a), Buf: full}, poll: 2,
				accept: func(r int32) bool { return r > 0 && int(r) < len(full) }},
		} {
			ran := 0
			tt.op.Done = func(*Op) { ran++ }
			q.Submit(&tt.op)
			for range tt.poll {
				q.Poll(0)
			}
			q.Cancel(&tt.op)
			q.Cancel(&tt.op) // twice is once
			pollUntil(t, q, func() bool { return ran > 0 })
			q.Poll(0)
			if ran != 1 {
				t.Errorf("%s: Done ran %d times, want 1", tt.name, ran)
			}
			if r := tt.op.Result; r != canceled && (tt.accept == nil || !tt.accept(r)) {
				t.Errorf("%s: result %s, want ECANCELED", tt.name, resultText(r))
			}
			q.Cancel(&tt.op) // after its end: nothing
			if q.InFlight() != 0 {
				t.Errorf("%s: %d in flight, want 0", tt.name, q.InFlight())
			}
		}
	})
}

// TestCancelWaiting cancels operations that wait for room in the queue.
func TestCancelWaiting(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		const n = 600 // more than any of these queues takes at once
		ops := make([]Op, n)
		ended := 0
		for i := range ops {
			ops[i] = Op{Kind: Timeout, Offset: int64(time.Hour), Done: func(o *Op) {
				wantResult(t, "timeout", o.Result, -int32(unix.ECANCELED))
				ended++
			}}
			q.Submit(&ops[i])
		}
		q.Poll(0)
		if q.InFlight() != n {
			t.Errorf("%d in flight, want %d", q.InFlight(), n)
		}
		for i := range ops { // from the middle out
			q.Cancel(&ops[(i+n/2)%n])
		}
		pollUntil(t, q, func() bool { return ended == n })
	})
}

// TestManyOperations submits far more than the ring holds, in one go.
func TestManyOperations(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		const n = 700
		d := newFile(t, n*4096)
		f := attach(t, q, d)
		a := newArena(t, 16<<20)
		ops := make([]Op, n)
		ended := 0
		for i := range ops {
			buf := a.Get(4096)
			for j := range buf {
				buf[j] = byte(i + j>>8)
			}
			ops[i] = Op{Kind: Write, File: f, Offset: int64(i) * 4096, Buf: buf, Done: func(o *Op) {
				wantResult(t, "write", o.Result, 4096)
				clear(o.Buf)
				o.Kind, o.Done = Read, func(o *Op) {
					wantResult(t, "read", o.Result, 4096)
					ended++
				}
				q.Submit(o)
			}}
			q.Submit(&ops[i])
		}
		pollUntil(t, q, func() bool { return ended == n })
		for i := range ops {
			for j, got := range ops[i].Buf {
				if want := byte(i + j>>8); got != want {
					t.Fatalf("operation %d, byte %d: %d, want %d", i, j, got, want)
				}
			}
		}
	})
}

// TestDoneSubmits chains operations from Done. It must neither recurse nor
// keep Poll for ever.
func TestDoneSubmits(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		const n = 5000
		ran, depth := 0, 0
		o := Op{Kind: Nop}
		o.Done = func(o *Op) {
			if depth++; depth > 1 {
				t.Fatal("a Done runs inside another's Submit")
			}
			if ran++; ran < n {
				q.Submit(o)
			}
			depth--
		}
		q.Submit(&o)
		turns := 0
		pollUntil(t, q, func() bool { turns++; return ran == n })
		if turns < n/2 {
			t.Errorf("%d operations, each submitted by the one before, ended in %d turns: a turn serves what is there when it begins", n, turns)
		}
	})
}

// TestSyncDevice runs operations on a device that is memory.
func TestSyncDevice(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		d := *newFile(t, 1<<20)
		d.Sync = true
		f := attach(t, q, &d)
		buf := newArena(t, 1<<20).Get(4096)
		copy(buf, "here and now")
		o := Op{Kind: Write, Flags: DSync, File: f, Offset: 4096, Buf: buf, Done: func(*Op) {}}
		q.Submit(&o)
		if !o.InFlight() {
			t.Error("an operation ends in Submit")
		}
		if n, err := q.Poll(time.Hour); n != 1 || err != nil {
			t.Errorf("Poll: %d, %v, want 1", n, err)
		}
		wantResult(t, "write", o.Result, 4096)
		clear(buf)
		wantResult(t, "read", call(t, q, &Op{Kind: Read, File: f, Offset: 4096, Buf: buf}), 4096)
		if !bytes.HasPrefix(buf, []byte("here and now")) {
			t.Errorf("read %q", buf[:12])
		}
		wantResult(t, "fsync", call(t, q, &Op{Kind: Fsync, File: f}), 0)

		q.Submit(&o)
		q.Cancel(&o)
		q.Poll(0)
		wantResult(t, "cancelled", o.Result, -int32(unix.ECANCELED))
	})
}

// TestBusyPoll never waits: what completes must show all the same.
func TestBusyPoll(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		a, b := socketPair(t)
		d := newFile(t, 1<<20)
		arena := newArena(t, 1<<20)
		ended := 0
		done := func(*Op) { ended++ }
		for _, o := range []*Op{
			{Kind: Recv, File: Socket(b), Buf: arena.Get(4096), Done: done},
			{Kind: Timeout, Offset: 1e6, Done: done},
			{Kind: Write, Flags: DSync, File: attach(t, q, d), Buf: arena.Get(4096), Done: done},
		} {
			q.Submit(o)
		}
		for range 10 {
			q.Poll(0)
		}
		unix.Write(a, []byte("x"))
		for deadline := time.Now().Add(patience); ended < 3; {
			if _, err := q.Poll(0); err != nil || time.Now().After(deadline) {
				t.Fatalf("%d of 3 ended, %v", ended, err)
			}
		}
	})
}

// TestDescriptorReuse gives a descriptor's number to another socket after a
// cancelled operation.
func TestDescriptorReuse(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		_, old := socketPair(t)
		buf := newArena(t, 1<<20).Get(4096)
		for range 3 {
			o := Op{Kind: Recv, File: Socket(old), Buf: buf, Done: func(*Op) {}}
			q.Submit(&o)
			q.Poll(0)
			q.Cancel(&o)
			pollUntil(t, q, func() bool { return !o.InFlight() })

			a, b := socketPair(t)
			if err := unix.Dup3(b, old, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			go func() { time.Sleep(2 * time.Millisecond); unix.Write(a, []byte("new")) }()
			wantResult(t, "recv", call(t, q, &Op{Kind: Recv, File: Socket(old), Buf: buf}), 3)
		}
	})
}

func TestPollDoesNotWait(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		for _, wait := range []time.Duration{-1, 0, 1, time.Microsecond, 3 * time.Millisecond} {
			if n, err := q.Poll(wait); n != 0 || err != nil {
				t.Errorf("Poll(%v) with nothing to do: %d, %v", wait, n, err)
			}
		}
		q.Wake()
		from := time.Now()
		q.Poll(time.Hour) // returns, or the test hangs
		q.Wake()
		q.Poll(0)
		if took := time.Since(from); took > time.Minute {
			t.Errorf("Poll after Wake took %v", took)
		}
	})
}

// TestWake has another goroutine post a number and wake the owner, who sleeps
// for much longer than the test may take, over and over. A lost wake-up shows
// as a Poll that ran into its limit although a number was there.
func TestWake(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		const rounds = 2000
		var posted, taken atomic.Int64
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int64(1); i <= rounds; i++ {
				posted.Store(i)
				q.Wake()
				if i%64 == 0 {
					time.Sleep(1200 * time.Microsecond) // let it reach the second part of its wait
				}
				for spins := 0; taken.Load() < i; spins++ {
					runtime.Gosched()
				}
			}
		}()
		const long = 20 * time.Second
		for taken.Load() < rounds {
			if p := posted.Load(); p > taken.Load() {
				taken.Store(p)
				continue
			}
			from := time.Now()
			if _, err := q.Poll(long); err != nil {
				t.Fatalf("Poll: %v", err)
			}
			if time.Since(from) >= long {
				t.Errorf("round %d: the wake-up was lost", taken.Load())
				taken.Store(rounds) // let the other end
			}
		}
		wg.Wait()
	})
}

// TestWakeFull has every entry of the ring taken when the owner goes to sleep:
// the wake-up must find its place.
func TestWakeFull(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		_, b := socketPair(t)
		buf := newArena(t, 1<<20).Get(4096)
		full := func() bool { return q.InFlight() == 3 }
		if u, ok := q.(*uring); ok {
			full = func() bool { return u.ring.room() == 0 || u.free == 0 }
		}
		var ops []*Op
		for !full() {
			o := &Op{Kind: Recv, File: Socket(b), Buf: buf, Done: func(*Op) {}}
			ops = append(ops, o)
			q.Submit(o)
		}
		var woken atomic.Bool
		go func() {
			time.Sleep(5 * time.Millisecond)
			woken.Store(true)
			q.Wake()
		}()
		const long = 20 * time.Second
		for !woken.Load() {
			from := time.Now()
			if _, err := q.Poll(long); err != nil {
				t.Fatal(err)
			}
			if time.Since(from) >= long {
				t.Fatal("the wake-up was lost")
			}
		}
		for _, o := range ops {
			q.Cancel(o)
		}
		pollUntil(t, q, func() bool { return q.InFlight() == 0 })
	})
}

// TestClosePromptly closes a queue that sleeps on nothing but its wake-up.
func TestClosePromptly(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		q.Poll(time.Millisecond)
		from := time.Now()
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(from); took >= closeWait {
			t.Errorf("Close took %v", took)
		}
	})
}

// TestWakeStorm wakes from many goroutines at once while the owner works, then
// closes under them.
func TestWakeStorm(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		var stop atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for !stop.Load() {
					q.Wake()
					runtime.Gosched()
				}
			}()
		}
		for range 300 {
			wantResult(t, "timeout", call(t, q, &Op{Kind: Timeout, Offset: 1000}), 0)
		}
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		q.Wake()
		stop.Store(true)
		wg.Wait()
	})
}

// TestClose closes with operations of every kind in flight and waiting.
func TestClose(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		a, _ := socketPair(t)
		fd, _ := listener(t, 0)
		d := newFile(t, 8<<20)
		f := attach(t, q, d)
		sync := *d
		sync.Sync = true
		inline := attach(t, q, &sync)
		arena := newArena(t, 32<<20)
		ended := 0
		var ops []*Op
		add := func(o Op) {
			o.Done = func(o *Op) {
				ended++
				if o.Kind == Timeout && ended%2 == 0 { // one that does not know when to stop
					o.Done = func(*Op) { ended++ }
					q.Submit(o)
				}
			}
			ops = append(ops, &o)
		}
		for i := range 40 {
			add(Op{Kind: Recv, File: Socket(a), Buf: arena.Get(4096)})
			add(Op{Kind: Timeout, Offset: int64(time.Hour)})
			add(Op{Kind: Write, File: f, Offset: int64(i) << 16, Buf: arena.Get(64 << 10)})
			add(Op{Kind: Read, File: inline, Offset: int64(i) << 16, Buf: arena.Get(64 << 10)})
			add(Op{Kind: Nop})
		}
		add(Op{Kind: Accept, Flags: Multi, File: Socket(fd)})
		for _, o := range ops {
			q.Submit(o)
		}
		q.Poll(0)
		if err := q.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if q.InFlight() != 0 {
			t.Errorf("%d in flight after Close", q.InFlight())
		}
		if ended < len(ops) {
			t.Errorf("%d of %d Dones ran", ended, len(ops))
		}
		for i, o := range ops {
			if o.InFlight() {
				t.Errorf("operation %d is in flight after Close", i)
			}
		}
		if err := q.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if u, ok := q.(*uring); ok && u.armed {
			t.Error("the kernel may still write a wake-up after Close")
		}
	})
}

// TestCollectorRuns asks for garbage collections while the owner sleeps in
// Poll. They return, or the test hangs.
func TestCollectorRuns(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		var stop atomic.Bool
		go func() {
			for range 20 {
				runtime.GC()
			}
			stop.Store(true)
			q.Wake()
		}()
		pollUntil(t, q, func() bool {
			if !stop.Load() {
				q.Poll(time.Second)
			}
			return stop.Load()
		})
	})
}

// TestNoAllocation guards the hot path of each kind of operation.
func TestNoAllocation(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		arena := newArena(t, 1<<20)
		if err := q.Register(arena); err != nil {
			t.Fatal(err)
		}
		f := attach(t, q, newFile(t, 1<<20))
		a, b := socketPair(t)
		fd, _ := listener(t, 0)
		n := 0
		done := func(*Op) { n++ }
		buf := arena.Get(4096)
		ops := map[string][]*Op{
			"nop":        {{Kind: Nop, Done: done}},
			"read":       {{Kind: Read, File: f, Buf: buf, Done: done}},
			"write":      {{Kind: Write, File: f, Buf: buf, Done: done}},
			"dsync":      {{Kind: Write, Flags: DSync, File: f, Buf: buf, Done: done}},
			"fsync":      {{Kind: Fsync, File: f, Done: done}},
			"timeout":    {{Kind: Timeout, Offset: 1000, Done: done}},
			"send, recv": {{Kind: Send, File: Socket(a), Buf: buf[:64], Done: done}, {Kind: Recv, File: Socket(b), Buf: buf[64:128], Done: done}},
			"recv, send": {{Kind: Recv, File: Socket(b), Buf: buf[64:128], Done: done}, {Kind: Send, File: Socket(a), Buf: buf[:64], Done: done}},
		}
		cancelled := &Op{Kind: Accept, File: Socket(fd), Done: done}
		for name, set := range ops {
			if _, threads := q.(*epollQueue); threads && assert.Slow && set[0].File.Slot() != 0 {
				continue // the race detector allocates for sync.Cond
			}
			round := func() {
				n = 0
				for _, o := range set {
					q.Submit(o)
				}
				q.Submit(cancelled)
				for n < len(set) {
					q.Poll(time.Second)
				}
				q.Cancel(cancelled)
				for n <= len(set) {
					q.Poll(time.Second)
				}
			}
			if got := testing.AllocsPerRun(30, round); got != 0 {
				t.Errorf("%s: %v allocations, want 0", name, got)
			}
		}
	})
}

// TestEnterFaults fails the system call behind Poll in every ordinary way, at
// random, while real work goes on: nothing is lost, nothing ends twice.
func TestEnterFaults(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		r := newRand(t)
		faults := []unix.Errno{unix.EINTR, unix.EAGAIN, unix.EBUSY, unix.ETIME}
		hit := map[unix.Errno]int{}
		rate := 0.5
		fault := func() unix.Errno {
			if r.Float64() >= rate {
				return 0
			}
			errno := faults[r.IntN(len(faults))]
			hit[errno]++
			return errno
		}
		switch q := q.(type) {
		case *uring:
			q.ring.fault = fault
		case *epollQueue:
			faults = faults[:1]
			q.fault = fault
		}
		d := newFile(t, 1<<20)
		f := attach(t, q, d)
		arena := newArena(t, 4<<20)
		a, b := socketPair(t)
		counts := make([]int, 200)
		var ops []*Op
		for i := range counts {
			o := &Op{Kind: Write, File: f, Offset: int64(i%64) * 4096, Buf: arena.Get(4096)}
			switch i % 4 {
			case 1:
				o.Kind = Nop
			case 2:
				*o = Op{Kind: Send, Flags: WaitAll, File: Socket(a), Buf: arena.Get(4096)}
			case 3:
				*o = Op{Kind: Timeout, Offset: int64(r.IntN(1e6))}
			}
			o.Done = func(o *Op) {
				counts[i]++
				if o.Result < 0 {
					t.Errorf("operation %d: %s", i, resultText(o.Result))
				}
			}
			ops = append(ops, o)
		}
		go func() { // an empty socket lets the sends through
			p := make([]byte, 1<<16)
			for got := 0; got < len(counts)/4*4096; {
				n, err := unix.Read(b, p)
				if err != nil && err != unix.EINTR {
					return
				}
				got += max(n, 0)
			}
		}()
		for _, o := range ops {
			q.Submit(o)
		}
		pollUntil(t, q, func() bool { return q.InFlight() == 0 })
		for _, errno := range faults {
			for tries := 0; hit[errno] == 0 && tries < 1000; tries++ {
				wantResult(t, "nop", call(t, q, &Op{Kind: Timeout}), 0)
			}
		}
		rate = 0
		for i, n := range counts {
			if n != 1 {
				t.Errorf("operation %d ended %d times", i, n)
			}
		}
	})
}

// TestOverflow has more completions than the ring holds: the kernel keeps the
// rest until it is asked.
func TestOverflow(t *testing.T) {
	for i, l := range levels {
		t.Run(l.name, func(t *testing.T) {
			lockThread(t)
			q := newQueue(t, Options{Entries: 4, Limit: 64, Node: -1, level: i, completions: 4}).(*uring)
			ended := 0
			ops := make([]Op, 32)
			for i := range ops {
				ops[i] = Op{Kind: Nop, Done: func(o *Op) { ended++ }}
				q.Submit(&ops[i])
				if q.ring.room() == 0 {
					q.ring.submit() // and do not reap
				}
			}
			q.ring.gather()
			if atomic.LoadUint32(q.ring.sqFlags)&sqCQOverflow == 0 {
				t.Errorf("%d completions in a ring of 4 do not overflow", len(ops))
			}
			for deadline := time.Now().Add(patience); ended < len(ops); {
				if _, err := q.Poll(0); err != nil || time.Now().After(deadline) {
					t.Fatalf("%d of %d ended, %v", ended, len(ops), err)
				}
			}
		})
	}
}

// TestEnterBroken reports what no retry mends.
func TestEnterBroken(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EBADF, unix.EEXIST, unix.EBADR, unix.EFAULT} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			lockThread(t)
			q := newQueue(t, Options{Entries: 8, Node: -1}).(*uring)
			q.ring.fault = func() unix.Errno { return errno }
			if _, err := q.Poll(time.Second); err == nil {
				t.Error("Poll: no error")
			}
			q.ring.fault = nil
		})
	}
}

// TestOldEpoll is the fallback on a kernel without epoll_pwait2.
func TestOldEpoll(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Fallback: true, Node: -1}).(*epollQueue)
	q.noPwait2 = true
	a, b := socketPair(t)
	buf := newArena(t, 1<<20).Get(4096)
	for range 10 {
		go func() { time.Sleep(2 * time.Millisecond); unix.Write(a, []byte("x")) }()
		wantResult(t, "recv", call(t, q, &Op{Kind: Recv, File: Socket(b), Buf: buf}), 1)
		wantResult(t, "timeout", call(t, q, &Op{Kind: Timeout, Offset: 100e3}), 0)
	}
}

// TestAgainstModel runs random writes, reads, flushes and cancels on a file
// and compares with a copy in memory.
func TestAgainstModel(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) {
		const blocks, block, depth, steps = 64, 4096, 16, 3000
		r := newRand(t)
		d := newFile(t, blocks*block)
		f := attach(t, q, d)
		a := newArena(t, 4<<20)
		if r.IntN(2) == 0 {
			if err := q.Register(a); err != nil {
				t.Fatal(err)
			}
		}
		model := make([]byte, blocks) // what each block is filled with
		busy := make([]bool, blocks)  // has an operation in flight
		ops := make([]Op, depth)      // each with a buffer for all of the file
		for i := range ops {
			ops[i].Buf = a.Get(blocks * block / 4)
		}
		steer := func(i int) {
			o := &ops[i]
			at, n := r.IntN(blocks), 1+r.IntN(8)
			n = min(n, blocks-at)
			for b := at; b < at+n; b++ {
				if busy[b] {
					return
				}
			}
			for b := at; b < at+n; b++ {
				busy[b] = true
			}
			buf := o.Buf[:cap(o.Buf)][:n*block]
			*o = Op{Kind: Read, File: f, Offset: int64(at) * block, Buf: buf}
			fill := byte(r.IntN(256))
			if r.IntN(2) == 0 {
				o.Kind = Write
				o.Flags = Flags(r.IntN(2)) * DSync
				for j := range buf {
					buf[j] = fill
				}
			}
			o.Done = func(o *Op) {
				for b := at; b < at+n; b++ {
					busy[b] = false
				}
				switch {
				case o.Result == -int32(unix.ECANCELED):
					// The kernel or a thread had not begun: nothing has changed.
				case o.Result != int32(len(buf)):
					t.Errorf("%d blocks at %d: %s", n, at, resultText(o.Result))
				case o.Kind == Write:
					for b := at; b < at+n; b++ {
						model[b] = fill
					}
				default:
					for b := at; b < at+n; b++ {
						got := buf[(b-at)*block : (b-at+1)*block]
						if got[0] != model[b] || !bytes.Equal(got[1:], got[:block-1]) {
							t.Errorf("block %d holds %d…, want %d", b, got[0], model[b])
						}
					}
				}
			}
			q.Submit(o)
		}
		for range steps {
			if i := r.IntN(depth); !ops[i].InFlight() {
				steer(i)
			} else if r.IntN(8) == 0 {
				q.Cancel(&ops[i])
			}
			if r.IntN(3) == 0 {
				if _, err := q.Poll(time.Duration(r.IntN(2)) * time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			if t.Failed() {
				return
			}
		}
		pollUntil(t, q, func() bool { return q.InFlight() == 0 })
		whole := make([]byte, blocks*block)
		readPlain(t, d.Path, whole, 0)
		for b := range blocks {
			if got := whole[b*block]; got != model[b] {
				t.Errorf("the file's block %d holds %d, want %d", b, got, model[b])
			}
		}
	})
}

func TestOptionsValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{"entries not a power of two", Options{Entries: 100}},
		{"too many entries", Options{Entries: 1 << 20}},
		{"negative limit", Options{Limit: -1}},
		{"no such node", Options{Node: 1 << 20}},
		{"negative batch", Options{Batch: -1}},
		{"too many threads", Options{Threads: 1000}},
		{"iopoll in the fallback", Options{IOPoll: true, Fallback: true}},
	} {
		if q, err := New(tt.o); err == nil {
			q.Close()
			t.Errorf("%s: no error", tt.name)
		}
	}
}

func TestDescribe(t *testing.T) {
	eachQueue(t, func(t *testing.T, q Queue) { t.Log(Describe(q)) })
}
