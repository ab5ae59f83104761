package geo

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest in the JSON text.
const maxDepth = 2048

// scanner reads JSON text. It checks the whole grammar, strings as UTF-8, and
// the range of numbers, but keeps only positions.
type scanner struct {
	text []byte
	at   int
}

// members holds the positions in the text of the values that matter of one
// object, -1 for those it does not have. Of a doubled member the last counts.
type members struct {
	text                       []byte
	typ, coordinates, geometry int
}

// is says whether the string at a position is want.
func (m members) is(at int, want string) bool {
	if at < 0 || m.text[at] != '"' {
		return false
	}
	s := scanner{text: m.text, at: at}
	got, ok := s.str()
	return ok && got == want
}

// document checks the whole text, which must be one object, and returns its
// members.
func (s *scanner) document() (members, bool) {
	s.space()
	start := s.at
	if !s.value(0) {
		return members{}, false
	}
	s.space()
	if s.at != len(s.text) {
		return members{}, false
	}
	return s.members(start)
}

// members returns the members of the object at a position of the checked text.
func (s *scanner) members(at int) (members, bool) {
	if at < 0 || s.text[at] != '{' {
		return members{}, false
	}
	m := members{text: s.text, typ: -1, coordinates: -1, geometry: -1}
	s.at = at
	ok := s.object(0, func(key string, pos int) {
		switch key {
		case "type":
			m.typ = pos
		case "coordinates":
			m.coordinates = pos
		case "geometry":
			m.geometry = pos
		}
	})
	return m, ok
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take steps over c, if it comes next after white space.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// value steps over any value.
func (s *scanner) value(depth int) bool {
	s.space()
	if s.at == len(s.text) || depth > maxDepth {
		return false
	}
	switch s.text[s.at] {
	case '{':
		return s.object(depth, nil)
	case '[':
		return s.array(func() bool { return s.value(depth + 1) })
	case '"':
		_, ok := s.str()
		return ok
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	_, ok := s.number()
	return ok
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// object steps over an object and reports each member's key and where its
// value starts.
func (s *scanner) object(depth int, member func(key string, at int)) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		s.space()
		key, ok := s.str()
		if !ok || !s.take(':') {
			return false
		}
		s.space()
		at := s.at
		if !s.value(depth + 1) {
			return false
		}
		if member != nil {
			member(key, at)
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// array steps over an array; element must step over each of its values.
func (s *scanner) array(element func() bool) bool {
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// number reads a number: finite, and an integer only as far as 64 bits go.
func (s *scanner) number() (float64, bool) {
	s.space()
	start := s.at
	if s.at < len(s.text) && s.text[s.at] == '-' {
		s.at++
	}
	lead := s.at
	n := s.digits()
	if n == 0 || n > 1 && s.text[lead] == '0' {
		return 0, false
	}
	integer := true
	if s.at < len(s.text) && s.text[s.at] == '.' {
		integer = false
		s.at++
		if s.digits() == 0 {
			return 0, false
		}
	}
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		integer = false
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		if s.digits() == 0 {
			return 0, false
		}
	}
	word := string(s.text[start:s.at])
	if integer {
		v, err := strconv.ParseInt(word, 10, 64)
		return float64(v), err == nil
	}
	v, err := strconv.ParseFloat(word, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at - start
}

// str reads a string and resolves its escapes.
func (s *scanner) str() (string, bool) {
	if s.at == len(s.text) || s.text[s.at] != '"' {
		return "", false
	}
	s.at++
	start := s.at
	var buf []byte // only when there are escapes
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			if buf != nil {
				return string(append(buf, s.text[start:s.at-1]...)), true
			}
			return string(s.text[start : s.at-1]), true
		case c < 0x20:
			return "", false
		case c == '\\':
			buf = append(buf, s.text[start:s.at]...)
			r, ok := s.escape()
			if !ok {
				return "", false
			}
			buf = utf8.AppendRune(buf, r)
			start = s.at
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, n := utf8.DecodeRune(s.text[s.at:])
			if r == utf8.RuneError && n <= 1 {
				return "", false
			}
			s.at += n
		}
	}
	return "", false
}

// escape reads a backslash and what it introduces. NUL and half a surrogate
// pair are refused.
func (s *scanner) escape() (rune, bool) {
	if s.at+1 >= len(s.text) {
		return 0, false
	}
	c := s.text[s.at+1]
	if c == 'u' {
		return s.unicode()
	}
	s.at += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

func (s *scanner) unicode() (rune, bool) {
	r, ok := s.hex4()
	if !ok || r == 0 {
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	low, ok := s.hex4()
	if !ok {
		return 0, false
	}
	r = utf16.DecodeRune(r, low)
	return r, r != utf8.RuneError
}

// hex4 reads \uXXXX.
func (s *scanner) hex4() (rune, bool) {
	if len(s.text)-s.at < 6 || s.text[s.at] != '\\' || s.text[s.at+1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s.text[s.at+2:s.at+6]), 16, 16)
	if err != nil {
		return 0, false
	}
	s.at += 6
	return rune(v), true
}
