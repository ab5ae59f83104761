package particle

import (
	"math/bits"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Limits of bit operations.
const (
	maxBlobBytes = 1 << 27 // byte offsets and sizes; a blob must stay below it
	maxBlobBits  = 1 << 30 // bit offsets, sizes and shifts
)

// Bit operations. Reads start at 50.
const (
	bitsResize = iota
	bitsInsert
	bitsRemove
	bitsSet
	bitsOr
	bitsXor
	bitsAnd
	bitsNot
	bitsLShift
	bitsRShift
	bitsAdd
	bitsSubtract
	bitsSetInt

	bitsGet    = 50
	bitsCount  = 51
	bitsLScan  = 52
	bitsRScan  = 53
	bitsGetInt = 54
)

// Flags of bitsResize.
const (
	fromFront  = 1
	growOnly   = 2
	shrinkOnly = 4
)

// Flags of the integer operations.
const (
	intSigned   = 1
	intSaturate = 2
	intWrap     = 4
)

// bitsSpec says what a changing operation takes: an offset first, then what
// stands in its argument list.
type bitsSpec struct {
	least, most int // arguments
	flags       int // which argument holds the policy flags
	allowed     int64
	bytes       bool // offset and size count bytes, not bits
}

var bitsSpecs = [...]bitsSpec{
	bitsResize:   {1, 3, 1, createOnly | updateOnly | noFail, true},
	bitsInsert:   {2, 3, 2, createOnly | updateOnly | noFail, true},
	bitsRemove:   {2, 3, 2, updateOnly | noFail | partial, true},
	bitsSet:      {3, 4, 3, updateOnly | noFail | partial, false},
	bitsOr:       {3, 4, 3, updateOnly | noFail | partial, false},
	bitsXor:      {3, 4, 3, updateOnly | noFail | partial, false},
	bitsAnd:      {3, 4, 3, updateOnly | noFail | partial, false},
	bitsNot:      {2, 3, 2, updateOnly | noFail | partial, false},
	bitsLShift:   {3, 4, 3, updateOnly | noFail | partial, false},
	bitsRShift:   {3, 4, 3, updateOnly | noFail | partial, false},
	bitsAdd:      {3, 5, 3, updateOnly | noFail, false},
	bitsSubtract: {3, 5, 3, updateOnly | noFail, false},
	bitsSetInt:   {3, 4, 3, updateOnly | noFail, false},
}

// bitsOp is a decoded changing operation.
type bitsOp struct {
	op      int
	offset  int64
	size    int64 // bytes of a resize or remove, else bits
	value   []byte
	num     uint64 // operand of an integer operation, or the shift
	flags   int64
	special int64 // flags of a resize or integer operation
}

// BitsModify runs a changing bit operation on a bin's value and returns the new
// one: old itself when a policy flag says to do nothing, of type Null when the
// bin was absent and stays so. t is the type byte of the operation. There is no
// other result.
//
// Results: IncompatibleType when t or the bin is not a plain blob; Parameter
// for bad arguments and for bytes to remove that are not there; BinExists and
// BinNotFound when the flags or the operation forbid to create or to overwrite;
// NotApplicable for bits outside the blob and for integer overflow.
func BitsModify(dst []byte, old record.Value, exists bool, t record.Type, arg []byte) (next record.Value, out []byte, res record.Result) {
	if t != record.Blob {
		return record.Value{}, dst, record.IncompatibleType
	}
	op, ok := parseBits(arg)
	if !ok {
		return record.Value{}, dst, record.Parameter
	}
	if !exists {
		old = record.Value{}
	}
	res = op.permitted(exists)
	if res == record.OK && exists && old.Type != record.Blob {
		return record.Value{}, dst, record.IncompatibleType
	}
	if res == record.OK && !op.reaches(len(old.Bytes)) {
		return record.Value{}, dst, record.Parameter
	}
	if res == record.OK {
		out, res = op.apply(dst, old.Bytes)
	}
	switch {
	case res == record.OK && !exists && len(out) == len(dst):
		return record.Value{}, dst, record.OK // an empty blob is not created
	case res == record.OK:
		return record.Value{Type: record.Blob, Bytes: tail(out, len(dst))}, out, record.OK
	case op.flags&noFail != 0:
		return old, dst, record.OK
	}
	return record.Value{}, dst, res
}

// parseBits decodes and checks the argument of a changing operation.
func parseBits(arg []byte) (op bitsOp, ok bool) {
	a, rest, ok := parseOp(arg)
	if !ok || a.op < 0 || a.op >= int64(len(bitsSpecs)) {
		return op, false
	}
	spec := &bitsSpecs[a.op]
	if !a.split(rest, spec.least, spec.most) {
		return op, false
	}
	op.op = int(a.op)
	var ok1, ok2 bool
	op.flags, ok1 = a.int(spec.flags)
	op.special, ok2 = a.int(spec.flags + 1)
	if !ok1 || !ok2 || op.flags&^spec.allowed != 0 || op.flags&(createOnly|updateOnly) == createOnly|updateOnly {
		return op, false
	}
	if op.op == bitsResize {
		return op, op.parseResize(&a)
	}
	limit := int64(maxBlobBits)
	if spec.bytes {
		limit = maxBlobBytes
	}
	if op.offset, ok = a.int(0); !ok || op.offset > limit || -op.offset > limit {
		return op, false
	}
	if op.offset == -1<<63 { // not caught by the check: as in the original, the front
		op.offset = 0
	}
	if op.op == bitsInsert {
		op.value, ok = a.raw(1)
		return op, ok && len(op.value) > 0
	}
	size, ok := a.int(1)
	if op.size = size; !ok || size <= 0 || size > limit {
		return op, false
	}
	return op, op.parseOperand(&a)
}

func (op *bitsOp) parseResize(a *opArgs) bool {
	size, ok := a.int(0)
	op.size = size
	return ok && size >= 0 && size <= maxBlobBytes &&
		op.special&^(fromFront|growOnly|shrinkOnly) == 0 &&
		op.special&(growOnly|shrinkOnly) != growOnly|shrinkOnly
}

// parseOperand decodes what follows offset and size.
func (op *bitsOp) parseOperand(a *opArgs) bool {
	switch op.op {
	case bitsSet, bitsOr, bitsXor, bitsAnd:
		var ok bool
		op.value, ok = a.raw(2)
		return ok && int64(len(op.value))*8 >= op.size
	case bitsLShift, bitsRShift:
		shift, ok := a.int(2)
		op.num = uint64(shift)
		return ok && shift >= 0 && shift <= maxBlobBits
	case bitsAdd, bitsSubtract, bitsSetInt:
		value, ok := a.int(2)
		op.num = uint64(value)
		return ok && op.size <= 64 && op.special&^(intSigned|intSaturate|intWrap) == 0 &&
			op.special&(intSaturate|intWrap) != intSaturate|intWrap
	}
	return true
}

// permitted judges the policy flags.
func (op *bitsOp) permitted(exists bool) record.Result {
	switch {
	case exists && op.flags&createOnly != 0:
		return record.BinExists
	case !exists && (op.flags&updateOnly != 0 || op.op != bitsResize && op.op != bitsInsert):
		return record.BinNotFound
	}
	return record.OK
}

// reaches says whether the offset is no further before the front than a blob
// of n bytes is long, and the new size allowed: mistakes that noFail does not
// forgive.
func (op *bitsOp) reaches(n int) bool {
	switch op.op {
	case bitsResize:
		return op.size < maxBlobBytes || op.special&shrinkOnly != 0 && op.size > int64(n)
	case bitsInsert, bitsRemove:
		return -op.offset <= int64(n)
	}
	return -op.offset <= 8*int64(n)
}

// apply appends the new blob.
func (op *bitsOp) apply(dst, blob []byte) ([]byte, record.Result) {
	switch op.op {
	case bitsResize:
		return op.resize(dst, blob)
	case bitsInsert:
		return op.insert(dst, blob)
	case bitsRemove:
		return op.remove(dst, blob)
	}
	off, size, res := bitRange(op.offset, op.size, len(blob), op.flags&partial != 0)
	if res != record.OK {
		return dst, res
	}
	start := len(dst)
	out := append(dst, blob...)
	if !op.change(out[start:], off, size) {
		return dst, record.NotApplicable
	}
	return out, record.OK
}

// bitRange resolves an offset and size in bits within n bytes.
func bitRange(offset, size int64, n int, clip bool) (off, bitCount int, res record.Result) {
	total := int64(n) * 8
	if offset < 0 {
		if offset += total; offset < 0 {
			return 0, 0, record.Parameter
		}
	}
	if offset >= total || offset+size > total && !clip {
		return 0, 0, record.NotApplicable
	}
	return int(offset), int(min(size, total-offset)), record.OK
}

// change runs an operation on size bits of the new blob. It reports false on
// integer overflow.
func (op *bitsOp) change(p []byte, off, size int) bool {
	switch op.op {
	case bitsLShift:
		shiftLeft(p, off, size, int(min(op.num, uint64(size))))
		return true
	case bitsRShift:
		shiftRight(p, off, size, int(min(op.num, uint64(size))))
		return true
	case bitsAdd, bitsSubtract, bitsSetInt:
		v, ok := op.compute(loadBits(p, off, size), size)
		if ok {
			storeBits(p, off, size, v)
		}
		return ok
	}
	for i := 0; i < size; i += 64 {
		n := min(64, size-i)
		v := loadBits(p, off+i, n)
		switch op.op {
		case bitsSet:
			v = loadBits(op.value, i, n)
		case bitsOr:
			v |= loadBits(op.value, i, n)
		case bitsXor:
			v ^= loadBits(op.value, i, n)
		case bitsAnd:
			v &= loadBits(op.value, i, n)
		case bitsNot:
			v = ^v
		}
		storeBits(p, off+i, n, v)
	}
	return true
}

// compute returns the new value of an integer of size bits, right aligned. It
// reports false on overflow that the flags do not handle.
func (op *bitsOp) compute(old uint64, size int) (uint64, bool) {
	if op.op == bitsSetInt {
		return op.num, true
	}
	if op.special&intSigned != 0 {
		return op.computeSigned(old, size)
	}
	limit := ^uint64(0) >> (64 - size)
	num := op.num & limit
	var v uint64
	var over bool
	if op.op == bitsAdd {
		sum, carry := bits.Add64(old, num, 0)
		v, over = sum, carry != 0 || sum > limit
	} else {
		v, over = old-num, num > old
	}
	switch {
	case !over || op.special&intWrap != 0:
		return v, true
	case op.special&intSaturate == 0:
		return 0, false
	case op.op == bitsAdd:
		return limit, true
	}
	return 0, true
}

// computeSigned is compute for two's complement. To subtract is to add the
// negated operand, also when that is the one number without a negation. As in
// the original, twice the smallest number makes 0 and is no overflow.
func (op *bitsOp) computeSigned(old uint64, size int) (uint64, bool) {
	num := op.num
	if op.op == bitsSubtract {
		num = -num
	}
	a, b := signExtend(old, size), signExtend(num, size)
	v := signExtend(old+num, size)
	over := a > 0 && b > 0 && v < 0 || a < 0 && b < 0 && v > 0
	high := ^uint64(0) >> 1 >> (64 - size)
	switch {
	case !over || op.special&intWrap != 0:
		return uint64(v), true
	case op.special&intSaturate == 0:
		return 0, false
	case b > 0:
		return high, true
	}
	return ^high, true
}

// signExtend returns the low size bits of v as a signed number.
func signExtend(v uint64, size int) int64 { return int64(v<<(64-size)) >> (64 - size) }

func (op *bitsOp) resize(dst, blob []byte) ([]byte, record.Result) {
	n := int(op.size)
	if op.special&growOnly != 0 && n < len(blob) || op.special&shrinkOnly != 0 && n > len(blob) {
		return dst, record.Parameter
	}
	keep := blob[:min(n, len(blob))]
	if op.special&fromFront != 0 {
		keep = blob[len(blob)-len(keep):]
		dst = appendZeros(dst, n-len(keep))
		return append(dst, keep...), record.OK
	}
	return appendZeros(append(dst, keep...), n-len(keep)), record.OK
}

func (op *bitsOp) insert(dst, blob []byte) ([]byte, record.Result) {
	at := op.offset
	if at < 0 {
		if at += int64(len(blob)); at < 0 {
			return dst, record.Parameter
		}
	}
	gap := max(0, int(at)-len(blob))
	if len(blob)+gap+len(op.value) >= maxBlobBytes {
		return dst, record.Parameter
	}
	cut := min(int(at), len(blob))
	dst = appendZeros(append(dst, blob[:cut]...), gap)
	return append(append(dst, op.value...), blob[cut:]...), record.OK
}

func (op *bitsOp) remove(dst, blob []byte) ([]byte, record.Result) {
	at, n := op.offset, int64(len(blob))
	if at < 0 {
		at += n
	}
	if at < 0 || at >= n || at+op.size > n && op.flags&partial == 0 {
		return dst, record.Parameter
	}
	end := min(at+op.size, n)
	return append(append(dst, blob[:at]...), blob[end:]...), record.OK
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

// BitsRead runs a reading bit operation on a bin's value. An absent bin has no
// result. Results: as with BitsModify.
func BitsRead(dst []byte, v record.Value, exists bool, t record.Type, arg []byte) (result record.Value, out []byte, res record.Result) {
	switch {
	case !exists:
		return record.Value{}, dst, record.OK
	case t != record.Blob:
		return record.Value{}, dst, record.IncompatibleType
	}
	a, rest, ok := parseOp(arg)
	least, most := 2, 2
	switch a.op {
	case bitsGet, bitsCount:
	case bitsLScan, bitsRScan:
		least, most = 3, 3
	case bitsGetInt:
		most = 3
	default:
		ok = false
	}
	if !ok || !a.split(rest, least, most) {
		return record.Value{}, dst, record.Parameter
	}
	offset, ok := a.int(0)
	size, ok2 := a.int(1)
	if !ok || !ok2 || offset > maxBlobBits || -offset > maxBlobBits || size <= 0 || size > maxBlobBits || a.op == bitsGetInt && size > 64 {
		return record.Value{}, dst, record.Parameter
	}
	if offset == -1<<63 {
		offset = 0
	}
	want, signed, ok := bitsReadFlag(&a)
	if !ok {
		return record.Value{}, dst, record.Parameter
	}
	if v.Type != record.Blob {
		return record.Value{}, dst, record.IncompatibleType
	}
	off, n, res := bitRange(offset, size, len(v.Bytes), false)
	if res != record.OK {
		return record.Value{}, dst, res
	}
	switch a.op {
	case bitsGet:
		out = appendBits(dst, v.Bytes, off, n)
		return record.Value{Type: record.Blob, Bytes: tail(out, len(dst))}, out, record.OK
	case bitsCount:
		return Integer(int64(countBits(v.Bytes, off, n))), dst, record.OK
	case bitsLScan:
		return Integer(int64(scanLeft(v.Bytes, off, n, want))), dst, record.OK
	case bitsRScan:
		return Integer(int64(scanRight(v.Bytes, off, n, want))), dst, record.OK
	}
	x := loadBits(v.Bytes, off, n)
	if signed {
		x = uint64(signExtend(x, n))
	}
	return Integer(int64(x)), dst, record.OK
}

// bitsReadFlag decodes the third argument of a read: the bit that a scan looks
// for, or whether an integer is signed.
func bitsReadFlag(a *opArgs) (want, signed, ok bool) {
	switch a.op {
	case bitsLScan, bitsRScan:
		k := msgpack.Next(a.args[2]).Kind
		return k == msgpack.True, false, k == msgpack.True || k == msgpack.False
	case bitsGetInt:
		flags, ok := a.int(2)
		return false, flags&intSigned != 0, ok && flags&^intSigned == 0
	}
	return false, false, true
}
