package index

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/ashlardb/ashlar/engine/record"
)

// ErrFull says that the memory limit is reached, or that one sprig holds as
// many records as a sprig can (two million at the least). Nothing was changed.
var ErrFull = errors.New("index: full")

// Limits and defaults of Options.
const (
	MinSprigs     = 16
	MaxSprigs     = 1 << 28
	DefaultSprigs = 256

	// DefaultMaxBytes is address space, not memory: 3.5 billion records.
	DefaultMaxBytes = 256 << 30
	maxMaxBytes     = 1 << handleBits * lineSize // what a handle can reach: 64 TiB
	minSlabs        = 4
)

// Options configures New. The zero value of a field means its default.
type Options struct {
	// Sprigs is the number of sprigs of each partition, a power of two from 16
	// to 2^28. Default 256, right for 15 to 200 million records; each costs
	// 16 bytes in each of the 4096 partitions.
	Sprigs int `config:"partition-tree-sprigs"`

	// MaxBytes is the most memory that the index may use, all in all. Default
	// 256 GiB. It is reserved as address space at once, and used as it fills.
	MaxBytes int64

	// Nodes are the NUMA nodes over which the memory is spread, page by page.
	// Default: wherever the thread is that touches a page first.
	Nodes []int

	// SmallPages keeps the kernel from using huge pages. Lookups then cost a
	// third more.
	SmallPages bool

	// heap takes the memory from the Go heap, where the race detector watches
	// it: for tests.
	heap bool
}

func (o *Options) setDefaults() {
	if o.Sprigs == 0 {
		o.Sprigs = DefaultSprigs
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = max(DefaultMaxBytes, 2*fixedBytes(o.Sprigs))
	}
}

// validate reports every mistake at once.
func (o *Options) validate() error {
	var errs []error
	if o.Sprigs < MinSprigs || o.Sprigs > MaxSprigs || o.Sprigs&(o.Sprigs-1) != 0 {
		errs = append(errs, fmt.Errorf("index: partition-tree-sprigs %d: want a power of two from %d to %d",
			o.Sprigs, MinSprigs, MaxSprigs))
	} else if least := fixedBytes(o.Sprigs) + minSlabs*slabSize; o.MaxBytes < least || o.MaxBytes > maxMaxBytes {
		errs = append(errs, fmt.Errorf("index: memory limit of %d bytes: want %d (for %d sprigs a partition) to %d",
			o.MaxBytes, least, o.Sprigs, int64(maxMaxBytes)))
	}
	for _, n := range o.Nodes {
		if n < 0 || n >= maxNodes {
			errs = append(errs, fmt.Errorf("index: NUMA node %d: want 0 to %d", n, maxNodes-1))
		}
	}
	return errors.Join(errs...)
}

const (
	magic    = 0x31584449_52485341 // "ASHRIDX1" in memory
	pageSize = 4096
)

// superblock is the start of the region: all that is not in headers and slabs.
type superblock struct {
	magic     uint64
	sprigs    uint64
	maxBytes  uint64
	nShards   uint32
	_         uint32
	children  atomic.Uint64 // leaves of all directories
	_         [24]byte
	pool      pool
	shards    [maxShards]shard
	partition [record.Partitions]atomic.Uint64 // records of each partition
}

// Index is the primary index of one namespace. See the package's comment for
// structure and concurrency.
type Index struct {
	region    region
	super     *superblock
	headers   uint64 // byte offset of the sprig headers
	sprigBits int
	firstSlab uint64 // handle of the first slab
	limit     uint64 // handle at which the region ends
	committed uint64 // bytes that are accessible; guarded by the pool's lock
	ahead     ahead
	race      raceOrder
}

// fixedBytes is what superblock and sprig headers take, in whole slabs.
func fixedBytes(sprigs int) int64 {
	n := headersOffset + int64(sprigs)*record.Partitions*headerSize
	return (n + slabSize - 1) / slabSize * slabSize
}

const headersOffset = (int64(unsafe.Sizeof(superblock{})) + pageSize - 1) / pageSize * pageSize

// New returns an empty index. It fails for options that are out of range and
// when the kernel refuses the address space.
func New(o Options) (*Index, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	size := o.MaxBytes / slabSize * slabSize
	fixed := fixedBytes(o.Sprigs)
	x := &Index{
		headers:   uint64(headersOffset),
		sprigBits: bits.TrailingZeros(uint(o.Sprigs)),
		firstSlab: uint64(fixed / lineSize),
		limit:     uint64(size / lineSize),
	}
	if err := x.openRegion(size, fixed, &o); err != nil {
		return nil, errors.Join(err, x.region.close())
	}
	x.super = (*superblock)(x.region.base)
	x.super.magic, x.super.sprigs, x.super.maxBytes = magic, uint64(o.Sprigs), uint64(size)
	x.super.nShards = shardsFor(size - fixed)
	x.super.pool.next.Store(x.firstSlab)
	x.ahead.start(x, uint64(fixed))
	return x, nil
}

// openRegion provides size bytes, of which the first fixed are accessible.
func (x *Index) openRegion(size, fixed int64, o *Options) (err error) {
	if o.heap {
		x.region = heapRegion(size)
		x.committed = uint64(size)
		return nil
	}
	if x.region, err = reserve(size, o); err != nil {
		return err
	}
	x.committed = uint64(min((fixed+stageSize-1)/stageSize*stageSize, size))
	return x.region.commit(0, x.committed)
}

// heapRegion is a region of heap memory, aligned to a slab. It is a slab
// longer than asked for, so that a pointer just past the last block is still
// one into the same object, as checkptr wants it.
func heapRegion(size int64) region {
	words := make([]uint64, (size+2*slabSize)/8)
	skip := -uintptr(unsafe.Pointer(&words[0])) & (slabSize - 1)
	base := unsafe.Add(unsafe.Pointer(&words[0]), skip)
	return region{bytes: unsafe.Slice((*byte)(base), size), base: base}
}

// shardsFor keeps what the shards strand small beside the whole.
func shardsFor(slabBytes int64) uint32 {
	n := uint32(maxShards)
	for n > 1 && int64(n)*16*slabSize > slabBytes {
		n /= 2
	}
	return n
}

// Len returns the number of records, tombstones included.
func (x *Index) Len() int {
	n := 0
	for p := range x.super.partition {
		n += x.LenPartition(p)
	}
	return n
}

// LenPartition returns the number of records of a partition, tombstones
// included.
func (x *Index) LenPartition(p int) int { return int(x.super.partition[p].Load()) }

// Close returns the memory. No other call may be running or follow.
func (x *Index) Close() error {
	x.ahead.stop()
	return x.region.close()
}
