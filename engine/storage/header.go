package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ashlardb/ashlar/arch/hash"
)

// Reasons why Open refuses a device.
var (
	ErrForeign    = errors.New("the device holds foreign data")
	ErrDamaged    = errors.New("both copies of the device header are damaged")
	ErrNamespace  = errors.New("the device belongs to another namespace")
	ErrDeviceSet  = errors.New("the device belongs to another set of devices")
	ErrMissing    = errors.New("a device of the set is missing")
	ErrTooSmall   = errors.New("the device is too small")
	ErrVersion    = errors.New("the device has a format of another version")
	ErrWblockSize = errors.New("the device has wblocks of another size")
)

// Layout of a device header; docs/device-format.md has the table.
const (
	headerSize    = 512 // one sector, so that a torn write leaves the old or the new
	headerVersion = 1
	headerClean   = 1 << 0
	headerCRC     = headerSize - 4
)

// headerMagic begins a device header.
var headerMagic = [8]byte{'A', 'S', 'H', 'L', 'A', 'R', 'D', 'V'}

// header is what a device says about itself. Two copies lie in its first
// wblock, at 0 and in the middle; the valid one of the higher generation
// counts.
type header struct {
	generation uint64 // of the header: grows with each rewrite
	namespace  string
	set        [16]byte // UUID of the device set
	id         uint64   // drawn when the device is initialised
	number     int      // within the set
	count      int      // devices in the set
	wblockSize int
	size       int64  // of the device when the header was written, bytes
	clean      bool   // closed after a full flush
	pristine   uint32 // valid when clean: the first wblock never written
	starts     uint64 // how often the set has been opened
}

// encode writes the header into p, which has headerSize bytes.
func (h *header) encode(p []byte) {
	clear(p[:headerSize])
	le := binary.LittleEndian
	copy(p, headerMagic[:])
	le.PutUint32(p[8:], headerVersion)
	if h.clean {
		le.PutUint32(p[12:], headerClean)
	}
	le.PutUint64(p[16:], h.generation)
	copy(p[24:56], h.namespace)
	copy(p[56:72], h.set[:])
	le.PutUint64(p[72:], h.id)
	le.PutUint32(p[80:], uint32(h.number))
	le.PutUint32(p[84:], uint32(h.count))
	le.PutUint32(p[88:], uint32(h.wblockSize))
	le.PutUint32(p[92:], h.pristine)
	le.PutUint64(p[96:], uint64(h.size))
	le.PutUint64(p[104:], h.starts)
	le.PutUint32(p[headerCRC:], hash.CRC32C(0, p[:headerCRC]))
}

// errHeader says that bytes are no device header of ours at all.
var errHeader = errors.New("no device header")

// decodeHeader reads one copy. The error is errHeader for bytes without magic,
// ErrDamaged for a wrong checksum, ErrVersion for a sound header of a version
// that this code does not know.
func decodeHeader(p []byte) (header, error) {
	var h header
	if len(p) < headerSize || !bytes.Equal(p[:8], headerMagic[:]) {
		return h, errHeader
	}
	le := binary.LittleEndian
	if le.Uint32(p[headerCRC:]) != hash.CRC32C(0, p[:headerCRC]) {
		return h, ErrDamaged
	}
	if v := le.Uint32(p[8:]); v != headerVersion {
		return h, fmt.Errorf("version %d, want %d: %w", v, headerVersion, ErrVersion)
	}
	h = header{
		clean:      le.Uint32(p[12:])&headerClean != 0,
		generation: le.Uint64(p[16:]),
		namespace:  string(bytes.TrimRight(p[24:56], "\x00")),
		set:        [16]byte(p[56:72]),
		id:         le.Uint64(p[72:]),
		number:     int(le.Uint32(p[80:])),
		count:      int(le.Uint32(p[84:])),
		wblockSize: int(le.Uint32(p[88:])),
		pristine:   le.Uint32(p[92:]),
		size:       int64(le.Uint64(p[96:])),
		starts:     le.Uint64(p[104:]),
	}
	return h, nil
}

// chooseHeader returns the copy that counts, and which one it is. Without a
// valid copy the error is that of the better one: a version before damage
// before nothing.
func chooseHeader(first, second []byte) (h header, copyNumber int, err error) {
	a, errA := decodeHeader(first)
	b, errB := decodeHeader(second)
	switch {
	case errA == nil && (errB != nil || a.generation >= b.generation):
		return a, 0, nil
	case errB == nil:
		return b, 1, nil
	}
	for _, worst := range []error{ErrVersion, ErrDamaged} {
		for _, e := range []error{errA, errB} {
			if errors.Is(e, worst) {
				return header{}, 0, e
			}
		}
	}
	return header{}, 0, errHeader
}

// foreignMarks are what well-known owners of block devices leave near their
// beginning, to name them when a device is refused.
var foreignMarks = []struct {
	offset int
	mark   string
	owner  string
}{
	{510, "\x55\xaa", "a boot sector or partition table"},
	{512, "EFI PART", "a GPT partition table"},
	{1080, "\x53\xef", "an ext2, ext3 or ext4 file system"},
	{0, "XFSB", "an XFS file system"},
	{65600, "_BHRfS_M", "a btrfs file system"},
	{512, "LABELONE", "an LVM physical volume"},
	{0, "LUKS\xba\xbe", "a LUKS volume"},
	{4096, "\xfc\x4e\x2b\xa9", "a Linux RAID member"},
	{0, "\x22\x03\x73\x75\x72\x74\x49\x43", "another database's device header"},
}

// describeForeign names the owner of a device by its first bytes.
func describeForeign(p []byte) string {
	for i := len(foreignMarks) - 1; i >= 0; i-- {
		m := foreignMarks[i]
		if len(p) >= m.offset+len(m.mark) && string(p[m.offset:m.offset+len(m.mark)]) == m.mark {
			return m.owner
		}
	}
	for i, c := range p {
		if c != 0 {
			return fmt.Sprintf("unknown data at byte %d", i)
		}
	}
	return "nothing"
}
