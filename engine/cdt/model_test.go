package cdt_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ashlardb/ashlar/engine/cdt"
	"github.com/ashlardb/ashlar/engine/record"
)

// The model keeps lists and maps as Go values, does every operation in the most
// obvious way, and encodes the outcome itself. It shares no code with the
// package: agreement on bytes means that both are right about the value.

var (
	seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")
	opsFlag  = flag.Int("ops", 300_000, "operations of each model test")
)

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./engine/cdt -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A model value is nil, bool, int, string, mlist or *mmap.
type mlist struct {
	ordered bool
	items   []any
}

type mpair struct{ k, v any }

// mmap is a map, its pairs sorted by key.
type mmap struct {
	ordered bool
	pairs   []mpair
}

func kindRank(v any) int {
	switch v := v.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 2
		}
		return 1
	case int:
		return 3
	case string:
		return 4
	case *mlist:
		return 5
	}
	return 6
}

func mcompare(a, b any) int {
	if d := kindRank(a) - kindRank(b); d != 0 {
		return d
	}
	switch a := a.(type) {
	case int:
		return a - b.(int)
	case string:
		return bytes.Compare([]byte(a), []byte(b.(string)))
	case *mlist:
		return slices.CompareFunc(a.items, b.(*mlist).items, mcompare)
	case *mmap:
		o := b.(*mmap)
		if d := len(a.pairs) - len(o.pairs); d != 0 {
			return d
		}
		for i := range a.pairs {
			if c := mcompare(a.pairs[i].k, o.pairs[i].k); c != 0 {
				return c
			}
			if c := mcompare(a.pairs[i].v, o.pairs[i].v); c != 0 {
				return c
			}
		}
	}
	return 0
}

func head(dst []byte, fix, long byte, n int) []byte {
	if n < 16 {
		return append(dst, fix|byte(n))
	}
	return binary.BigEndian.AppendUint16(append(dst, long), uint16(n))
}

func encode(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 0xc0)
	case bool:
		if v {
			return append(dst, 0xc3)
		}
		return append(dst, 0xc2)
	case int:
		switch {
		case v >= 0 && v < 128, v < 0 && v >= -32:
			return append(dst, byte(v))
		case v >= 0 && v < 256:
			return append(dst, 0xcc, byte(v))
		case v >= 0 && v < 1<<16:
			return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
		case v >= 0:
			return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
		case v >= -128:
			return append(dst, 0xd0, byte(v))
		}
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v))
	case string:
		return append(append(dst, 0xa1+byte(len(v)), 3), v...)
	case *mlist:
		n := len(v.items)
		if v.ordered {
			dst = append(head(dst, 0x90, 0xdc, n+1), 0xc7, 0, 1)
		} else {
			dst = head(dst, 0x90, 0xdc, n)
		}
		for _, x := range v.items {
			dst = encode(dst, x)
		}
		return dst
	}
	m := v.(*mmap)
	n := len(m.pairs)
	if m.ordered {
		dst = append(head(dst, 0x80, 0xde, n+1), 0xc7, 0, 1, 0xc0)
	} else {
		dst = head(dst, 0x80, 0xde, n)
	}
	for _, p := range m.pairs {
		dst = encode(encode(dst, p.k), p.v)
	}
	return dst
}

// particleOf is the bin value that a result must be.
func particleOf(v any) record.Value {
	switch v := v.(type) {
	case nil:
		return record.Value{}
	case bool:
		if v {
			return record.Value{Type: record.Bool, Num: 1}
		}
		return record.Value{Type: record.Bool}
	case int:
		return record.Value{Type: record.Integer, Num: uint64(int64(v))}
	case string:
		return record.Value{Type: record.String, Bytes: []byte(v)}
	case *mlist:
		return record.Value{Type: record.List, Bytes: encode(nil, v)}
	}
	return record.Value{Type: record.Map, Bytes: encode(nil, v)}
}

func list(items ...any) *mlist { return &mlist{items: items} }

// args encodes an operation.
func args(ctx []any, op int, as ...any) []byte {
	body := encode(nil, list(append([]any{op}, as...)...))
	if ctx == nil {
		return body
	}
	return append(encode([]byte{0x93, 0xcc, 0xff}, list(ctx...)), body...)
}

// outcome is what an operation does in the model.
type outcome struct {
	res    record.Result
	result any
	apply  func() // the change, when res is OK
}

func failed(res record.Result) outcome { return outcome{res: res} }

