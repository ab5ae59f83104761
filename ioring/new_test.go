package ioring

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// forbidRing makes io_uring_setup fail with errno on this thread, as container
// runtimes do.
func forbidRing(t *testing.T, errno unix.Errno) {
	t.Helper()
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the system call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: abi.SYS_IO_URING_SETUP},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skipf("no_new_privs: %v", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		t.Skipf("seccomp: %v", errno)
	}
	runtime.KeepAlive(program)
}

// TestNewFallsBack forbids io_uring: New works all the same and says so once.
func TestNewFallsBack(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			runtime.LockOSThread() // for good: the thread ends with the subtest's goroutine
			forbidRing(t, errno)
			warnFallback = sync.Once{}
			var log bytes.Buffer
			for range 2 {
				q, err := New(Options{Node: -1, Log: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatalf("New: %v", err)
				}
				if !strings.HasPrefix(Describe(q), "epoll") {
					t.Errorf("New made %q", Describe(q))
				}
				wantResult(t, "nop", call(t, q, &Op{Kind: Nop}), 0)
				if err := q.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want 1:\n%s", n, log.String())
			}
			if _, err := New(Options{Node: -1, IOPoll: true}); err == nil {
				t.Error("New with IOPoll, which has no fallback: no error")
			}
		})
	}
}

// TestNewOtherErrors are not taken for a lack of io_uring.
func TestNewOtherErrors(t *testing.T) {
	runtime.LockOSThread() // for good: the thread ends with the test's goroutine
	forbidRing(t, unix.EMFILE)
	if q, err := New(Options{Node: -1, Log: quiet}); err == nil {
		q.Close()
		t.Error("New without descriptors to be had: no error")
	}
}

// TestSQPoll lets the kernel's thread fall asleep between operations: it must
// be woken, or they hang.
func TestSQPoll(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Entries: 8, Limit: 16, SQPoll: true, Node: -1})
	f := attach(t, q, newFile(t, 1<<20))
	buf := newArena(t, 1<<20).Get(4096)
	for range 3 {
		for range 20 {
			wantResult(t, "write", call(t, q, &Op{Kind: Write, File: f, Buf: buf}), 4096)
			wantResult(t, "read", call(t, q, &Op{Kind: Read, File: f, Buf: buf}), 4096)
		}
		time.Sleep(3 * sqIdleMs * time.Millisecond)
	}
}

// TestIOPoll runs on whatever device the files here are on: one without poll
// queues answers EOPNOTSUPP, through the queue, and the queue lives.
func TestIOPoll(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Entries: 8, Limit: 16, IOPoll: true, Node: -1})
	f := attach(t, q, newFile(t, 1<<20))
	buf := newArena(t, 1<<20).Get(4096)
	for range 3 {
		if got := call(t, q, &Op{Kind: Read, File: f, Buf: buf}); got != 4096 && got != -int32(unix.EOPNOTSUPP) {
			t.Errorf("read: %s, want 4096 or EOPNOTSUPP", resultText(got))
		}
	}
	go q.Wake()
	if _, err := q.Poll(patience); err != nil {
		t.Errorf("Poll: %v", err)
	}
}

// TestOtherThread uses a queue from a thread that did not make it: an error,
// not a hang.
func TestOtherThread(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Entries: 8, Node: -1})
	errs := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, err := q.Poll(time.Second)
		errs <- err
	}()
	if err := <-errs; err == nil {
		t.Error("Poll on another thread: no error")
	}
}

// TestPreferredNode makes a ring on the first node and leaves the thread's
// memory policy as it was.
func TestPreferredNode(t *testing.T) {
	lockThread(t)
	policy := func() (mode int32) {
		unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), 0, 0, 0, 0, 0)
		return mode
	}
	before := policy()
	q := newQueue(t, Options{Entries: 8, Node: 0})
	wantResult(t, "nop", call(t, q, &Op{Kind: Nop}), 0)
	if after := policy(); after != before {
		t.Errorf("memory policy %d, was %d", after, before)
	}
}
