package record

import "encoding/binary"

// DigestSize is the size of a Digest in bytes.
const DigestSize = 20

// Digest identifies a record within its namespace: RIPEMD-160 over set name,
// key type and key (arch/hash computes it; on ordinary requests the client
// sends it).
//
//	bytes 0-1    partition: low 12 bits, little endian
//	byte 1 high nibble, bytes 2-4   sprig within the partition
//	bytes 8-11   device of the namespace: little endian, modulo their number
type Digest [DigestSize]byte

// Partitions is the number of partitions of every namespace.
const Partitions = 4096

// Partition returns the digest's partition, 0 to 4095.
func (d *Digest) Partition() int {
	return int(binary.LittleEndian.Uint16(d[0:2])) & (Partitions - 1)
}

// DeviceHash returns the number whose remainder picks the record's device.
func (d *Digest) DeviceHash() uint32 { return binary.LittleEndian.Uint32(d[8:12]) }
