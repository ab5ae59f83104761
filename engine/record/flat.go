package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ashlardb/ashlar/arch/hash"
	"github.com/ashlardb/ashlar/internal/assert"
)

// The flat form is how a record lies in a wblock, on a device or in memory.
// Numbers are little endian:
//
//	bytes 0-3    FlatMagic
//	bytes 4-7    CRC32C of bytes 8 to the end of the last rblock, started from
//	             a seed of the wblock's sequence number and the address
//	bytes 8-11   bits 0-18: size in rblocks, less one; bits 19-22: the flags
//	             below; the rest zero
//	bytes 12-31  digest
//	bytes 32-36  last-update-time, milliseconds since EpochUnix
//	bytes 37-38  generation, 1 to 65535
//	optional     void-time, 4 bytes
//	optional     set name: length byte, 1 to 63, and name
//	optional     key: uvarint length, type byte and value as on the wire
//	             (the length counts both)
//	then         uvarint number of bins, then the bins: name length byte, name,
//	             particle
//	padding      zero, to whole rblocks
//
// A particle is its type byte and then, for an integer, a size byte of 1, 2, 4
// or 8 and that many bytes (the fewest that hold the value as an unsigned
// number); for a float 8 bytes of IEEE 754; for a bool 1 byte; for every other
// type a 4-byte length and the bytes, which are the same as on the wire.
//
// The address in the seed makes a misdirected read, and the sequence number a
// record of the wblock's previous life, fail its checksum.
const (
	// FlatMagic begins every flat record. The number was drawn at random.
	FlatMagic uint32 = 0x0A5B1A72

	// flatFixed is the size of the fields that every record has. It equals
	// the original's 35 bytes of header and 4 of end mark, so that
	// max-record-size means the same.
	flatFixed = 39
	// MinFlatSize is the size of the smallest record, one without bins.
	MinFlatSize = (flatFixed + 1 + RblockSize - 1) / RblockSize * RblockSize
)

// Flags of a flat record, in the bits above its size.
const (
	flatHasVoidTime uint32 = 1 << (addressSizeBits + iota)
	flatHasSet
	flatHasKey
	flatTombstone
	flatSpare = ^uint32(1<<(addressSizeBits+4) - 1) // must be zero
)

// maxTime is the largest last-update-time that can be stored.
const maxTime = Time(1)<<40 - 1

// ErrFlat says that bytes are not a flat record.
var ErrFlat = errors.New("not a flat record")

// Meta is what a record is besides its bins. Set and Key are views.
type Meta struct {
	Digest     Digest
	LUT        Time
	Generation uint16
	VoidTime   uint32 // seconds since EpochUnix; 0: never expires
	Set        []byte // empty: no set
	Key        []byte // type byte and value; empty: no stored key
	Tombstone  bool   // marks a deleted record; it has no bins
}

// NamedValue is one bin of a record.
type NamedValue struct {
	Name  []byte
	Value Value
}

// FlatSize returns the exact size in bytes of a record in flat form, before
// padding. This is the size that max-record-size limits.
func FlatSize(m *Meta, bins []NamedValue) int {
	n := flatFixed
	if m.VoidTime != 0 {
		n += 4
	}
	if len(m.Set) != 0 {
		n += 1 + len(m.Set)
	}
	if len(m.Key) != 0 {
		n += uvarintSize(uint64(len(m.Key))) + len(m.Key)
	}
	n += uvarintSize(uint64(len(bins)))
	for i := range bins {
		n += 1 + len(bins[i].Name) + bins[i].Value.flatSize()
	}
	return n
}

// RoundFlat rounds a size in bytes up to whole rblocks.
func RoundFlat(n int) int { return (n + RblockSize - 1) &^ (RblockSize - 1) }