// clip is the range of entries that index and count mean.
func clip(index, count, n int) (lo, hi int) {
	if index < 0 {
		index += n
	}
	hi = min(index+count, n)
	lo = min(max(index, 0), n)
	return lo, max(lo, hi)
}

// scene draws operations for one bin.
type scene struct {
	r *rand.Rand
}

func (s scene) scalar() any {
	switch s.r.IntN(8) {
	case 0:
		return nil
	case 1:
		return s.r.IntN(2) == 0
	case 2, 3:
		return string("abcdef"[:s.r.IntN(5)])
	}
	return s.r.IntN(30) - 10
}

func (s scene) value() any {
	if s.r.IntN(8) > 0 {
		return s.scalar()
	}
	if s.r.IntN(2) == 0 {
		l := list()
		for range s.r.IntN(4) {
			l.items = append(l.items, s.scalar())
		}
		return l
	}
	m := &mmap{}
	for range s.r.IntN(4) {
		m.put(s.key(), s.scalar())
	}
	return m
}

func (s scene) key() any {
	if s.r.IntN(3) == 0 {
		return string("kmnpqr"[:1+s.r.IntN(5)])
	}
	return s.r.IntN(24) - 6
}

func (m *mmap) find(k any) (int, bool) {
	return slices.BinarySearchFunc(m.pairs, k, func(p mpair, k any) int { return mcompare(p.k, k) })
}

func (m *mmap) put(k, v any) {
	i, found := m.find(k)
	if found {
		m.pairs[i].v = v
		return
	}
	m.pairs = slices.Insert(m.pairs, i, mpair{k, v})
}

// index draws an index around n entries, sometimes outside.
func (s scene) index(n int) int { return s.r.IntN(2*n+5) - n - 2 }

// added returns the items with v in its place.
func (l *mlist) added(v any) []any {
	at := len(l.items)
	if l.ordered {
		at = 0
		for at < len(l.items) && mcompare(l.items[at], v) <= 0 {
			at++
		}
	}
	return slices.Insert(slices.Clone(l.items), at, v)
}

func (l *mlist) has(v any) bool {
	return slices.ContainsFunc(l.items, func(x any) bool { return mcompare(x, v) == 0 })
}

