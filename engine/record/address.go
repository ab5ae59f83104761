package record

// RblockSize is the unit in which records are placed on a device, in bytes.
const RblockSize = 16

// Limits of an Address.
const (
	MaxDevices      = 128                    // devices of a namespace
	MaxDeviceSize   = 1 << 37 * RblockSize   // 2 TiB
	MaxFlatSize     = (1 << 19) * RblockSize // 8 MiB, the largest flat record
	addressSizeBits = 19
	addressPosBits  = 37
)

// Address says where a record lies: device, position and size, in 63 bits.
//
//	bits 0-18   size in rblocks, less one
//	bits 19-55  position in rblocks from the start of the device
//	bits 56-62  device number within the namespace
//
// The zero Address is position 0 of device 0, which holds the device header
// and so never a record: it means "nowhere".
type Address uint64

// MakeAddress returns the address of size bytes at offset bytes on a device.
// Both are whole rblocks and within the limits above.
func MakeAddress(device int, offset int64, size int) Address {
	return Address(device)<<(addressPosBits+addressSizeBits) |
		Address(offset/RblockSize)<<addressSizeBits |
		Address(size/RblockSize-1)
}

// Device returns the device number within the namespace, 0 to 127.
func (a Address) Device() int { return int(a >> (addressPosBits + addressSizeBits)) }

// Offset returns the position on the device in bytes.
func (a Address) Offset() int64 {
	return int64(a>>addressSizeBits&(1<<addressPosBits-1)) * RblockSize
}

// Size returns the size in bytes: 16 B to 8 MiB.
func (a Address) Size() int { return (int(a&(1<<addressSizeBits-1)) + 1) * RblockSize }
