package hash

import "hash/crc32"

// castagnoliPoly is the polynomial of CRC32C in the reversed notation of RFC
// 3720, appendix B.4.
const castagnoliPoly = crc32.Castagnoli

var castagnoli = crc32.MakeTable(castagnoliPoly)

// CRC32C continues a CRC32C over p: start with 0, or with the checksum of what
// precedes p (the seed). It uses the machine's CRC instruction, and for 256
// bytes and more carry-less multiplication where the processor has it 512 bits
// wide.
func CRC32C(crc uint32, p []byte) uint32 { return update(crc, p) }

// Seed returns the checksum to start from for bytes that belong to digest and
// lie at address: they do not verify anywhere else, or as anybody else's.
func Seed(digest *Digest, address uint64) uint32 {
	var p [8]byte
	for i := range p {
		p[i] = byte(address >> (8 * i))
	}
	return CRC32C(CRC32C(0, digest[:]), p[:])
}

// Combine returns the CRC32C of two pieces behind one another from the
// checksums of each, a and b, both started from 0, and the length of the
// second piece in bytes. It takes time with the logarithm of the length.
func Combine(a, b uint32, lenB int64) uint32 {
	// Appending a zero byte is a linear map of the checksum's 32 bits (apart
	// from the inversions, which cancel between a and b): apply it lenB times
	// by squaring.
	op := zeroBit()
	for range 3 { // one bit -> two, four, eight
		op = square(&op)
	}
	for n := lenB; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = apply(&op, a)
		}
		op = square(&op)
	}
	return a ^ b
}

// zeroBit is the map of the checksum by one zero bit more: row i is where bit
// i goes.
func zeroBit() (m [32]uint32) {
	m[0] = castagnoliPoly
	for i := 1; i < 32; i++ {
		m[i] = 1 << (i - 1)
	}
	return m
}

func apply(m *[32]uint32, v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func square(m *[32]uint32) (out [32]uint32) {
	for i := range m {
		out[i] = apply(m, m[i])
	}
	return out
}
