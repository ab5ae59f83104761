package cdt

import (
	"cmp"
	"slices"
	"sort"

	"github.com/ashlardb/ashlar/engine/msgpack"
)

// seq gives access to the entries of one container: a list's elements, a map's
// pairs. Positions are offsets in the container's body. It remembers where it
// was last, so that walking forward never starts again.
type seq struct {
	msgpack.Container
	n     int  // entries
	whole bool // nothing follows the container in Body

	at, pos int      // entry at starts at pos
	starts  []uint32 // of all entries and the end, once filled
	order   []uint32 // entries by (value, index), once sorted
	heap    []uint32 // scratch of byRank
}

// reset makes s stand for a container. whole says that nothing follows it.
func (s *seq) reset(c msgpack.Container, whole bool) {
	*s = seq{Container: c, n: int(c.Count), whole: whole, starts: s.starts[:0], order: s.order[:0], heap: s.heap[:0]}
}

func (s *seq) isMap() bool { return s.Kind == msgpack.Map }

// sorted says whether the elements of a list stand in value order.
func (s *seq) sorted() bool { return s.Kind == msgpack.List && s.Flags&msgpack.Ordered != 0 }

// unordered says that the original has to look at all pairs of a map where it
// could search in an ordered or indexed one; some results show the difference.
func (s *seq) unordered() bool { return s.Flags&msgpack.MapFlags == 0 }

// valueIndexed says that the original keeps an index of a map's values, and
// reports what it finds there in value order.
func (s *seq) valueIndexed() bool {
	return s.isMap() && s.Flags&(msgpack.ValueOrd|msgpack.Persist) == msgpack.ValueOrd|msgpack.Persist
}

// start returns the position of entry i; of entry n, the end of the last one.
func (s *seq) start(i int) int {
	switch {
	case len(s.starts) > 0:
		return int(s.starts[i])
	case s.Indexed():
		return s.At(uint32(i))
	case i == s.n && s.whole:
		return len(s.Body)
	case i < s.at:
		s.at, s.pos = 0, 0
	}
	s.pos += msgpack.SkipN(s.Body[s.pos:], uint64(i-s.at)*s.width())
	s.at = i
	return s.pos
}

// width is the number of msgpack values of an entry.
func (s *seq) width() uint64 {
	if s.isMap() {
		return 2
	}
	return 1
}

// entry returns the bytes from entry i on.
func (s *seq) entry(i int) []byte { return s.Body[s.start(i):] }

// value returns the bytes from the value of entry i on.
func (s *seq) value(i int) []byte { return s.valueAt(s.start(i)) }

func (s *seq) valueAt(pos int) []byte {
	if s.isMap() {
		pos += msgpack.Skip(s.Body[pos:])
	}
	return s.Body[pos:]
}

// span returns the bytes of entries lo to hi.
func (s *seq) span(lo, hi int) []byte {
	if lo >= hi {
		return nil
	}
	from := s.start(lo)
	return s.Body[from:s.start(hi)]
}

// many is the number of searches from which on it pays to find the positions
// of all entries first.
const many = 8

// prepare makes n searches in an ordered container cheap.
func (s *seq) prepare(n int) {
	if n > many && !s.Indexed() {
		s.fill()
	}
}

// random says that entries are found without a walk.
func (s *seq) random() bool { return s.Indexed() || len(s.starts) > 0 }

// fill finds the positions of all entries.
func (s *seq) fill() {
	if len(s.starts) > 0 {
		return
	}
	pos := 0
	for range s.n {
		s.starts = append(s.starts, uint32(pos))
		pos += msgpack.SkipN(s.Body[pos:], s.width())
	}
	s.starts = append(s.starts, uint32(pos))
}

// byValue returns the entries in value order, equal ones by index: entry
// order[r] has rank r.
func (s *seq) byValue() []uint32 {
	if len(s.order) > 0 || s.n == 0 {
		return s.order
	}
	s.fill()
	for i := range s.n {
		s.order = append(s.order, uint32(i))
	}
	if !s.sorted() {
		slices.SortFunc(s.order, func(a, b uint32) int {
			if c := msgpack.Compare(s.value(int(a)), s.value(int(b))); c != 0 {
				return c
			}
			return cmp.Compare(a, b)
		})
	}
	return s.order
}

