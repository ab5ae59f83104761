package arch

import (
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestPrefetchNeverFaults gives Prefetch addresses that no load would survive.
func TestPrefetchNeverFaults(t *testing.T) {
	buf := make([]byte, 2*CacheLine)
	for i := range buf {
		buf[i] = byte(i)
	}
	forbidden, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(forbidden)
	for _, tt := range []struct {
		name string
		p    unsafe.Pointer
	}{
		{"nil", nil},
		{"page without access", unsafe.Pointer(&forbidden[0])},
		{"aligned", unsafe.Pointer(&buf[0])},
		{"across two lines", unsafe.Pointer(&buf[CacheLine-1])},
	} {
		t.Run(tt.name, func(t *testing.T) {
			Prefetch(tt.p)
			for i := range buf {
				if buf[i] != byte(i) {
					t.Fatalf("byte %d is %d after Prefetch, want %d", i, buf[i], byte(i))
				}
			}
		})
	}
}

// TestPauseLetsAnotherThreadRun waits with Pause for a word that another
// goroutine sets: a Pause that never returns, or that the compiler takes for
// the whole loop, would hang here.
func TestPauseLetsAnotherThreadRun(t *testing.T) {
	var set atomic.Bool
	go set.Store(true)
	for !set.Load() {
		Pause()
	}
}

func TestDoNotAllocate(t *testing.T) {
	var x [CacheLine]byte
	n := testing.AllocsPerRun(1000, func() {
		var local [CacheLine]byte
		Prefetch(unsafe.Pointer(&local))
		Prefetch(unsafe.Pointer(&x))
		Pause()
	})
	if n != 0 {
		t.Errorf("Prefetch and Pause allocate %v times, want 0", n)
	}
}

func BenchmarkPrefetch(b *testing.B) {
	var x [CacheLine]byte
	for b.Loop() {
		Prefetch(unsafe.Pointer(&x))
	}
}

func BenchmarkPause(b *testing.B) {
	for b.Loop() {
		Pause()
	}
}
