package exp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// ErrInvalid says that an expression cannot be compiled.
var ErrInvalid = errors.New("invalid expression")

// Limits of an expression.
const (
	maxDepth = 4096    // nested operations
	maxSize  = 1 << 20 // bytes, packed
)

// Program is a compiled expression.
type Program struct {
	root *node
	vars int // variables alive at once, at most
}

// node is one operation with its arguments, or a literal.
type node struct {
	op   opcode
	typ  Type
	args []*node
	val  value  // of a literal
	name []byte // of BIN and BIN_TYPE
	slot int    // of VAR, and of the first variable of LET
}

// CompileFilter compiles a packed expression of type bool. The Program keeps a
// copy of what it needs of packed. Errors wrap ErrInvalid.
func CompileFilter(packed []byte) (*Program, error) {
	if len(packed) > maxSize {
		return nil, fmt.Errorf("exp: %d bytes, want at most %d: %w", len(packed), maxSize, ErrInvalid)
	}
	c := compiler{p: bytes.Clone(packed)}
	root, err := c.expression()
	if err != nil {
		return nil, fmt.Errorf("exp: %w", err)
	}
	if len(c.p) != 0 {
		return nil, fmt.Errorf("exp: %d bytes after the expression: %w", len(c.p), ErrInvalid)
	}
	if !root.typ.fits(Bool) {
		return nil, fmt.Errorf("exp: filter of type %d, want bool: %w", root.typ, ErrInvalid)
	}
	return &Program{root: root, vars: c.maxVars}, nil
}

// compiler is the state of one compilation.
type compiler struct {
	p       []byte // what is not yet read
	depth   int
	vars    []variable // in scope
	maxVars int
}

type variable struct {
	name []byte
	typ  Type
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInvalid)...)
}

// next reads the header of the value in front. Its content follows in c.p.
func (c *compiler) next() (msgpack.Item, error) {
	it := msgpack.Next(c.p)
	if it.Kind == msgpack.Invalid {
		return it, invalid("bytes cut short")
	}
	c.p = c.p[it.Head:]
	return it, nil
}

// take reads n bytes of content.
func (c *compiler) take(n uint32) []byte {
	p := c.p[:n:n]
	c.p = c.p[n:]
	return p
}

// expression compiles the value in front.
func (c *compiler) expression() (*node, error) {
	whole := c.p
	it, err := c.next()
	if err != nil {
		return nil, err
	}
	switch it.Kind {
	case msgpack.Nil:
		return literal(Nil, value{known: true}), nil
	case msgpack.False:
		return literal(Bool, boolean(false)), nil
	case msgpack.True:
		return literal(Bool, boolean(true)), nil
	case msgpack.Negative, msgpack.Positive:
		return literal(Int, number(it.Num)), nil
	case msgpack.Double:
		return literal(Float, number(it.Num)), nil
	case msgpack.String:
		return literal(String, value{known: true, bytes: c.take(it.Len)[1:]}), nil
	case msgpack.Bytes:
		return c.blob(it.Len)
	case msgpack.Map:
		return c.container(Map, whole)
	case msgpack.List:
		return c.operation(int(it.Len))
	}
	return nil, invalid("a literal of kind %d", it.Kind)
}

func literal(t Type, v value) *node { return &node{op: opLiteral, typ: t, val: v} }

func (c *compiler) blob(n uint32) (*node, error) {
	p := c.take(n)
	if n == 0 {
		return nil, invalid("a raw value without a type")
	}
	switch p[0] {
	case msgpack.PrefixBlob:
		return literal(Blob, value{known: true, bytes: p[1:]}), nil
	case msgpack.PrefixHLL:
		return literal(HLL, value{known: true, bytes: p[1:]}), nil
	}
	return nil, invalid("a raw value of type %d, want string, blob or HLL", p[0])
}

// container makes a literal of the whole value at the start of p.
func (c *compiler) container(t Type, p []byte) (*node, error) {
	n := msgpack.Skip(p)
	if n <= 0 {
		return nil, invalid("bytes cut short")
	}
	c.p = p[n:]
	return literal(t, value{known: true, bytes: p[:n:n]}), nil
}

// integer reads an integer that must be a literal.
func (c *compiler) integer() (int64, error) {
	it, err := c.next()
	if err != nil {
		return 0, err
	}
	if !it.IsInt() {
		return 0, invalid("a value of kind %d, want an integer", it.Kind)
	}
	return int64(it.Num), nil
}

// text reads a name: raw bytes without a type in front.
func (c *compiler) text() ([]byte, error) {
	it, err := c.next()
	if err != nil {
		return nil, err
	}
	if !it.IsRaw() {
		return nil, invalid("a value of kind %d, want a name", it.Kind)
	}
	return c.take(it.Len), nil
}

// operation compiles an array of n elements, opcode included.
func (c *compiler) operation(n int) (*node, error) {
	if n == 0 {
		return nil, invalid("an operation without an opcode")
	}
	if c.depth++; c.depth > maxDepth {
		return nil, invalid("more than %d nested operations", maxDepth)
	}
	defer func() { c.depth-- }()
	code, err := c.integer()
	if err != nil {
		return nil, err
	}
	x := &node{op: opcode(code)}
	if special, ok := c.special(x.op); ok {
		return x, special(x, n-1)
	}
	r, ok := rules[x.op]
	if !ok {
		return nil, invalid("opcode %d: not known or not supported", code)
	}
	if n-1 < r.least || n-1 > r.most {
		return nil, invalid("opcode %d with %d arguments, want %d to %d", code, n-1, r.least, r.most)
	}
	for range n - 1 {
		arg, err := c.expression()
		if err != nil {
			return nil, err
		}
		x.args = append(x.args, arg)
	}
	if x.typ, ok = r.check(x.args); !ok {
		return nil, invalid("opcode %d with arguments of the wrong types", code)
	}
	return x, nil
}

