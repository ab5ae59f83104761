package cdt

import (
	"slices"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// integer and boolean make results.
func integer(n int) record.Value { return record.Value{Type: record.Integer, Num: uint64(int64(n))} }

func boolean(b bool) record.Value {
	v := record.Value{Type: record.Bool}
	if b {
		v.Num = 1
	}
	return v
}

// report builds what a pick answers. Results of more than one part are appended
// to the output. ok is false when the places asked for are not in a row.
func (w *worker) report(sel selection, k pickKind, r ret) (v record.Value, ok bool) {
	switch r.kind {
	case retCount:
		return integer(sel.n), true
	case retExists:
		return boolean(w.anySelected(sel, k, r.inverted)), true
	case retIndex, retReverseIndex, retRank, retReverseRank:
		if k.single() {
			return w.place(sel, k, r), true
		}
		return w.places(sel, k, r), true
	case retIndexRange, retReverseIndexRange, retRankRange, retReverseRankRange:
		return w.placeRange(sel, k, r)
	case retKey, retValue:
		if !k.single() {
			return w.parts(sel, r.kind == retKey), true
		}
		switch {
		case sel.n == 0:
			return record.Value{}, true
		case r.kind == retKey:
			return w.scalar(w.seq.entry(sel.index(0))), true
		}
		return w.scalar(w.seq.value(sel.index(0))), true
	case retKeyValue:
		return w.pairs(sel, msgpack.Preserve), true
	case retOrderedMap:
		return w.pairs(sel, msgpack.Ordered), true
	case retUnorderedMap:
		return w.pairs(sel, 0), true
	}
	return record.Value{}, true
}

// anySelected says whether anything is selected. Of an inverted selection the
// original does not always tell the truth: if single entries were selected it
// inverts the answer, and where it has two ranges to look at, neither counts.
func (w *worker) anySelected(sel selection, k pickKind, inverted bool) bool {
	if !inverted || k == byKeyList || k == byValueList {
		return sel.n > 0
	}
	set := (k == byAllValue || k == byInterval) && (w.seq.isMap() || w.seq.unordered()) || k == byKeyInterval && w.seq.unordered() ||
		(k == byRankRange || k == byValueRel) && !w.seq.isMap() && w.seq.unordered()
	switch {
	case k.single():
		return sel.n > 0
	case sel.before > 0 && set:
		return false
	case sel.before == 0:
		return w.seq.n > 0 || k == byKeyInterval || !w.seq.isMap() && w.seq.unordered() && (k == byAllValue || k == byInterval)
	}
	spans := [2]span{}
	switch {
	case (k == byRankRange || k == byValueRel) && !w.seq.sorted():
		spans = sel.ranks
	case w.seq.isMap() && w.seq.unordered():
		spans = sel.all
	}
	return sel.n > 0 && (spans[0].n == 0 || spans[1].n == 0)
}

// index returns the index of selected entry j.
func (sel *selection) index(j int) int {
	switch {
	case sel.set != nil:
		return int(sel.set[j])
	case j < sel.all[0].n:
		return sel.all[0].from + j
	}
	return sel.all[1].from + j - sel.all[0].n
}

// place answers with the index or rank of the one entry selected, -1 without.
func (w *worker) place(sel selection, k pickKind, r ret) record.Value {
	if sel.n == 0 {
		return integer(-1)
	}
	i := sel.index(0)
	rank := func() int {
		if k == byRank {
			return sel.from
		}
		return w.rank(i, k)
	}
	switch r.kind {
	case retIndex:
		return integer(i)
	case retReverseIndex:
		return integer(w.seq.n - 1 - i)
	case retRank:
		return integer(rank())
	}
	return integer(w.seq.n - 1 - rank())
}

// rank returns the rank of the entry picked: its place in value order, equal values by
// index. In a list without order all equal elements have the rank of the first.
func (w *worker) rank(i int, k pickKind) int {
	s := &w.seq
	switch {
	case s.sorted():
		return i
	case k == byValue:
		return s.below(w.call.args[1])
	}
	v := s.value(i)
	n, pos := 0, 0
	for j := range s.n {
		if s.isMap() {
			pos += msgpack.Skip(s.Body[pos:])
		}
		if c := msgpack.Compare(s.Body[pos:], v); c < 0 || c == 0 && s.isMap() && j < i {
			n++
		}
		pos += msgpack.Skip(s.Body[pos:])
	}
	return n
}

// places answers with a list of indexes or ranks. Those of entries that stand
// together ascend, also when they are told from the end.
func (w *worker) places(sel selection, k pickKind, r ret) record.Value {
	start := len(w.out)
	byRank := r.kind == retRank || r.kind == retReverseRank
	reverse := r.kind == retReverseIndex || r.kind == retReverseRank
	spans := w.spansOf(sel, k, byRank, r.inverted)
	if spans == nil {
		w.out = msgpack.AppendListHead(w.out, uint32(sel.n))
		var ranks []uint32
		if byRank {
			ranks = w.rankTable()
		}
		for j := range sel.n {
			v := sel.index(j)
			if byRank {
				v = int(ranks[v])
			}
			if reverse {
				v = w.seq.n - 1 - v
			}
			w.out = msgpack.AppendInt(w.out, int64(v))
		}
		return w.built(record.List, start)
	}
	n := 0
	for _, s := range spans {
		n += s.n
	}
	w.out = msgpack.AppendListHead(w.out, uint32(n))
	for _, s := range spans {
		if reverse {
			s.from = w.seq.n - s.from - s.n
		}
		for i := range s.n {
			w.out = msgpack.AppendInt(w.out, int64(s.from+i))
		}
	}
	return w.built(record.List, start)
}

// spansOf returns the indexes or ranks of a selection as spans, nil if they
// are to be reported entry by entry.
func (w *worker) spansOf(sel selection, k pickKind, byRank, inverted bool) []span {
	two := func(s [2]span) []span {
		w.spans = append(w.spans[:0], s[:]...)
		return w.spans
	}
	switch {
	case !byRank && sel.asked != nil:
		return sel.asked
	case !byRank || w.seq.sorted() && k != byValueList:
		if sel.set == nil {
			return two(sel.all)
		}
		if !w.seq.isMap() && sel.ranked {
			slices.Sort(sel.set)
		}
		return nil
	case k == byValueList:
		return w.rankSpans(inverted)
	case sel.ranks != [2]span{}:
		return two(sel.ranks)
	case sel.n == w.seq.n && (k != byKeyInterval || !w.seq.unordered()):
		return two([2]span{{0, sel.n}})
	}
	return nil
}

// rankSpans returns the ranks of the values asked for, value by value (of a
// value asked for twice the last place counts), or those of all others.
func (w *worker) rankSpans(inverted bool) []span {
	if !w.seq.sorted() {
		w.lastOnly()
	}
	w.seq.prepare(len(w.values))
	if len(w.values) > many && !w.seq.sorted() {
		w.seq.byValue()
	}
	w.spans = w.spans[:0]
	for _, v := range w.values {
		lo, hi := w.seq.ranks(v)
		n := hi - lo
		if w.seq.sorted() {
			w.spans = append(w.spans, span{lo, n})
			continue
		}
		for i := range n {
			w.spans = append(w.spans, span{lo + i, 1})
		}
	}
	if !inverted {
		return w.spans
	}
	w.table = w.table[:0]
	for _, s := range w.spans {
		for i := range s.n {
			w.table = append(w.table, uint32(s.from+i))
		}
	}
	slices.Sort(w.table)
	out := slices.Compact(w.table)
	w.ranks = w.ranks[:0]
	for i := range uint32(w.seq.n) {
		if len(out) > 0 && out[0] == i {
			out = out[1:]
			continue
		}
		w.ranks = append(w.ranks, i)
	}
	w.spans = w.spans[:0]
	if !w.seq.sorted() {
		w.spans = runs(w.spans, w.ranks)
		return w.spans
	}
	for _, i := range w.ranks {
		w.spans = append(w.spans, span{int(i), 1})
	}
	return w.spans
}

// rankTable returns the rank of every entry.
func (w *worker) rankTable() []uint32 {
	s := &w.seq
	order := s.byValue()
	w.table = append(w.table[:0], order...)
	for r, i := range order {
		rank := uint32(r)
		if !s.isMap() && r > 0 && msgpack.Compare(s.value(int(order[r-1])), s.value(int(i))) == 0 {
			rank = w.table[order[r-1]]
		}
		w.table[i] = rank
	}
	return w.table
}

// placeRange answers with [first place, count], if the places are in a row.
func (w *worker) placeRange(sel selection, k pickKind, r ret) (record.Value, bool) {
	byRank := r.kind == retRankRange || r.kind == retReverseRankRange
	if !w.seq.isMap() && !w.listRangeOK(sel, k, r.inverted, byRank) {
		return record.Value{}, false
	}
	from, ok := w.firstPlace(sel, k, r.inverted, byRank)
	if !ok {
		return record.Value{}, false
	}
	if (sel.n > 0 || w.reversesNothing(k)) && (r.kind == retReverseIndexRange || r.kind == retReverseRankRange) {
		from = w.seq.n - from - sel.n
	}
	start := len(w.out)
	w.out = msgpack.AppendListHead(w.out, 2)
	w.out = msgpack.AppendInt(w.out, int64(from))
	w.out = msgpack.AppendInt(w.out, int64(sel.n))
	return w.built(record.List, start), true
}

// reversesNothing says that the first place of an empty range is told from the
// end when a reversed range is asked for.
func (w *worker) reversesNothing(k pickKind) bool {
	if !w.seq.unordered() {
		return false
	}
	if w.seq.isMap() {
		return k == byKeyInterval
	}
	return k == byValue || k == byAllValue || k == byInterval
}

// listRangeOK says whether a pick in a list can answer with a range of indexes
// or ranks.
func (w *worker) listRangeOK(sel selection, k pickKind, inverted, byRank bool) bool {
	if w.seq.sorted() {
		return !inverted
	}
	switch k {
	case byRankRange, byValueRel:
		return sel.n == 0 || byRank && !inverted
	case byIndexRange:
		return !inverted && (!byRank || sel.n == 0)
	case byIndex:
		return !inverted && !byRank
	}
	return !inverted && byRank
}

// firstPlace returns the smallest index or rank of a selection whose places are
// in a row.
func (w *worker) firstPlace(sel selection, k pickKind, inverted, byRank bool) (int, bool) {
	s := &w.seq
	switch {
	case sel.n == 0 && s.n == 0 && s.isMap() && (k == byValue || k == byAllValue || k == byInterval):
		return -1, true
	case k == byKeyInterval && inverted && s.unordered(),
		(k == byInterval || k == byAllValue) && inverted && sel.before > 0:
		return 0, false
	case k == byValue && sel.n == 0 && s.sorted():
		return 0, true
	case k == byValue && sel.n == 0:
		return s.below(w.call.args[1]), true
	case k == byValue && byRank && sel.n > 0:
		return w.rank(sel.index(0), k), true
	case sel.n == 0 && !s.isMap() && !s.sorted() && inverted:
		return 0, true
	case sel.n == 0:
		return sel.from, true
	}
	spans := sel.all
	ok := sel.set == nil
	if byRank && !s.sorted() {
		spans, ok = sel.ranks, sel.ranks != [2]span{}
	}
	switch {
	case !ok || spans[0].n > 0 && spans[1].n > 0:
		return 0, false
	case spans[0].n > 0:
		return spans[0].from, true
	}
	return spans[1].from, true
}

// parts answers with a list of values, or of keys.
func (w *worker) parts(sel selection, keys bool) record.Value {
	s := &w.seq
	start := len(w.out)
	if sel.asked != nil && !s.isMap() {
		n := 0
		for _, r := range sel.asked {
			n += r.n
		}
		w.out = msgpack.AppendListHead(w.out, uint32(n))
		for _, r := range sel.asked {
			w.out = append(w.out, s.span(r.from, r.from+r.n)...)
		}
		return w.built(record.List, start)
	}
	w.out = msgpack.AppendListHead(w.out, uint32(sel.n))
	if sel.set == nil && !s.isMap() {
		for _, r := range sel.all {
			w.out = append(w.out, s.span(r.from, r.from+r.n)...)
		}
		return w.built(record.List, start)
	}
	for j := range sel.n {
		p := s.entry(sel.index(j))
		size := msgpack.Skip(p)
		if s.isMap() && !keys {
			p = p[size:]
			size = msgpack.Skip(p)
		}
		w.out = append(w.out, p[:size]...)
	}
	return w.built(record.List, start)
}

// pairs answers with a map that carries flags: an ordered one
// in key order.
func (w *worker) pairs(sel selection, flags byte) record.Value {
	s := &w.seq
	if flags == msgpack.Ordered && sel.ranked {
		slices.Sort(sel.set)
	}
	start := len(w.out)
	w.out = msgpack.AppendHead(w.out, msgpack.Map, flags, uint32(sel.n))
	for _, r := range sel.all {
		w.out = append(w.out, s.span(r.from, r.from+r.n)...)
	}
	for _, i := range sel.set {
		w.out = append(w.out, s.span(int(i), int(i)+1)...)
	}
	return w.built(record.Map, start)
}

// built returns what was appended to the output since start.
func (w *worker) built(t record.Type, start int) record.Value {
	return record.Value{Type: t, Bytes: w.out[start:len(w.out):len(w.out)]}
}

// noCells stands in front of the JSON text of a GeoJSON value that was an
// element: no flags, no cells.
var noCells [3]byte

// scalar returns the value at the start of p as a bin's value: a view, but for
// GeoJSON.
func (w *worker) scalar(p []byte) record.Value {
	it := msgpack.Next(p)
	content := p[it.Head:]
	switch it.Kind {
	case msgpack.False, msgpack.True:
		return boolean(it.Kind == msgpack.True)
	case msgpack.Negative, msgpack.Positive:
		return record.Value{Type: record.Integer, Num: it.Num}
	case msgpack.Double:
		return record.Value{Type: record.Float, Num: it.Num}
	case msgpack.String:
		return record.Value{Type: record.String, Bytes: content[1:it.Len:it.Len]}
	case msgpack.Bytes:
		if it.Len == 0 {
			return record.Value{Type: record.Blob, Bytes: content[:0:0]}
		}
		return record.Value{Type: record.Type(content[0]), Bytes: content[1:it.Len:it.Len]}
	case msgpack.GeoJSON:
		start := len(w.out)
		w.out = append(append(w.out, noCells[:]...), content[1:it.Len]...)
		return w.built(record.GeoJSON, start)
	case msgpack.List, msgpack.Map:
		t := record.List
		if it.Kind == msgpack.Map {
			t = record.Map
		}
		size := msgpack.Skip(p)
		return record.Value{Type: t, Bytes: p[:size:size]}
	}
	return record.Value{}
}
