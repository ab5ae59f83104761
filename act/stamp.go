package act

import (
	"encoding/binary"
	"hash/crc32"
)

// What every 512 bytes of a prepared device start with, little endian:
//
//	 0  magic
//	 4  CRC32C of bytes 24 to the end, then of bytes 8 to 24
//	 8  offset of the sector on its device
//	16  sequence of the write
//	24  payload
//
// The checksum takes the payload first, so that a payload's share of it is
// computed once and not at each write. 512 bytes are what no drive tears when a
// read meets a write.
const (
	sector     = 512
	stampSize  = 24
	stampMagic = 0x42415341
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fillerSize is the size of the pool that payloads are taken from: more than
// what drives look back for when they compress.
const fillerSize = 4 << 20

// filler writes the contents of sectors. It is not changed after it was made,
// so that all loops share it.
type filler struct {
	pool []byte
	sums []uint32 // CRC32C of each sector's payload
}

// newFiller returns contents of which compress percent do not compress: of
// each 512 bytes the first part is zero, the rest random.
func newFiller(compress int, seed uint64) *filler {
	f := &filler{pool: make([]byte, fillerSize)}
	r := newRNG(seed, 0xf111)
	zeroWords := 64 * (100 - compress) / 100
	for i := 0; i < len(f.pool); i += 8 {
		if i%512/8 >= zeroWords {
			binary.LittleEndian.PutUint64(f.pool[i:], r.uint64())
		}
	}
	for at := 0; at < len(f.pool); at += sector {
		f.sums = append(f.sums, crc32.Checksum(f.pool[at+stampSize:at+sector], castagnoli))
	}
	return f
}

// fill makes buf, whole sectors, the contents of offset.
func (f *filler) fill(buf []byte, offset int64, sequence uint64, r *rng) {
	n := uint64(len(f.sums))
	i := r.below(n)
	for at := 0; at < len(buf); at += sector {
		s := buf[at : at+sector]
		copy(s[stampSize:], f.pool[int(i)*sector+stampSize:(int(i)+1)*sector])
		binary.LittleEndian.PutUint32(s, stampMagic)
		binary.LittleEndian.PutUint64(s[8:], uint64(offset)+uint64(at))
		binary.LittleEndian.PutUint64(s[16:], sequence)
		binary.LittleEndian.PutUint32(s[4:], crc32.Update(f.sums[i], castagnoli, s[8:stampSize]))
		if i++; i == n {
			i = 0
		}
	}
}

// check is what a look at data says.
type check uint8

const (
	checkGood  check = iota
	checkBlank       // a sector that nobody stamped
	checkWrong       // not what was written there
)

// verify checks buf, whole sectors that were read at offset.
func verify(buf []byte, offset int64) check {
	worst := checkGood
	for at := 0; at < len(buf); at += sector {
		s := buf[at : at+sector]
		switch {
		case binary.LittleEndian.Uint32(s) != stampMagic:
			worst = max(worst, checkBlank)
		case binary.LittleEndian.Uint64(s[8:]) != uint64(offset)+uint64(at) || !sumHolds(s):
			return checkWrong
		}
	}
	return worst
}

func sumHolds(s []byte) bool {
	sum := crc32.Checksum(s[stampSize:], castagnoli)
	return crc32.Update(sum, castagnoli, s[8:stampSize]) == binary.LittleEndian.Uint32(s[4:])
}
