package index

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/ashlardb/ashlar/engine/record"
)

const (
	orderBits  = 24
	handleBits = 40
	handleMask = 1<<handleBits - 1
)

// key is a digest taken apart for one search.
type key struct {
	words  [3]uint64      // the digest, little endian; 4 bytes in the last
	order  uint64         // the order bits, where a slot has them: bits 40-63
	header unsafe.Pointer // of the sprig
	part   int
}

// keyOf takes d apart.
func (x *Index) keyOf(d *record.Digest) (k key) {
	le := binary.LittleEndian
	k.words = [3]uint64{le.Uint64(d[0:8]), le.Uint64(d[8:16]), uint64(le.Uint32(d[16:20]))}
	k.part = d.Partition()
	k.header, k.order = x.locate(d)
	return k
}

// locate returns the header of the sprig and the order bits of d. The
// partition has byte 0 and the low half of byte 1; what follows is the order
// within the partition, whose first bits are the sprig and whose next 24 are
// the order bits.
func (x *Index) locate(d *record.Digest) (header unsafe.Pointer, order uint64) {
	within := orderOf(d)
	sprig := uint64(d.Partition())<<(x.sprigBits&63) | within>>((64-x.sprigBits)&63)
	return x.headerAt(sprig), within << (x.sprigBits & 63) &^ handleMask
}

// headerAt returns the header of a sprig, counted over all partitions.
func (x *Index) headerAt(sprig uint64) unsafe.Pointer {
	return unsafe.Add(x.region.base, x.headers+sprig*headerSize)
}

// orderOf returns the first 60 bits of the digest after the partition's, at
// the top of a word: the high half of byte 1, then bytes 2-8.
func orderOf(d *record.Digest) uint64 {
	w := binary.BigEndian.Uint64(d[1:9])
	return w&(0xF<<60) | w<<8>>4
}

// compareBytes orders two words by the bytes they hold in memory.
func compareBytes(a, b uint64) int {
	return cmp.Compare(bits.ReverseBytes64(a), bits.ReverseBytes64(b))
}
