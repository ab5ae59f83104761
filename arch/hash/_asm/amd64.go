package main

// amd64 returns the kernels of amd64: scalar with BMI1, eight lanes with AVX2,
// sixteen and twice sixteen lanes with AVX-512, and the padding of short keys
// with AVX-512 VBMI.
func amd64() []byte {
	var a asm
	a.WriteString(header)
	a.line("//go:build !purego\n\n#include \"textflag.h\"\n")
	constants(&a)
	bmi(&a)
	avx2(&a)
	transpose8(&a)
	avx512(&a, 1)
	avx512(&a, 2)
	padVBMI(&a)
	scatter512(&a)
	return []byte(a.String())
}

// kSub returns round r's constant as a kernel with AND-NOT adds it.
func (l *line) kSub(r int) uint32 {
	if subtracts(l.f[r]) {
		return l.k[r] - 1
	}
	return l.k[r]
}

// constants writes the constants of the vector kernels: for AVX2 each of the
// ten round constants over eight lanes (left line, then right), for AVX-512
// single words to broadcast.
func constants(a *asm) {
	n := 0
	for _, l := range []*line{&left, &right} {
		for r := range 5 {
			for range 8 {
				a.line("DATA k8<>+%d(SB)/4, $%#08x", 4*n, l.kSub(r))
				n++
			}
		}
	}
	a.line("GLOBL k8<>(SB), RODATA|NOPTR, $%d\n", 4*n)
	n = 0
	for _, l := range []*line{&left, &right} {
		for r := range 5 {
			a.line("DATA k16<>+%d(SB)/4, $%#08x", 4*n, l.k[r])
			n++
		}
	}
	a.line("GLOBL k16<>(SB), RODATA|NOPTR, $%d\n", 4*n)
	for i := range 8 {
		var w uint64
		for b := range 8 {
			w |= uint64(8*i+b) << (8 * b)
		}
		a.line("DATA iota64<>+%d(SB)/8, $%#016x", 8*i, w)
	}
	a.line("GLOBL iota64<>(SB), RODATA|NOPTR, $64\n")
	for i := range 16 {
		a.line("DATA rows20<>+%d(SB)/4, $%d", 4*i, 20*i)
	}
	a.line("GLOBL rows20<>(SB), RODATA|NOPTR, $64\n")
}

// bmi writes the scalar kernel: both lines in ten registers, one temporary
// each, the message as memory operands.
func bmi(a *asm) {
	l := [5]string{"AX", "BX", "CX", "DX", "DI"}
	r := [5]string{"R8", "R9", "R10", "R11", "R12"}
	a.line("// func blockBMI(h *[5]uint32, p *[64]byte)")
	a.line("TEXT ·blockBMI(SB), NOSPLIT, $0-16")
	a.ins("MOVQ h+0(FP), R15", "MOVQ p+8(FP), SI")
	for i := range 5 {
		a.ins(ins("MOVL %d(R15), %s", 4*i, l[i]))
	}
	for i := range 5 {
		a.ins(ins("MOVL %s, %s", l[i], r[i]))
	}
	for i := range 80 {
		a.ins(interleave(bmiStep(&left, l, "R13", i), bmiStep(&right, r, "R14", i))...)
	}
	// h[i] = h[i+1] + left[i+2] + right[i+3]
	for i := range 5 {
		a.ins(ins("ADDL %s, %s", r[(i+3)%5], l[(i+2)%5]))
	}
	a.ins("MOVL 0(R15), R13")
	for i := range 4 {
		a.ins(ins("ADDL %d(R15), %s", 4*i+4, l[(i+2)%5]), ins("MOVL %s, %d(R15)", l[(i+2)%5], 4*i))
	}
	a.ins(ins("ADDL R13, %s", l[(4+2)%5]), ins("MOVL %s, 16(R15)", l[(4+2)%5]), "RET")
	a.line("")
}

