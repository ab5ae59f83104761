package cdt

import (
	"slices"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Flags of a selection by path: what it answers with.
const (
	selectTree   = 0 // the same shape with only what was selected
	selectValues = 1 // a list of the values
	selectKeys   = 2 // a list of the map keys
	selectPairs  = 3 // a list of keys and values in turn
	selectApply  = 4 // a change; not by this package alone
	selectKind   = 0x0f
	selectNoFail = 0x10
)

// Context steps that only a selection knows.
const (
	stepEvery   = 0x04  // true: every child; or an expression
	stepKeyList = 0x0a  // of a map, said (0x2a) or not
	stepAnd     = 0x204 // a further expression on the step before
)

// maxSelectLevels is how many levels down a selection may go.
const maxSelectLevels = 64

// pathStep is one level of a path.
type pathStep struct {
	t     int64
	value []byte
	and   bool // a further condition was given
}

// isEvery says that a step selects every child.
func isEvery(t int64) bool { return t&0xff&^(stepList|stepMap) == stepEvery }

// pathSelect is a selection by path: [0xfe, [step, value, …], flags]. Each
// level selects children of all containers that the level above selected. A
// path with an expression in it is refused: expressions are another package's.
type pathSelect struct {
	w      *worker
	steps  []pathStep
	kind   int64
	noFail bool
	n      int // values collected
	leaves int // children selected on the last level
}

// runSelect answers a selection.
func (w *worker) runSelect(o *outer, v record.Value) step {
	flags, _, ok := takeInt(o.args)
	if !ok || o.n != 1 {
		return fail(record.Parameter)
	}
	s := &pathSelect{w: w, kind: flags & selectKind, noFail: flags&selectNoFail != 0}
	if s.kind > selectPairs || !s.parse(o.ctx) {
		return fail(record.Parameter)
	}
	start := len(w.out)
	if res := s.level(v.Bytes, s.steps); res != record.OK {
		return fail(res)
	}
	if s.kind == selectTree {
		return step{result: w.built(v.Type, start)}
	}
	w.tmp = append(w.tmp[:0], w.out[start:]...)
	w.out = append(msgpack.AppendListHead(w.out[:start], uint32(s.n)), w.tmp...)
	return step{result: w.built(record.List, start)}
}

// parse splits a path into its levels.
func (s *pathSelect) parse(ctx []byte) bool {
	n, rest, ok := listHead(ctx)
	if !ok || n == 0 || n%2 != 0 {
		return false
	}
	for ; n > 0; n -= 2 {
		t, after, ok := takeInt(rest)
		size := msgpack.Skip(after)
		if !ok || size == 0 {
			return false
		}
		value := after[:size]
		rest = after[size:]
		isTrue := msgpack.Next(value).Kind == msgpack.True
		switch {
		case t == stepAnd:
			last := len(s.steps) - 1
			if last < 0 || isEvery(s.steps[last].t) || s.steps[last].and || !isTrue {
				return false
			}
			s.steps[last].and = true
		case isEvery(t) && !isTrue, len(s.steps) == maxSelectLevels,
			t&stepMeasure > stepEvery && t&stepMeasure != stepKeyList,
			t&stepMeasure <= stepRank && !msgpack.Next(value).IsInt():
			return false
		default:
			s.steps = append(s.steps, pathStep{t: t, value: value})
		}
	}
	return true
}

// level selects children of the container at the start of p by the first of
// the steps, and appends them, or what the steps below select of them.
func (s *pathSelect) level(p []byte, steps []pathStep) record.Result {
	c, _ := msgpack.Open(p)
	var sq seq
	sq.reset(c, false)
	if sq.n == 0 {
		if s.kind == selectTree {
			s.enclose(len(s.w.out), c.Kind, 0)
		}
		return record.OK
	}
	last := len(steps) == 1
	if last && !sq.isMap() && (s.kind == selectKeys || s.kind == selectPairs) {
		if s.noFail {
			return record.OK
		}
		return record.IncompatibleType
	}
	picked, res := s.children(&sq, steps)
	if res != record.OK {
		return res
	}
	start, kept := len(s.w.out), 0
	for _, i := range picked {
		entry, val := sq.entry(int(i)), sq.value(int(i))
		key, val := entry[:len(entry)-len(val)], val[:msgpack.Skip(val)]
		kind := msgpack.Next(val).Kind
		isContainer := kind == msgpack.List || kind == msgpack.Map
		switch {
		case last:
			s.leaf(key, val)
		case !isContainer && s.kind != selectTree:
			continue
		case s.kind == selectTree && !isContainer:
			s.w.out = append(append(s.w.out, key...), val...)
		default:
			if s.kind == selectTree {
				s.w.out = append(s.w.out, key...)
			}
			if res := s.level(val, steps[1:]); res != record.OK {
				return res
			}
		}
		kept++
	}
	if s.kind == selectTree {
		s.enclose(start, c.Kind, kept)
	}
	return record.OK
}

// leaf appends one selected child.
func (s *pathSelect) leaf(key, val []byte) {
	w := s.w
	s.leaves++
	if s.kind != selectValues {
		w.out = append(w.out, key...)
		s.n++
	}
	if s.kind != selectKeys {
		w.out = append(w.out, val...)
		s.n++
	}
}

// enclose puts the head of a container in front of what was appended since
// start.
func (s *pathSelect) enclose(start int, k msgpack.Kind, n int) {
	var head [5]byte
	h := msgpack.AppendHead(head[:0], k, 0, uint32(n))
	s.w.out = slices.Insert(s.w.out, start, h...)
}

// children returns the entries of a container that the first of the steps
// selects, in order.
func (s *pathSelect) children(sq *seq, steps []pathStep) ([]uint32, record.Result) {
	t, value := steps[0].t, steps[0].value
	switch {
	case isEvery(t) && kindFits(t, sq.Kind):
		return s.where(sq, func(int) bool { return true }), record.OK
	case t&0xff&^stepMap == stepKeyList && (sq.isMap() || !s.noFail || t&stepMap != 0):
		return s.keyList(sq, value)
	case !stepFits(t, sq.Kind):
		switch {
		case s.noFail && !sq.isMap() && t&stepMap == 0 && (t&stepMeasure == stepKey || t&stepMeasure == stepKeyList):
			return nil, record.OK
		case t&stepMeasure == stepRank && s.leaves > 0:
			return nil, record.Unknown // as the original has it
		}
		return nil, record.Parameter
	case t&stepMeasure == stepValue:
		return s.where(sq, func(i int) bool { return msgpack.Compare(sq.value(i), value) == 0 }), record.OK
	}
	saved := s.w.seq
	s.w.seq = *sq
	i, res := s.w.locate(t, value)
	*sq, s.w.seq = s.w.seq, saved
	if res != record.OK || i >= sq.n {
		if t&stepCreate != 0 {
			return nil, record.Parameter // a selection creates nothing
		}
		return nil, record.OK
	}
	return []uint32{uint32(i)}, record.OK
}

// where returns the entries for which in is true.
func (s *pathSelect) where(sq *seq, in func(i int) bool) []uint32 {
	var picked []uint32
	for i := range sq.n {
		if in(i) {
			picked = append(picked, uint32(i))
		}
	}
	return picked
}

// keyList returns the entries of a map whose keys are in a list.
func (s *pathSelect) keyList(sq *seq, value []byte) ([]uint32, record.Result) {
	c, ok := msgpack.Open(value)
	if !ok || c.Kind != msgpack.List || !sq.isMap() {
		return nil, record.Parameter
	}
	var picked []uint32
	sq.prepare(int(c.Count))
	p := c.Body
	for range c.Count {
		if i, found := sq.findKey(p); found {
			picked = append(picked, uint32(i))
		}
		p = p[msgpack.Skip(p):]
	}
	slices.Sort(picked)
	return slices.Compact(picked), record.OK
}
