package act

import (
	"fmt"

	"github.com/ashlardb/ashlar/ioring"
)

// target is a device under test: where operations of each class may go.
type target struct {
	dev   *ioring.Device
	name  string
	index int // among the run's devices

	block int  // unit of offsets and sizes: that of direct I/O
	known bool // every sector is stamped: one that is not is wrong data

	record, recordSteps uint64 // smallest operation in blocks, and how many sizes there are
	first               int64  // where records may start
	end                 int64

	large   int64 // bytes of a block
	base    int64 // of the first block
	nBlocks uint64

	log *blockLog // nil: blocks go to random places
}

// newTarget lays a Config out on a device.
func newTarget(dev *ioring.Device, index int, c *Config, known *label) (*target, error) {
	t := &target{dev: dev, name: dev.Path, index: index, block: max(dev.Block, sector)}
	r := c.Rates()
	small, big := roundUp(r.Stored, t.block), roundUp(r.StoredMax, t.block)
	t.record, t.recordSteps = uint64(small/t.block), uint64((big-small)/t.block)+1
	t.large = int64(c.LargeBlock)
	unit := t.large
	if c.Model == Index {
		t.large, unit = indexPage, indexPage
	}
	if c.WriteBlock > 0 {
		unit = int64(c.WriteBlock)
	}
	if t.large%int64(t.block) != 0 {
		return nil, fmt.Errorf("act: %s: blocks of %d bytes on a device with I/O in units of %d: want a multiple", t.name, t.large, t.block)
	}
	t.base = (labelSize + unit - 1) / unit * unit
	t.end = dev.Size / unit * unit
	if t.end-t.base < 2*unit || t.end-t.base < int64(big) {
		return nil, fmt.Errorf("act: %s has %d bytes: want room for two blocks of %d and a label", t.name, dev.Size, unit)
	}
	t.nBlocks = uint64((t.end - t.base) / t.large)
	t.first = t.base
	if known != nil && known.end >= t.end {
		t.known = true
	}
	if c.WriteBlock > 0 {
		t.log = newBlockLog(uint64((t.end-t.base)/unit), uint64(unit/t.large))
	}
	return t, nil
}

// recordPlace draws where a record lies: offset and size in bytes.
func (t *target) recordPlace(r *rng, align int64) (offset int64, size int) {
	blocks := t.record
	if t.recordSteps > 1 {
		blocks += r.below(t.recordSteps)
	}
	size = int(blocks) * t.block
	unit := max(int64(t.block), align)
	places := uint64((t.end-t.first-int64(size))/unit) + 1
	return t.first + int64(r.below(places))*unit, size
}

// blockPlace draws where a block is read or written.
func (t *target) blockPlace(r *rng, write bool) int64 {
	if t.log == nil {
		return t.base + int64(r.below(t.nBlocks))*t.large
	}
	if write {
		return t.base + int64(t.log.write(r))*t.large
	}
	return t.base + int64(t.log.read(r))*t.large
}

// blockLog imitates how the database uses write blocks: it takes one from the
// free list, fills it piece by piece, and gets it back when defrag has read
// what is left in it.
//
// Invariant: a write block is in free, in used, or being written or read.
type blockLog struct {
	pieces uint64
	free   []uint32 // ring
	head   int
	nFree  int
	used   []uint32 // in no order

	writing, reading  uint32
	written, readUpTo uint64 // pieces done; pieces when there is no block at hand
}

// newBlockLog returns a log over n write blocks of which every other is free.
func newBlockLog(n, pieces uint64) *blockLog {
	b := &blockLog{pieces: pieces, written: pieces, readUpTo: pieces, free: make([]uint32, n), used: make([]uint32, 0, n)}
	for i := range uint32(n) {
		if i%2 == 0 {
			b.free[b.nFree] = i
			b.nFree++
		} else {
			b.used = append(b.used, i)
		}
	}
	return b
}

// write returns the piece that is written next.
func (b *blockLog) write(r *rng) uint64 {
	if b.written == b.pieces {
		if b.nFree > 0 {
			b.writing = b.free[b.head]
			b.head = (b.head + 1) % len(b.free)
			b.nFree--
		} else {
			b.writing = b.take(r) // nothing reads: an old block is dropped as a whole
		}
		b.written = 0
	}
	piece := uint64(b.writing)*b.pieces + b.written
	if b.written++; b.written == b.pieces {
		b.used = append(b.used, b.writing)
	}
	return piece
}

// read returns the piece that defrag reads next.
func (b *blockLog) read(r *rng) uint64 {
	if b.readUpTo == b.pieces {
		if len(b.used) == 0 {
			return r.below(uint64(len(b.free)) * b.pieces) // all is free: it reads for nothing
		}
		b.reading, b.readUpTo = b.take(r), 0
	}
	piece := uint64(b.reading)*b.pieces + b.readUpTo
	if b.readUpTo++; b.readUpTo == b.pieces {
		b.free[(b.head+b.nFree)%len(b.free)] = b.reading
		b.nFree++
	}
	return piece
}

// take removes a drawn block from used.
func (b *blockLog) take(r *rng) uint32 {
	i := r.below(uint64(len(b.used)))
	last := len(b.used) - 1
	block := b.used[i]
	b.used[i] = b.used[last]
	b.used = b.used[:last]
	return block
}