// listOp draws an operation on a list and says what must come of it.
func (s scene) listOp(l *mlist) (op int, as []any, want outcome) {
	n := len(l.items)
	set := func(items []any) func() { return func() { l.items = items } }
	flags := s.r.IntN(8)
	switch s.r.IntN(17) {
	case 0: // append
		v := s.value()
		if flags&1 != 0 && l.has(v) {
			want = failed(record.ElementExists)
			if flags&4 != 0 {
				want = outcome{result: n}
			}
			return 1, []any{v, 0, flags}, want
		}
		return 1, []any{v, 0, flags}, outcome{result: n + 1, apply: set(l.added(v))}
	case 1: // append items
		items := list(s.value(), s.value(), s.value())
		next := &mlist{l.ordered, l.items}
		for _, v := range items.items {
			next = &mlist{l.ordered, next.added(v)}
		}
		return 2, []any{items}, outcome{result: n + 3, apply: set(next.items)}
	case 2, 3: // insert, set
		i, v := s.index(n), s.value()
		op := 3 + 6*s.r.IntN(2)
		as := []any{i, v, flags & 6}
		if l.ordered {
			return op, as, failed(record.NotApplicable)
		}
		if i < 0 {
			i += n
		}
		var silent any // a set has no result
		if op == 3 {
			silent = n
		}
		switch {
		case i < 0:
			return op, as, failed(record.NotApplicable)
		case i > n && flags&2 != 0 && flags&4 != 0:
			return op, as, outcome{result: silent}
		case i > n && flags&2 != 0:
			return op, as, failed(record.NotApplicable)
		}
		items := slices.Clone(l.items)
		for len(items) < i {
			items = append(items, nil)
		}
		if op == 9 && i < len(items) {
			items[i] = v
		} else {
			items = slices.Insert(items, i, v)
		}
		if op == 3 {
			silent = len(items)
		}
		return op, as, outcome{result: silent, apply: set(items)}
	case 4, 5: // pop, remove
		i := s.index(n)
		op := 5 + 2*s.r.IntN(2)
		at := i
		if at < 0 {
			at += n
		}
		if at < 0 || at >= n {
			return op, []any{i}, failed(record.NotApplicable)
		}
		result := l.items[at]
		if op == 7 {
			result = 1
		}
		return op, []any{i}, outcome{result: result, apply: set(slices.Delete(slices.Clone(l.items), at, at+1))}
	case 6, 7: // pop range, remove range, trim
		i, c := s.index(n), s.r.IntN(n+3)
		lo, hi := clip(i, c, n)
		rest := slices.Delete(slices.Clone(l.items), lo, hi)
		switch s.r.IntN(3) {
		case 0:
			return 6, []any{i, c}, outcome{result: list(l.items[lo:hi]...), apply: set(rest)}
		case 1:
			return 8, []any{i, c}, outcome{result: hi - lo, apply: set(rest)}
		}
		return 10, []any{i, c}, outcome{result: len(rest), apply: set(slices.Clone(l.items[lo:hi]))}
	case 8: // clear, rarely
		if s.r.IntN(20) > 0 {
			return 16, nil, outcome{result: n}
		}
		return 11, nil, outcome{apply: set(nil)}
	case 9: // increment
		i, d := s.index(n), s.r.IntN(9)-4
		at := i
		if at < 0 {
			at += n
		}
		if at < 0 || at >= n {
			return 16, nil, outcome{result: n}
		}
		old, ok := l.items[at].(int)
		if !ok {
			return 12, []any{i, d}, failed(record.Parameter)
		}
		rest := &mlist{l.ordered, slices.Delete(slices.Clone(l.items), at, at+1)}
		items := rest.added(old + d)
		if !l.ordered {
			items = slices.Insert(rest.items, at, any(old+d))
		}
		return 12, []any{i, d}, outcome{result: old + d, apply: set(items)}
	case 10: // sort
		items := slices.Clone(l.items)
		slices.SortStableFunc(items, mcompare)
		if flags&2 != 0 {
			items = slices.CompactFunc(items, func(a, b any) bool { return mcompare(a, b) == 0 })
		}
		return 13, []any{flags & 2}, outcome{apply: set(items)}
	case 11: // set type, rarely
		if s.r.IntN(10) > 0 {
			return 16, nil, outcome{result: n}
		}
		ordered := s.r.IntN(2) == 0
		items := slices.Clone(l.items)
		if ordered {
			slices.SortStableFunc(items, mcompare)
		}
		order := 0
		if ordered {
			order = 1
		}
		return 0, []any{order}, outcome{apply: func() { l.ordered, l.items = ordered, items }}
	case 12, 13: // by index range
		i, c := s.index(n), s.r.IntN(n+3)
		lo, hi := clip(i, c, n)
		return s.pick(24, 37, []any{i, c}, l, func(j int) bool { return j >= lo && j < hi })
	case 14: // all by value
		v := s.value()
		return s.pick(22, 35, []any{v}, l, func(j int) bool { return mcompare(l.items[j], v) == 0 })
	case 15: // by interval
		a, b := s.value(), s.value()
		return s.pick(25, 38, []any{a, b}, l, func(j int) bool {
			return mcompare(l.items[j], a) >= 0 && mcompare(l.items[j], b) < 0
		})
	}
	// by index
	i := s.index(n)
	at := i
	if at < 0 {
		at += n
	}
	if at < 0 || at >= n {
		return 19, []any{7, i}, failed(record.NotApplicable)
	}
	return 19, []any{7, i}, outcome{result: l.items[at]}
}

// pick draws a return type for a get or remove of the elements for which in is
// true.
func (s scene) pick(get, remove int, as []any, l *mlist, in func(i int) bool) (int, []any, outcome) {
	rtype := []int{0, 1, 5, 7}[s.r.IntN(4)]
	inverted := s.r.IntN(4) == 0
	var indexes, rest []int
	for i := range l.items {
		if in(i) != inverted {
			indexes = append(indexes, i)
		} else {
			rest = append(rest, i)
		}
	}
	of := func(is []int) []any {
		var out []any
		for _, i := range is {
			out = append(out, l.items[i])
		}
		return out
	}
	var want outcome
	switch rtype {
	case 1:
		r := list()
		for _, i := range indexes {
			r.items = append(r.items, i)
		}
		want.result = r
	case 5:
		want.result = len(indexes)
	case 7:
		want.result = list(of(indexes)...)
	}
	if inverted {
		rtype |= 0x10000
	}
	as = append([]any{rtype}, as...)
	if s.r.IntN(3) > 0 {
		return get, as, want
	}
	kept := of(rest)
	want.apply = func() { l.items = kept }
	return remove, as, want
}

