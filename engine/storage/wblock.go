package storage

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/ashlardb/ashlar/arch/hash"
)

// Layout of a wblock: a header, records at whole rblocks, zeros, and the same
// header again as trailer, written last. docs/device-format.md has the table.
const (
	wblockHeaderSize = 64
	wblockOverhead   = 2 * wblockHeaderSize
	wblockCRC        = wblockHeaderSize - 4
)

// wblockMagic begins the header of a wblock.
var wblockMagic = [8]byte{'A', 'S', 'H', 'L', 'A', 'R', 'W', 'B'}

// State is where a wblock is in its life.
type State uint32

// States of a wblock; the package comment draws the transitions.
const (
	StateFree     State = iota // in the free list, or pristine
	StateReserved              // a lane fills or flushes it, or it is young, in the post-write cache
	StateUsed                  // on the device, at or above the low-water mark
	StateDefrag                // queued for defrag, or being defragged
	StateEmptying              // nothing to move any more; on its way to StateFree
	StateBad                   // could not be read at start; left alone

	nStates = 6
)

// String returns the state's name.
func (s State) String() string {
	names := [nStates]string{"FREE", "RESERVED", "USED", "DEFRAG", "EMPTYING", "BAD"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("State(%d)", uint32(s))
}

// wblock is what is known of one wblock of a device. The atomics are read on
// every path without a lock; all but used change only under the device's lock
// or while the wblock belongs to one lane.
type wblock struct {
	// image is the wblock in memory: its swb or its place in the post-write
	// cache. nil: on the device only.
	image atomic.Pointer[swb]
	// key seeds the checksums of the records: sequence number XOR device id.
	key atomic.Uint64
	// used is the sum of the sizes of live records, in bytes.
	used  atomic.Int32
	state atomic.Uint32

	// prev and next link the wblock into the free list or the defrag queue;
	// 0, the header's wblock, ends a list.
	prev, next uint32

	// Under the device's lock.
	written bool // the device holds a header of ours in this wblock
	victim  bool // in state DEFRAG, and given out by Victim
	waiting bool // in state EMPTYING, without live records, in the device's list
}

// blockHeader is the header of a wblock.
type blockHeader struct {
	device   uint64 // id of the device, so that no other life of it is mistaken for this
	sequence uint64 // unique and growing within the device set
	number   uint32 // of the wblock on the device
	size     uint32 // of the wblock in bytes
	kind     Kind
}

func (h *blockHeader) encode(p []byte) {
	clear(p[:wblockHeaderSize])
	le := binary.LittleEndian
	copy(p, wblockMagic[:])
	le.PutUint64(p[8:], h.device)
	le.PutUint64(p[16:], h.sequence)
	le.PutUint32(p[24:], h.number)
	le.PutUint32(p[28:], h.size)
	p[32] = byte(h.kind)
	le.PutUint32(p[wblockCRC:], hash.CRC32C(0, p[:wblockCRC]))
}

// decodeBlockHeader reads a wblock's header. ok is false for anything but a
// sound header.
func decodeBlockHeader(p []byte) (h blockHeader, ok bool) {
	if len(p) < wblockHeaderSize || string(p[:8]) != string(wblockMagic[:]) {
		return h, false
	}
	le := binary.LittleEndian
	if le.Uint32(p[wblockCRC:]) != hash.CRC32C(0, p[:wblockCRC]) {
		return h, false
	}
	return blockHeader{
		device:   le.Uint64(p[8:]),
		sequence: le.Uint64(p[16:]),
		number:   le.Uint32(p[24:]),
		size:     le.Uint32(p[28:]),
		kind:     Kind(p[32]),
	}, true
}

// list is a FIFO of wblocks, linked through their prev and next.
type list struct {
	head, tail uint32
	n          int
}

func (l *list) pushBack(w []wblock, i uint32) {
	w[i].prev, w[i].next = l.tail, 0
	if l.tail != 0 {
		w[l.tail].next = i
	} else {
		l.head = i
	}
	l.tail = i
	l.n++
}

func (l *list) remove(w []wblock, i uint32) {
	prev, next := w[i].prev, w[i].next
	if prev != 0 {
		w[prev].next = next
	} else {
		l.head = next
	}
	if next != 0 {
		w[next].prev = prev
	} else {
		l.tail = prev
	}
	w[i].prev, w[i].next = 0, 0
	l.n--
}

// popFront takes the oldest member, 0 when there is none.
func (l *list) popFront(w []wblock) uint32 {
	i := l.head
	if i != 0 {
		l.remove(w, i)
	}
	return i
}
