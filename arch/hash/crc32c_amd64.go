//go:build !purego

package hash

import (
	"hash/crc32"

	"github.com/klauspost/cpuid/v2"
)

// useVPCLMUL says that long inputs are folded with 512-bit carry-less
// multiplication.
var useVPCLMUL bool

// hasVPCLMUL says that the processor can.
var hasVPCLMUL = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.VPCLMULQDQ)

const (
	foldMin  = 256      // shorter inputs are as fast with the CRC instruction
	foldUnit = 256      // what the kernel takes a turn
	foldMax  = 64 << 10 // assembly is not preempted: longer inputs go in pieces
)

// foldVPCLMUL continues a checksum's state (the checksum with its bits
// inverted) over n bytes at p, a positive multiple of foldUnit.
//
//go:noescape
func foldVPCLMUL(state uint32, p *byte, n int) (next uint32)

// implCRC32C names the kernel in use.
func implCRC32C() string {
	if useVPCLMUL {
		return "vpclmulqdq"
	}
	return "hash/crc32"
}

func update(crc uint32, p []byte) uint32 {
	if !useVPCLMUL || len(p) < foldMin {
		return crc32.Update(crc, castagnoli, p)
	}
	for len(p) >= foldUnit {
		n := min(len(p), foldMax) &^ (foldUnit - 1)
		crc = ^foldVPCLMUL(^crc, &p[0], n)
		p = p[n:]
	}
	return crc32.Update(crc, castagnoli, p)
}
