//go:build !amd64 || race

package index

import (
	"sync/atomic"
	"unsafe"
)

// store writes the i-th word at p, after all earlier stores.
func store(p unsafe.Pointer, i int, v uint64) {
	atomic.StoreUint64((*uint64)(unsafe.Add(p, i*8)), v)
}

// move copies n words from src to dst, which may overlap. Each word is a
// store of its own, so that none is seen before the lock that precedes it.
func move(dst, src unsafe.Pointer, n int) {
	if uintptr(dst) <= uintptr(src) {
		for i := range n {
			store(dst, i, load(src, i))
		}
		return
	}
	for i := n - 1; i >= 0; i-- {
		store(dst, i, load(src, i))
	}
}
