//go:build !amd64 || purego

package hash

import "hash/crc32"

func update(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

// implCRC32C names the kernel in use.
func implCRC32C() string { return "hash/crc32" }
