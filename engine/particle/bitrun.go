package particle

import "math/bits"

// Bits are numbered from the most significant bit of byte 0. A run of bits is
// moved through right-aligned words of up to 64.

// loadBits returns n bits, 1 to 64, from off, right aligned.
func loadBits(p []byte, off, n int) uint64 {
	at, skip := off>>3, off&7
	var v uint64
	need := (skip + n + 7) >> 3 // bytes, up to 9
	for _, b := range p[at : at+min(need, 8)] {
		v = v<<8 | uint64(b)
	}
	if need <= 8 {
		v >>= uint(need*8 - skip - n)
	} else {
		v = v<<uint(skip+n-64) | uint64(p[at+8])>>uint(72-skip-n)
	}
	return v & (^uint64(0) >> (64 - n))
}

// storeBits replaces n bits, 1 to 64, from off by the low bits of v.
func storeBits(p []byte, off, n int, v uint64) {
	for n > 0 {
		at, skip := off>>3, off&7
		k := min(8-skip, n) // bits that go into this byte
		part := byte(v>>(n-k)) & (0xff >> (8 - k))
		down := 8 - skip - k
		p[at] = p[at]&^(0xff>>(8-k)<<down) | part<<down
		off += k
		n -= k
	}
}

// appendBits appends n bits from off, left aligned and padded with 0.
func appendBits(dst, p []byte, off, n int) []byte {
	for n >= 8 {
		dst = append(dst, byte(loadBits(p, off, 8)))
		off += 8
		n -= 8
	}
	if n > 0 {
		dst = append(dst, byte(loadBits(p, off, n)<<(8-n)))
	}
	return dst
}

// countBits returns how many of n bits from off are set.
func countBits(p []byte, off, n int) (count int) {
	for n > 0 {
		k := min(64, n)
		count += bits.OnesCount64(loadBits(p, off, k))
		off += k
		n -= k
	}
	return count
}

// scanLeft returns the place, relative to off, of the first of n bits that is
// want, -1 without.
func scanLeft(p []byte, off, n int, want bool) int {
	for i := 0; i < n; i += 64 {
		k := min(64, n-i)
		v := loadBits(p, off+i, k)
		if !want {
			v = ^v & (^uint64(0) >> (64 - k))
		}
		if v != 0 {
			return i + k - bits.Len64(v)
		}
	}
	return -1
}

// scanRight returns the place, relative to off, of the last of n bits that is
// want, -1 without. As in the original, the search goes on to the start of the
// byte that holds the first bit: a hit there has a negative place.
func scanRight(p []byte, off, n int, want bool) int {
	before := off & 7
	off -= before
	n += before
	for n > 0 {
		k := min(64, n)
		v := loadBits(p, off+n-k, k)
		if !want {
			v = ^v & (^uint64(0) >> (64 - k))
		}
		if v != 0 {
			return n - 1 - bits.TrailingZeros64(v) - before
		}
		n -= k
	}
	return -1
}

// shiftLeft moves n bits from off by shift places towards the front and fills
// with 0.
func shiftLeft(p []byte, off, n, shift int) {
	for i := 0; i < n-shift; i += 64 {
		k := min(64, n-shift-i)
		storeBits(p, off+i, k, loadBits(p, off+i+shift, k))
	}
	clearBits(p, off+n-shift, shift)
}

// shiftRight moves n bits from off by shift places towards the end and fills
// with 0.
func shiftRight(p []byte, off, n, shift int) {
	for left := n - shift; left > 0; {
		k := min(64, left)
		left -= k
		storeBits(p, off+shift+left, k, loadBits(p, off+left, k))
	}
	clearBits(p, off, shift)
}

func clearBits(p []byte, off, n int) {
	for n > 0 {
		k := min(64, n)
		storeBits(p, off, k, 0)
		off += k
		n -= k
	}
}
