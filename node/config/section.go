package config

import (
	"reflect"
	"slices"
	"strings"
)

// section is one block of the file with its values: the service block, one
// namespace, one set of a namespace.
type section struct {
	def  *block
	word string // the namespace's name, the storage engine's type
	line int    // where the block opens; 0 when the file has none

	values   map[string]*setting // what the file or set-config has set
	sections []*section          // blocks within, in the table's order, repeated ones in the file's

	// target is the Options struct that takes the values, invalid when no
	// package asked for them. fields leads from a parameter's name to its
	// field. A section whose values stand in its parent's struct shares it.
	// slots are the slices that take repeated blocks.
	target reflect.Value
	fields map[string]field
	slots  map[*block]reflect.Value

	// effective says that the fields hold what their owner runs with: then a
	// zero is a zero and not an absent value.
	effective bool
}

// setting is a value that was set: list entries for a List, else one text in
// canonical form.
type setting struct {
	line int
	text string
	list []string
}

// newSection returns an empty section with its fixed sections, so that every
// parameter that is not within a named block always has a place.
func newSection(def *block, word string) *section {
	s := &section{def: def, word: word, values: map[string]*setting{}}
	if def.word == typeWord && word == "" {
		s.word = def.types[0]
	}
	for _, b := range def.blocks {
		if b.word != nameWord && b.refuse == "" {
			s.sections = append(s.sections, newSection(b, ""))
		}
	}
	return s
}

// child returns the section of block name with the given word, or nil.
func (s *section) child(name, word string) *section {
	for _, c := range s.sections {
		if c.def.name == name && (c.def.word != nameWord || c.word == word) {
			return c
		}
	}
	return nil
}

// add returns the named block's section, new or the one that is there.
func (s *section) add(def *block, word string) *section {
	if c := s.child(def.name, word); c != nil {
		return c
	}
	c := newSection(def, word)
	s.sections = append(s.sections, c)
	return c
}

// path names a block for a message: "namespace test storage-engine".
func (s *section) path() string {
	if s.def.word == nameWord && s.word != "" {
		return s.def.name + " " + s.word
	}
	return s.def.path(" ")
}

// path joins the names of the blocks from the top to b.
func (b *block) path(sep string) string {
	if b.parent == nil {
		return ""
	}
	if up := b.parent.path(sep); up != "" {
		return up + sep + b.name
	}
	return b.name
}

// param returns the block's parameter of that name, or nil.
func (b *block) param(name string) *param {
	for _, p := range b.params {
		if p.name == name {
			return p
		}
	}
	return nil
}

// sub returns the block's block of that name, or nil.
func (b *block) sub(name string) *block {
	for _, c := range b.blocks {
		if c.name == name {
			return c
		}
	}
	return nil
}

// applies tells whether p exists for a section with this word: some storage
// parameters belong to one engine only.
func (p *param) applies(word string) bool {
	switch {
	case p.flags&device != 0:
		return word != "memory"
	case p.flags&memory != 0:
		return word == "memory"
	}
	return true
}

// value returns what get-config shows of p: one text, or the entries of a
// list. A bound field speaks before the file's setting, a setting before the
// table's default.
func (s *section) value(p *param) (text string, list []string) {
	if f, ok := s.fields[p.name]; ok {
		text, list, set := f.read(p)
		switch {
		case text == "" && p.kind != List: // an empty string
			return "null", nil
		case set || s.effective || s.values[p.name] != nil:
			return text, list
		}
	} else if v := s.values[p.name]; v != nil {
		return v.text, v.list
	}
	if p.def == "" && p.kind != List {
		return "null", nil
	}
	return p.def, nil
}

// list appends name=value of every parameter that get-config shows, in order.
func (s *section) list(dst []Pair, prefix string) []Pair {
	for _, p := range s.def.params {
		if p.flags&hidden == 0 && p.applies(s.word) {
			dst = s.listParam(dst, prefix, p)
		}
	}
	for _, c := range s.sections {
		if c.def.word == nameWord || c.def.flags&old != 0 {
			continue
		}
		name := prefix + c.def.name
		if c.def.word == typeWord {
			dst = append(dst, Pair{name, c.word})
		}
		dst = c.list(dst, name+".")
	}
	return dst
}

func (s *section) listParam(dst []Pair, prefix string, p *param) []Pair {
	text, list := s.value(p)
	if p.kind != List {
		return append(dst, Pair{prefix + p.name, text})
	}
	for i, entry := range list {
		name := prefix + p.name
		if p.flags&listed != 0 {
			name += "[" + itoa(i) + "]"
		}
		dst = append(dst, Pair{name, strings.Replace(entry, " ", ":", 1)})
	}
	return dst
}

// names returns the words of all sections of the named block.
func (s *section) names(block string) []string {
	var names []string
	for _, c := range s.sections {
		if c.def.name == block {
			names = append(names, c.word)
		}
	}
	return names
}

// walk calls fn for s and every section within.
func (s *section) walk(fn func(*section)) {
	fn(s)
	for _, c := range slices.Clone(s.sections) {
		c.walk(fn)
	}
}