// mapOp draws an operation on a map and says what must come of it.
func (s scene) mapOp(m *mmap) (op int, as []any, want outcome) {
	n := len(m.pairs)
	set := func(pairs []mpair) func() { return func() { m.pairs = pairs } }
	flags := s.r.IntN(8)
	switch s.r.IntN(12) {
	case 0, 1, 2: // put
		k, v := s.key(), s.value()
		i, found := m.find(k)
		as := []any{k, v, 0, flags}
		refused := record.OK
		if found && flags&1 != 0 {
			refused = record.ElementExists
		} else if !found && flags&2 != 0 {
			refused = record.ElementNotFound
		}
		if refused != record.OK {
			want = failed(refused)
			if flags&4 != 0 {
				want = outcome{result: n}
			}
			return 67, as, want
		}
		pairs := slices.Clone(m.pairs)
		if found {
			pairs[i].v = v
		} else {
			pairs = slices.Insert(pairs, i, mpair{k, v})
		}
		return 67, as, outcome{result: len(pairs), apply: set(pairs)}
	case 3: // put items
		more := &mmap{}
		for range s.r.IntN(5) {
			more.put(s.key(), s.value())
		}
		next := &mmap{pairs: slices.Clone(m.pairs)}
		for _, p := range more.pairs {
			next.put(p.k, p.v)
		}
		return 68, []any{more}, outcome{result: len(next.pairs), apply: set(next.pairs)}
	case 4: // increment
		k, d := s.key(), s.r.IntN(9)-4
		i, found := m.find(k)
		next := &mmap{pairs: slices.Clone(m.pairs)}
		old := 0
		if found {
			var ok bool
			if old, ok = m.pairs[i].v.(int); !ok {
				return 73, []any{k, d}, failed(record.Parameter)
			}
		}
		next.put(k, old+d)
		return 73, []any{k, d}, outcome{result: old + d, apply: set(next.pairs)}
	case 5: // size, clear
		if s.r.IntN(20) > 0 {
			return 96, nil, outcome{result: n}
		}
		return 75, nil, outcome{apply: set(nil)}
	case 6: // get by key
		k := s.key()
		i, found := m.find(k)
		if !found {
			return 97, []any{7, k}, outcome{}
		}
		return 97, []any{7, k}, outcome{result: m.pairs[i].v}
	case 7: // by key interval
		a, b := s.key(), s.key()
		return s.pickPairs(103, 84, []any{a, b}, m, func(i int) bool {
			return mcompare(m.pairs[i].k, a) >= 0 && mcompare(m.pairs[i].k, b) < 0
		})
	case 8: // by index range
		i, c := s.index(n), s.r.IntN(n+3)
		lo, hi := clip(i, c, n)
		return s.pickPairs(104, 85, []any{i, c}, m, func(j int) bool { return j >= lo && j < hi })
	case 9: // by value interval
		a, b := s.value(), s.value()
		return s.pickPairs(105, 86, []any{a, b}, m, func(i int) bool {
			return mcompare(m.pairs[i].v, a) >= 0 && mcompare(m.pairs[i].v, b) < 0
		})
	case 10: // by key list
		keys := list()
		for range s.r.IntN(14) {
			keys.items = append(keys.items, s.key())
		}
		if len(keys.items) == 0 { // the original dies of an empty list that is inverted
			keys.items = append(keys.items, s.key())
		}
		return s.pickPairs(107, 81, []any{keys}, m, func(i int) bool {
			return slices.ContainsFunc(keys.items, func(k any) bool { return mcompare(k, m.pairs[i].k) == 0 })
		})
	}
	// by rank
	i := s.index(n)
	at := i
	if at < 0 {
		at += n
	}
	if at < 0 || at >= n {
		return 100, []any{6, i}, failed(record.NotApplicable)
	}
	pairs := slices.Clone(m.pairs)
	slices.SortStableFunc(pairs, func(a, b mpair) int { return mcompare(a.v, b.v) })
	return 100, []any{6, i}, outcome{result: pairs[at].k}
}

