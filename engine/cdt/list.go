package cdt

import (
	"math"
	"slices"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Write flags of list operations. Others are ignored.
const (
	listUnique  = 0x01 // refuse values that are there already
	listBounded = 0x02 // refuse to insert behind the end
	listNoFail  = 0x04 // do nothing instead of failing
	listPartial = 0x08 // with listNoFail: add those items that are allowed
)

// typeFlags is the low byte of a list's or map's type argument; ok is false
// when it asks for something that does not exist.
func typeFlags(v int64, k msgpack.Kind) (flags byte, ok bool) {
	flags = byte(v)
	if k == msgpack.Map {
		return flags, flags&^msgpack.MapFlags == 0
	}
	return flags, flags&^msgpack.ListFlags == 0
}

// createWith gives a container that does not exist the order of argument i, if
// that is a valid one.
func (w *worker) createWith(i int) bool {
	v, ok := w.call.intOr(i, 0)
	if !ok {
		return false
	}
	if !w.has {
		if flags, ok := typeFlags(v, w.seq.Kind); ok {
			if !w.top {
				flags &^= msgpack.Persist
			}
			w.seq.Flags = msgpack.StoredFlags(w.seq.Kind, flags)
		}
	}
	return true
}

// size answers with the number of entries.
func (w *worker) size() step { return step{result: integer(w.seq.n)} }

// clear empties the container; its order stays.
func (w *worker) clear() step {
	if w.seq.n == 0 {
		return step{}
	}
	w.begin(w.seq.Kind, w.seq.Flags, 0)
	return step{edit: true}
}

// setType gives the container an order, or takes it away.
func (w *worker) setType() step {
	v, ok := w.call.int(0)
	if !ok {
		return fail(record.Parameter)
	}
	s := &w.seq
	flags, ok := typeFlags(v, s.Kind)
	if !ok {
		return fail(record.NotApplicable)
	}
	w.begin(s.Kind, flags, s.n)
	if !w.exists && !w.top { // the one place where an inner container keeps the bit
		w.editFlags = flags
	}
	if s.Kind == msgpack.List && flags&msgpack.Ordered != 0 && !s.sorted() {
		for _, i := range s.byValue() {
			w.piece(s.span(int(i), int(i)+1))
		}
	} else {
		w.piece(s.span(0, s.n))
	}
	return step{edit: true}
}

// insertAt edits the list: n entries, items, at place i. Behind the end the gap
// is filled with nil.
func (w *worker) insertAt(i int, items ...[]byte) {
	s := &w.seq
	pads := max(0, i-s.n)
	w.begin(s.Kind, s.Flags, s.n+pads+len(items))
	i = min(i, s.n)
	w.piece(s.span(0, i))
	w.pad(pads)
	for _, p := range items {
		w.piece(p)
	}
	w.piece(s.span(i, s.n))
}

// added answers with the new size after an edit.
func (w *worker) added() step { return step{edit: true, result: integer(w.editN)} }

// refuse is the answer of a write whose flags forbid it. A bin that does not
// exist is made, and stays empty; nothing is made along a context.
func (w *worker) refuse(res record.Result, noFail bool) step {
	if !noFail {
		return fail(res)
	}
	create := !w.has && w.top
	if create {
		w.begin(w.seq.Kind, w.seq.Flags, 0)
	}
	return step{edit: create, result: integer(w.seq.n)}
}

// listAppend adds a value at the end, or at its place in an ordered list.
func (w *worker) listAppend() step {
	v, ok := w.stored(w.call.args[0])
	flags, ok2 := w.call.intOr(2, 0)
	if !ok || !w.createWith(1) || !ok2 {
		return fail(record.Parameter)
	}
	s := &w.seq
	if flags&listUnique != 0 && s.contains(v) {
		return w.refuse(record.ElementExists, flags&listNoFail != 0)
	}
	at := s.n
	if s.sorted() {
		at = s.slot(v)
	}
	w.insertAt(at, v)
	return w.added()
}

// items normalises the list in argument i and puts its elements into values.
func (w *worker) items(i int) bool {
	if msgpack.Next(w.call.args[i]).Kind != msgpack.List {
		return false
	}
	v, ok := w.stored(w.call.args[i])
	if !ok {
		return false
	}
	c, _ := msgpack.Open(v)
	w.values = w.values[:0]
	p := c.Body
	for range c.Count {
		size := msgpack.Skip(p)
		w.values = append(w.values, p[:size])
		p = p[size:]
	}
	return true
}

// dropKnown drops those of the values that the list has, or that are there
// twice. It returns why an operation that wants all of them must fail:
// ElementExists for one that the list has, NotApplicable for one that is there
// twice; an ordered list looks for the latter first.
func (w *worker) dropKnown() record.Result {
	s := &w.seq
	var order []uint32
	if !s.sorted() && len(w.values) > 4 {
		order = s.byValue()
	}
	has := func(v []byte) bool {
		if order == nil {
			return s.contains(v)
		}
		_, found := slices.BinarySearchFunc(order, v, func(i uint32, v []byte) int {
			return msgpack.Compare(s.value(int(i)), v)
		})
		return found
	}
	w.sortedValues = append(w.sortedValues[:0], w.values...)
	slices.SortStableFunc(w.sortedValues, msgpack.Compare)
	n := 0
	res := record.OK
	for _, v := range w.values {
		i, _ := slices.BinarySearchFunc(w.sortedValues, v, msgpack.Compare)
		first := w.sortedValues[i]
		why := record.OK
		switch {
		case &first[0] != &v[0] && (s.sorted() || !has(v)):
			why = record.NotApplicable
		case has(v):
			why = record.ElementExists
		default:
			w.values[n] = v
			n++
		}
		if res == record.OK || s.sorted() && why == record.NotApplicable {
			res = why
		}
	}
	w.values = w.values[:n]
	return res
}

// unique applies the flags to the values to be added. done is the answer when
// they forbid it.
func (w *worker) unique(flags int64) (done step, ok bool) {
	if flags&listUnique == 0 {
		return step{}, true
	}
	res := w.dropKnown()
	if res == record.OK || flags&(listNoFail|listPartial) == listNoFail|listPartial {
		return step{}, true
	}
	return w.refuse(res, flags&listNoFail != 0), false
}

// listAppendItems adds the elements of a list.
func (w *worker) listAppendItems() step {
	flags, ok := w.call.intOr(2, 0)
	if !w.items(0) || !w.createWith(1) || !ok {
		return fail(record.Parameter)
	}
	if done, ok := w.unique(flags); !ok {
		return done
	}
	if w.has && len(w.values) == 0 {
		return step{result: integer(w.seq.n)}
	}
	if w.seq.sorted() {
		w.mergeItems()
	} else {
		w.insertAt(w.seq.n, w.values...)
	}
	return w.added()
}

// mergeItems edits an ordered list: with the values at their places, behind
// equal elements.
func (w *worker) mergeItems() {
	s := &w.seq
	slices.SortStableFunc(w.values, msgpack.Compare)
	w.begin(s.Kind, s.Flags, s.n+len(w.values))
	from, i := 0, 0
	for _, v := range w.values {
		if len(w.values) == 1 {
			_, i = s.bounds(v)
		}
		for i < s.n && msgpack.Compare(s.entry(i), v) <= 0 {
			i++
		}
		w.piece(s.span(from, i))
		w.piece(v)
		from = i
	}
	w.piece(s.span(from, s.n))
}

// listPlace resolves the index of an insert or set. It fails on an index before
// the front, and on one behind the end if that is forbidden; done is then the
// answer.
func (w *worker) listPlace(index int64, flags int64) (i int, done step, ok bool) {
	n := int64(w.seq.n)
	if index < 0 {
		if index += n; index < 0 {
			return 0, fail(record.NotApplicable), false
		}
	}
	if index > n {
		if flags&listBounded != 0 {
			return 0, w.refuse(record.NotApplicable, flags&listNoFail != 0), false
		}
		if index >= math.MaxUint32 {
			return 0, fail(record.NotApplicable), false
		}
		if index-n > maxPad {
			return 0, fail(record.Parameter), false
		}
	}
	return int(index), step{}, true
}

// listInsert adds a value before the element at an index.
func (w *worker) listInsert() step {
	index, ok := w.call.int(0)
	flags, ok2 := w.call.intOr(2, 0)
	v, ok3 := w.stored(w.call.args[1])
	if !ok || !ok2 || !ok3 {
		return fail(record.Parameter)
	}
	if w.seq.sorted() {
		return fail(record.NotApplicable)
	}
	i, done, ok := w.listPlace(index, flags)
	if !ok {
		return done
	}
	if flags&listUnique != 0 && w.seq.contains(v) {
		return w.refuse(record.ElementExists, flags&listNoFail != 0)
	}
	w.insertAt(i, v)
	return w.added()
}

// listInsertItems adds the elements of a list before the element at an index.
func (w *worker) listInsertItems() step {
	index, ok := w.call.int(0)
	flags, ok2 := w.call.intOr(2, 0)
	if !ok || !ok2 || msgpack.Next(w.call.args[1]).Kind != msgpack.List {
		return fail(record.Parameter)
	}
	if w.seq.sorted() {
		return fail(record.NotApplicable)
	}
	if !w.items(1) {
		return fail(record.Parameter)
	}
	if len(w.values) == 0 {
		if !w.has {
			w.begin(w.seq.Kind, w.seq.Flags, 0)
		}
		return step{edit: !w.has, result: integer(w.seq.n)}
	}
	i, done, ok := w.listPlace(index, flags)
	if !ok {
		return done
	}
	if done, ok := w.unique(flags); !ok {
		return done
	}
	w.insertAt(i, w.values...)
	return w.added()
}

// listSet replaces the element at an index, or inserts behind the end.
func (w *worker) listSet() step {
	index, ok := w.call.int(0)
	flags, ok2 := w.call.intOr(2, 0)
	v, ok3 := w.stored(w.call.args[1])
	if !ok || !ok2 || !ok3 {
		return fail(record.Parameter)
	}
	s := &w.seq
	if s.sorted() {
		return fail(record.NotApplicable)
	}
	i, done, ok := w.listPlace(index, flags)
	if !ok {
		done.result = record.Value{}
		return done
	}
	if flags&listUnique != 0 && w.listHasBut(i, v) {
		st := w.refuse(record.ElementExists, flags&listNoFail != 0)
		st.result = record.Value{}
		return st
	}
	if i >= s.n {
		w.insertAt(i, v)
	} else {
		w.replaceAt(i, v)
	}
	return step{edit: true}
}

// listHasBut says whether an element other than i is equal to v.
func (w *worker) listHasBut(i int, v []byte) bool {
	s := &w.seq
	for j := range s.n {
		if j != i && msgpack.Compare(s.entry(j), v) == 0 {
			return true
		}
	}
	return false
}

// replaceAt edits the list: v in the place of element i.
func (w *worker) replaceAt(i int, v []byte) {
	s := &w.seq
	w.begin(s.Kind, s.Flags, s.n)
	w.piece(s.span(0, i))
	w.piece(v)
	w.piece(s.span(i+1, s.n))
}

// keepRange edits the container to have the entries lo to hi only.
func (w *worker) keepRange(lo, hi int) {
	w.begin(w.seq.Kind, w.seq.Flags, hi-lo)
	w.piece(w.seq.span(lo, hi))
}

// one resolves the index of a single element in argument 0.
func (w *worker) one() (int, record.Result) {
	i, ok := w.call.int(0)
	if !ok {
		return 0, record.Parameter
	}
	if i < 0 {
		i += int64(w.seq.n)
	}
	if i < 0 || i >= int64(w.seq.n) {
		return 0, record.NotApplicable
	}
	return int(i), record.OK
}

// some resolves the range in arguments 0 and 1.
func (w *worker) some() (selection, bool) {
	i, ok := w.call.int(0)
	count, ok2 := w.call.count(1)
	from, n := resolve(i, count, w.seq.n)
	return between(from, n), ok && ok2
}

// listGet answers with the element at an index.
func (w *worker) listGet() step {
	i, res := w.one()
	if res != record.OK {
		return fail(res)
	}
	return step{result: w.scalar(w.seq.entry(i))}
}

// listGetRange answers with a list of elements.
func (w *worker) listGetRange() step {
	sel, ok := w.some()
	if !ok {
		return fail(record.Parameter)
	}
	return step{result: w.parts(sel, false)}
}

// listPop removes the element at an index and answers with it.
func (w *worker) listPop() step {
	i, res := w.one()
	if res != record.OK {
		return fail(res)
	}
	st := step{edit: true, result: w.scalar(w.seq.entry(i))}
	w.remove(between(i, 1))
	return st
}

// listPopRange removes elements and answers with them.
func (w *worker) listPopRange() step {
	sel, ok := w.some()
	if !ok {
		return fail(record.Parameter)
	}
	st := step{edit: sel.n > 0, result: w.parts(sel, false)}
	if st.edit {
		w.remove(sel)
	}
	return st
}

// listRemove removes the element at an index and answers with 1.
func (w *worker) listRemove() step {
	i, res := w.one()
	if res != record.OK {
		return fail(res)
	}
	w.remove(between(i, 1))
	return step{edit: true, result: integer(1)}
}

// listRemoveRange removes elements and answers with their number.
func (w *worker) listRemoveRange() step {
	sel, ok := w.some()
	if !ok {
		return fail(record.Parameter)
	}
	if sel.n > 0 {
		w.remove(sel)
	}
	return step{edit: sel.n > 0, result: integer(sel.n)}
}

// listTrim removes everything outside a range and answers with the number of
// elements removed.
func (w *worker) listTrim() step {
	sel, ok := w.some()
	if !ok {
		return fail(record.Parameter)
	}
	removed := w.seq.n - sel.n
	if removed > 0 {
		w.keepRange(sel.from, sel.from+sel.n)
	}
	return step{edit: removed > 0, result: integer(removed)}
}

// listIncrement adds a number to the element at an index.
func (w *worker) listIncrement() step {
	index, ok := w.call.int(0)
	flags, ok2 := w.call.intOr(3, 0)
	if !ok || !w.createWith(2) || !ok2 {
		return fail(record.Parameter)
	}
	s := &w.seq
	if index < -int64(s.n) {
		return fail(record.NotApplicable)
	}
	var old []byte
	if index < int64(s.n) {
		old = s.entry(int(index+int64(s.n)) % s.n)
	}
	v, ok := w.sum(old, 1, false)
	if !ok {
		return fail(record.Parameter)
	}
	result := w.scalar(v)
	if s.sorted() && index > int64(s.n) {
		return fail(record.NotApplicable)
	}
	i, done, ok := w.listPlace(index, flags)
	if !ok {
		done.result = result
		return done
	}
	if flags&listUnique != 0 && w.listHasBut(i, v) {
		done = w.refuse(record.ElementExists, flags&listNoFail != 0)
		done.result = result
		return done
	}
	switch {
	case s.sorted():
		w.moveTo(i, v)
	case i < s.n:
		w.replaceAt(i, v)
	default:
		w.insertAt(i, v)
	}
	return step{edit: true, result: result}
}

// moveTo edits an ordered list: without element i, if there is one, and with v
// at its place.
func (w *worker) moveTo(i int, v []byte) {
	s := &w.seq
	_, at := s.bounds(v)
	n := s.n + 1
	if i < s.n {
		n--
	}
	w.begin(s.Kind, s.Flags, n)
	switch {
	case i >= s.n:
		w.piece(s.span(0, at))
		w.piece(v)
		w.piece(s.span(at, s.n))
	case at <= i:
		w.piece(s.span(0, at))
		w.piece(v)
		w.piece(s.span(at, i))
		w.piece(s.span(i+1, s.n))
	default:
		w.piece(s.span(0, i))
		w.piece(s.span(i+1, at))
		w.piece(v)
		w.piece(s.span(at, s.n))
	}
}

// Flags of listSort.
const (
	sortDescending = 1
	sortUnique     = 2
)

// listSort sorts the elements, once.
func (w *worker) listSort() step {
	flags, ok := w.call.intOr(0, 0)
	if !ok {
		return fail(record.Parameter)
	}
	s := &w.seq
	order := s.byValue()
	w.set = w.set[:0]
	for r, i := range order {
		if flags&sortUnique != 0 && r > 0 && msgpack.Compare(s.entry(int(order[r-1])), s.entry(int(i))) == 0 {
			continue
		}
		w.set = append(w.set, i)
	}
	if flags&sortDescending != 0 && !s.sorted() {
		if flags&sortUnique != 0 && len(w.set) > 1 {
			return fail(record.Parameter)
		}
		slices.Reverse(w.set)
	}
	w.begin(s.Kind, s.Flags, len(w.set))
	for _, i := range w.set {
		w.piece(s.span(int(i), int(i)+1))
	}
	return step{edit: true}
}
