package main

// CRC32C by folding with carry-less multiplication.
//
// The checksum of a message depends only on the message as a polynomial
// modulo P, so a block of it can be moved D bits onwards by multiplying it
// with x^D mod P and adding what stands there. In the reflected order of bits
// that CRC32C uses, the first eight bytes of a 16-byte lane are the upper half
// of its polynomial, and a product of two reflected 64-bit words comes out
// multiplied by x once more. So a lane moves by D with the constants
//
//	first word:  x^(D+64-1) mod P
//	second word: x^(D-1) mod P
//
// each reflected into the upper half of 64 bits.

const castagnoli = 0x1EDC6F41 // P without x^32, in plain order of bits

// xPower returns x^n mod P, reflected into the upper half of 64 bits.
func xPower(n int) uint64 {
	v := uint32(1)
	for range n {
		carry := v >> 31
		v = v<<1 ^ castagnoli*carry
	}
	var r uint64
	for i := range 32 { // coefficient of x^i stands at bit 63-i
		r |= uint64(v>>i&1) << (63 - i)
	}
	return r
}

// crc32c writes the kernel that folds 256 bytes a turn in four registers.
func crc32c() []byte {
	var a asm
	a.WriteString(header)
	a.line("//go:build !purego\n\n#include \"textflag.h\"\n")
	quads := func(name string, values ...uint64) {
		for i, v := range values {
			a.line("DATA %s<>+%d(SB)/8, $%#016x", name, 8*i, v)
		}
		a.line("GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", name, 8*len(values))
	}
	move := func(bits int) (uint64, uint64) { return xPower(bits + 63), xPower(bits - 1) }
	lo, hi := move(2048)
	quads("fold2048", lo, hi)
	lo, hi = move(512)
	quads("fold512", lo, hi)
	var lanes []uint64
	for _, bits := range []int{384, 256, 128} {
		lo, hi = move(bits)
		lanes = append(lanes, lo, hi)
	}
	quads("foldLanes", append(lanes, 0, 0)...)

	a.line("// func foldVPCLMUL(state uint32, p *byte, n int) (next uint32)")
	a.line("TEXT ·foldVPCLMUL(SB), NOSPLIT, $0-28")
	a.ins("MOVL state+0(FP), AX", "MOVQ p+8(FP), SI", "MOVQ n+16(FP), CX",
		"VMOVD AX, X0", "VMOVDQU64 (SI), Z1", "VPXORQ Z1, Z0, Z0",
		"VMOVDQU64 64(SI), Z1", "VMOVDQU64 128(SI), Z2", "VMOVDQU64 192(SI), Z3",
		"VBROADCASTI32X4 fold2048<>(SB), Z16", "VBROADCASTI32X4 fold512<>(SB), Z17",
		"ADDQ $256, SI", "SUBQ $256, CX", "JZ folded")
	a.line("loop:")
	for i := range 4 {
		a.ins(ins("VPCLMULQDQ $0x00, Z16, Z%d, Z%d", i, 4+i), ins("VPCLMULQDQ $0x11, Z16, Z%d, Z%d", i, i),
			ins("VPTERNLOGQ $0x96, %d(SI), Z%d, Z%d", 64*i, 4+i, i))
	}
	a.ins("ADDQ $256, SI", "SUBQ $256, CX", "JNZ loop")
	a.line("folded:")
	for i := range 3 {
		a.ins(ins("VPCLMULQDQ $0x00, Z17, Z%d, Z4", i), ins("VPCLMULQDQ $0x11, Z17, Z%d, Z5", i),
			ins("VPTERNLOGQ $0x96, Z5, Z4, Z%d", i+1))
	}
	a.ins("VMOVDQU64 foldLanes<>(SB), Z16",
		"VPCLMULQDQ $0x00, Z16, Z3, Z4", "VPCLMULQDQ $0x11, Z16, Z3, Z5", "VPXORQ Z5, Z4, Z4", // lane 3 becomes 0
		"VEXTRACTI32X4 $3, Z3, X0", "VEXTRACTI32X4 $1, Z4, X1", "VEXTRACTI32X4 $2, Z4, X2",
		"VPXORQ X4, X0, X0", "VPTERNLOGQ $0x96, X2, X1, X0",
		"VMOVQ X0, AX", "VPEXTRQ $1, X0, BX", "XORL CX, CX", "CRC32Q AX, CX", "CRC32Q BX, CX",
		"MOVL CX, next+24(FP)", "VZEROUPPER", "RET")
	return []byte(a.String())
}