// findKey returns the place of the first key that is not below key, and whether
// it is equal. A wildcard is equal to the key that the original meets first.
func (s *seq) findKey(key []byte) (i int, found bool) {
	if msgpack.Next(key).Kind == msgpack.Wildcard && !s.unordered() {
		return s.n / 2, s.n > 0
	}
	if s.random() {
		return s.search(key)
	}
	return s.findKeyFrom(0, key)
}

// findKeyFrom is findKey by a walk from entry i on.
func (s *seq) findKeyFrom(i int, key []byte) (int, bool) {
	pos := s.start(i)
	for ; i < s.n; i++ {
		if c := msgpack.Compare(s.Body[pos:], key); c >= 0 {
			s.at, s.pos = i, pos // where the caller goes on
			return i, c == 0
		}
		pos += msgpack.SkipN(s.Body[pos:], s.width())
	}
	return s.n, false
}

// slot returns the place in an ordered list where a new element goes: where
// binary search meets an equal one, or before the first greater one. Elements
// can be equal and yet differ, by order markers or by the size of a float.
func (s *seq) slot(v []byte) int {
	if !s.Indexed() {
		s.fill()
	}
	lo, hi := 0, s.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := msgpack.Compare(s.entry(mid), v); {
		case c == 0:
			return mid
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo
}

// search is binary search among keys, or the elements of an ordered list.
func (s *seq) search(v []byte) (i int, found bool) {
	i = s.find(func(x []byte) bool { return msgpack.Compare(x, v) >= 0 })
	return i, i < s.n && msgpack.Compare(s.entry(i), v) == 0
}

// find returns the first entry of an ordered container for which reached is
// true; it must be true for all that follow. It walks, or searches the index.
func (s *seq) find(reached func(x []byte) bool) int {
	if !s.random() {
		pos := 0
		for i := range s.n {
			if reached(s.Body[pos:]) {
				return i
			}
			pos += msgpack.SkipN(s.Body[pos:], s.width())
		}
		return s.n
	}
	lo, hi := 0, s.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if reached(s.entry(mid)) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// bounds returns the range of entries of an ordered list that are equal to v.
func (s *seq) bounds(v []byte) (lo, hi int) {
	lo = s.find(func(x []byte) bool { return msgpack.Compare(x, v) >= 0 })
	hi = s.find(func(x []byte) bool { return msgpack.Compare(x, v) > 0 })
	return lo, hi
}

// ranks returns the ranks that values equal to v have: lo to hi.
func (s *seq) ranks(v []byte) (lo, hi int) {
	if s.sorted() {
		return s.bounds(v)
	}
	if len(s.order) == 0 {
		lo = s.below(v)
		return lo, lo + s.equal(v)
	}
	at := func(r int) []byte { return s.value(int(s.order[r])) }
	lo = sort.Search(s.n, func(r int) bool { return msgpack.Compare(at(r), v) >= 0 })
	hi = lo + sort.Search(s.n-lo, func(r int) bool { return msgpack.Compare(at(lo+r), v) > 0 })
	return lo, hi
}

// below returns the number of values that are less than v.
func (s *seq) below(v []byte) int {
	if s.sorted() {
		lo, _ := s.bounds(v)
		return lo
	}
	n, pos := 0, 0
	for range s.n {
		if s.isMap() {
			pos += msgpack.Skip(s.Body[pos:])
		}
		if msgpack.Compare(s.Body[pos:], v) < 0 {
			n++
		}
		pos += msgpack.Skip(s.Body[pos:])
	}
	return n
}

// equal returns the number of values that are equal to v.
func (s *seq) equal(v []byte) int {
	if s.sorted() {
		lo, hi := s.bounds(v)
		return hi - lo
	}
	n, pos := 0, 0
	for range s.n {
		if s.isMap() {
			pos += msgpack.Skip(s.Body[pos:])
		}
		if msgpack.Compare(s.Body[pos:], v) == 0 {
			n++
		}
		pos += msgpack.Skip(s.Body[pos:])
	}
	return n
}

// contains says whether a list has an element equal to v.
func (s *seq) contains(v []byte) bool {
	if s.sorted() {
		lo, hi := s.bounds(v)
		return lo < hi
	}
	pos := 0
	for range s.n {
		if msgpack.Compare(s.Body[pos:], v) == 0 {
			return true
		}
		pos += msgpack.Skip(s.Body[pos:])
	}
	return false
}
