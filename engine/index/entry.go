package index

import (
	"encoding/binary"
	"unsafe"

	"github.com/ashlardb/ashlar/engine/record"
)

// Flags of an Entry.
const (
	Tombstone uint8 = 1 << iota // the record is deleted; its tombstone is on the device
	HasKey                      // the record stores its key
)

// Limits of an Entry's packed fields.
const (
	MaxLUT   = 1<<40 - 1 // milliseconds; the year 2044
	MaxSetID = 1<<12 - 1
)

// Entry is what the index knows of one record: a copy, by value.
type Entry struct {
	Digest     record.Digest
	VoidTime   uint32         // seconds since record.EpochUnix; 0: never expires
	Addr       record.Address // where the flat record lies
	LUT        record.Time    // last-update-time, at most MaxLUT
	Generation uint16
	SetID      uint16 // at most MaxSetID; 0: no set
	Flags      uint8
}

// The packed form of an entry, one line of eight little-endian words. An
// entry never crosses a cache line and never moves.
//
//	word 0, 1   digest bytes 0-15
//	word 2      digest bytes 16-19, void-time (32 bits)
//	word 3      address
//	word 4      last-update-time (40 bits), generation (16), flags (8)
//	word 5      set id (12 bits); 52 bits free
//	word 6      free
//	word 7      free; in an unused line: the next unused line of the slab
//
// Free means zero, and kept for later use: 4 bits, then bytes 42-63 of 64.
const (
	entryWords     = 6 // words that hold something
	addressWord    = 3
	freeLinkWord   = 7
	lutBits        = 40
	generationBits = 16
	setIDMask      = MaxSetID
)

// packed is an entry's words.
type packed [entryWords]uint64

func (p *packed) pack(e *Entry) {
	le := binary.LittleEndian
	p[0] = le.Uint64(e.Digest[0:8])
	p[1] = le.Uint64(e.Digest[8:16])
	p[2] = uint64(le.Uint32(e.Digest[16:20])) | uint64(e.VoidTime)<<32
	p[3] = uint64(e.Addr)
	p[4] = uint64(e.LUT)&MaxLUT | uint64(e.Generation)<<lutBits | uint64(e.Flags)<<(lutBits+generationBits)
	p[5] = uint64(e.SetID) & setIDMask
}

func (p *packed) unpack(e *Entry) {
	le := binary.LittleEndian
	le.PutUint64(e.Digest[0:8], p[0])
	le.PutUint64(e.Digest[8:16], p[1])
	le.PutUint32(e.Digest[16:20], uint32(p[2]))
	e.VoidTime = uint32(p[2] >> 32)
	e.Addr = record.Address(p[3])
	e.LUT = record.Time(p[4] & MaxLUT)
	e.Generation = uint16(p[4] >> lutBits)
	e.Flags = uint8(p[4] >> (lutBits + generationBits))
	e.SetID = uint16(p[5] & setIDMask)
}

// readEntry copies the entry at p. Under a reader it may be a mix of two
// entries, until the reader has seen that the version has not changed.
func readEntry(p unsafe.Pointer, e *Entry) {
	var w packed
	for i := range w {
		w[i] = load(p, i)
	}
	w.unpack(e)
}

// writeEntry stores e at p. The caller holds the sprig's lock.
func writeEntry(p unsafe.Pointer, e *Entry) {
	var w packed
	w.pack(e)
	for i := range w {
		store(p, i, w[i])
	}
}

// entryHas reports whether the entry at p is the one of d.
func entryHas(p unsafe.Pointer, d *record.Digest) bool {
	le := binary.LittleEndian
	return load(p, 0) == le.Uint64(d[0:8]) && load(p, 1) == le.Uint64(d[8:16]) &&
		uint32(load(p, 2)) == le.Uint32(d[16:20])
}

// compareEntry orders the digest of the entry at p against k's, as memcmp.
func compareEntry(p unsafe.Pointer, k *key) int {
	for i := range 2 {
		if c := compareBytes(load(p, i), k.words[i]); c != 0 {
			return c
		}
	}
	return compareBytes(load(p, 2)<<32, k.words[2]<<32)
}
