package storage

import (
	"encoding/binary"

	"github.com/ashlardb/ashlar/engine/record"
)

// scanBudget bounds the checksums that a scan computes in vain, in multiples
// of the wblock: bytes that look like many large records must not cost more.
const scanBudget = 4

// scan walks the records in the image of one wblock. After bytes that are no
// valid record it goes on at the next rblock: a damaged record costs itself
// only.
type scan struct {
	img    []byte // the wblock without its trailer
	device int
	base   int64  // offset of the wblock on its device
	key    uint64 // that the records are sealed with
	pos    int
	budget int
	scanStats

	// Since the last valid record:
	garbage int // rblocks that are neither zero nor a record
	failed  int // what looked like a record and failed its checksum
}

// scanStats say what a scan found.
type scanStats struct {
	Records          uint64 // valid
	ChecksumFailures uint64 // what looked like a record, among valid ones or in a complete wblock
	Unparsable       uint64 // stretches of other bytes there
	Torn             uint64 // wblocks whose written part ends in neither: a write that a crash cut short, or the wblock's previous life
	Abandoned        uint64 // wblocks left before their end: scanBudget
}

func (s *scanStats) add(o *scanStats) {
	s.Records += o.Records
	s.ChecksumFailures += o.ChecksumFailures
	s.Unparsable += o.Unparsable
	s.Torn += o.Torn
	s.Abandoned += o.Abandoned
}

// begin starts a scan of img, a whole wblock.
func (c *scan) begin(img []byte, device int, base int64, key uint64) {
	*c = scan{
		img: img[:len(img)-wblockHeaderSize], device: device, base: base, key: key,
		pos: wblockHeaderSize, budget: scanBudget * len(img),
	}
}

// next returns the next valid record, ok false at the end.
func (c *scan) next() (flat []byte, a record.Address, ok bool) {
	for c.pos < len(c.img) && c.budget > 0 {
		p := c.img[c.pos:]
		if size, ok := record.PeekFlat(p); ok {
			flat := p[:size:size]
			a := record.MakeAddress(c.device, c.base+int64(c.pos), size)
			if record.Verify(flat, c.key, a) {
				c.pos += size
				c.Records++
				c.blame()
				return flat, a, true
			}
			c.failed++
			c.budget -= size
		} else if binary.LittleEndian.Uint64(p)|binary.LittleEndian.Uint64(p[8:]) != 0 {
			c.garbage++
		}
		c.pos += record.RblockSize
	}
	return nil, 0, false
}

// end closes a scan. complete says that the wblock was written to its end, so
// that nothing but records and zeros should be in it.
func (c *scan) end(complete bool) scanStats {
	if c.budget <= 0 && c.pos < len(c.img) {
		c.Abandoned++
	}
	switch {
	case complete:
		c.blame()
	case c.garbage > 0 || c.failed > 0:
		c.Torn++
	}
	return c.scanStats
}

// isComplete reports whether a wblock was written to its end in the life that
// sequence begins: its trailer says so.
func isComplete(img []byte, sequence uint64) bool {
	t, ok := decodeBlockHeader(img[len(img)-wblockHeaderSize:])
	return ok && t.sequence == sequence
}

// blame counts what lies behind as damage: it was once written as records.
func (c *scan) blame() {
	c.ChecksumFailures += uint64(c.failed)
	if c.failed == 0 && c.garbage > 0 {
		c.Unparsable++
	}
	c.failed, c.garbage = 0, 0
}
