package act

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ashlardb/ashlar/ioring"
)

// signature is what something leaves at a fixed place of a device it uses.
type signature struct {
	name string
	at   int
	text string
}

// signatures of what people keep on devices, from the on-disk formats'
// documentation. Partition tables, mounts, swap in use and holders are refused
// by ioring.OpenDevice.
var signatures = []signature{
	{"an XFS file system", 0, "XFSB"},
	{"an ext2, ext3 or ext4 file system", 0x438, "\x53\xef"},
	{"a Btrfs file system", 0x10040, "_BHRfS_M"},
	{"an F2FS file system", 0x400, "\x10\x20\xf5\xf2"},
	{"an NTFS file system", 3, "NTFS    "},
	{"a FAT file system", 54, "FAT1"},
	{"a FAT32 file system", 82, "FAT32"},
	{"a SquashFS file system", 0, "hsqs"},
	{"an encrypted volume (LUKS)", 0, "LUKS\xba\xbe"},
	{"an LVM physical volume", 0x000, "LABELONE"},
	{"an LVM physical volume", 0x200, "LABELONE"},
	{"an LVM physical volume", 0x400, "LABELONE"},
	{"an LVM physical volume", 0x600, "LABELONE"},
	{"a member of a RAID (md)", 0x0000, "\xfc\x4e\x2b\xa9"},
	{"a member of a RAID (md)", 0x1000, "\xfc\x4e\x2b\xa9"},
	{"a bcache device", 0x1018, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
	{"swap space", 4086, "SWAPSPACE2"},
	{"swap space", 4086, "SWAP-SPACE"},
	{"an Aerospike namespace", 0, "\x22\x03\x73\x75\x72\x74\x49\x43"},
	{"an Ashlar namespace", 0, "ASHLARDV"},
}

// headSize is how much of a device's start signatures lie in.
const headSize = 256 << 10

// zfsMagic starts each uberblock, of which a pool has many in the second half
// of its first label.
const (
	zfsMagic = 0x00bab10c
	zfsFirst = 128 << 10
	zfsStep  = 1 << 10
)

// findSignature returns what lies on a device by its first bytes, "" for
// nothing that is known.
func findSignature(head []byte) string {
	for _, s := range signatures {
		if end := s.at + len(s.text); end <= len(head) && string(head[s.at:end]) == s.text {
			return s.name
		}
	}
	for at := zfsFirst; at+8 <= len(head); at += zfsStep {
		if binary.LittleEndian.Uint64(head[at:]) == zfsMagic || binary.BigEndian.Uint64(head[at:]) == zfsMagic {
			return "a member of a ZFS pool"
		}
	}
	return ""
}

// look is what the start of a device says.
type look struct {
	signature string
	label     *label
	empty     bool // all zero
}

// lookAt reads the start of a device.
func lookAt(d *ioring.Device) (k look, err error) {
	a, err := ioring.NewArena(2*headSize, ioring.ArenaOptions{SmallPages: true})
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	buf := a.Get(headSize)
	defer a.Put(buf)
	head := buf[:min(headSize, int(d.Size/int64(d.Block))*d.Block)]
	if _, err := d.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return k, fmt.Errorf("%s: %w", d.Path, err)
	}
	if l, err := decodeLabel(head); err == nil {
		k.label = &l
		return k, nil
	}
	k.signature = findSignature(head)
	k.empty = len(bytes.TrimLeft(head, "\x00")) == 0
	return k, nil
}