// EncodeFlat writes a record into dst, whose length is the record's FlatSize
// rounded to whole rblocks. The checksum is left to Seal, once the record's
// address is known.
func EncodeFlat(dst []byte, m *Meta, bins []NamedValue) {
	assert.That(len(dst)%RblockSize == 0 && len(dst) >= MinFlatSize && len(dst) <= MaxFlatSize,
		"a flat record is whole rblocks")
	assert.That(m.LUT <= maxTime, "a last-update-time fits in 40 bits")
	bits := uint32(len(dst)/RblockSize - 1)
	le := binary.LittleEndian
	le.PutUint32(dst, FlatMagic)
	le.PutUint32(dst[4:], 0)
	copy(dst[12:], m.Digest[:])
	le.PutUint32(dst[32:], uint32(m.LUT))
	dst[36] = byte(m.LUT >> 32)
	le.PutUint16(dst[37:], m.Generation)
	n := flatFixed
	if m.VoidTime != 0 {
		bits |= flatHasVoidTime
		le.PutUint32(dst[n:], m.VoidTime)
		n += 4
	}
	if len(m.Set) != 0 {
		bits |= flatHasSet
		n += putShort(dst[n:], m.Set)
	}
	if len(m.Key) != 0 {
		bits |= flatHasKey
		n += binary.PutUvarint(dst[n:], uint64(len(m.Key)))
		n += copy(dst[n:], m.Key)
	}
	if m.Tombstone {
		bits |= flatTombstone
	}
	le.PutUint32(dst[8:], bits)
	n += binary.PutUvarint(dst[n:], uint64(len(bins)))
	for i := range bins {
		n += putShort(dst[n:], bins[i].Name)
		n += bins[i].Value.putFlat(dst[n:])
	}
	assert.That(n <= len(dst) && n > len(dst)-RblockSize, "a record fills its last rblock")
	clear(dst[n:])
}

// EncodeVoid turns reserved space into a record that stands for nothing: a
// tombstone of no digest from the beginning of time, which is older than
// whatever else there is. It is for space that turned out not to be needed.
func EncodeVoid(dst []byte) {
	assert.That(len(dst)%RblockSize == 0 && len(dst) >= MinFlatSize && len(dst) <= MaxFlatSize,
		"a flat record is whole rblocks")
	clear(dst)
	binary.LittleEndian.PutUint32(dst, FlatMagic)
	binary.LittleEndian.PutUint32(dst[8:], uint32(len(dst)/RblockSize-1)|flatTombstone)
}

// putShort writes a length byte and p, and returns how many bytes those are.
func putShort(dst, p []byte) int {
	dst[0] = byte(len(p))
	return 1 + copy(dst[1:], p)
}

// Seal writes the checksum of a flat record, which is whole rblocks and lies
// at a, in a wblock whose sequence number is seq.
func Seal(flat []byte, seq uint64, a Address) {
	binary.LittleEndian.PutUint32(flat[4:], hash.CRC32C(flatSeed(seq, a), flat[8:]))
}

// Verify reports whether the checksum of a flat record is the one that Seal
// wrote for this sequence number and address.
func Verify(flat []byte, seq uint64, a Address) bool {
	return len(flat) >= MinFlatSize &&
		binary.LittleEndian.Uint32(flat[4:]) == hash.CRC32C(flatSeed(seq, a), flat[8:])
}

// flatSeed mixes a wblock's sequence number and an address to the value that
// a record's checksum starts from. Each step is a bijection (the finaliser of
// MurmurHash3), so that addresses of one wblock always mix to different
// 64-bit numbers, of which the high half is used.
func flatSeed(seq uint64, a Address) uint32 {
	x := mix(seq) ^ uint64(a)
	return uint32(mix(x) >> 32)
}

func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// PeekFlat reports whether p begins with what looks like a flat record, and
// its size in bytes, which is within p. Only Verify can tell for sure.
func PeekFlat(p []byte) (size int, ok bool) {
	if len(p) < MinFlatSize || binary.LittleEndian.Uint32(p) != FlatMagic {
		return 0, false
	}
	bits := binary.LittleEndian.Uint32(p[8:])
	size = (int(bits&(1<<addressSizeBits-1)) + 1) * RblockSize
	return size, bits&flatSpare == 0 && size >= MinFlatSize && size <= len(p)
}

