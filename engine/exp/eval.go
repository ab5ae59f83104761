package exp

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Record is what expressions see of a record. Bins in stored form; Meta and
// bins are views that need only live as long as the evaluation.
type Record struct {
	Meta     *record.Meta
	Bins     []record.NamedValue
	Size     int         // of the stored record in bytes
	InMemory bool        // the namespace has no device
	Now      record.Time // for TTL and SINCE_UPDATE
}

// value is the outcome of an expression. Its type is the node's. Booleans,
// integers and floats stand in num, everything else in bytes.
type value struct {
	known bool
	num   uint64
	bytes []byte
}

func number(n uint64) value { return value{known: true, num: n} }
func float(f float64) value { return number(math.Float64bits(f)) }
func (v value) float() float64 {
	return math.Float64frombits(v.num)
}

func boolean(b bool) value {
	if b {
		return number(1)
	}
	return number(0)
}

func (v value) isTrue() bool  { return v.known && v.num != 0 }
func (v value) isFalse() bool { return v.known && v.num == 0 }

// inlineVars is how many variables an evaluation holds without allocating.
const inlineVars = 8

// Match reports whether a record passes the filter: whether it is true, and
// neither false nor unknown.
func (p *Program) Match(rec *Record) bool {
	var room [inlineVars]value
	e := evaluation{rec: rec, vars: room[:]}
	if p.vars > inlineVars {
		e.vars = make([]value, p.vars)
	}
	return e.eval(p.root).isTrue()
}

// evaluation is the state of one evaluation.
type evaluation struct {
	rec  *Record
	vars []value
}

func (e *evaluation) eval(x *node) value {
	switch x.op {
	case opLiteral:
		return x.val
	case opUnknown:
		return value{}
	case opEQ, opNE, opGT, opGE, opLT, opLE:
		return e.compare(x)
	case opAnd:
		return e.all(x, value.isFalse, false)
	case opOr:
		return e.all(x, value.isTrue, true)
	case opNot:
		v := e.eval(x.args[0])
		v.num ^= 1
		return v
	case opExclusive:
		return e.exclusive(x)
	case opCond:
		return e.cond(x)
	case opLet:
		last := len(x.args) - 1
		for i, arg := range x.args[:last] {
			e.vars[x.slot+i] = e.eval(arg)
		}
		return e.eval(x.args[last])
	case opVar:
		return e.vars[x.slot]
	case opKey:
		return e.key(x)
	case opBin:
		return e.bin(x)
	case opBinType:
		if b := e.find(x.name); b != nil {
			return number(uint64(b.Value.Type))
		}
		return number(0)
	}
	if x.op >= opDigestModulo && x.op <= opRecordSize {
		return e.metadata(x)
	}
	return e.arithmetic(x)
}

func (e *evaluation) compare(x *node) value {
	a, b := e.eval(x.args[0]), e.eval(x.args[1])
	if !a.known || !b.known {
		return value{}
	}
	c := 0
	switch x.args[0].typ {
	case Bool:
		c = cmp.Compare(a.num, b.num)
	case Int:
		c = cmp.Compare(int64(a.num), int64(b.num))
	case Float:
		return boolean(compareFloats(x.op, a.float(), b.float()))
	case String, Blob:
		c = bytes.Compare(a.bytes, b.bytes)
	case List, Map:
		c = msgpack.Compare(a.bytes, b.bytes)
	}
	switch x.op {
	case opEQ:
		return boolean(c == 0)
	case opNE:
		return boolean(c != 0)
	case opGT:
		return boolean(c > 0)
	case opGE:
		return boolean(c >= 0)
	case opLT:
		return boolean(c < 0)
	}
	return boolean(c <= 0)
}

func compareFloats(op opcode, a, b float64) bool {
	switch op {
	case opEQ:
		return a == b
	case opNE:
		return a != b
	case opGT:
		return a > b
	case opGE:
		return a >= b
	case opLT:
		return a < b
	}
	return a <= b
}

// all evaluates AND and OR: the first argument that decides ends it; without
// one the result is the other value, or unknown if any argument was.
func (e *evaluation) all(x *node, decides func(value) bool, decided bool) value {
	result := boolean(!decided)
	for _, arg := range x.args {
		v := e.eval(arg)
		if decides(v) {
			return boolean(decided)
		}
		if !v.known {
			result = value{}
		}
	}
	return result
}

// exclusive is true when exactly one argument is.
func (e *evaluation) exclusive(x *node) value {
	found := false
	for _, arg := range x.args {
		v := e.eval(arg)
		if !v.known {
			return v
		}
		if v.isTrue() {
			if found {
				return boolean(false)
			}
			found = true
		}
	}
	return boolean(found)
}

func (e *evaluation) cond(x *node) value {
	last := len(x.args) - 1
	for i := 0; i < last; i += 2 {
		c := e.eval(x.args[i])
		if !c.known {
			return value{}
		}
		if c.isTrue() {
			return e.eval(x.args[i+1])
		}
	}
	return e.eval(x.args[last])
}

func (e *evaluation) find(name []byte) *record.NamedValue {
	for i := range e.rec.Bins {
		if bytes.Equal(e.rec.Bins[i].Name, name) {
			return &e.rec.Bins[i]
		}
	}
	return nil
}

func (e *evaluation) bin(x *node) value {
	b := e.find(x.name)
	if b == nil || b.Value.Type != particles[x.typ] {
		return value{}
	}
	return value{known: true, num: b.Value.Num, bytes: b.Value.Bytes}
}

