package cdt

import (
	"encoding/binary"
	"math"

	"github.com/ashlardb/ashlar/engine/msgpack"
)

// Outer operations of an argument.
const (
	opSelect  = 0xfe
	opContext = 0xff
)

// maxArgs is the largest number of arguments an operation takes.
const maxArgs = 4

// call is a decoded operation. Its arguments are views of the argument.
type call struct {
	op   *opSpec
	args [maxArgs][]byte // msgpack; nil for those left out
	n    int
}

// outer is the outermost array of an argument, before its operation is judged.
type outer struct {
	op   int64  // operation of the innermost array; opSelect for a path
	ctx  []byte // the context's msgpack, nil without one
	args []byte // what follows the operation number
	n    int    // values in args
	cut  bool   // what follows the context cannot be read, or the context itself
}

// parseOuter splits an argument. Bytes behind it are ignored.
func parseOuter(arg []byte) (o outer, ok bool) {
	if len(arg) > 0 && arg[0] == 0 {
		return parseLegacy(arg)
	}
	n, rest, ok := listHead(arg)
	if !ok || n == 0 {
		return o, false
	}
	if o.op, rest, ok = takeInt(rest); !ok {
		return o, false
	}
	switch o.op {
	case opContext:
		if n != 3 {
			return outer{ctx: rest[:0], cut: true}, true
		}
		size := msgpack.Skip(rest)
		if size == 0 {
			o.ctx, o.cut = rest, true
			return o, true
		}
		o.ctx, rest = rest[:size], rest[size:]
		if n, rest, ok = listHead(rest); !ok || n == 0 {
			o.cut = true
			return o, true
		}
		if o.op, rest, ok = takeInt(rest); !ok {
			o.cut = true
			return o, true
		}
		if o.op == opContext || o.op == opSelect {
			o.op = -1 // not an operation
		}
	case opSelect:
		size := msgpack.Skip(rest)
		if size == 0 {
			return outer{op: opSelect, ctx: rest[:0]}, true
		}
		o.ctx, rest = rest[:size], rest[size:]
		n--
	}
	o.op = int64(uint32(o.op)) // the original looks at 32 bits
	o.args, o.n = rest, n-1
	return o, true
}

// parseLegacy splits the old form: a 16-bit operation and an array of
// arguments, which may be left out.
func parseLegacy(arg []byte) (o outer, ok bool) {
	if len(arg) < 2 {
		return o, false
	}
	if o.op = int64(binary.BigEndian.Uint16(arg)); o.op == opContext {
		return outer{ctx: arg[:0], cut: true}, true
	}
	if arg = arg[2:]; len(arg) == 0 {
		return o, true
	}
	o.n, o.args, ok = listHead(arg)
	return o, ok
}

// listHead steps into a list. The elements need not be there.
func listHead(p []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(p) == 0:
	case p[0]&0xf0 == 0x90:
		return int(p[0] & 0x0f), p[1:], true
	case p[0] == 0xdc && len(p) >= 3:
		return int(binary.BigEndian.Uint16(p[1:])), p[3:], true
	case p[0] == 0xdd && len(p) >= 5:
		return int(binary.BigEndian.Uint32(p[1:])), p[5:], true
	}
	return 0, nil, false
}

// takeInt reads an integer and steps over it.
func takeInt(p []byte) (v int64, rest []byte, ok bool) {
	it := msgpack.Next(p)
	if !it.IsInt() {
		return 0, nil, false
	}
	return int64(it.Num), p[it.Head:], true
}

// decode separates the arguments of c's operation. It reports false when there
// are too few, too many or broken ones.
func (o *outer) decode(c *call) bool {
	c.n = o.n
	switch {
	case c.op.max == anyArgs:
		c.n = 0
	case o.n < int(c.op.min) || o.n > int(c.op.max):
		return false
	}
	rest := o.args
	for i := range maxArgs {
		if i >= c.n {
			c.args[i] = nil
			continue
		}
		size := msgpack.Skip(rest)
		if size == 0 {
			return false
		}
		c.args[i], rest = rest[:size], rest[size:]
	}
	return true
}

// has says whether argument i was given.
func (c *call) has(i int) bool { return i < c.n }

// int returns argument i as an integer.
func (c *call) int(i int) (int64, bool) {
	it := msgpack.Next(c.args[i])
	return int64(it.Num), it.IsInt()
}

// intOr returns argument i as an integer, def when it was left out.
func (c *call) intOr(i int, def int64) (int64, bool) {
	if !c.has(i) {
		return def, true
	}
	return c.int(i)
}

// toEnd is the count of a range without one. It is not infinite: as in the
// original, a start so far before the front that it uses up even this count
// selects nothing.
const toEnd = math.MaxUint32

// count returns argument i as an unsigned count, toEnd when it was left out.
func (c *call) count(i int) (uint64, bool) {
	n, ok := c.intOr(i, toEnd)
	return uint64(n), ok
}
