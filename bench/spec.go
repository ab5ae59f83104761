package bench

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Limits of an object spec.
const (
	maxSpecBytes = 8 << 20 // of one string or blob
	maxSpecItems = 1 << 20 // of one multiplier
	maxSpecDepth = 32
)

// spec is one value of an object specification.
//
//	I, I1..I8     integer that fits in so many bytes (I alone: 4)
//	D             double
//	b             boolean
//	S<n>, B<n>    string of letters, blob of bytes
//	[a,b,3*c]     list; a multiplier repeats an element
//	{k:v,3*k:v}   map; the keys are integers, strings or blobs
//	<n>*          before a top-level value: so many bins
type spec struct {
	kind  byte // one of I D b S B [ {
	size  int  // of I, S, B in bytes
	times int  // multiplier, 1 by default
	items []spec
	value *spec // of a map's entry; the spec itself is its key
}

// parseSpecs reads a whole object specification: values separated by commas,
// a bin each.
func parseSpecs(text string) ([]spec, error) {
	p := &specParser{text: text}
	bins, err := p.list(false, 0)
	if err != nil {
		return nil, fmt.Errorf("object spec %q: %w", text, err)
	}
	if p.at < len(text) {
		return nil, fmt.Errorf("object spec %q: %q at position %d: want a comma or the end", text, text[p.at:], p.at)
	}
	return bins, nil
}

type specParser struct {
	text string
	at   int
}

