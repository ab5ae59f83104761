package main

import (
	"fmt"
	"strings"
)

// generic returns the unrolled Go kernel.
func generic() []byte {
	var w strings.Builder
	w.WriteString(header)
	w.WriteString(`package hash

import (
	"encoding/binary"
	"math/bits"
)

// blockGeneric continues the state h by one message block. It runs on every
// machine, is the scalar kernel of those without an assembly one, and what all
// others are held to.
func blockGeneric(h *[5]uint32, p *[64]byte) {
	var m [16]uint32 // loaded first: a function of this size gets no calls inlined
	words(&m, p)
	a, b, c, d, e := h[0], h[1], h[2], h[3], h[4]
	v, w, x, y, z := a, b, c, d, e

`)
	for i := range 80 {
		w.WriteString(genericStep(&left, [5]string{"a", "b", "c", "d", "e"}, i))
		w.WriteString(genericStep(&right, [5]string{"v", "w", "x", "y", "z"}, i))
	}
	w.WriteString(`
	h[0], h[1], h[2], h[3], h[4] = h[1]+c+y, h[2]+d+z, h[3]+e+v, h[4]+a+w, h[0]+b+x
}
`)
	w.WriteString(`
// words splits a block into its words.
func words(m *[16]uint32, p *[64]byte) {
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(p[4*i:])
	}
}
`)
	return []byte(w.String())
}

func genericStep(l *line, regs [5]string, i int) string {
	a, b, c, d, e := names(regs, i)
	r := i / 16
	var f string
	switch l.f[r] {
	case fXor:
		f = fmt.Sprintf("(%s^%s^%s)", c, d, b)
	case fMux:
		f = fmt.Sprintf("(%s^%s&(%s^%s))", d, b, c, d)
	case fOrn:
		f = fmt.Sprintf("((%s|^%s)^%s)", b, c, d)
	case fMuxd:
		f = fmt.Sprintf("(%s^%s&(%s^%s))", c, d, b, c)
	case fXorn:
		f = fmt.Sprintf("(%s^(%s|^%s))", b, c, d)
	}
	k := ""
	if l.k[r] != 0 {
		k = fmt.Sprintf("+%#08x", l.k[r])
	}
	return fmt.Sprintf("%s = bits.RotateLeft32(%s+m[%d]%s+%s, %d) + %s\n%s = bits.RotateLeft32(%s, 10)\n",
		a, a, l.word[i], k, f, l.shift[i], e, c, c)
}
