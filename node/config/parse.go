package config

import (
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// reader puts the lines of a file into sections.
type reader struct {
	*report
	root  *section
	stack []*section // open blocks, the innermost last; nil entries are blocks that are skipped
	opens []int      // the line that opened each
}

func (r *reader) read(lines []line) {
	r.stack, r.opens = []*section{r.root}, []int{0}
	for _, l := range lines {
		switch {
		case l.name == "{": // reported by scan
		case l.closes && len(r.stack) == 1:
			r.mistake(l.number, "a } without an open block")
		case l.closes:
			r.stack, r.opens = r.stack[:len(r.stack)-1], r.opens[:len(r.opens)-1]
		case len(r.stack) > maxDepth && l.opens:
			r.mistake(l.number, "blocks are nested deeper than %d", maxDepth)
			r.push(nil, l.number)
		default:
			r.directive(l)
		}
	}
	for i := len(r.stack) - 1; i > 0; i-- {
		name := "a block"
		if r.stack[i] != nil {
			name = r.stack[i].path()
		}
		r.mistake(r.opens[i], "%s is not closed: want a line }", name)
	}
}

func (r *reader) push(s *section, line int) {
	r.stack, r.opens = append(r.stack, s), append(r.opens, line)
}

// directive handles a line within the innermost open block.
func (r *reader) directive(l line) {
	s := r.stack[len(r.stack)-1]
	if s == nil { // within a block that was refused: only braces count
		if l.opens {
			r.push(nil, l.number)
		}
		return
	}
	if b := s.def.sub(l.name); b != nil {
		r.block(s, b, l)
		return
	}
	if l.opens {
		r.mistake(l.number, "unknown block %q%s", l.name, within(s.def))
		r.push(nil, l.number)
		return
	}
	p, s := r.find(s, l)
	if p == nil {
		return
	}
	r.set(s, p, l)
}

// within says where, for a message.
func within(b *block) string {
	if b.parent == nil {
		return ""
	}
	return " in " + b.path(" ")
}

// block opens b within s.
func (r *reader) block(s *section, b *block, l line) {
	word := ""
	if len(l.values) > 0 {
		word = l.values[0]
	}
	if b.refuse != "" {
		r.mistake(l.number, "%s: %s", b.name, b.refuse)
		r.push(nil, l.number)
		return
	}
	var sub *section
	switch b.word {
	case nameWord:
		sub = r.named(s, b, word, l)
	case typeWord:
		sub = r.typed(s, b, word, l)
	default:
		if word != "" {
			r.warning(l.number, "%s takes no name: %q is not read", b.name, word)
		}
		if sub = s.child(b.name, ""); sub.line != 0 {
			r.warning(l.number, "%s opens again: it was opened in line %d", b.name, sub.line)
		}
		sub.line = l.number
	}
	if b.flags&old != 0 {
		r.warning(l.number, "%s is obsolete and not read", b.name)
	}
	// storage-engine needs its block; index-type may be a line of its own.
	if b.word == typeWord && !l.opens && b.name != "storage-engine" {
		return
	}
	r.push(sub, l.number)
}

// named opens a block such as a namespace or a set. After a mistake it
// returns a section of its own, so that the lines within are still checked.
func (r *reader) named(s *section, b *block, name string, l line) *section {
	limit := maxBlockName
	switch b.name {
	case "namespace":
		limit = MaxNamespaceName
	case "set":
		limit = MaxSetName
	}
	if name == "" || len(name) > limit || strings.ContainsAny(name, ":;") && b.name != "file" {
		r.mistake(l.number, "%s name %q: want 1 to %d bytes without : and ;", b.name, name, limit)
		return newSection(b, name)
	}
	if old := s.child(b.name, name); old != nil && old.line != 0 {
		r.mistake(l.number, "%s %s is there already, in line %d", b.name, name, old.line)
		return newSection(b, name)
	}
	if b.name == "namespace" && s.child(b.name, name) == nil && len(s.names(b.name)) >= MaxNamespaces {
		r.mistake(l.number, "more than %d namespaces", MaxNamespaces)
		return newSection(b, name)
	}
	sub := s.add(b, name)
	sub.line = l.number
	return sub
}

// Limits of names in the file.
const (
	MaxNamespaces    = 32 // of a node
	MaxNamespaceName = 31 // bytes
	MaxSetName       = 63 // bytes
	maxBlockName     = MaxLine
)

// typed opens a block such as storage-engine, of which there is one; see named.
func (r *reader) typed(s *section, b *block, word string, l line) *section {
	sub := s.child(b.name, "")
	switch {
	case !slices.Contains(b.types, word):
		r.mistake(l.number, "%s %q: want one of %s", b.name, word, strings.Join(b.types, ", "))
		return newSection(b, word)
	case sub.line != 0:
		r.mistake(l.number, "%s is there already, in line %d: want one in a namespace", b.name, sub.line)
		return newSection(b, word)
	}
	switch word {
	case "pmem", "flash":
		r.mistake(l.number, "%s %s is not available in this version", b.name, word)
		return nil
	case "shmem":
		r.warning(l.number, "%s shmem: the index is built anew at every start", b.name)
		sub.line = l.number
		return sub
	}
	sub.word, sub.line = word, l.number
	return sub
}

// find returns the parameter a line speaks of and the section that holds it,
// or nil after it has reported why not.
func (r *reader) find(s *section, l line) (*param, *section) {
	if p := s.def.param(l.name); p != nil && p.flags&dynOnly == 0 {
		return p, s
	}
	was, ok := obsolete[s.def.path(".")][l.name]
	hint := ""
	if was.hint != "" {
		hint = ": " + was.hint
	}
	switch {
	case !ok:
		r.mistake(l.number, "unknown parameter %q%s%s", l.name, within(s.def), r.elsewhere(l.name))
	case was.target != "":
		r.warning(l.number, "%s is obsolete: taken as %s%s", l.name, was.target, hint)
		return s.resolve(was.target)
	case was.idle, was.only != "" && len(l.values) > 0 && strings.EqualFold(l.values[0], was.only):
		r.warning(l.number, "%s is obsolete and without effect%s", l.name, hint)
	default:
		r.mistake(l.number, "%s is obsolete%s", l.name, hint)
	}
	return nil, nil
}

// elsewhere names the block that knows a parameter, for a line in the wrong
// place.
func (r *reader) elsewhere(name string) string {
	var found []string
	var visit func(b *block)
	visit = func(b *block) {
		if p := b.param(name); p != nil && p.flags&dynOnly == 0 {
			found = append(found, b.path(" "))
		}
		for _, sub := range b.blocks {
			visit(sub)
		}
	}
	visit(r.root.def)
	if len(found) == 0 || len(found) > 3 {
		return ""
	}
	return " (it belongs in " + strings.Join(found, " or ") + ")"
}

// resolve follows a dotted name from s: "storage-engine.flush-size".
func (s *section) resolve(name string) (*param, *section) {
	for {
		head, rest, dotted := strings.Cut(name, ".")
		if !dotted {
			return s.def.param(name), s
		}
		if s = s.child(head, ""); s == nil {
			return nil, nil
		}
		name = rest
	}
}

// set takes the value of a line.
func (r *reader) set(s *section, p *param, l line) {
	if len(l.values) == 0 {
		if p.flags&bare == 0 {
			r.mistake(l.number, "%s: want a value (%s)", p.name, p.kind)
			return
		}
		l.values = []string{"true"}
	}
	if !p.applies(s.word) {
		r.mistake(l.number, "%s: not with storage-engine %s", p.name, s.word)
		return
	}
	if p.kind == List {
		r.append(s, p, l)
		return
	}
	if len(l.values) > 1 {
		r.warning(l.number, "%s takes one value: %q is not read", p.name, strings.Join(l.values[1:], " "))
	}
	text, err := p.parse(l.values[0], false)
	if err != nil {
		r.mistake(l.number, "%s %s: %v", p.name, l.values[0], err)
		return
	}
	if !r.edition(p, text, l) {
		return
	}
	if old := s.values[p.name]; old != nil {
		r.warning(l.number, "%s again: it was set in line %d, this line counts", p.name, old.line)
	}
	s.values[p.name] = &setting{line: l.number, text: text}
}

const maxList = 256 // entries of one list parameter

func (r *reader) append(s *section, p *param, l line) {
	if !r.edition(p, l.values[0], l) {
		return
	}
	v := s.values[p.name]
	if v == nil {
		v = &setting{line: l.number}
		s.values[p.name] = v
	}
	if len(v.list) == maxList {
		r.mistake(l.number, "%s: more than %d entries", p.name, maxList)
		return
	}
	v.list = append(v.list, strings.Join(l.values, " "))
}

// edition handles what the original keeps for its paid edition, and what it
// has given up. It tells whether the value counts.
func (r *reader) edition(p *param, text string, l line) bool {
	switch {
	case p.flags&ee != 0 && text != p.def:
		r.mistake(l.number, "%s %s is not available in this version", p.name, text)
		return false
	case p.flags&(ee|eeIdle) != 0 && text != p.def:
		r.warning(l.number, "%s is accepted and without effect", p.name)
		return true
	case p.flags&old != 0:
		r.warning(l.number, "%s is deprecated and without effect", p.name)
	}
	return true
}