// pickPairs is pick for maps.
func (s scene) pickPairs(get, remove int, as []any, m *mmap, in func(i int) bool) (int, []any, outcome) {
	rtype := []int{0, 5, 6, 7, 16, 17}[s.r.IntN(6)]
	inverted := s.r.IntN(4) == 0
	var picked, rest []mpair
	for i, p := range m.pairs {
		if in(i) != inverted {
			picked = append(picked, p)
		} else {
			rest = append(rest, p)
		}
	}
	var want outcome
	switch rtype {
	case 5:
		want.result = len(picked)
	case 6, 7:
		r := list()
		for _, p := range picked {
			if rtype == 6 {
				r.items = append(r.items, p.k)
			} else {
				r.items = append(r.items, p.v)
			}
		}
		want.result = r
	case 16, 17:
		want.result = &mmap{ordered: rtype == 17, pairs: picked}
	}
	if inverted {
		rtype |= 0x10000
	}
	as = append([]any{rtype}, as...)
	if s.r.IntN(3) > 0 {
		return get, as, want
	}
	want.apply = func() { m.pairs = rest }
	return remove, as, want
}

// isRead says whether an operation number is one of the readers.
func isRead(op int) bool { return op >= 16 && op < 32 || op >= 96 }

func stripped(v record.Value) []byte {
	if v.Type != record.List && v.Type != record.Map {
		return v.Bytes
	}
	return result(0, nil, v).Value
}

// run plays operations on a list and a map, alone or inside another container,
// and compares every result and every value.
func (s scene) run(t *testing.T, nested, persist bool, ops int) {
	l, m := &mlist{}, &mmap{ordered: persist}
	flags := byte(0)
	if persist {
		l.ordered = true
		flags = 0x11
	}
	open := func(root any) record.Value { // the bin as it is stored at first
		v := particleOf(root)
		if persist && !nested {
			v.Bytes = bytes.Replace(v.Bytes, []byte{0xc7, 0, 1}, []byte{0xc7, 0, flags}, 1)
		}
		return v
	}
	var root any = &mmap{pairs: []mpair{{1, l}, {2, m}}}
	bins := [2]record.Value{open(root), open(root)}
	if !nested {
		bins = [2]record.Value{open(l), open(m)}
	}
	var buf []byte
	for i := range ops {
		var op int
		var as []any
		var want outcome
		which := s.r.IntN(2)
		if which == 0 {
			op, as, want = s.listOp(l)
		} else {
			op, as, want = s.mapOp(m)
		}
		slot := which
		var ctx []any
		if nested {
			slot = 0
			ctx = []any{0x22, which + 1}
		}
		arg := args(ctx, op, as...)
		old := bytes.Clone(bins[slot].Bytes)
		next := bins[slot]
		var got record.Value
		var res record.Result
		if isRead(op) {
			got, buf, res = cdt.Read(buf[:0], bins[slot], true, arg)
		} else {
			next, got, buf, res = cdt.Modify(buf[:0], bins[slot], true, arg)
		}
		show := func() string { return fmt.Sprintf("operation %d: op %d, arg %x, on %x", i, op, arg, old) }
		if res != want.res {
			t.Fatalf("%s\nresult %d, want %d", show(), res, want.res)
		}
		if !bytes.Equal(bins[slot].Bytes, old) {
			t.Fatalf("%s\nthe old value was changed to %x", show(), bins[slot].Bytes)
		}
		if res != record.OK {
			continue
		}
		wantResult := particleOf(want.result)
		if got.Type != wantResult.Type || got.Num != wantResult.Num || !bytes.Equal(got.Bytes, wantResult.Bytes) {
			t.Fatalf("%s\nresult %v %x, want %v %x", show(), got, got.Bytes, wantResult, wantResult.Bytes)
		}
		if isRead(op) {
			continue
		}
		if want.apply != nil {
			want.apply()
		}
		holder := any(l)
		if which == 1 {
			holder = m
		}
		if nested {
			holder = root
		}
		if w := encode(nil, holder); !bytes.Equal(stripped(next), w) {
			t.Fatalf("%s\nvalue %x, want %x", show(), stripped(next), w)
		}
		bins[slot] = record.Value{Type: next.Type, Bytes: bytes.Clone(next.Bytes)}
		if len(l.items) > 60 {
			l.items = nil
			bins[slot], _, _, res = cdt.Modify(nil, bins[slot], true, args(ctx, 11))
			if res != record.OK {
				t.Fatalf("clear: %v", res)
			}
		}
	}
}

func TestModel(t *testing.T) {
	for _, tt := range []struct {
		name            string
		nested, persist bool
	}{
		{"bins", false, false},
		{"persisted bins", false, true},
		{"inside a map", true, false},
		{"ordered inside a map", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene{newRand(t)}.run(t, tt.nested, tt.persist, *opsFlag/4)
		})
	}
}