func bmiStep(l *line, regs [5]string, t string, i int) []string {
	a, b, c, d, e := names(regs, i)
	r := i / 16
	out := []string{ins("ADDL %d(SI), %s", 4*l.word[i], a)}
	if k := l.kSub(r); k != 0 {
		out = append(out, ins("ADDL $%#x, %s", k, a))
	}
	switch l.f[r] {
	case fXor:
		out = append(out, ins("MOVL %s, %s", c, t), ins("XORL %s, %s", d, t), ins("XORL %s, %s", b, t), ins("ADDL %s, %s", t, a))
	case fMux:
		out = append(out, ins("MOVL %s, %s", c, t), ins("ANDL %s, %s", b, t), ins("ADDL %s, %s", t, a),
			ins("ANDNL %s, %s, %s", d, b, t), ins("ADDL %s, %s", t, a))
	case fOrn:
		out = append(out, ins("ANDNL %s, %s, %s", c, b, t), ins("XORL %s, %s", d, t), ins("SUBL %s, %s", t, a))
	case fMuxd:
		out = append(out, ins("ANDNL %s, %s, %s", c, d, t), ins("ADDL %s, %s", t, a),
			ins("MOVL %s, %s", d, t), ins("ANDL %s, %s", b, t), ins("ADDL %s, %s", t, a))
	case fXorn:
		out = append(out, ins("ANDNL %s, %s, %s", d, c, t), ins("XORL %s, %s", b, t), ins("SUBL %s, %s", t, a))
	}
	return append(out, ins("ROLL $%d, %s", l.shift[i], a), ins("ROLL $10, %s", c), ins("ADDL %s, %s", e, a))
}

// avx2 writes the eight-lane kernel.
func avx2(a *asm) {
	l := [5]string{"Y0", "Y1", "Y2", "Y3", "Y4"}
	r := [5]string{"Y5", "Y6", "Y7", "Y8", "Y9"}
	a.line("// func block8AVX2(h *[5][8]uint32, p *[16][8]uint32)")
	a.line("TEXT ·block8AVX2(SB), NOSPLIT, $0-16")
	a.ins("MOVQ h+0(FP), DI", "MOVQ p+8(FP), SI", "LEAQ k8<>(SB), BX")
	for i := range 5 {
		a.ins(ins("VMOVDQU %d(DI), %s", 32*i, l[i]))
	}
	for i := range 5 {
		a.ins(ins("VMOVDQA %s, %s", l[i], r[i]))
	}
	for i := range 80 {
		a.ins(interleave(avx2Step(&left, l, "Y10", "Y11", 0, i), avx2Step(&right, r, "Y12", "Y13", 160, i))...)
	}
	vectorEnd(a, l, r, "Y14", "VMOVDQU", 32, 0)
	a.ins("VZEROUPPER", "RET")
	a.line("")
}

func avx2Step(l *line, regs [5]string, t, u string, kBase, i int) []string {
	a, b, c, d, e := names(regs, i)
	r := i / 16
	out := []string{ins("VPADDD %d(SI), %s, %s", 32*l.word[i], a, a)}
	if l.kSub(r) != 0 {
		out = append(out, ins("VPADDD %d(BX), %s, %s", kBase+32*r, a, a))
	}
	switch l.f[r] {
	case fXor:
		out = append(out, ins("VPXOR %s, %s, %s", c, d, t), ins("VPXOR %s, %s, %s", b, t, t), ins("VPADDD %s, %s, %s", t, a, a))
	case fMux:
		out = append(out, ins("VPAND %s, %s, %s", b, c, t), ins("VPANDN %s, %s, %s", d, b, u),
			ins("VPADDD %s, %s, %s", t, a, a), ins("VPADDD %s, %s, %s", u, a, a))
	case fOrn:
		out = append(out, ins("VPANDN %s, %s, %s", c, b, t), ins("VPXOR %s, %s, %s", d, t, t), ins("VPSUBD %s, %s, %s", t, a, a))
	case fMuxd:
		out = append(out, ins("VPANDN %s, %s, %s", c, d, u), ins("VPADDD %s, %s, %s", u, a, a),
			ins("VPAND %s, %s, %s", b, d, t), ins("VPADDD %s, %s, %s", t, a, a))
	case fXorn:
		out = append(out, ins("VPANDN %s, %s, %s", d, c, t), ins("VPXOR %s, %s, %s", b, t, t), ins("VPSUBD %s, %s, %s", t, a, a))
	}
	s := l.shift[i]
	return append(out,
		ins("VPSLLD $%d, %s, %s", s, a, t), ins("VPSRLD $%d, %s, %s", 32-s, a, a),
		ins("VPSLLD $10, %s, %s", c, u), ins("VPSRLD $22, %s, %s", c, c),
		ins("VPADDD %s, %s, %s", e, t, t), ins("VPOR %s, %s, %s", u, c, c),
		ins("VPADDD %s, %s, %s", t, a, a))
}