func (e *evaluation) key(x *node) value {
	key := e.rec.Meta.Key
	if len(key) == 0 || record.Type(key[0]) != particles[x.typ] {
		return value{}
	}
	if x.typ != Int {
		return value{known: true, bytes: key[1:]}
	}
	if len(key) != 1+8 {
		return value{}
	}
	return number(binary.BigEndian.Uint64(key[1:]))
}

const never = ^uint64(0) // -1

func (e *evaluation) metadata(x *node) value {
	rec, m := e.rec, e.rec.Meta
	switch x.op {
	case opDigestModulo:
		n := int64(binary.LittleEndian.Uint32(m.Digest[16:]))
		return number(uint64(n % int64(x.val.num)))
	case opDeviceSize:
		if rec.InMemory {
			return number(0)
		}
		return number(uint64(rec.Size))
	case opMemorySize:
		if !rec.InMemory {
			return number(0)
		}
		return number(uint64(rec.Size))
	case opRecordSize:
		return number(uint64(rec.Size))
	case opLastUpdate:
		return number((uint64(m.LUT) + record.EpochUnix*1000) * 1e6)
	case opSinceUpdate:
		return number(uint64(max(rec.Now, m.LUT) - m.LUT))
	case opVoidTime:
		if m.VoidTime == 0 {
			return number(never)
		}
		return number((uint64(m.VoidTime) + record.EpochUnix) * 1e9)
	case opTTL:
		if m.VoidTime == 0 {
			return number(never)
		}
		now := rec.Now.Seconds()
		return number(uint64(max(m.VoidTime, now) - now))
	case opSetName:
		return value{known: true, bytes: m.Set}
	case opKeyExists:
		return boolean(len(m.Key) != 0)
	}
	return boolean(false) // IS_TOMBSTONE: expressions only meet live records
}

// arithmetic evaluates operations on numbers; all arguments are evaluated, and
// one unknown makes the result unknown.
func (e *evaluation) arithmetic(x *node) value {
	acc := e.eval(x.args[0])
	if !acc.known {
		return value{}
	}
	if len(x.args) == 1 {
		return unary(x, acc)
	}
	if x.op == opDiv {
		return e.divide(x, acc)
	}
	for _, arg := range x.args[1:] {
		v := e.eval(arg)
		if !v.known {
			return value{}
		}
		if x.args[0].typ == Float {
			acc = float(binaryFloat(x.op, acc.float(), v.float()))
		} else if acc = binaryInt(x.op, int64(acc.num), int64(v.num)); !acc.known {
			return value{}
		}
	}
	return acc
}

// divide divides the first argument by the product of the others.
func (e *evaluation) divide(x *node, first value) value {
	n, f := uint64(1), 1.0
	for _, arg := range x.args[1:] {
		v := e.eval(arg)
		if !v.known {
			return value{}
		}
		n *= v.num
		f *= v.float()
	}
	if x.typ == Float {
		return float(first.float() / f)
	}
	return quotient(int64(first.num), int64(n))
}

// quotient divides as the machine does, towards 0; -2^63 by -1 wraps around.
func quotient(a, b int64) value {
	if b == 0 {
		return value{}
	}
	return number(uint64(a / b))
}

// unary evaluates operations with one argument, those that may have more
// included.
func unary(x *node, v value) value {
	isFloat := x.args[0].typ == Float
	switch x.op {
	case opSub:
		if isFloat {
			return float(-v.float())
		}
		return number(-v.num)
	case opDiv:
		if isFloat {
			return float(1 / v.float())
		}
		return quotient(1, int64(v.num))
	case opAbs:
		if isFloat {
			return float(math.Abs(v.float()))
		}
		if int64(v.num) < 0 {
			return number(-v.num)
		}
	case opFloor:
		return float(math.Floor(v.float()))
	case opCeil:
		return float(math.Ceil(v.float()))
	case opToInt:
		return number(uint64(toInt(v.float())))
	case opToFloat:
		return float(float64(int64(v.num)))
	case opIntNot:
		return number(^v.num)
	case opIntCount:
		return number(uint64(bits.OnesCount64(v.num)))
	}
	return v // ADD, MUL, MIN, MAX and the integer bits of one argument
}

// toInt truncates; what does not fit gives the smallest integer.
func toInt(f float64) int64 {
	if f >= -(1<<63) && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

func binaryFloat(op opcode, a, b float64) float64 {
	switch op {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	case opPow:
		return math.Pow(a, b)
	case opLog:
		return math.Log(a) / math.Log(b)
	case opMin:
		if b < a {
			return b
		}
		return a
	}
	if b > a { // MAX
		return b
	}
	return a
}

func binaryInt(op opcode, a, b int64) value {
	switch op {
	case opAdd:
		a += b
	case opSub:
		a -= b
	case opMul:
		a *= b
	case opMod:
		if b == 0 {
			return value{}
		}
		a %= b
	case opIntAnd:
		a &= b
	case opIntOr:
		a |= b
	case opIntXor:
		a ^= b
	case opLShift:
		a <<= uint64(b) & 63
	case opRShift:
		a = int64(uint64(a) >> (uint64(b) & 63))
	case opARShift:
		a >>= uint64(b) & 63
	case opLScan:
		return number(uint64(scan(uint64(a), b != 0, bits.LeadingZeros64)))
	case opRScan:
		return number(uint64(scan(uint64(a), b != 0, func(w uint64) int { return 63 - bits.TrailingZeros64(w) })))
	case opMin:
		a = min(a, b)
	case opMax:
		a = max(a, b)
	}
	return number(uint64(a))
}

// scan finds a bit of the wanted value, counted from the most significant, -1
// if there is none.
func scan(word uint64, want bool, find func(uint64) int) int64 {
	if !want {
		word = ^word
	}
	if word == 0 {
		return -1
	}
	return int64(find(word))
}
