package particle

import (
	"math"
	"math/bits"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// HyperLogLog operations. Reads start at 50.
const (
	hllInit = iota
	hllAdd
	hllSetUnion
	hllRefreshCount
	hllFold

	hllGetCount       = 50
	hllGetUnion       = 51
	hllUnionCount     = 52
	hllIntersectCount = 53
	hllSimilarity     = 54
	hllDescribe       = 55
	hllMayContain     = 56
)

// keepBits is the bit count argument that means "as it is".
const keepBits = -1

// HLLModify runs a changing HyperLogLog operation on a bin's value. next is the
// new value: old itself when a policy flag says to do nothing, of type Null
// when the bin was absent and stays so. A result of type Null means none.
//
// Results: IncompatibleType when the bin holds something else; Parameter for
// bad arguments; BinExists and BinNotFound when flags or operation forbid to
// overwrite or to create; NotApplicable when bit counts are missing or do not
// go together.
func HLLModify(dst []byte, old record.Value, exists bool, arg []byte) (next, result record.Value, out []byte, res record.Result) {
	if !exists {
		old = record.Value{}
	} else if old.Type != record.HLL {
		return record.Value{}, record.Value{}, dst, record.IncompatibleType
	}
	a, rest, ok := parseOp(arg)
	a.op = int64(uint32(a.op)) // the original looks at 32 bits
	m := hllModify{a: a, dst: dst, exists: exists}
	if !ok {
		return record.Value{}, record.Value{}, dst, record.Parameter
	}
	if exists {
		if m.old, ok = openSketch(old.Bytes); !ok {
			return record.Value{}, record.Value{}, dst, record.Unknown
		}
	}
	result, res = m.run(rest)
	switch {
	case res == record.OK && m.out == nil,
		(res == record.BinExists || res == record.BinNotFound) && m.flags&noFail != 0:
		return old, result, dst, record.OK
	case res != record.OK:
		return record.Value{}, record.Value{}, dst, res
	}
	return record.Value{Type: record.HLL, Bytes: tail(m.out, len(dst))}, result, m.out, record.OK
}

// hllModify is one changing operation while it runs.
type hllModify struct {
	a      opArgs
	dst    []byte
	out    []byte // dst and the new sketch, nil for no change
	old    sketch
	exists bool
	flags  int64
}

func (m *hllModify) run(rest []byte) (record.Value, record.Result) {
	switch m.a.op {
	case hllInit:
		return record.Value{}, m.init(rest)
	case hllAdd:
		return m.add(rest)
	case hllSetUnion:
		return record.Value{}, m.setUnion(rest)
	case hllRefreshCount:
		return m.refresh(rest)
	case hllFold:
		return record.Value{}, m.fold(rest)
	}
	return record.Value{}, record.Parameter
}

// takeFlags reads the policy flags in argument i.
func (m *hllModify) takeFlags(i int, allowed int64) bool {
	var ok bool
	m.flags, ok = m.a.int(i)
	return ok && m.flags&^allowed == 0 && m.flags&(createOnly|updateOnly) != createOnly|updateOnly
}

// permitted judges the policy flags.
func (m *hllModify) permitted() record.Result {
	switch {
	case m.exists && m.flags&createOnly != 0:
		return record.BinExists
	case !m.exists && m.flags&updateOnly != 0:
		return record.BinNotFound
	}
	return record.OK
}

// takeBits reads index and minhash bits from argument i on.
func (m *hllModify) takeBits(i int) (index, minhash int64, ok bool) {
	index, minhash = keepBits, keepBits
	if i < m.a.n {
		if index, ok = m.a.int(i); !ok {
			return 0, 0, false
		}
	}
	if i+1 < m.a.n {
		if minhash, ok = m.a.int(i + 1); !ok {
			return 0, 0, false
		}
	}
	ok = (index == keepBits || index >= hllMinIndexBits && index <= hllMaxIndexBits) &&
		(minhash == keepBits || minhash >= 0 && minhash <= hllMaxHashBits && minhashOK(int(minhash))) &&
		index+minhash <= 64
	return index, minhash, ok
}

func (m *hllModify) init(rest []byte) record.Result {
	if !m.a.split(rest, 0, 3) || !m.takeFlags(2, createOnly|updateOnly|noFail) {
		return record.Parameter
	}
	index, minhash, ok := m.takeBits(0)
	if !ok {
		return record.Parameter
	}
	if res := m.permitted(); res != record.OK {
		return res
	}
	if index == keepBits && m.exists {
		index = int64(m.old.index)
	}
	if minhash == keepBits {
		minhash = int64(m.old.minhash)
	}
	if !hllBitsOK(int(index), int(minhash)) {
		return record.NotApplicable
	}
	m.out, _ = appendSketch(m.dst, int(index), int(minhash))
	return record.OK
}

// copyOld appends the old sketch to the output.
func (m *hllModify) copyOld() sketch {
	m.out = append(m.dst, m.old.p...)
	return sketch{m.old.index, m.old.minhash, m.out[len(m.dst):]}
}

func (m *hllModify) add(rest []byte) (record.Value, record.Result) {
	if !m.a.split(rest, 1, 4) || !m.takeFlags(3, createOnly|noFail) {
		return record.Value{}, record.Parameter
	}
	index, minhash, ok := m.takeBits(1)
	if !ok || !elementsOK(m.a.args[0]) {
		return record.Value{}, record.Parameter
	}
	if res := m.permitted(); res != record.OK {
		return record.Value{}, res
	}
	var s sketch
	if m.exists {
		s = m.copyOld()
	} else {
		if minhash == keepBits {
			minhash = 0
		}
		if !hllBitsOK(int(index), int(minhash)) {
			return record.Value{}, record.NotApplicable
		}
		m.out, s = appendSketch(m.dst, int(index), int(minhash))
	}
	changed := 0
	eachElement(m.a.args[0], func(e []byte) bool {
		if s.add(e) {
			changed++
		}
		return true
	})
	switch {
	case changed > 0:
		s.setCached(0)
	case m.exists:
		m.out = nil
	}
	return Integer(int64(changed)), record.OK
}

func (m *hllModify) setUnion(rest []byte) record.Result {
	if !m.a.split(rest, 1, 2) || !m.takeFlags(1, createOnly|updateOnly|noFail|allowFold) {
		return record.Parameter
	}
	if !operandsOK(m.a.args[0]) {
		return record.Parameter
	}
	if res := m.permitted(); res != record.OK {
		return res
	}
	u := unionBits(m.old, m.exists, m.a.args[0])
	if m.flags&allowFold == 0 && m.exists {
		if u.index < m.old.index || u.minhash != m.old.minhash {
			return record.NotApplicable
		}
	}
	m.out = union(m.dst, u, m.old, m.exists, m.a.args[0])
	return record.OK
}

func (m *hllModify) refresh(rest []byte) (record.Value, record.Result) {
	if !m.a.split(rest, 0, 0) {
		return record.Value{}, record.Parameter
	}
	if !m.exists {
		return record.Value{}, record.BinNotFound
	}
	n := m.old.count()
	if n != m.old.cached() {
		m.copyOld().setCached(n)
	}
	return Integer(int64(n)), record.OK
}

func (m *hllModify) fold(rest []byte) record.Result {
	if !m.a.split(rest, 1, 1) {
		return record.Parameter
	}
	index, ok := m.a.int(0)
	if !ok || index != keepBits && (index < hllMinIndexBits || index > hllMaxIndexBits) {
		return record.Parameter
	}
	if !m.exists {
		return record.BinNotFound
	}
	if index == keepBits || m.old.minhash > 0 || int(index) > m.old.index {
		return record.NotApplicable
	}
	if int(index) == m.old.index {
		return record.OK
	}
	var s sketch
	m.out, s = appendSketch(m.dst, int(index), 0)
	s.merge(m.old)
	return record.OK
}

// elementsOK says whether p is a list, not empty, of values that can be
// elements: anything but lists and maps.
func elementsOK(p []byte) bool {
	n := 0
	ok := eachElement(p, func(e []byte) bool {
		n++
		k := msgpack.Next(e).Kind
		return k != msgpack.List && k != msgpack.Map
	})
	return ok && n > 0
}

// eachElement calls fn with each element of a list in compact form, until fn
// returns false. It reports whether the list is good and fn was always true.
func eachElement(p []byte, fn func(e []byte) bool) bool {
	n, rest, ok := listHead(p)
	if !ok {
		return false
	}
	var scratch [64]byte
	for range n {
		it := msgpack.Next(rest)
		size := msgpack.Skip(rest)
		if size == 0 {
			return false
		}
		e := rest[:size]
		if it.Kind != msgpack.List && it.Kind != msgpack.Map {
			e = msgpack.AppendCompact(scratch[:0], it, rest)
		}
		if !fn(e) {
			return false
		}
		rest = rest[size:]
	}
	return true
}

// eachOperand calls fn with each sketch of an argument: one, or a list of them.
// It reports false when one of them is not valid, or there is none.
func eachOperand(p []byte, fn func(s sketch)) bool {
	n, rest := 1, p
	if msgpack.Next(p).Kind == msgpack.List {
		n, rest, _ = listHead(p)
	}
	for range n {
		content, ok := rawContent(rest)
		s, ok2 := openSketch(content)
		if !ok || !ok2 {
			return false
		}
		fn(s)
		rest = rest[msgpack.Skip(rest):]
	}
	return n > 0
}

func operandsOK(p []byte) bool { return eachOperand(p, func(sketch) {}) }

// unionShape says what the union of some sketches looks like.
type unionShape struct {
	index, minhash int
	mixed          bool // minhash bits differ
	n              int  // sketches
}

func (u *unionShape) take(s sketch) {
	switch {
	case u.n == 0:
		u.index, u.minhash = s.index, s.minhash
	default:
		u.index = min(u.index, s.index)
		if s.minhash != u.minhash {
			u.mixed, u.minhash = true, 0
		}
	}
	u.n++
}

// unionBits returns the shape of the union of s, if it exists, and the
// operands.
func unionBits(s sketch, exists bool, operands []byte) unionShape {
	var u unionShape
	if exists {
		u.take(s)
	}
	eachOperand(operands, u.take)
	return u
}

// union appends the union.
func union(dst []byte, u unionShape, s sketch, exists bool, operands []byte) []byte {
	dst, sum := appendSketch(dst, u.index, u.minhash)
	if exists {
		sum.merge(s)
	}
	eachOperand(operands, sum.merge)
	return dst
}

// HLLRead runs a reading HyperLogLog operation on a bin's value. An absent bin
// has no result. Results: IncompatibleType when the bin holds something else;
// Parameter for bad arguments, and for more than three sketches without minhash
// where that is needed.
func HLLRead(dst []byte, v record.Value, exists bool, arg []byte) (result record.Value, out []byte, res record.Result) {
	switch {
	case !exists:
		return record.Value{}, dst, record.OK
	case v.Type != record.HLL:
		return record.Value{}, dst, record.IncompatibleType
	}
	s, ok := openSketch(v.Bytes)
	if !ok {
		return record.Value{}, dst, record.Unknown
	}
	a, rest, ok := parseOp(arg)
	operands := 0
	switch a.op {
	case hllGetCount, hllDescribe:
	case hllGetUnion, hllUnionCount, hllIntersectCount, hllSimilarity, hllMayContain:
		operands = 1
	default:
		ok = false
	}
	if !ok || !a.split(rest, operands, operands) {
		return record.Value{}, dst, record.Parameter
	}
	p := a.args[0]
	switch a.op {
	case hllGetCount:
		return Integer(int64(s.count())), dst, record.OK
	case hllDescribe:
		out = append(dst, 0x92, byte(s.index), byte(s.minhash)) // both are one-byte integers
		return record.Value{Type: record.List, Bytes: tail(out, len(dst))}, out, record.OK
	case hllMayContain:
		if !elementsOK(p) {
			return record.Value{}, dst, record.Parameter
		}
		all := eachElement(p, func(e []byte) bool {
			i, v := s.place(e)
			return v <= s.get(i)
		})
		return Integer(int64(Bool(all).Num)), dst, record.OK
	}
	if !operandsOK(p) {
		return record.Value{}, dst, record.Parameter
	}
	u := unionBits(s, true, p)
	switch a.op {
	case hllGetUnion:
		out = union(dst, u, s, true, p)
		return record.Value{Type: record.HLL, Bytes: tail(out, len(dst))}, out, record.OK
	case hllUnionCount:
		sum := union(dst, u, s, true, p)
		n := sketch{u.index, u.minhash, sum[len(dst):]}.estimate()
		return Integer(int64(n)), dst, record.OK
	}
	if u.n > 3 && (u.mixed || u.minhash == 0) {
		return record.Value{}, dst, record.Parameter
	}
	sets := []sketch{s}
	eachOperand(p, func(o sketch) { sets = append(sets, o) })
	sum := union(dst, u, s, true, p)
	c := compare(u, sets, sketch{u.index, u.minhash, sum[len(dst):]})
	if a.op == hllSimilarity {
		return Float(c.similarity()), dst, record.OK
	}
	return Integer(int64(c.intersect())), dst, record.OK
}

// comparison is a bin's sketch, others to compare it with, and their union.
type comparison struct {
	u    unionShape
	sets []sketch
	sum  sketch
}

func compare(u unionShape, sets []sketch, sum sketch) *comparison {
	return &comparison{u: u, sets: sets, sum: sum}
}

// comparePair compares two sketches.
func comparePair(a, b sketch) *comparison {
	var u unionShape
	u.take(a)
	u.take(b)
	return compare(u, []sketch{a, b}, unionOf(a, b))
}

// intersect estimates how many elements all sketches share.
func (c *comparison) intersect() uint64 {
	if !c.u.mixed && c.u.minhash > 0 {
		j := c.similarity()
		if math.IsNaN(j) {
			return 0
		}
		return uint64(math.Round(j * float64(c.sum.estimate())))
	}
	return c.intersectByCount()
}

// intersectByCount is inclusion and exclusion for two or three sketches. What
// two of them share is never taken to be negative.
func (c *comparison) intersectByCount() uint64 {
	if len(c.sets) == 2 {
		return shared(c.sets[0].count(), c.sets[1].count(), c.sum.estimate())
	}
	plus, minus := c.sum.estimate(), uint64(0)
	for i, a := range c.sets {
		plus += comparePair(a, c.sets[(i+1)%len(c.sets)]).intersect()
		minus += a.count()
	}
	return plus - min(plus, minus)
}

// shared is the size of the intersection of two sets of a and b elements whose
// union has that many.
func shared(a, b, union uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry == 0 && sum < union {
		return 0
	}
	return sum - union
}

// nan is the quiet NaN without a payload, as processors make it.
var nan = math.Float64frombits(0x7ff8 << 48)

// unionOf returns the union of two sketches.
func unionOf(a, b sketch) sketch {
	var u unionShape
	u.take(a)
	u.take(b)
	_, sum := appendSketch(nil, u.index, u.minhash)
	sum.merge(a)
	sum.merge(b)
	return sum
}

// similarity estimates the Jaccard index, NaN for empty sets.
func (c *comparison) similarity() float64 {
	if c.u.mixed || c.u.minhash == 0 {
		return float64(c.intersectByCount()) / float64(c.sum.estimate())
	}
	some, all := false, true
	for _, s := range c.sets {
		some = some || s.hasData()
		all = all && s.hasData()
	}
	switch {
	case !some:
		return nan
	case !all:
		return 0
	}
	return c.registerSimilarity()
}

// registerSimilarity compares minhash registers: how many of those used are
// equal in all sketches, less the collisions to be expected between two.
func (c *comparison) registerSimilarity() float64 {
	folded := make([]sketch, len(c.sets))
	for i, s := range c.sets {
		folded[i] = s
		if s.index != c.u.index {
			_, folded[i] = appendSketch(nil, c.u.index, c.u.minhash)
			folded[i].merge(s)
		}
	}
	equal, used := 0, 0
	for i := range c.sum.registers() {
		v := c.sum.get(i)
		if v == 0 {
			continue
		}
		used++
		same := true
		for _, s := range folded {
			same = same && s.get(i) == v
		}
		if same {
			equal++
		}
	}
	hits := float64(equal)
	if len(c.sets) == 2 {
		hits -= c.collisions(c.sets[0].count(), c.sets[1].count())
	}
	return max(0, hits/float64(used))
}

// collisions is the number of registers in which unrelated sets of a and b
// elements are expected to agree.
func (c *comparison) collisions(a, b uint64) float64 {
	m := float64(c.sum.registers())
	sum := 0.0
	for i := 1; i <= 64; i++ {
		b1, b2 := math.Ldexp(1, -i)/m, math.Ldexp(1, 1-i)/m
		if i == 64 {
			b1 = 0
		}
		sum += (power(1-b1, a) - power(1-b2, a)) * (power(1-b1, b) - power(1-b2, b))
	}
	return sum * m / math.Ldexp(1, c.u.minhash)
}

// power returns x to the n, correctly rounded but for the rarest cases: twice
// the precision of a float64 is carried along. (math.Pow is off in the last
// place often enough for clients to see it.)
func power(x float64, n uint64) float64 {
	hi, lo := 1.0, 0.0
	bh, bl := x, 0.0
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			hi, lo = times(hi, lo, bh, bl)
		}
		bh, bl = times(bh, bl, bh, bl)
	}
	return hi + lo
}

// times multiplies two numbers that are each the sum of two floats.
func times(ah, al, bh, bl float64) (hi, lo float64) {
	p := ah * bh
	e := math.FMA(ah, bh, -p) + (ah*bl + al*bh)
	hi = p + e
	return hi, e - (hi - p)
}