// transpose8 writes the transposition of one block of eight padded messages,
// which lie 128 bytes apart: two squares of eight by eight words.
func transpose8(a *asm) {
	y := func(n int) string { return ins("Y%d", n) }
	a.line("// func transpose8AVX2(dst *[128]uint32, rows *byte)")
	a.line("TEXT ·transpose8AVX2(SB), NOSPLIT, $0-16")
	a.ins("MOVQ dst+0(FP), DI", "MOVQ rows+8(FP), SI")
	for half := range 2 {
		for row := range 8 {
			a.ins(ins("VMOVDQU %d(SI), %s", 128*row+32*half, y(row)))
		}
		for i := 0; i < 8; i += 2 {
			a.ins(ins("VPUNPCKLDQ %s, %s, %s", y(i+1), y(i), y(8+i)), ins("VPUNPCKHDQ %s, %s, %s", y(i+1), y(i), y(9+i)))
		}
		for i := 0; i < 8; i += 4 { // Yi+j: word j of each 128-bit lane of four rows
			a.ins(ins("VPUNPCKLQDQ %s, %s, %s", y(10+i), y(8+i), y(i)), ins("VPUNPCKHQDQ %s, %s, %s", y(10+i), y(8+i), y(i+1)),
				ins("VPUNPCKLQDQ %s, %s, %s", y(11+i), y(9+i), y(i+2)), ins("VPUNPCKHQDQ %s, %s, %s", y(11+i), y(9+i), y(i+3)))
		}
		for j := range 4 {
			a.ins(ins("VPERM2I128 $0x20, %s, %s, %s", y(4+j), y(j), y(8+j)), ins("VMOVDQU %s, %d(DI)", y(8+j), 32*(8*half+j)),
				ins("VPERM2I128 $0x31, %s, %s, %s", y(4+j), y(j), y(12+j)), ins("VMOVDQU %s, %d(DI)", y(12+j), 32*(8*half+4+j)))
		}
	}
	a.ins("VZEROUPPER", "RET")
	a.line("")
}

// vectorEnd adds the two lines into the state at base(DI).
func vectorEnd(a *asm, l, r [5]string, t, mov string, width, base int) {
	for i := range 5 {
		a.ins(ins("VPADDD %s, %s, %s", r[(i+3)%5], l[(i+2)%5], l[(i+2)%5]))
	}
	a.ins(ins("%s %d(DI), %s", mov, base, t))
	for i := range 4 {
		v := l[(i+2)%5]
		a.ins(ins("VPADDD %d(DI), %s, %s", base+width*(i+1), v, v), ins("%s %s, %d(DI)", mov, v, base+width*i))
	}
	v := l[(4+2)%5]
	a.ins(ins("VPADDD %s, %s, %s", t, v, v), ins("%s %s, %d(DI)", mov, v, base+width*4))
}

// avx512 writes the kernel of groups times sixteen lanes. With two groups the
// second fills the bubbles that the two-cycle latency of vector instructions
// leaves in the first.
func avx512(a *asm, groups int) {
	name := map[int]string{1: "block16AVX512", 2: "block32AVX512"}[groups]
	a.line("// func %s(h *[%d][5][16]uint32, p *[%d][16][16]uint32)", name, groups, groups)
	a.line("TEXT ·%s(SB), NOSPLIT, $0-16", name)
	a.ins("MOVQ h+0(FP), DI", "MOVQ p+8(FP), SI")
	var l, r [2][5]string
	reg := 0
	next := func() string { reg++; return ins("Z%d", reg-1) }
	for g := range groups {
		for i := range 5 {
			l[g][i] = next()
		}
		for i := range 5 {
			r[g][i] = next()
		}
	}
	var t [2][2]string
	for g := range groups {
		t[g] = [2]string{next(), next()}
	}
	// The eight constants that are not zero stay in registers.
	k := map[uint32]string{}
	for n, ln := range []*line{&left, &right} {
		for round := range 5 {
			if ln.k[round] != 0 {
				k[ln.k[round]] = next()
				a.ins(ins("VPBROADCASTD k16<>+%d(SB), %s", 4*(5*n+round), k[ln.k[round]]))
			}
		}
	}
	for g := range groups {
		for i := range 5 {
			a.ins(ins("VMOVDQU32 %d(DI), %s", 320*g+64*i, l[g][i]))
		}
		for i := range 5 {
			a.ins(ins("VMOVDQA32 %s, %s", l[g][i], r[g][i]))
		}
	}
	for i := range 80 {
		var lists [][]string
		for g := range groups {
			lists = append(lists, avx512Step(&left, l[g], t[g][0], k, 1024*g, i), avx512Step(&right, r[g], t[g][1], k, 1024*g, i))
		}
		a.ins(interleave(lists...)...)
	}
	for g := range groups {
		vectorEnd(a, l[g], r[g], t[g][0], "VMOVDQU32", 64, 320*g)
	}
	a.ins("VZEROUPPER", "RET")
	a.line("")
}

