package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is the place of one parameter in an Options struct.
type field struct{ v reflect.Value }

var (
	durationType  = reflect.TypeFor[time.Duration]()
	unmarshalType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// tagged is one struct field that takes part.
type tagged struct {
	index int
	name  string // of the parameter or block; "" for the block's own word
	tag   reflect.StructTag
	typ   reflect.Type
}

// taggedFields returns the fields of a struct type that carry a config tag, those of
// untagged embedded structs through inline.
func taggedFields(t reflect.Type, each func(tagged), inline func(index int, t reflect.Type)) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("config")
		switch {
		case !ok && f.Anonymous && f.Type.Kind() == reflect.Struct:
			inline(i, f.Type)
		case !ok || tag == "-" || !f.IsExported():
		case tag == ",name":
			each(tagged{i, "", f.Tag, f.Type})
		default:
			name, _, _ := strings.Cut(tag, ",")
			each(tagged{i, name, f.Tag, f.Type})
		}
	}
}

// structType returns the struct type a block's field leads to, or nil.
func structType(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		return t
	}
	return nil
}

// extend adds to b what the struct type t knows and the table does not:
// parameters and blocks of our own.
func (b *block) extend(t reflect.Type) {
	taggedFields(t, func(f tagged) {
		if f.name == "" || b.place(f.name) != nil {
			return
		}
		st := structType(f.typ)
		if sub := b.sub(f.name); sub != nil {
			if st != nil {
				sub.extend(st)
			}
			return
		}
		if st != nil && !reflect.PointerTo(f.typ).Implements(unmarshalType) {
			sub := &block{name: f.name, parent: b}
			if f.typ.Kind() == reflect.Slice {
				sub.word = nameWord
			}
			b.blocks = append(b.blocks, sub)
			sub.extend(st)
			return
		}
		p := &param{name: f.name, kind: kindOf(f), def: f.tag.Get("default"), bounds: f.tag.Get("range"), ext: true}
		if p.kind == Enum {
			p.bounds = f.tag.Get("enum")
		}
		if f.tag.Get("dynamic") == "true" {
			p.flags |= dyn
		}
		p.link(b)
		b.params = append(b.params, p)
	}, func(_ int, t reflect.Type) { b.extend(t) })
}

// place returns the table's parameter a name leads to from b: its own, one
// behind a dotted path, or one of the blocks within it (a struct may hold
// the parameters of a namespace and of its storage engine side by side).
func (b *block) place(name string) *param {
	head, rest, dotted := strings.Cut(name, ".")
	if dotted {
		if sub := b.sub(head); sub != nil {
			return sub.place(rest)
		}
		return nil
	}
	if p := b.param(name); p != nil {
		return p
	}
	if b.sub(name) != nil {
		return nil
	}
	for _, sub := range b.blocks {
		if sub.word == nameWord || sub.refuse != "" {
			continue
		}
		if p := sub.param(name); p != nil {
			return p
		}
	}
	return nil
}

// kindOf infers the kind of an extension from its field and tags.
func kindOf(f tagged) Kind {
	t := f.typ
	switch {
	case f.tag.Get("enum") != "":
		return Enum
	case reflect.PointerTo(t).Implements(unmarshalType):
		return Text
	case t == durationType && strings.HasSuffix(f.name, "-ms"):
		return Millis
	case t == durationType && strings.HasSuffix(f.name, "-us"):
		return Micros
	case t == durationType:
		return Seconds
	}
	switch t.Kind() {
	case reflect.Bool:
		return Bool
	case reflect.Slice:
		return List
	case reflect.String:
		return Text
	}
	return Size
}

// bind connects the struct v and what it contains with section s.
func (s *section) bind(v reflect.Value) {
	s.target = v
	s.connect(v)
}

func (s *section) connect(v reflect.Value) {
	taggedFields(v.Type(), func(f tagged) {
		fv := v.Field(f.index)
		switch p := s.def.place(f.name); {
		case f.name == "":
			if s.line != 0 || fv.String() == "" {
				fv.SetString(s.word)
			} else {
				s.word = fv.String()
			}
		case p != nil:
			s.holder(p).put(p, fv)
		default:
			s.connectBlock(s.def.sub(f.name), fv)
		}
	}, func(i int, _ reflect.Type) { s.connect(v.Field(i)) })
}

// holder returns the section at or below s that holds p.
func (s *section) holder(p *param) *section {
	if s.def == p.block {
		return s
	}
	for _, c := range s.sections {
		if c.def.word != nameWord {
			if h := c.holder(p); h != nil {
				return h
			}
		}
	}
	return nil
}

func (s *section) put(p *param, v reflect.Value) {
	if s.fields == nil {
		s.fields = map[string]field{}
	}
	s.fields[p.name] = field{v}
}

// connectBlock connects the sections of block b with the field that takes
// them: a struct, a pointer to one, a slice of them, or a string for the word.
func (s *section) connectBlock(b *block, v reflect.Value) {
	switch v.Kind() {
	case reflect.String: // the type word: storage-engine
		if c := s.child(b.name, ""); c.line != 0 || v.String() == "" {
			v.SetString(c.word)
		} else {
			c.word = v.String()
		}
	case reflect.Struct:
		s.child(b.name, "").bind(v)
	case reflect.Pointer:
		c := s.child(b.name, "")
		if v.IsNil() {
			if c.line == 0 {
				return
			}
			v.Set(reflect.New(v.Type().Elem()))
		}
		c.bind(v.Elem())
	case reflect.Slice:
		s.connectSlice(b, v)
	}
}