// special returns how operations are compiled whose arguments are not simply
// expressions.
func (c *compiler) special(op opcode) (func(x *node, n int) error, bool) {
	switch op {
	case opDigestModulo:
		return c.digestModulo, true
	case opKey:
		return c.key, true
	case opBin:
		return c.bin, true
	case opBinType:
		return c.binType, true
	case opCond:
		return c.cond, true
	case opVar:
		return c.variable, true
	case opLet:
		return c.let, true
	case opQuote:
		return c.quote, true
	}
	return nil, false
}

func (c *compiler) digestModulo(x *node, n int) (err error) {
	if n != 1 {
		return invalid("DIGEST_MODULO with %d arguments, want 1", n)
	}
	mod, err := c.integer()
	if err != nil {
		return err
	}
	if mod == 0 {
		return invalid("DIGEST_MODULO by 0")
	}
	x.typ, x.val = Int, number(uint64(mod))
	return nil
}

// typeCode reads a type.
func (c *compiler) typeCode() (Type, error) {
	t, err := c.integer()
	if err != nil {
		return 0, err
	}
	if t < 0 || t >= int64(nTypes) {
		return 0, invalid("type %d, want 0 to %d", t, nTypes-1)
	}
	return Type(t), nil
}

func (c *compiler) key(x *node, n int) (err error) {
	if n != 1 {
		return invalid("KEY with %d arguments, want 1", n)
	}
	if x.typ, err = c.typeCode(); err != nil {
		return err
	}
	if x.typ != Int && x.typ != String && x.typ != Blob {
		return invalid("KEY of type %d, want integer, string or blob", x.typ)
	}
	return nil
}

func (c *compiler) bin(x *node, n int) (err error) {
	if n != 2 {
		return invalid("BIN with %d arguments, want 2", n)
	}
	if x.typ, err = c.typeCode(); err != nil {
		return err
	}
	x.name, err = c.binName()
	return err
}

func (c *compiler) binType(x *node, n int) (err error) {
	if n != 1 {
		return invalid("BIN_TYPE with %d arguments, want 1", n)
	}
	x.typ = Int
	x.name, err = c.binName()
	return err
}

func (c *compiler) binName() ([]byte, error) {
	name, err := c.text()
	if err != nil {
		return nil, err
	}
	if len(name) > record.MaxBinName || bytes.IndexByte(name, 0) >= 0 {
		return nil, invalid("bin name %q, want at most %d bytes, none of them 0", name, record.MaxBinName)
	}
	return name, nil
}

// cond compiles condition, value, condition, value, ..., value. All values
// have one type; UNKNOWN fits any.
func (c *compiler) cond(x *node, n int) error {
	if n < 3 || n%2 == 0 {
		return invalid("COND with %d arguments, want an odd number from 3 on", n)
	}
	x.typ = Any
	for i := range n {
		arg, err := c.expression()
		if err != nil {
			return err
		}
		x.args = append(x.args, arg)
		if i%2 == 0 && i != n-1 {
			if !arg.typ.fits(Bool) {
				return invalid("COND: condition of type %d, want bool", arg.typ)
			}
			continue
		}
		switch {
		case x.typ == Any:
			x.typ = arg.typ
		case arg.typ != Any && arg.typ != x.typ:
			return invalid("COND: values of types %d and %d, want one type", x.typ, arg.typ)
		}
	}
	return nil
}

// let compiles name, value, name, value, ..., body.
func (c *compiler) let(x *node, n int) error {
	if n < 3 || n%2 == 0 {
		return invalid("LET with %d arguments, want an odd number from 3 on", n)
	}
	x.slot = len(c.vars)
	for range n / 2 {
		name, err := c.text()
		if err != nil {
			return err
		}
		if !validVariable(name) {
			return invalid("variable name %q", name)
		}
		if c.lookup(name) >= 0 {
			return invalid("variable %q is defined twice", name)
		}
		arg, err := c.expression()
		if err != nil {
			return err
		}
		x.args = append(x.args, arg)
		c.vars = append(c.vars, variable{name, arg.typ})
		c.maxVars = max(c.maxVars, len(c.vars))
	}
	body, err := c.expression()
	if err != nil {
		return err
	}
	x.args, x.typ = append(x.args, body), body.typ
	c.vars = c.vars[:x.slot]
	return nil
}

func (c *compiler) variable(x *node, n int) error {
	if n != 1 {
		return invalid("VAR with %d arguments, want 1", n)
	}
	name, err := c.text()
	if err != nil {
		return err
	}
	if x.slot = c.lookup(name); x.slot < 0 {
		return invalid("variable %q is not defined", name)
	}
	x.typ = c.vars[x.slot].typ
	return nil
}

// lookup returns a variable's slot, or -1.
func (c *compiler) lookup(name []byte) int {
	for i := range c.vars {
		if bytes.Equal(c.vars[i].name, name) {
			return i
		}
	}
	return -1
}

// validVariable reports whether name is letters, digits and underscores, no
// digit first.
func validVariable(name []byte) bool {
	for i, b := range name {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_'
		if !letter && (i == 0 || b < '0' || b > '9') {
			return false
		}
	}
	return len(name) > 0
}

func (c *compiler) quote(x *node, n int) error {
	if n != 1 || msgpack.Next(c.p).Kind != msgpack.List {
		return invalid("QUOTE: want one list")
	}
	list, err := c.container(List, c.p)
	if err != nil {
		return err
	}
	*x = *list
	return nil
}