// ternary returns VPTERNLOGD's truth table of f with inputs b, c, d.
func ternary(f int) int {
	imm := 0
	for n := range 8 {
		b, c, d := n>>2&1, n>>1&1, n&1
		var v int
		switch f {
		case fXor:
			v = b ^ c ^ d
		case fMux:
			v = b&c | (b^1)&d
		case fOrn:
			v = (b | (c ^ 1)) ^ d
		case fMuxd:
			v = b&d | c&(d^1)
		case fXorn:
			v = b ^ (c | (d ^ 1))
		}
		imm |= v & 1 << n
	}
	return imm
}

func avx512Step(l *line, regs [5]string, t string, k map[uint32]string, base, i int) []string {
	a, b, c, d, e := names(regs, i)
	r := i / 16
	out := []string{ins("VPADDD %d(SI), %s, %s", base+64*l.word[i], a, a), ins("VMOVDQA32 %s, %s", b, t)}
	if l.k[r] != 0 {
		out = append(out, ins("VPADDD %s, %s, %s", k[l.k[r]], a, a))
	}
	return append(out,
		ins("VPTERNLOGD $%#x, %s, %s, %s", ternary(l.f[r]), d, c, t),
		ins("VPADDD %s, %s, %s", t, a, a),
		ins("VPROLD $%d, %s, %s", l.shift[i], a, a),
		ins("VPROLD $10, %s, %s", c, c),
		ins("VPADDD %s, %s, %s", e, a, a))
}

// padVBMI writes the padding of sixteen keys that fit in one block, straight
// into the transposed message.
//
// A row is prefix | key | 0x80 | zeros | bit length. The key comes in by one
// load of 64 bytes under a mask of its length, which is moved up by the length
// of the prefix with VPERMB. A masked load that runs into the next page costs
// a microcode assist even where that page is mapped, and hundreds of
// nanoseconds where it is not: so a key near the end of a page is loaded by
// the 64 bytes that end with it.
func padVBMI(a *asm) {
	a.line("// func pad16VBMI(dst *[16][16]uint32, keys *[16][]byte, prefix *[64]byte, prefixLen int)")
	a.line("TEXT ·pad16VBMI(SB), NOSPLIT, $0-32")
	a.ins("MOVQ dst+0(FP), DI", "MOVQ keys+8(FP), SI", "MOVQ prefix+16(FP), AX", "MOVQ prefixLen+24(FP), CX",
		"VMOVDQU8 (AX), Z16",         // prefix, zeros after it
		"VMOVDQU8 iota64<>(SB), Z17", // output byte i takes key byte i - prefixLen
		"VPBROADCASTB CX, Z18",
		"VPSUBB Z18, Z17, Z17",
		"MOVL $0x80, AX", "VPBROADCASTB AX, Z18",
		"MOVL $0x4000, AX", "KMOVW AX, K4", // word 14: the low half of the bit length
		"MOVQ $-1, R10", "MOVL $1, R11")
	for row := range 16 {
		z := ins("Z%d", row)
		a.ins(
			ins("MOVQ %d(SI), BX", 24*row), ins("MOVQ %d(SI), DX", 24*row+8),
			"BZHIQ DX, R10, R8", // R8 = mask of the key's length
			"SHLXQ CX, R8, R9",  // R9 = the same, behind the prefix
			"KMOVQ R9, K2",
			"MOVL BX, R12", "ANDL $0xfff, R12", "CMPL R12, $4032", ins("JHI near%d", row),
			"KMOVQ R8, K1", ins("VMOVDQU8.Z (BX), K1, %s", z), ins("VPERMB.Z %s, Z17, K2, %s", z, z))
		a.line("padded%d:", row)
		a.ins("ADDQ CX, DX", "SHLXQ DX, R11, R9", "KMOVQ R9, K3",
			ins("VPORD Z16, %s, %s", z, z), ins("VMOVDQU8 Z18, K3, %s", z),
			"SHLL $3, DX", ins("VPBROADCASTD DX, K4, %s", z))
	}
	transpose512(a)
	a.ins("VZEROUPPER", "RET")
	for row := range 16 {
		z := ins("Z%d", row)
		a.line("near%d:", row)
		a.ins("TESTQ DX, DX", ins("JZ empty%d", row),
			"LEAQ -64(BX)(DX*1), R12", ins("VMOVDQU8 (R12), %s", z),
			"MOVL $64, R13", "SUBL DX, R13", "VPBROADCASTB R13, Z19", "VPADDB Z19, Z17, Z19",
			ins("VPERMB.Z %s, Z19, K2, %s", z, z), ins("JMP padded%d", row))
		a.line("empty%d:", row)
		a.ins(ins("VPXORD %s, %s, %s", z, z, z), ins("JMP padded%d", row))
	}
	a.line("")
}

