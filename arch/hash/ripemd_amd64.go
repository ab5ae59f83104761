//go:build !purego

package hash

import (
	"encoding/binary"

	"github.com/klauspost/cpuid/v2"
)

// What the chosen path uses. They are set once, before anything is hashed, and
// branched on: a call through a variable would make its arguments escape.
var useBMI, useAVX2, useAVX512, useVBMI bool

// Fewer keys than this are faster one by one than in lanes that stay empty.
const lanesMin = 3

//go:noescape
func blockBMI(h *[5]uint32, p *[64]byte)

//go:noescape
func block8AVX2(h *[5 * 8]uint32, p *[16 * 8]uint32)

// transpose8AVX2 writes eight rows of 64 bytes, 128 bytes apart, as columns.
//
//go:noescape
func transpose8AVX2(dst *[16 * 8]uint32, rows *byte)

//go:noescape
func block16AVX512(h *[5 * 16]uint32, p *[16 * 16]uint32)

//go:noescape
func block32AVX512(h *[2][5 * 16]uint32, p *[2][16 * 16]uint32)

// pad16VBMI pads sixteen keys, each of which fits in one block behind the
// prefix, and writes them as columns of dst.
//
//go:noescape
func pad16VBMI(dst *[16 * 16]uint32, keys *[16][]byte, prefix *[64]byte, prefixLen int)

// digests16AVX512 writes the digests of the first n lanes, 1 to 16.
//
//go:noescape
func digests16AVX512(dst *Digest, h *[5 * 16]uint32, n int)

// paths returns the kernels of amd64, from the plainest to the widest.
func paths() []path {
	c := &cpuid.CPU
	bmi := c.Has(cpuid.BMI1)
	avx2 := bmi && c.Has(cpuid.AVX2)
	avx512 := avx2 && c.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.BMI2)
	vbmi := avx512 && c.Has(cpuid.AVX512VBMI)
	set := func(b, a2, a512, v bool) func() {
		return func() {
			useBMI, useAVX2, useAVX512, useVBMI = b, a2, a512, v
			useVPCLMUL = a512 && hasVPCLMUL
		}
	}
	return []path{
		{"generic", true, "generic", set(false, false, false, false)},
		{"bmi", bmi, "bmi", set(true, false, false, false)},
		{"avx2", avx2, "bmi, avx2x8", set(true, true, false, false)},
		{"avx512", avx512, "bmi, avx512x32", set(true, false, true, vbmi)},
	}
}

// block continues the state h by one message block.
func block(h *[5]uint32, p *[64]byte) {
	if useBMI {
		blockBMI(h, p)
		return
	}
	blockGeneric(h, p)
}

// block8 continues eight states, laid out as columns.
func block8(h *[5 * 8]uint32, p *[16 * 8]uint32) { block8AVX2(h, p) }

// transpose8 writes block b of the first eight rows as columns.
func transpose8(dst *[16 * 8]uint32, rows *[16][2 * BlockSize]byte, b int) {
	transpose8AVX2(dst, &rows[0][b*BlockSize])
}

// useLanes reports whether there is a kernel that takes several keys at once.
func useLanes() bool { return useAVX2 || useAVX512 }

// sumLanes digests up to lanesMax keys that all have the same number of
// blocks, one or two.
func (h *KeyHasher) sumLanes(dst []Digest, keys [][]byte, blocks int) {
	for len(keys) >= lanesMin {
		n := len(keys)
		if useAVX512 {
			h.sumAVX512(dst[:n], keys, blocks)
		} else {
			n = min(n, 8)
			h.sumEight(dst[:n], keys[:n], blocks)
		}
		dst, keys = dst[n:], keys[n:]
	}
	h.sumScalar(dst, keys)
}

// sumAVX512 digests up to lanesMax keys in one or two groups of sixteen lanes.
func (h *KeyHasher) sumAVX512(dst []Digest, keys [][]byte, blocks int) {
	groups := (len(keys) + 15) / 16
	h.state = iv32
	for b := range blocks {
		for g := range groups {
			part := keys[16*g : min(16*g+16, len(keys))]
			if blocks == 1 && useVBMI {
				h.padVBMI(part, g)
			} else {
				h.padColumns(part, g, b, blocks)
			}
		}
		if groups == 2 {
			block32AVX512(&h.state, &h.words)
		} else {
			block16AVX512(&h.state[0], &h.words[0])
		}
	}
	for g := range groups {
		digests16AVX512(&dst[16*g], &h.state[g], min(16, len(dst)-16*g))
	}
}

// padColumns pads up to sixteen keys of one or two blocks and writes block b
// of them as the columns of group g.
func (h *KeyHasher) padColumns(keys [][]byte, g, b, blocks int) {
	words := &h.words[g]
	for lane, key := range keys {
		row := &h.rows[lane]
		h.padRow(row, key, blocks)
		for i := range 16 {
			words[i*16+lane] = binary.LittleEndian.Uint32(row[b*BlockSize+4*i:])
		}
	}
}

// padVBMI pads up to sixteen keys into group g. Lanes without a key of their
// own repeat the first.
func (h *KeyHasher) padVBMI(keys [][]byte, g int) {
	if len(keys) == 16 {
		pad16VBMI(&h.words[g], (*[16][]byte)(keys), &h.prefix, h.prefixLen)
		return
	}
	var refs [16][]byte
	for i := copy(refs[:], keys); i < 16; i++ {
		refs[i] = keys[0]
	}
	pad16VBMI(&h.words[g], &refs, &h.prefix, h.prefixLen)
}

// iv32 is the start of a message in both groups of sixteen lanes.
var iv32 = func() (s [2][5 * 16]uint32) {
	for g := range s {
		for i := range s[g] {
			s[g][i] = iv[i/16]
		}
	}
	return s
}()