func (p *specParser) peek() byte {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// list reads values separated by commas; with entries, those of a map.
func (p *specParser) list(entries bool, depth int) ([]spec, error) {
	var items []spec
	for {
		item, err := p.item(entries, depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if p.peek() != ',' {
			return items, nil
		}
		p.at++
	}
}

func (p *specParser) item(entry bool, depth int) (spec, error) {
	if depth > maxSpecDepth {
		return spec{}, fmt.Errorf("nested deeper than %d", maxSpecDepth)
	}
	s, err := p.value(depth)
	if err != nil || !entry {
		return s, err
	}
	if s.kind != 'I' && s.kind != 'S' && s.kind != 'B' {
		return spec{}, fmt.Errorf("map key at position %d: want I, S or B", p.at)
	}
	if p.peek() != ':' {
		return spec{}, fmt.Errorf("position %d: want ':' and the value of a map entry", p.at)
	}
	p.at++
	v, err := p.value(depth)
	if err != nil {
		return spec{}, err
	}
	s.value = &v
	return s, nil
}

func (p *specParser) value(depth int) (spec, error) {
	s := spec{times: 1, size: -1}
	if n, ok := p.number(); ok {
		if p.peek() != '*' || n < 1 || n > maxSpecItems {
			return spec{}, fmt.Errorf("position %d: want a multiplier from 1 to %d and '*'", p.at, maxSpecItems)
		}
		p.at++
		s.times = n
	}
	start := p.at
	s.kind = p.peek()
	p.at++
	switch s.kind {
	case 'I':
		if n, ok := p.number(); ok {
			s.size = n
		} else {
			s.size = 4
		}
		if s.size < 1 || s.size > 8 {
			return spec{}, fmt.Errorf("integer I%d: want I1 to I8", s.size)
		}
	case 'D', 'b':
	case 'S', 'B':
		n, ok := p.number()
		if !ok || n > maxSpecBytes {
			return spec{}, fmt.Errorf("position %d: want %c and a size up to %d", start, s.kind, maxSpecBytes)
		}
		s.size = n
	case '[', '{':
		closing := map[byte]byte{'[': ']', '{': '}'}[s.kind]
		if p.peek() != closing {
			var err error
			if s.items, err = p.list(s.kind == '{', depth+1); err != nil {
				return spec{}, err
			}
		}
		if p.peek() != closing {
			return spec{}, fmt.Errorf("position %d: want ',' or '%c'", p.at, closing)
		}
		p.at++
	default:
		return spec{}, fmt.Errorf("position %d: want I, D, b, S, B, [ or {", start)
	}
	return s, nil
}

// number reads decimal digits.
func (p *specParser) number() (int, bool) {
	p.peek()
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.Atoi(p.text[start:p.at])
	return n, err == nil
}

// values makes random contents.
type values struct {
	r        *rng
	compress float64 // share of strings and blobs that is random, 0 to 1
}

// op returns a write operation with a random value of the spec.
func (v *values) op(name string, s *spec) record.Op {
	op := record.Op{Code: record.OpWrite, Name: []byte(name)}
	switch s.kind {
	case 'I':
		op.Type, op.Value = record.Integer, binary.BigEndian.AppendUint64(nil, v.integer(s.size))
	case 'D':
		op.Type, op.Value = record.Float, binary.BigEndian.AppendUint64(nil, math.Float64bits(v.r.float()))
	case 'b':
		op.Type, op.Value = record.Bool, []byte{byte(v.r.Uint32() & 1)}
	case 'S':
		op.Type, op.Value = record.String, v.bytes(s.size, true)
	case 'B':
		op.Type, op.Value = record.Blob, v.bytes(s.size, false)
	case '[':
		op.Type, op.Value = record.List, v.packed(nil, s)
	case '{':
		op.Type, op.Value = record.Map, v.packed(nil, s)
	}
	return op
}

// integer returns a number that needs no more than size bytes and is not
// negative.
func (v *values) integer(size int) uint64 {
	return v.r.Uint64() & (math.MaxInt64 >> (64 - 8*size))
}

// letters are what strings are made of: 64, so that six bits pick one.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// bytes returns random contents, of which the share compress is random and the
// rest one repeated byte, in stretches of 64 bytes.
func (v *values) bytes(n int, text bool) []byte {
	const stretch = 64
	p := make([]byte, n)
	for i := range p {
		switch {
		case float64(i%stretch) >= v.compress*stretch:
			p[i] = 'x'
		case text:
			p[i] = letters[v.r.Uint32()>>26]
		default:
			p[i] = byte(v.r.Uint32() >> 24)
		}
	}
	return p
}

// packed appends the msgpack form that values have inside lists and maps.
// Strings and blobs carry their particle type in front.
func (v *values) packed(dst []byte, s *spec) []byte {
	switch s.kind {
	case 'I':
		return msgpack.AppendInt(dst, int64(v.integer(s.size)))
	case 'D':
		return msgpack.AppendDouble(dst, v.r.float())
	case 'b':
		return msgpack.AppendBool(dst, v.r.Uint32()&1 != 0)
	case 'S':
		return msgpack.AppendRaw(dst, byte(record.String), v.bytes(s.size, true))
	case 'B':
		return msgpack.AppendRaw(dst, byte(record.Blob), v.bytes(s.size, false))
	case '[':
		dst = msgpack.AppendListHead(dst, uint32(count(s.items)))
		for i := range s.items {
			for range s.items[i].times {
				dst = v.packed(dst, &s.items[i])
			}
		}
		return dst
	}
	return v.packedMap(dst, s)
}

// packedMap appends a map without doubled keys: a key that comes up twice is
// drawn again, and an entry whose keys run out is left out.
func (v *values) packedMap(dst []byte, s *spec) []byte {
	const tries = 64
	seen := map[string]bool{}
	var entries []byte
	for i := range s.items {
		item := &s.items[i]
		for range item.times {
			for range tries {
				key := v.packed(nil, &spec{kind: item.kind, size: item.size, times: 1})
				if seen[string(key)] {
					continue
				}
				seen[string(key)] = true
				entries = v.packed(append(entries, key...), item.value)
				break
			}
		}
	}
	return append(msgpack.AppendMapHead(dst, uint32(len(seen))), entries...)
}

func count(items []spec) int {
	n := 0
	for i := range items {
		n += items[i].times
	}
	return n
}

// bins returns the write operations of a record: one for each bin, named as
// asbench does: the first with the base name alone, then base_2, base_3 ...
func (v *values) bins(base string, specs []spec) []record.Op {
	var ops []record.Op
	for i := range specs {
		for range specs[i].times {
			name := base
			if n := len(ops) + 1; n > 1 {
				name = base + "_" + strconv.Itoa(n)
			}
			ops = append(ops, v.op(name, &specs[i]))
		}
	}
	return ops
}

// binNames returns the names that bins gives n bins.
func binNames(base string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = base
		if i > 0 {
			names[i] = base + "_" + strconv.Itoa(i+1)
		}
	}
	return names
}

// String returns the spec as it is written.
func (s *spec) String() string {
	var b strings.Builder
	if s.times > 1 {
		fmt.Fprintf(&b, "%d*", s.times)
	}
	b.WriteByte(s.kind)
	switch s.kind {
	case 'I', 'S', 'B':
		b.WriteString(strconv.Itoa(s.size))
	case '[', '{':
		for i := range s.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(s.items[i].String())
		}
		b.WriteByte(map[byte]byte{'[': ']', '{': '}'}[s.kind])
	}
	if s.value != nil {
		b.WriteString(":" + s.value.String())
	}
	return b.String()
}
