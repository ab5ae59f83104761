package act

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// labelSize is the place of the label at the start of a device; loads start
// behind it.
const labelSize = 4096

var labelMagic = []byte("ASHLAR ACT 1\x00\x00\x00\x00")

// label says that prep has written a device.
//
//	 0  magic, 16 bytes
//	16  CRC32C of bytes 20 to 4096
//	20  zero
//	24  end of what prep has stamped, from labelSize on
//	32  when, Unix nanoseconds
//	40  seed
type label struct {
	end  int64
	at   time.Time
	seed uint64
}

// errNoLabel says that a device was not prepared.
var errNoLabel = errors.New("no label of act prep")

func (l *label) encode(buf []byte) {
	clear(buf[:labelSize])
	copy(buf, labelMagic)
	binary.LittleEndian.PutUint64(buf[24:], uint64(l.end))
	binary.LittleEndian.PutUint64(buf[32:], uint64(l.at.UnixNano()))
	binary.LittleEndian.PutUint64(buf[40:], l.seed)
	binary.LittleEndian.PutUint32(buf[16:], crc32.Checksum(buf[20:labelSize], castagnoli))
}

func decodeLabel(buf []byte) (l label, err error) {
	if len(buf) < labelSize || !bytes.Equal(buf[:16], labelMagic) {
		return l, errNoLabel
	}
	if sum := crc32.Checksum(buf[20:labelSize], castagnoli); sum != binary.LittleEndian.Uint32(buf[16:]) {
		return l, fmt.Errorf("%w: its checksum is wrong", errNoLabel)
	}
	l.end = int64(binary.LittleEndian.Uint64(buf[24:]))
	l.at = time.Unix(0, int64(binary.LittleEndian.Uint64(buf[32:])))
	l.seed = binary.LittleEndian.Uint64(buf[40:])
	if l.end < labelSize {
		return l, fmt.Errorf("%w: it covers %d bytes", errNoLabel, l.end)
	}
	return l, nil
}