// transpose512 turns the rows Z0 to Z15, sixteen words each, into columns and
// stores them at DI: four rounds that pair words, quads and 128-bit lanes.
func transpose512(a *asm) {
	z := func(n int) string { return ins("Z%d", n) }
	for i := 0; i < 16; i += 2 { // Z16+i: low words of a pair of rows, Z17+i: high words
		a.ins(ins("VPUNPCKLDQ %s, %s, %s", z(i+1), z(i), z(16+i)), ins("VPUNPCKHDQ %s, %s, %s", z(i+1), z(i), z(17+i)))
	}
	for i := 0; i < 16; i += 4 { // Zi+j: word j of each 128-bit lane of four rows
		a.ins(ins("VPUNPCKLQDQ %s, %s, %s", z(16+i+2), z(16+i), z(i)), ins("VPUNPCKHQDQ %s, %s, %s", z(16+i+2), z(16+i), z(i+1)),
			ins("VPUNPCKLQDQ %s, %s, %s", z(17+i+2), z(17+i), z(i+2)), ins("VPUNPCKHQDQ %s, %s, %s", z(17+i+2), z(17+i), z(i+3)))
	}
	for j := range 4 { // lanes 0,2 and 1,3 of rows 0-7 and of rows 8-15
		a.ins(ins("VSHUFI32X4 $0x88, %s, %s, %s", z(4+j), z(j), z(16+j)), ins("VSHUFI32X4 $0xdd, %s, %s, %s", z(4+j), z(j), z(20+j)),
			ins("VSHUFI32X4 $0x88, %s, %s, %s", z(12+j), z(8+j), z(24+j)), ins("VSHUFI32X4 $0xdd, %s, %s, %s", z(12+j), z(8+j), z(28+j)))
	}
	for j := range 4 {
		a.ins(ins("VSHUFI32X4 $0x88, %s, %s, %s", z(24+j), z(16+j), z(j)), ins("VMOVDQU32 %s, %d(DI)", z(j), 64*j),
			ins("VSHUFI32X4 $0x88, %s, %s, %s", z(28+j), z(20+j), z(4+j)), ins("VMOVDQU32 %s, %d(DI)", z(4+j), 64*(4+j)),
			ins("VSHUFI32X4 $0xdd, %s, %s, %s", z(24+j), z(16+j), z(8+j)), ins("VMOVDQU32 %s, %d(DI)", z(8+j), 64*(8+j)),
			ins("VSHUFI32X4 $0xdd, %s, %s, %s", z(28+j), z(20+j), z(12+j)), ins("VMOVDQU32 %s, %d(DI)", z(12+j), 64*(12+j)))
	}
}

// scatter512 writes n digests of a state of sixteen lanes, one after another.
func scatter512(a *asm) {
	a.line("// func digests16AVX512(dst *Digest, h *[5][16]uint32, n int)")
	a.line("TEXT ·digests16AVX512(SB), NOSPLIT, $0-24")
	a.ins("MOVQ dst+0(FP), DI", "MOVQ h+8(FP), SI", "MOVQ n+16(FP), DX",
		"VMOVDQU32 rows20<>(SB), Z31", "MOVL $-1, AX", "BZHIL DX, AX, AX")
	for i := range 5 {
		a.ins(ins("VMOVDQU32 %d(SI), Z%d", 64*i, i))
	}
	for i := range 5 {
		a.ins("KMOVW AX, K1", ins("VPSCATTERDD Z%d, K1, %d(DI)(Z31*1)", i, 4*i))
	}
	a.ins("VZEROUPPER", "RET")
	a.line("")
}
