//go:build amd64 && !race

package index

import "unsafe"

// amd64 makes a processor's stores visible in their order and 8 aligned bytes
// at once. So a plain store under the sprig's lock is enough for a seqlock,
// where the language's atomic store would be a full barrier, some twenty
// cycles each. Other machines and the race detector get store_atomic.go.

// store writes the i-th word at p, after all earlier stores.
func store(p unsafe.Pointer, i int, v uint64) { *(*uint64)(unsafe.Add(p, i*8)) = v }

// move copies n words from src to dst, which may overlap. Readers may see any
// part of it done; none relies on what it saw before it checked the version.
func move(dst, src unsafe.Pointer, n int) {
	copy(unsafe.Slice((*uint64)(dst), n), unsafe.Slice((*uint64)(src), n))
}
