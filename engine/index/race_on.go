//go:build race

package index

import (
	"runtime"
	"unsafe"

	"github.com/ashlardb/ashlar/engine/record"
)

// raceOrder tells the race detector what orders what. It does not see atomic
// operations on memory outside the Go heap, so without this it would report
// callers that publish their own memory through the index: write a buffer,
// Put its address, Get it on another thread, read the buffer. One heap word a
// partition stands for the versions of its sprigs.
type raceOrder struct{ words [record.Partitions]uint64 }

func (r *raceOrder) acquire(part int) { runtime.RaceAcquire(unsafe.Pointer(&r.words[part])) }

func (r *raceOrder) release(part int) { runtime.RaceReleaseMerge(unsafe.Pointer(&r.words[part])) }
