//go:build (amd64 || arm64) && !purego

package arch

import "unsafe"

// Prefetch asks the processor to load the cache line at p into all levels of
// its cache. It returns at once and never faults: p may be any value,
// unmapped or unaligned. The call costs one to two nanoseconds, so it pays
// only for a line that is probably in main memory, and only when there is
// other work to do before the line is used.
//
//go:noescape
func Prefetch(p unsafe.Pointer)

// Pause tells the processor that the caller is waiting for another thread to
// change a memory word. It takes some ten to a hundred cycles.
func Pause()