// connectSlice gives every section of a repeated block its element.
func (s *section) connectSlice(b *block, v reflect.Value) {
	if s.slots == nil {
		s.slots = map[*block]reflect.Value{}
	}
	s.slots[b] = v
	for i := range v.Len() {
		s.add(b, wordOf(v.Index(i)))
	}
	have := v.Len()
	var all []*section
	for i := range have {
		all = append(all, s.child(b.name, wordOf(v.Index(i))))
	}
	for _, c := range s.sections {
		if c.def == b && !contains(all, c) {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return
	}
	grown := reflect.MakeSlice(v.Type(), len(all), len(all))
	reflect.Copy(grown, v)
	v.Set(grown)
	for i, c := range all {
		c.bind(v.Index(i))
	}
}

func contains(list []*section, s *section) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// wordOf returns the word an element already carries.
func wordOf(v reflect.Value) string {
	word := ""
	taggedFields(v.Type(), func(f tagged) {
		if f.name == "" {
			word = v.Field(f.index).String()
		}
	}, func(i int, _ reflect.Type) {
		if w := wordOf(v.Field(i)); w != "" {
			word = w
		}
	})
	return word
}

// fill writes what the file sets, and the table's defaults where a field is
// still zero, into the bound fields.
func (s *section) fill(r *report) {
	for name, f := range s.fields {
		p := s.def.param(name)
		v, line := s.values[name], 0
		switch {
		case v != nil:
			line = v.line
		case !f.v.IsZero() || p.def == "" || p.flags&auto != 0 || !p.applies(s.word):
			continue
		default:
			v = &setting{text: p.def}
		}
		if err := f.write(p, v.text, v.list); err != nil {
			r.mistake(line, "%s %s: %v", name, v.text, err)
		}
	}
}

// write stores a canonical text, or a list, in the field.
func (f field) write(p *param, text string, list []string) error {
	v := f.v
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == durationType {
		n, err := strconv.ParseInt(text, 10, 64)
		unit := f.unit(p)
		if err != nil || n > math.MaxInt64/int64(unit) {
			return fmt.Errorf("want at most %d", math.MaxInt64/int64(unit))
		}
		v.SetInt(n * int64(unit))
		return nil
	}
	base := 10
	if p.kind == Hex {
		base = 16
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(text == "true")
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		v.Set(reflect.ValueOf(append([]string(nil), list...)))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, base, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("want a number of %d bits with sign", v.Type().Bits())
		}
		v.SetInt(n)
	default:
		if text == "-1" {
			text = strconv.FormatUint(minusOne, 10)
		}
		n, err := strconv.ParseUint(text, base, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("want a number of %d bits", v.Type().Bits())
		}
		v.SetUint(n)
	}
	return nil
}

// unit is the time one unit of p means in a time.Duration field.
func (f field) unit(p *param) time.Duration {
	if u := p.kind.unit(); u != 0 {
		return u
	}
	return time.Second
}

// read returns the field's value as canonical text or list, and whether it is
// anything but zero.
func (f field) read(p *param) (text string, list []string, set bool) {
	v := f.v
	set = !v.IsZero()
	switch m := v.Addr().Interface().(type) {
	case encoding.TextMarshaler:
		if b, err := m.MarshalText(); err == nil {
			return string(b), nil, set
		}
	case fmt.Stringer:
		if v.Type() != durationType {
			return m.String(), nil, set
		}
	}
	switch {
	case v.Type() == durationType:
		return strconv.FormatInt(v.Int()/int64(f.unit(p)), 10), nil, set
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil, set
	case v.Kind() == reflect.String:
		return v.String(), nil, set
	case v.Kind() == reflect.Slice:
		return "", v.Interface().([]string), set
	case v.CanInt() && p.kind == Hex:
		return strings.ToUpper(strconv.FormatInt(v.Int(), 16)), nil, set
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil, set
	case p.kind == Hex:
		return strings.ToUpper(strconv.FormatUint(v.Uint(), 16)), nil, set
	}
	return strconv.FormatUint(v.Uint(), 10), nil, set
}

// clone copies a struct with the slices and pointers that its tagged fields
// lead to, so that the copy can be handed out.
func clone(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	cloneFields(out)
	return out
}

func cloneFields(v reflect.Value) {
	taggedFields(v.Type(), func(f tagged) {
		fv := v.Field(f.index)
		switch {
		case fv.Kind() == reflect.Slice && !fv.IsNil():
			grown := reflect.MakeSlice(fv.Type(), fv.Len(), fv.Len())
			reflect.Copy(grown, fv)
			fv.Set(grown)
			if structType(fv.Type()) != nil {
				for i := range fv.Len() {
					cloneFields(fv.Index(i))
				}
			}
		case fv.Kind() == reflect.Pointer && !fv.IsNil() && structType(fv.Type()) != nil:
			fv.Set(clone(fv.Elem()).Addr())
		case fv.Kind() == reflect.Struct:
			cloneFields(fv)
		}
	}, func(i int, _ reflect.Type) { cloneFields(v.Field(i)) })
}
