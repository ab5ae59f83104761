package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind says how a parameter is written.
type Kind uint8

// Kinds of parameters. Every value has one canonical text, which is what
// get-config prints: decimal numbers without suffix, true or false.
const (
	Bool    Kind = iota // true or false
	Int                 // digits, one suffix letter K M G T P (powers of 1024)
	Size                // bytes, as Int
	Millis              // milliseconds, as Int
	Micros              // microseconds, as Int
	Seconds             // digits, one suffix letter s m h d, or -1
	Text                // one word
	Enum                // one of a list of words
	Hex                 // up to 16 hexadecimal digits
	List                // one entry for each line of the name
)

func (k Kind) String() string {
	return [...]string{"boolean", "integer", "size", "milliseconds", "microseconds", "time", "text", "word", "hexadecimal number", "list"}[k]
}

// number tells whether values are numbers with a range.
func (k Kind) number() bool { return k >= Int && k <= Seconds }

// unit returns the duration of one unit of k, or 0 when k is no time.
func (k Kind) unit() time.Duration {
	switch k {
	case Millis:
		return time.Millisecond
	case Micros:
		return time.Microsecond
	case Seconds:
		return time.Second
	}
	return 0
}

// minusOne is what -1 means to a parameter without sign: the largest 32-bit
// number, if its range goes that far.
const minusOne = math.MaxUint32

var errOverflow = errors.New("is too large")

// parseScaled reads digits and at most one suffix letter of the given scale.
// loose is the way of set-config: nothing at all is 0, and -1 is the largest
// 32-bit number.
func parseScaled(s string, scale func(byte) uint64, loose bool) (uint64, error) {
	if s == "-1" && loose {
		return minusOne, nil
	}
	if s == "" && loose {
		return 0, nil
	}
	digits, factor := s, uint64(1)
	if n := len(s); n > 1 && !isDigit(s[n-1]) {
		digits, factor = s[:n-1], scale(s[n-1]|0x20)
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, errors.New("is not a number")
		}
	}
	if factor == 0 {
		return 0, fmt.Errorf("has the unknown suffix %q", s[len(s)-1:])
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errOverflow
	case err != nil:
		return 0, errors.New("is not a number")
	case n > math.MaxUint64/factor:
		return 0, errOverflow
	}
	return n * factor, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// sizeScale returns the factor of a lower-case size suffix, 0 if it is none.
func sizeScale(c byte) uint64 {
	i := strings.IndexByte("kmgtp", c)
	if i < 0 {
		return 0
	}
	return 1 << (10 * (i + 1))
}

// timeScale returns the seconds of a lower-case time suffix, 0 if it is none.
func timeScale(c byte) uint64 {
	switch c {
	case 's':
		return 1
	case 'm':
		return 60
	case 'h':
		return 3600
	case 'd':
		return 86400
	}
	return 0
}

// parse returns the canonical text of value s of p. loose selects the grammar
// of set-config in place of the file's.
func (p *param) parse(s string, loose bool) (string, error) {
	switch p.kind {
	case Bool:
		if loose && (s == "true" || s == "false") || !loose && (strings.EqualFold(s, "true") || strings.EqualFold(s, "false")) {
			return strings.ToLower(s), nil
		}
		return "", errors.New("want true or false")
	case Int, Size, Millis, Micros, Seconds:
		return p.parseNumber(s, loose)
	case Enum:
		for _, v := range p.values {
			if strings.EqualFold(s, v) {
				return v, nil
			}
		}
		return "", fmt.Errorf("want one of %s", strings.Join(p.values, ", "))
	case Hex:
		n, err := strconv.ParseUint(s, 16, 64)
		if err != nil || n == 0 {
			return "", errors.New("want 1 to 16 hexadecimal digits, not all zero")
		}
		return strings.ToUpper(strconv.FormatUint(n, 16)), nil
	default:
		if p.max != 0 && (uint64(len(s)) < p.min || uint64(len(s)) > p.max) {
			return "", fmt.Errorf("want %d to %d bytes", p.min, p.max)
		}
		return s, nil
	}
}

func (p *param) parseNumber(s string, loose bool) (string, error) {
	scale := sizeScale
	if p.kind == Seconds {
		scale = timeScale
	}
	if s == "-1" && p.flags&signed != 0 {
		return s, nil
	}
	n, err := parseScaled(s, scale, loose || p.kind == Seconds && s == "-1")
	if err != nil {
		return "", err
	}
	if n < p.min || n > p.max {
		return "", fmt.Errorf("want %d to %d", p.min, p.max)
	}
	return strconv.FormatUint(n, 10), nil
}

// link sets what the table leaves out: parents, ranges, words of an Enum,
// canonical defaults. It panics on a row that contradicts itself, which is a
// bug of the table (or of an Options struct's tag) and shows in any test.
func (b *block) link(parent *block) {
	b.parent = parent
	for _, p := range b.params {
		p.link(b)
	}
	for _, sub := range b.blocks {
		sub.link(b)
	}
}

func (p *param) link(b *block) {
	p.block = b
	p.max = math.MaxUint64
	switch {
	case p.kind == Enum:
		p.values = strings.Split(p.bounds, "|")
	case p.kind == Bool || p.kind == List || p.kind == Hex || p.kind == Text && p.bounds == "":
		p.min, p.max = 0, 0
	case p.bounds != "":
		low, high, ok := strings.Cut(p.bounds, "-")
		p.must(ok, "bounds")
		p.min = p.mustNumber(low)
		if high != "" {
			p.max = p.mustNumber(high)
		}
		p.must(p.min <= p.max, "bounds")
	}
	if p.def != "" && p.kind.number() {
		p.def = strconv.FormatUint(p.mustNumber(p.def), 10)
	}
	if p.def == "" && p.flags&auto != 0 && p.kind.number() {
		p.def = "0"
	}
}

func (p *param) mustNumber(s string) uint64 {
	scale := sizeScale
	if p.kind == Seconds {
		scale = timeScale
	}
	n, err := parseScaled(s, scale, false)
	p.must(err == nil, "number "+s)
	return n
}

func (p *param) must(ok bool, what string) {
	if !ok {
		panic("BUG: config: parameter " + p.name + ": bad " + what)
	}
}
