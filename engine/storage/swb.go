package storage

import (
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
)

// Kind says whose records a write buffer collects. Each kind has buffers of
// its own, so that what dies together lies together.
type Kind uint8

// Kinds of writes.
const (
	Master    Kind = iota // a client's write
	Replica               // a write that the master sent
	Migration             // a record that moved here from another node
	Defrag                // a record that defrag moves
	Tombstone             // of a delete, where there is no room left for Master
	nKinds    = 5
)

// String returns the kind's name.
func (k Kind) String() string {
	names := [nKinds]string{"master", "replica", "migration", "defrag", "tombstone"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

const noTick = ^uint64(0)

// swb is a streaming write buffer: the image of one wblock while it fills,
// and afterwards in the post-write cache. In a memory store buf is the wblock
// itself.
//
// While it fills it belongs to one lane; others only look at sealed records
// in buf. Invariant: flushed <= submitted <= fill <= len(buf); all records
// below submitted are sealed.
type swb struct {
	buf    []byte // of the wblock's size, aligned for direct I/O
	lane   *Lane  // nil once flushed
	dev    *device
	w      *wblock
	number uint32 // of the wblock
	kind   Kind

	// fill is where the next record goes. In a full buffer it is len(buf):
	// the rest is zeroed and the trailer written.
	fill int
	// open counts records that are reserved and not yet sealed.
	open int
	full bool

	submitted int // length handed to writes; whole blocks unless a partial flush was the last
	flushed   int // length on the device, moved only by the Done of our writes
	inflight  int // writes of this buffer
	want      int // flush up to here though no unit is full

	// oldTick is at most the Store's tick when the oldest record that is not
	// on the device was reserved, noTick when there is none, and oldAt the
	// lane's time then. Records at and after markPos were reserved at or after
	// markTick and markAt: when flushed passes markPos, those move up.
	oldTick, markTick uint64
	oldAt, markAt     record.Time
	markPos           int

	commits     *Commit // waiting, by address
	lastCommit  *Commit
	commitsNews bool // in the lane's list of buffers with new commits

	next *swb // in the lane's flush queue

	// Of the post-write cache, under the device's lock.
	cacheNext, cachePrev *swb
	cached               bool
	pins                 int  // victims that read from buf
	evicted              bool // unlinked while pinned
}

// reset makes the struct ready for another wblock; buf stays.
func (b *swb) reset() { *b = swb{buf: b.buf} }

// room returns how many bytes a record can have at most.
func (b *swb) room() int { return len(b.buf) - wblockHeaderSize - b.fill }

// begin makes b the image of a wblock.
func (b *swb) begin(l *Lane, d *device, i uint32, k Kind, sequence uint64) {
	b.lane, b.dev, b.w, b.number, b.kind = l, d, &d.wblocks[i], i, k
	h := blockHeader{device: d.id, sequence: sequence, number: i, size: uint32(len(b.buf)), kind: k}
	h.encode(b.buf)
	b.fill = wblockHeaderSize
	b.oldTick = noTick
}

// finish closes the buffer for records: zeros and the trailer follow.
func (b *swb) finish() {
	end := len(b.buf) - wblockHeaderSize
	assert.That(b.fill <= end, "records end before the trailer")
	clear(b.buf[b.fill:end])
	copy(b.buf[end:], b.buf[:wblockHeaderSize])
	b.fill, b.full = len(b.buf), true
}

// noteReserve remembers since when b is dirty. It is called before the record
// counts in fill.
func (b *swb) noteReserve(tick uint64, now record.Time, size int) {
	if b.oldTick != noTick {
		return
	}
	b.oldTick, b.oldAt = tick, now
	b.markTick, b.markAt, b.markPos = tick, now, b.fill+size
}

// noteFlushed moves oldTick on after flushed has grown.
func (b *swb) noteFlushed(tick uint64, now record.Time) {
	if b.flushed >= b.fill {
		b.oldTick = noTick
		return
	}
	if b.flushed >= b.markPos {
		b.oldTick, b.oldAt = b.markTick, b.markAt
		b.markTick, b.markAt, b.markPos = tick, now, b.fill
	}
}

// due returns the next part to write, [start, upto), or ok false when there is
// none yet: a full flush unit, or whatever there is up to want. block is the
// device's.
func (b *swb) due(flushSize, block int) (start, upto int, ok bool) {
	start = b.submitted
	if b.open > 0 || start >= b.fill {
		return 0, 0, false
	}
	if b.inflight > 0 && start&(block-1) != 0 {
		return 0, 0, false // the block at start is being written
	}
	if unit := start&^(flushSize-1) + flushSize; unit <= b.fill {
		return start, unit, true
	}
	return start, b.fill, b.want > start
}

// swbQueue is a FIFO of full buffers of one lane and device.
type swbQueue struct{ head, tail *swb }

func (q *swbQueue) push(b *swb) {
	if q.tail != nil {
		q.tail.next = b
	} else {
		q.head = b
	}
	q.tail = b
}

func (q *swbQueue) remove(b *swb) {
	var prev *swb
	for at := q.head; at != b; at = at.next {
		assert.That(at != nil, "the buffer is in its queue")
		prev = at
	}
	if prev != nil {
		prev.next = b.next
	} else {
		q.head = b.next
	}
	if q.tail == b {
		q.tail = prev
	}
	b.next = nil
}

// cacheList is the post-write cache of a device, oldest first.
type cacheList struct {
	head, tail *swb
	n          int
}

func (c *cacheList) push(b *swb) {
	b.cached, b.cachePrev, b.cacheNext = true, c.tail, nil
	if c.tail != nil {
		c.tail.cacheNext = b
	} else {
		c.head = b
	}
	c.tail = b
	c.n++
}

func (c *cacheList) remove(b *swb) {
	if b.cachePrev != nil {
		b.cachePrev.cacheNext = b.cacheNext
	} else {
		c.head = b.cacheNext
	}
	if b.cacheNext != nil {
		b.cacheNext.cachePrev = b.cachePrev
	} else {
		c.tail = b.cachePrev
	}
	b.cached, b.cachePrev, b.cacheNext = false, nil, nil
	c.n--
}
