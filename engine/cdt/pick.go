package cdt

import (
	"slices"
	"sort"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// pickKind says by what an operation picks the entries that it gets or removes.
type pickKind uint8

const (
	byNothing pickKind = iota
	byIndex
	byIndexRange
	byRank
	byRankRange
	byValue // the first equal one
	byAllValue
	byValueList
	byInterval
	byValueRel
	byKey
	byKeyInterval
	byKeyList
	byKeyRel
)

// single says that the pick answers with one result, not a list.
func (k pickKind) single() bool {
	return k == byIndex || k == byRank || k == byValue || k == byKey
}

// Return types: what an operation tells about the entries that it picked.
const (
	retNone = iota
	retIndex
	retReverseIndex
	retRank
	retReverseRank
	retCount
	retKey
	retValue
	retKeyValue
	retIndexRange
	retReverseIndexRange
	retRankRange
	retReverseRankRange
	retExists
	retUnorderedMap = 16
	retOrderedMap   = 17

	retInverted = 0x10000
)

// span is a range of entries, or of ranks.
type span struct{ from, n int }

// selection is a set of entries in the order in which they are reported.
type selection struct {
	n   int      // entries
	all [2]span  // the entries by index, when set is nil
	set []uint32 // the entries

	// ranks are those of the entries, in ascending order, when they stand
	// together in value order or are all the others.
	ranks  [2]span
	ranked bool   // set is in rank order: a map's
	from   int    // first place by the measure of the pick, for ranges
	asked  []span // the indexes as the list of keys or values asks for them, if they are reported so
	before int    // entries selected before the selection was inverted
}

// between selects entries from to from+n by index.
func between(from, n int) selection {
	return selection{n: n, all: [2]span{{from, n}}, from: from}
}

// resolve clips a range that starts at index (negative: from the end) and has
// count entries to n entries.
func resolve(index int64, count uint64, n int) (from, size int) {
	if index >= int64(n) {
		return n, 0
	}
	if index < 0 {
		index += int64(n)
		if index < 0 {
			over := uint64(-index)
			count -= min(count, over)
			index = 0
		}
	}
	if rest := uint64(n) - uint64(index); count > rest {
		count = rest
	}
	return int(index), int(count)
}

// pick runs a get or remove operation.
func (w *worker) pick() step {
	k := w.call.op.pick
	rtype, ok := w.call.int(0)
	if !ok || !w.intsOK(k) {
		return fail(record.Parameter)
	}
	r := ret{kind: int(rtype & 0xffff), inverted: rtype&retInverted != 0}
	if !w.reports(k, r.kind) {
		if w.asksForNothing(k, r) {
			return step{}
		}
		return fail(record.NotApplicable)
	}
	sel, res := w.selectEntries(k)
	if res != record.OK {
		return fail(res)
	}
	if r.inverted && k.single() {
		// Only a key that an ordered map does not have has an answer.
		if k != byKey || sel.n > 0 || w.seq.unordered() {
			return fail(record.NotApplicable)
		}
	} else if r.inverted {
		sel = w.invert(sel, k)
	}
	st := step{}
	if st.result, ok = w.report(sel, k, r); !ok {
		return fail(record.NotApplicable)
	}
	if w.call.op.modify && sel.n > 0 {
		st.edit = true
		w.remove(sel)
	}
	return st
}

// intsOK says whether the arguments that must be integers, or a list, are.
func (w *worker) intsOK(k pickKind) bool {
	at := 0
	switch k {
	case byIndex, byRank, byIndexRange, byRankRange:
		at = 1
	case byKeyRel, byValueRel:
		at = 2
	case byKeyList, byValueList:
		return msgpack.Next(w.call.args[1]).Kind == msgpack.List
	default:
		return true
	}
	_, ok := w.call.int(at)
	_, ok2 := w.call.count(at + 1)
	return ok && ok2
}

// ret is a decoded return type.
type ret struct {
	kind     int
	inverted bool
}

// asksForNothing says that a list of keys or values to pick from a map is
// empty: then the original does not look at the return type closely.
func (w *worker) asksForNothing(k pickKind, r ret) bool {
	if !w.seq.isMap() || r.inverted || k != byKeyList && k != byValueList || r.kind < retExists {
		return false
	}
	it := msgpack.Next(w.call.args[1])
	return it.Kind == msgpack.List && it.Len == 0
}

// reports says whether a pick can answer with a return type. Places in a row
// also depend on what is picked.
func (w *worker) reports(k pickKind, kind int) bool {
	switch kind {
	case retNone, retIndex, retReverseIndex, retCount, retValue, retExists:
		return true
	case retRank, retReverseRank:
		return k != byKeyList
	case retKey, retKeyValue, retUnorderedMap, retOrderedMap:
		return w.seq.isMap()
	case retIndexRange, retReverseIndexRange:
		return !w.seq.isMap() && k != byValueList || k.byIndexes()
	case retRankRange, retReverseRankRange:
		return !w.seq.isMap() && k != byValueList || k.byRanks()
	}
	return false
}

// byIndexes says that what is picked stands together in index order.
func (k pickKind) byIndexes() bool {
	switch k {
	case byIndex, byIndexRange, byKey, byKeyInterval, byKeyRel:
		return true
	}
	return false
}

// byRanks says that what is picked stands together in value order.
func (k pickKind) byRanks() bool {
	switch k {
	case byRank, byRankRange, byValue, byAllValue, byInterval, byValueRel:
		return true
	}
	return false
}

// selectEntries finds the entries that a pick means.
func (w *worker) selectEntries(k pickKind) (selection, record.Result) {
	switch k {
	case byIndex, byRank:
		i, ok := w.call.int(1)
		if !ok {
			return selection{}, record.Parameter
		}
		if i < 0 {
			i += int64(w.seq.n)
		}
		if i < 0 || i >= int64(w.seq.n) {
			return selection{}, record.NotApplicable
		}
		if k == byIndex {
			return between(int(i), 1), record.OK
		}
		return w.ranked(int(i), 1), record.OK
	case byIndexRange, byRankRange:
		i, ok := w.call.int(1)
		count, ok2 := w.call.count(2)
		if !ok || !ok2 {
			return selection{}, record.Parameter
		}
		from, n := resolve(i, count, w.seq.n)
		if k == byIndexRange {
			return between(from, n), record.OK
		}
		return w.ranked(from, n), record.OK
	case byValue:
		return w.firstEqual(w.call.args[1]), record.OK
	case byAllValue:
		v := w.call.args[1]
		return w.within(func(x []byte) int { return msgpack.Compare(x, v) }), record.OK
	case byInterval:
		if w.seq.sorted() && w.call.has(2) && msgpack.Next(w.call.args[1]).Kind == msgpack.Wildcard {
			return between(0, 0), record.OK // the original finds no place for it
		}
		return w.within(w.interval()), record.OK
	case byValueList:
		return w.valueList()
	case byValueRel:
		return w.valueRel()
	case byKey:
		i, found := w.seq.findKey(w.call.args[1])
		if !found {
			return between(-1, 0), record.OK
		}
		return between(i, 1), record.OK
	case byKeyInterval:
		lo, _ := w.seq.findKey(w.call.args[1])
		hi := w.seq.n
		if w.call.has(2) {
			hi, _ = w.seq.findKey(w.call.args[2])
		}
		return between(lo, max(0, hi-lo)), record.OK
	case byKeyRel:
		i, ok := w.call.int(2)
		count, ok2 := w.call.count(3)
		if !ok || !ok2 {
			return selection{}, record.Parameter
		}
		base, _ := w.seq.findKey(w.call.args[1])
		from, n := relative(base, i, count, w.seq.n)
		return between(from, n), record.OK
	}
	return w.keyList()
}

// relative clips a range of count entries from base+offset to n entries.
func relative(base int, offset int64, count uint64, n int) (from, size int) {
	start := int64(base) + offset
	if offset > 0 && start < offset {
		return 0, 0
	}
	if start >= int64(n) {
		return n, 0
	}
	if start < 0 {
		over := uint64(-start)
		count -= min(count, over)
		start = 0
	}
	if rest := uint64(n) - uint64(start); count > rest {
		count = rest
	}
	return int(start), int(count)
}

// ranked selects the entries of ranks from to from+n: in a map in rank order.
func (w *worker) ranked(from, n int) selection {
	s := &w.seq
	if s.sorted() {
		return between(from, n)
	}
	sel := selection{n: n, from: from, ranks: [2]span{{from, n}}, ranked: true}
	w.set = w.set[:0]
	switch {
	case n == 0:
	case s.isMap():
		w.set = append(w.set, s.byValue()[from:from+n]...)
	default:
		w.set = append(w.set, s.byRank(from, n)...)
	}
	sel.set = w.set
	return sel
}

// firstEqual selects the first entry whose value is equal to v.
func (w *worker) firstEqual(v []byte) selection {
	s := &w.seq
	if s.sorted() {
		lo, hi := s.bounds(v)
		if lo == hi {
			return selection{}
		}
		return between(lo, 1)
	}
	for i := range s.n {
		if msgpack.Compare(s.value(i), v) == 0 {
			return between(i, 1)
		}
	}
	return selection{}
}

// interval returns a function that places a value relative to the interval of
// arguments 1 and 2: negative below it, 0 inside.
func (w *worker) interval() func(x []byte) int {
	begin, end := w.call.args[1], w.call.args[2]
	return func(x []byte) int {
		if msgpack.Compare(x, begin) < 0 {
			return -1
		}
		if end != nil && msgpack.Compare(x, end) >= 0 {
			return 1
		}
		return 0
	}
}

// within selects the entries that place puts at 0; its from is the number of
// those that it puts below, which is the rank of the smallest selected.
func (w *worker) within(place func(x []byte) int) selection {
	s := &w.seq
	if s.sorted() {
		return w.withinSorted(place)
	}
	if s.valueIndexed() {
		order := s.byValue()
		value := func(r int) int { return place(s.value(int(order[r]))) }
		from := sort.Search(s.n, func(r int) bool { return value(r) >= 0 })
		to := from + sort.Search(s.n-from, func(r int) bool { return value(from+r) > 0 })
		return w.ranked(from, to-from)
	}
	var sel selection
	w.set = w.set[:0]
	pos := 0
	for i := range s.n {
		if s.isMap() {
			pos += msgpack.Skip(s.Body[pos:])
		}
		switch c := place(s.Body[pos:]); {
		case c < 0:
			sel.from++
		case c == 0:
			w.set = append(w.set, uint32(i))
		}
		pos += msgpack.Skip(s.Body[pos:])
	}
	sel.set, sel.n = w.set, len(w.set)
	sel.ranks[0] = span{sel.from, sel.n}
	return sel
}

// withinSorted is within for an ordered list.
func (w *worker) withinSorted(place func(x []byte) int) selection {
	s := &w.seq
	from := s.find(func(x []byte) bool { return place(x) >= 0 })
	to := s.find(func(x []byte) bool { return place(x) > 0 })
	return between(from, max(0, to-from))
}

// valueRel selects by rank relative to where argument 1 stands among the
// values.
func (w *worker) valueRel() (selection, record.Result) {
	i, ok := w.call.int(2)
	count, ok2 := w.call.count(3)
	if !ok || !ok2 {
		return selection{}, record.Parameter
	}
	from, n := relative(w.seq.below(w.call.args[1]), i, count, w.seq.n)
	return w.ranked(from, n), record.OK
}

// elements calls fn for each element of the list in argument 1.
func (w *worker) elements(fn func(v []byte)) bool {
	c, ok := msgpack.Open(w.call.args[1])
	if !ok || c.Kind != msgpack.List {
		return false
	}
	p := c.Body
	for range c.Count {
		fn(p)
		p = p[msgpack.Skip(p):]
	}
	return true
}

// keyList selects the entries with one of the keys in argument 1. Indexes are
// reported in the order asked for; by an ordered map as often as asked for.
func (w *worker) keyList() (selection, record.Result) {
	w.values = w.values[:0]
	if !w.elements(func(v []byte) { w.values = append(w.values, v) }) {
		return selection{}, record.Parameter
	}
	if w.seq.unordered() {
		w.lastOnly()
	}
	w.seq.prepare(len(w.values))
	w.spans = w.spans[:0]
	for _, v := range w.values {
		if i, found := w.seq.findKey(v); found {
			w.spans = append(w.spans, span{i, 1})
		}
	}
	return w.listed(), record.OK
}

// listed returns the selection of the entries in spans, which are in the order
// asked for and may be there twice.
func (w *worker) listed() selection {
	w.set = w.set[:0]
	for _, s := range w.spans {
		for i := range s.n {
			w.set = append(w.set, uint32(s.from+i))
		}
	}
	slices.Sort(w.set)
	w.set = slices.Compact(w.set)
	return selection{set: w.set, n: len(w.set), asked: w.spans}
}

// valueList selects the entries with one of the values in argument 1. An
// ordered list, and a map with an index of its values, report indexes in the
// order asked for, as often as asked for.
func (w *worker) valueList() (selection, record.Result) {
	w.values = w.values[:0]
	if !w.elements(func(v []byte) { w.values = append(w.values, v) }) {
		return selection{}, record.Parameter
	}
	s := &w.seq
	if s.valueIndexed() {
		w.spans = w.spans[:0]
		order := s.byValue()
		for _, v := range w.values {
			lo, hi := s.ranks(v)
			for _, i := range order[lo:hi] {
				w.spans = append(w.spans, span{int(i), 1})
			}
		}
		return w.listed(), record.OK
	}
	if s.sorted() {
		s.prepare(len(w.values))
		w.spans = w.spans[:0]
		for _, v := range w.values {
			lo, hi := s.bounds(v)
			w.spans = append(w.spans, span{lo, hi - lo})
		}
		return w.listed(), record.OK
	}
	w.set = w.set[:0]
	w.sortedValues = append(w.sortedValues[:0], w.values...)
	slices.SortFunc(w.sortedValues, msgpack.Compare)
	pos := 0
	for i := range s.n {
		if s.isMap() {
			pos += msgpack.Skip(s.Body[pos:])
		}
		if _, found := slices.BinarySearchFunc(w.sortedValues, s.Body[pos:], msgpack.Compare); found {
			w.set = append(w.set, uint32(i))
		}
		pos += msgpack.Skip(s.Body[pos:])
	}
	return selection{set: w.set, n: len(w.set)}, record.OK
}

// lastOnly drops from values those that come again.
func (w *worker) lastOnly() {
	w.sortedValues = append(w.sortedValues[:0], w.values...)
	slices.SortStableFunc(w.sortedValues, msgpack.Compare)
	n := 0
	for _, v := range w.values {
		i, _ := slices.BinarySearchFunc(w.sortedValues, v, func(x, v []byte) int {
			if msgpack.Compare(x, v) <= 0 {
				return -1
			}
			return 1
		})
		if last := w.sortedValues[i-1]; &last[0] == &v[0] {
			w.values[n] = v
			n++
		}
	}
	w.values = w.values[:n]
}

// invert selects the other entries: in entry order, but those above or below a
// map's rank range in rank order.
func (w *worker) invert(sel selection, k pickKind) selection {
	n := w.seq.n
	rest := selection{n: n - sel.n, from: sel.n, before: sel.n}
	if sel.from > 0 {
		rest.from = 0
	}
	// An empty selection leaves everything, which the original reports in two
	// parts where it looks at every key, or at every element's value.
	split := w.seq.unordered() && (k == byKeyInterval || !w.seq.isMap() && k.byRanks())
	whole := sel.n == 0 && !split
	switch {
	case whole:
		rest.ranks[0] = span{0, n}
	case sel.ranks != [2]span{} || sel.ranked || split && !w.seq.isMap():
		rest.ranks = outside(span{sel.from, sel.n}, n)
	}
	switch {
	case sel.set == nil && whole:
		rest.all = [2]span{{0, n}}
		return rest
	case sel.set == nil:
		rest.all = outside(sel.all[0], n)
		return rest
	}
	inRankOrder := sel.ranked && w.seq.isMap() && (k == byRankRange || k == byValueRel) && (sel.n == 0 || rest.ranks[0].n == 0 || rest.ranks[1].n == 0)
	if sel.n == 0 && !inRankOrder && w.seq.isMap() && k != byValueList && k != byKeyList {
		rest.all[0] = span{0, n}
		return rest
	}
	w.other = w.other[:0]
	if inRankOrder {
		order := w.seq.byValue()
		w.other = append(append(w.other, order[:sel.from]...), order[sel.from+sel.n:]...)
		rest.ranked = true
	} else {
		w.sorted = append(w.sorted[:0], sel.set...)
		slices.Sort(w.sorted)
		out := w.sorted
		for i := range uint32(n) {
			if len(out) > 0 && out[0] == i {
				out = out[1:]
				continue
			}
			w.other = append(w.other, i)
		}
	}
	rest.set = w.other
	if sel.asked != nil && w.seq.unordered() {
		w.spans = runs(w.spans[:0], w.other)
		rest.asked = w.spans
	}
	return rest
}

// outside returns what is not in a span of 0 to n.
func outside(s span, n int) [2]span {
	if s.from < 0 {
		return [2]span{{0, n}}
	}
	return [2]span{{0, s.from}, {s.from + s.n, n - s.from - s.n}}
}

// runs appends ascending numbers as spans.
func runs(dst []span, ns []uint32) []span {
	for _, v := range ns {
		if last := len(dst) - 1; last >= 0 && dst[last].from+dst[last].n == int(v) {
			dst[last].n++
			continue
		}
		dst = append(dst, span{int(v), 1})
	}
	return dst
}

// remove edits the container: without the selected entries.
func (w *worker) remove(sel selection) {
	s := &w.seq
	w.begin(s.Kind, s.Flags, s.n-sel.n)
	if sel.set == nil {
		a, b := sel.all[0], sel.all[1]
		if b.n == 0 {
			b.from = s.n
		}
		w.piece(s.span(0, a.from))
		w.piece(s.span(a.from+a.n, b.from))
		w.piece(s.span(b.from+b.n, s.n))
		return
	}
	w.sorted = append(w.sorted[:0], sel.set...)
	slices.Sort(w.sorted)
	set := w.sorted
	from := 0
	for _, i := range set {
		w.piece(s.span(from, int(i)))
		from = int(i) + 1
	}
	w.piece(s.span(from, s.n))
}
