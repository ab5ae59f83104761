//go:build !purego

package hash

import (
	"encoding/binary"

	"github.com/klauspost/cpuid/v2"
)

// useNEON is set once, before anything is hashed.
var useNEON bool

// Fewer keys than this are faster one by one: eight lanes cost about as much
// as three keys.
const lanesMin = 4

//go:noescape
func block8NEON(h *[5 * 8]uint32, p *[16 * 8]uint32)

// paths returns the kernels of arm64, from the plainest to the widest.
func paths() []path {
	return []path{
		{"generic", true, "generic", func() { useNEON = false }},
		{"neon", cpuid.CPU.Has(cpuid.ASIMD), "generic, neonx8", func() { useNEON = true }},
	}
}

// block continues the state h by one message block. The compiler makes of the
// generic code what one would write by hand.
func block(h *[5]uint32, p *[64]byte) { blockGeneric(h, p) }

// block8 continues eight states, laid out as columns.
func block8(h *[5 * 8]uint32, p *[16 * 8]uint32) { block8NEON(h, p) }

// transpose8 writes block b of the first eight rows as columns.
func transpose8(dst *[16 * 8]uint32, rows *[16][2 * BlockSize]byte, b int) {
	for lane := range 8 {
		for i := range 16 {
			dst[i*8+lane] = binary.LittleEndian.Uint32(rows[lane][b*BlockSize+4*i:])
		}
	}
}

// useLanes reports whether there is a kernel that takes several keys at once.
func useLanes() bool { return useNEON }

// sumLanes digests up to lanesMax keys that all have the same number of
// blocks, one or two.
func (h *KeyHasher) sumLanes(dst []Digest, keys [][]byte, blocks int) {
	for len(keys) >= lanesMin {
		n := min(len(keys), 8)
		h.sumEight(dst[:n], keys[:n], blocks)
		dst, keys = dst[n:], keys[n:]
	}
	h.sumScalar(dst, keys)
}
