package particle

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// HyperLogLog layout:
//
//	byte 0      flags, 0
//	byte 1      index bits
//	byte 2      minhash bits
//	bytes 3-10  cached cardinality, little endian, 0 when there is none
//	rest        2^index registers, packed from the most significant bit on
//
// A register holds the rank of its largest element (6 bits) and below it the
// element's minhash: so the larger of two registers is that of their union.
const (
	hllHead         = 11 // bytes in front of the registers
	hllMinIndexBits = 4
	hllMaxIndexBits = 16
	hllMinHashBits  = 4 // unless 0
	hllMaxHashBits  = 51
	hllRankBits     = 6
)

// hllBitsOK says whether a sketch may have these bit counts.
func hllBitsOK(index, minhash int) bool {
	return index >= hllMinIndexBits && index <= hllMaxIndexBits && minhashOK(minhash) && index+minhash <= 64
}

func minhashOK(minhash int) bool {
	return minhash == 0 || minhash >= hllMinHashBits && minhash <= hllMaxHashBits
}

// hllSize is the size in bytes of a sketch.
func hllSize(index, minhash int) int {
	return hllHead + ((hllRankBits+minhash)<<index+7)/8
}

// validHLL says whether p is a whole sketch: flags 0, bit counts in range, and
// exactly the size that they demand.
func validHLL(p []byte) bool {
	return len(p) >= hllHead && p[0] == 0 && hllBitsOK(int(p[1]), int(p[2])) &&
		len(p) == hllSize(int(p[1]), int(p[2]))
}

// sketch is a view of a HyperLogLog.
type sketch struct {
	index, minhash int
	p              []byte // the whole of it
}

// openSketch returns a view of a valid sketch.
func openSketch(p []byte) (sketch, bool) {
	if !validHLL(p) {
		return sketch{}, false
	}
	return sketch{int(p[1]), int(p[2]), p}, true
}

// appendSketch appends an empty sketch and returns a view of it.
func appendSketch(dst []byte, index, minhash int) ([]byte, sketch) {
	start := len(dst)
	dst = append(dst, 0, byte(index), byte(minhash))
	dst = appendZeros(dst, hllSize(index, minhash)-3)
	return dst, sketch{index, minhash, dst[start:]}
}

func (s sketch) registers() int { return 1 << s.index }

func (s sketch) width() int { return hllRankBits + s.minhash }

func (s sketch) get(i int) uint64 { return loadBits(s.p[hllHead:], i*s.width(), s.width()) }

func (s sketch) set(i int, v uint64) { storeBits(s.p[hllHead:], i*s.width(), s.width(), v) }

func (s sketch) cached() uint64 { return binary.LittleEndian.Uint64(s.p[3:]) }

func (s sketch) setCached(n uint64) { binary.LittleEndian.PutUint64(s.p[3:], n) }

// place returns the register of an element, given as compact msgpack, and its
// value there.
func (s sketch) place(element []byte) (i int, v uint64) {
	h1, h2 := murmur3(element)
	i = int(h1 & uint64(s.registers()-1))
	minhash := h1 >> s.index & (1<<s.minhash - 1)
	rank := uint64(bits.TrailingZeros64(h2)+1) & (1<<hllRankBits - 1)
	return i, rank<<s.minhash | minhash
}

// add puts an element in and reports whether that changed a register.
func (s sketch) add(element []byte) bool {
	i, v := s.place(element)
	if v <= s.get(i) {
		return false
	}
	s.set(i, v)
	return true
}

// merge adds all of o, which has at least as many index bits; what minhash only
// one of them has is dropped.
func (s sketch) merge(o sketch) {
	mask := s.registers() - 1
	for i := range o.registers() {
		v := o.get(i)
		if o.minhash != s.minhash {
			v = v >> o.minhash << s.minhash
		}
		if v > s.get(i&mask) {
			s.set(i&mask, v)
		}
	}
}

// count returns the cardinality: the cached one, or the estimate.
func (s sketch) count() uint64 {
	if n := s.cached(); n != 0 {
		return n
	}
	return s.estimate()
}

// estimate is Ertl's improved raw estimator ("New cardinality estimation
// algorithms for HyperLogLog sketches", 2017, section 2).
func (s sketch) estimate() uint64 {
	var c [1<<hllRankBits + 1]float64
	for i := range s.registers() {
		c[s.get(i)>>s.minhash]++
	}
	m := float64(s.registers())
	z := m * tau(c[len(c)-1]/m)
	for k := len(c) - 1; k >= 1; k-- {
		z = 0.5 * (z + c[k])
	}
	z += m * sigma(c[0]/m)
	return uint64(math.Round(alpha(s.index) * m * m / z))
}

func alpha(index int) float64 {
	switch index {
	case 4:
		return 0.673
	case 5:
		return 0.697
	case 6:
		return 0.709
	}
	return 0.7213 / (1 + 1.079/float64(int(1)<<index))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		was := z
		z += x * y
		y += y
		if z == was {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		was := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == was {
			return z / 3
		}
	}
}

// hasData says whether a register is used. As in the original it looks only at
// as many bytes as there are registers, so that wide registers at the end do
// not count.
func (s sketch) hasData() bool {
	regs := s.p[hllHead:]
	for _, b := range regs[:min(len(regs), s.registers())] {
		if b != 0 {
			return true
		}
	}
	return false
}
