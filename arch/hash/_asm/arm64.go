package main

// arm64 returns the NEON kernel of eight lanes: two groups of four, since one
// alone leaves the vector pipes waiting for its own results. The scalar kernel
// of arm64 is the generic one, which compiles to what one would write by hand.
func arm64() []byte {
	var a asm
	a.WriteString(header)
	a.line("//go:build !purego\n\n#include \"textflag.h\"\n")
	n := 0
	for _, l := range []*line{&left, &right} {
		for r := range 5 {
			for range 4 {
				a.line("DATA k4<>+%d(SB)/4, $%#08x", 4*n, l.k[r])
				n++
			}
		}
	}
	a.line("GLOBL k4<>(SB), RODATA|NOPTR, $%d\n", 4*n)
	a.line("// func block8NEON(h *[5][8]uint32, p *[16][8]uint32)")
	a.line("TEXT ·block8NEON(SB), NOSPLIT, $0-16")
	a.ins("MOVD h+0(FP), R0", "MOVD p+8(FP), R1", "MOVD $k4<>(SB), R2", "VMOVI $255, V31.B16")
	var l, r [2][5]string
	reg := 0
	for g := range 2 {
		for i := range 5 {
			l[g][i] = ins("V%d", reg)
			r[g][i] = ins("V%d", reg+5)
			reg++
		}
		reg += 5
	}
	// V20-V27: two temporaries a chain; V28: the message word; V29, V30: the round's constants.
	for g := range 2 {
		for i := range 5 {
			a.ins(ins("ADD $%d, R0, R3", 32*i+16*g), ins("VLD1 (R3), [%s.S4]", l[g][i]),
				ins("VMOV %s.B16, %s.B16", l[g][i], r[g][i]))
		}
	}
	for i := range 80 {
		if i%16 == 0 {
			a.ins(ins("ADD $%d, R2, R3", 16*(i/16)), "VLD1 (R3), [V29.S4]",
				ins("ADD $%d, R2, R3", 80+16*(i/16)), "VLD1 (R3), [V30.S4]")
		}
		a.ins(neonStep(&left, l, "V29", i)...)
		a.ins(neonStep(&right, r, "V30", i)...)
	}
	// h[i] = h[i+1] + left[i+2] + right[i+3]
	for g := range 2 {
		at := func(i int) string { return ins("ADD $%d, R0, R3", 32*i+16*g) }
		a.ins(at(0), "VLD1 (R3), [V20.S4]")
		for i := range 5 {
			v := l[g][(i+2)%5]
			a.ins(ins("VADD %s.S4, %s.S4, %s.S4", r[g][(i+3)%5], v, v))
			if i < 4 {
				a.ins(at(i+1), "VLD1 (R3), [V21.S4]", ins("VADD V21.S4, %s.S4, %s.S4", v, v))
			} else {
				a.ins(ins("VADD V20.S4, %s.S4, %s.S4", v, v))
			}
			a.ins(at(i), ins("VST1 [%s.S4], (R3)", v))
		}
	}
	a.ins("RET")
	return []byte(a.String())
}

// neonStep returns one step of both groups of a line.
func neonStep(l *line, regs [2][5]string, k string, i int) []string {
	var lists [2][]string
	r := i / 16
	for g := range 2 {
		a, b, c, d, e := names(regs[g], i)
		t, u := ins("V%d", 20+4*g), ins("V%d", 21+4*g)
		x := ins("V%d", 22+4*g)
		op := func(f string, args ...any) { lists[g] = append(lists[g], ins(f, args...)) }
		op("ADD $%d, R1, R%d", 32*l.word[i]+16*g, 4+g)
		op("VLD1 (R%d), [%s.S4]", 4+g, x)
		op("VADD %s.S4, %s.S4, %s.S4", x, a, a)
		if l.k[r] != 0 {
			op("VADD %s.S4, %s.S4, %s.S4", k, a, a)
		}
		switch l.f[r] { // VBSL picks its second operand where the first's bits are set
		case fXor:
			op("VEOR %s.B16, %s.B16, %s.B16", c, d, t)
			op("VEOR %s.B16, %s.B16, %s.B16", b, t, t)
		case fMux:
			op("VMOV %s.B16, %s.B16", b, t)
			op("VBSL %s.B16, %s.B16, %s.B16", d, c, t)
		case fOrn:
			op("VEOR V31.B16, %s.B16, %s.B16", c, t)
			op("VORR %s.B16, %s.B16, %s.B16", b, t, t)
			op("VEOR %s.B16, %s.B16, %s.B16", d, t, t)
		case fMuxd:
			op("VMOV %s.B16, %s.B16", d, t)
			op("VBSL %s.B16, %s.B16, %s.B16", c, b, t)
		case fXorn:
			op("VEOR V31.B16, %s.B16, %s.B16", d, t)
			op("VORR %s.B16, %s.B16, %s.B16", c, t, t)
			op("VEOR %s.B16, %s.B16, %s.B16", b, t, t)
		}
		s := l.shift[i]
		op("VADD %s.S4, %s.S4, %s.S4", t, a, a)
		op("VSHL $%d, %s.S4, %s.S4", s, a, u)
		op("VSRI $%d, %s.S4, %s.S4", 32-s, a, u)
		op("VADD %s.S4, %s.S4, %s.S4", e, u, a)
		op("VSHL $10, %s.S4, %s.S4", c, t)
		op("VSRI $22, %s.S4, %s.S4", c, t)
		op("VMOV %s.B16, %s.B16", t, c)
	}
	return interleave(lists[0], lists[1])
}
