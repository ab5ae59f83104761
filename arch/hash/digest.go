package hash

import (
	"encoding/binary"
)

// Size is the size of a Digest in bytes.
const Size = 20

// BlockSize is the unit in which RIPEMD-160 takes its message, in bytes.
const BlockSize = 64

// Digest is a RIPEMD-160 digest.
type Digest = [Size]byte

// maxShort is the longest message that fits in one block with its padding
// (0x80 and eight bytes of length); maxTwo the longest that fits in two.
const (
	maxShort = BlockSize - 9
	maxTwo   = 2*BlockSize - 9
)

// iv is the state before the first block.
var iv = [5]uint32{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}

// DigestKey writes the digest of a key to dst: of the set's name (which may be
// empty), the key's particle type (1 integer, 3 string, 4 blob) and the key's
// bytes as they go over the wire (integers: eight bytes, big endian).
func DigestKey(dst *Digest, set string, keyType byte, key []byte) {
	if n := len(set) + 1 + len(key); n <= maxShort {
		var p [BlockSize]byte
		copy(p[:], set)
		p[len(set)] = keyType
		copy(p[len(set)+1:], key)
		pad(p[:], n, uint64(n))
		h := iv
		block(&h, &p)
		put(dst, &h)
		return
	}
	var s stream
	s.h = iv
	s.writeString(set)
	s.buf[s.n] = keyType // n < BlockSize between writes
	s.filled(1)
	s.write(key)
	s.sum(dst)
}

// pad ends a message whose last bytes fill p up to n: 0x80, zeros (which p
// holds already) and the length of the whole message, in bits, at p's end.
func pad(p []byte, n int, length uint64) {
	p[n] = 0x80
	binary.LittleEndian.PutUint64(p[len(p)-8:], length<<3)
}

// put writes the state as a digest.
func put(dst *Digest, h *[5]uint32) {
	binary.LittleEndian.PutUint32(dst[0:], h[0])
	binary.LittleEndian.PutUint32(dst[4:], h[1])
	binary.LittleEndian.PutUint32(dst[8:], h[2])
	binary.LittleEndian.PutUint32(dst[12:], h[3])
	binary.LittleEndian.PutUint32(dst[16:], h[4])
}

// Partition returns the partition of a record's digest, 0 to 4095: the low
// twelve bits of its first two bytes, little endian.
func Partition(d *Digest) int { return int(binary.LittleEndian.Uint16(d[0:2])) & 4095 }
