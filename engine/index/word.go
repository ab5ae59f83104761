package index

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/ashlardb/ashlar/arch"
)

// load reads the i-th word of the region memory at p. Readers and writers
// meet here, so it is atomic: each word is old or new, never half of each.
func load(p unsafe.Pointer, i int) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Add(p, i*8)))
}

// spinLimit is how many times a waiter pauses before it gives the processor
// away: some microseconds, the time in which a holder that runs is done.
const spinLimit = 100

// spin waits a little, for the i-th time in a row.
func spin(i int) {
	if i < spinLimit {
		arch.Pause()
		return
	}
	runtime.Gosched() // the holder was descheduled
}

// spinLock is a lock for sections of some dozen instructions, in mapped memory.
type spinLock struct{ word atomic.Uint32 }

func (l *spinLock) lock() {
	for i := 0; !l.word.CompareAndSwap(0, 1); i++ {
		spin(i)
	}
}

func (l *spinLock) unlock() { l.word.Store(0) }