// Header is what identifies a version of a record.
type Header struct {
	Digest     Digest
	LUT        Time
	Generation uint16
}

// PeekHeader reads the header of what PeekFlat has found to look like a flat
// record.
func PeekHeader(flat []byte) Header {
	le := binary.LittleEndian
	return Header{
		Digest:     Digest(flat[12:32]),
		LUT:        Time(le.Uint32(flat[32:])) | Time(flat[36])<<32,
		Generation: le.Uint16(flat[37:]),
	}
}

// Flat is a parsed flat record. Set, Key and the bins are views of the bytes
// it was parsed from.
type Flat struct {
	Meta
	NBins int
	bins  []byte // the bins, not yet parsed, and the padding
	size  int
}

// Size returns the record's size in bytes, whole rblocks.
func (f *Flat) Size() int { return f.size }

// ParseFlat reads everything of a record but its bins. It trusts nothing in
// flat, which may be longer than the record. The checksum is not looked at.
func ParseFlat(flat []byte) (Flat, error) {
	var f Flat
	size, ok := PeekFlat(flat)
	if !ok {
		return f, fmt.Errorf("record: magic, flags or size: %w", ErrFlat)
	}
	le := binary.LittleEndian
	bits := le.Uint32(flat[8:])
	f.size = size
	h := PeekHeader(flat)
	f.Digest, f.LUT, f.Generation = h.Digest, h.LUT, h.Generation
	f.Tombstone = bits&flatTombstone != 0
	p := flat[flatFixed:size]
	if bits&flatHasVoidTime != 0 {
		if len(p) < 4 {
			return f, fmt.Errorf("record: void-time: %w", ErrFlat)
		}
		f.VoidTime = le.Uint32(p)
		p = p[4:]
	}
	if bits&flatHasSet != 0 {
		if f.Set, p, ok = cutShort(p); !ok || len(f.Set) == 0 || len(f.Set) > MaxSetName {
			return f, fmt.Errorf("record: set name: %w", ErrFlat)
		}
	}
	if bits&flatHasKey != 0 {
		n, used := binary.Uvarint(p)
		if used <= 0 || n == 0 || n > uint64(len(p)-used) {
			return f, fmt.Errorf("record: stored key: %w", ErrFlat)
		}
		f.Key, p = p[used:used+int(n)], p[used+int(n):]
	}
	n, used := binary.Uvarint(p)
	if used <= 0 || n > MaxBins || f.Tombstone && n != 0 {
		return f, fmt.Errorf("record: number of bins %d, want at most %d: %w", n, MaxBins, ErrFlat)
	}
	f.NBins, f.bins = int(n), p[used:]
	return f, nil
}

// AppendBins parses the record's bins, checks that they fill it, and appends
// them to bins. The names and values are views of the flat record.
func (f *Flat) AppendBins(bins []NamedValue) ([]NamedValue, error) {
	p := f.bins
	for i := range f.NBins {
		var b NamedValue
		var ok bool
		if b.Name, p, ok = cutShort(p); !ok || len(b.Name) > MaxBinName {
			return bins, fmt.Errorf("record: name of bin %d: %w", i, ErrFlat)
		}
		if b.Value, p, ok = cutParticle(p); !ok {
			return bins, fmt.Errorf("record: bin %d, %q: %w", i, b.Name, ErrFlat)
		}
		bins = append(bins, b)
	}
	if len(p) >= RblockSize {
		return bins, fmt.Errorf("record: %d bytes after the last bin: %w", len(p), ErrFlat)
	}
	return bins, nil
}

// cutShort splits what putShort wrote off p.
func cutShort(p []byte) (short, rest []byte, ok bool) {
	if len(p) == 0 || int(p[0]) > len(p)-1 {
		return nil, p, false
	}
	n := 1 + int(p[0])
	return p[1:n:n], p[n:], true
}

// uvarintSize returns how many bytes a number takes as a uvarint.
func uvarintSize(x uint64) int {
	n := 1
	for x >= 0x80 {
		x >>= 7
		n++
	}
	return n
}
