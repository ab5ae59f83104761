package cdt

import (
	"slices"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Parts of a context step's type.
const (
	stepMeasure = 0x0f // index, rank, key or value
	stepList    = 0x10
	stepMap     = 0x20
	stepCreate  = 0xc0 // make the container that the step looks into, with an order
	stepPadded  = 0x80 // …and fill a list with nils up to the index
	stepPersist = 0x100
	stepIgnored = ^0x1ff // only a select looks at higher bits

	stepIndex = 0
	stepRank  = 1
	stepKey   = 2
	stepValue = 3
)

// path is the place in a bin's value where an operation works, and how a change
// there is put back. The new value is old[:cut], lead, the edit, old[resume:].
type path struct {
	at     int // where the container starts in the old value; -1 when it must be made
	cut    int
	lead   []byte
	resume int

	// ordered lists on the way: where they start and which element was entered.
	// A change of the element may move it.
	ordered []visit
}

type visit struct{ start, index int }

// reset makes the path lead to a bin's value that does not exist yet.
func (p *path) reset([]byte) {
	*p = path{at: -1, lead: p.lead[:0], ordered: p.ordered[:0]}
}

// found makes the path lead to the container at old[start:end].
func (p *path) found(start, end int) { p.at, p.cut, p.resume = start, start, end }

// follow leads the path along a context.
func (w *worker) follow(ctx []byte, v record.Value) record.Result {
	n, rest, ok := listHead(ctx)
	if !ok || n == 0 || n%2 != 0 {
		return record.Parameter
	}
	if v.Type != record.Null && v.Type != record.List && v.Type != record.Map {
		return record.Parameter
	}
	at := 0 // of the container that the next step looks into; -1 when it must be made
	if v.Type == record.Null {
		at = -1
	}
	for i := 0; i < n; i += 2 {
		t, after, ok := takeInt(rest)
		size := msgpack.Skip(after)
		if !ok {
			return record.Parameter
		}
		if size == 0 {
			return record.NotApplicable
		}
		value := after[:size]
		rest = after[size:]
		res := record.OK
		if at < 0 {
			if i == 0 && t&stepCreate == 0 {
				return record.NotApplicable
			}
			res = w.build(t, value)
		} else {
			at, res = w.enter(t, value, v.Bytes, at)
		}
		if res != record.OK {
			return res
		}
	}
	if at >= 0 {
		w.path.found(at, at+msgpack.Skip(v.Bytes[at:]))
	}
	return record.OK
}

// enter finds the entry that a step means in the container at old[at:]. It
// returns where the entry's value starts, or -1 when it was made.
func (w *worker) enter(t int64, value, old []byte, at int) (int, record.Result) {
	c, ok := msgpack.Open(old[at:])
	if !ok || !stepFits(t, c.Kind) {
		return 0, record.NotApplicable
	}
	s := &w.seq
	s.reset(c, at == 0)
	i, res := w.locate(t, value)
	if res != record.OK {
		return 0, res
	}
	if i < s.n {
		if s.sorted() {
			w.path.ordered = append(w.path.ordered, visit{at, i})
		}
		return len(old) - len(s.value(i)), record.OK
	}
	if !w.creating || t&stepCreate == 0 {
		return 0, record.NotApplicable
	}
	return -1, w.extend(t, value, old, at)
}

// stepFits says whether a step of type t can look into a container.
func stepFits(t int64, k msgpack.Kind) bool {
	if t&^(stepMeasure|stepList|stepMap|stepCreate|stepPersist|stepIgnored) != 0 {
		return false
	}
	if t&(stepList|stepMap) == 0 && t&(stepCreate|stepPersist) != 0 {
		return false
	}
	m := t & stepMeasure
	return kindFits(t, k) && m <= stepValue && (m != stepKey || k == msgpack.Map)
}

// kindFits says whether a container is of the kind that a step names, if it
// names one.
func kindFits(t int64, k msgpack.Kind) bool {
	switch t & (stepList | stepMap) {
	case 0:
		return true
	case stepList:
		return k == msgpack.List
	case stepMap:
		return k == msgpack.Map
	}
	return false
}

// locate returns the entry that a step means, seq.n when there is none.
func (w *worker) locate(t int64, value []byte) (int, record.Result) {
	s := &w.seq
	switch t & stepMeasure {
	case stepKey:
		if !msgpack.IsKey(msgpack.Next(value), value) {
			return s.n, record.OK
		}
		if i, found := s.findKey(value); found {
			return i, record.OK
		}
		return s.n, record.OK
	case stepValue:
		if sel := w.firstEqual(value); sel.n > 0 {
			return sel.from, record.OK
		}
		return s.n, record.OK
	}
	i, _, ok := takeInt(value)
	if !ok {
		return 0, record.NotApplicable
	}
	if i < 0 {
		if i += int64(s.n); i < 0 {
			if t&stepMeasure == stepRank && s.sorted() {
				return s.n, record.OK // may be created: it finds its own place
			}
			return 0, record.NotApplicable
		}
	}
	if i >= int64(s.n) {
		return s.n, record.OK
	}
	if t&stepMeasure == stepRank && !s.sorted() {
		return int(s.byValue()[i]), record.OK
	}
	return int(i), record.OK
}

// extend makes room in the container at old[at:], which seq stands for, for
// the entry that a step means and that is not there.
func (w *worker) extend(t int64, value, old []byte, at int) record.Result {
	s := &w.seq
	p := &w.path
	pos, pads := s.n, 0
	switch {
	case t&stepMeasure == stepKey && s.isMap():
		pos, _ = s.findKey(value)
	case t&stepMeasure == stepIndex && !s.isMap(), t&stepMeasure == stepRank && s.sorted():
		i, _, _ := takeInt(value)
		if !s.sorted() {
			if i > int64(s.n) && t&(stepCreate|stepPersist) != stepPadded {
				return record.NotApplicable
			}
			if i-int64(s.n) > maxPad {
				return record.Parameter
			}
			pads = int(i) - s.n
		} else {
			p.ordered = append(p.ordered, visit{at, s.n})
		}
	default:
		return record.NotApplicable
	}
	p.cut = at
	p.lead = msgpack.AppendHead(p.lead, s.Kind, s.Flags, uint32(s.n+pads+1))
	p.lead = append(p.lead, s.span(0, pos)...)
	p.resume = len(old) - len(s.Body) + s.start(pos)
	for range pads {
		p.lead = append(p.lead, 0xc0)
	}
	if s.isMap() {
		return w.addKey(value)
	}
	return record.OK
}

// addKey puts the key of a new entry behind the lead. As in the original, a
// context may create keys that a write would not.
func (w *worker) addKey(value []byte) record.Result {
	key, ok := w.stored(value)
	if !ok {
		return record.NotApplicable
	}
	w.path.lead = append(w.path.lead, key...)
	return record.OK
}

// build makes the container that a step looks into, with the one entry that the
// step means.
func (w *worker) build(t int64, value []byte) record.Result {
	p := &w.path
	kind, ok := builtKind(t)
	if !ok {
		return record.NotApplicable
	}
	flags := builtFlags(t, kind)
	persist := t&stepPersist != 0
	if persist {
		if len(p.lead) > 0 { // not at the top level
			return record.NotApplicable
		}
		flags |= msgpack.Persist
	}
	flags = msgpack.StoredFlags(kind, flags)
	if kind == msgpack.Map {
		p.lead = msgpack.AppendHead(p.lead, kind, flags, 1)
		return w.addKey(value)
	}
	pads, _, ok := takeInt(value)
	switch {
	case !ok || pads < 0:
		return record.NotApplicable
	case flags&msgpack.Ordered != 0 || persist && t&stepCreate == stepCreate&^stepPadded:
		pads = 0
	case pads > 0 && t&stepPadded == 0:
		return record.NotApplicable
	case pads > maxPad:
		return record.Parameter
	}
	p.lead = msgpack.AppendHead(p.lead, kind, flags, uint32(pads)+1)
	for range pads {
		p.lead = append(p.lead, 0xc0)
	}
	return record.OK
}

// builtKind returns the kind of container that a step can create: a list by
// index, a map by key.
func builtKind(t int64) (msgpack.Kind, bool) {
	switch {
	case t&stepMeasure == stepIndex && stepFits(t, msgpack.List):
		return msgpack.List, true
	case t&stepMeasure == stepKey && stepFits(t, msgpack.Map):
		return msgpack.Map, true
	}
	return 0, false
}

// builtFlags returns the order that a step gives to a container it creates.
func builtFlags(t int64, k msgpack.Kind) byte {
	switch {
	case k == msgpack.List && t&stepCreate == stepCreate:
		return msgpack.Ordered
	case k == msgpack.List:
		return 0
	case t&stepCreate == stepCreate:
		return msgpack.Ordered | msgpack.ValueOrd
	case t&stepCreate == stepPadded:
		return msgpack.Ordered
	}
	return 0
}

// settle moves the changed elements of ordered lists to their places in the new
// value, inner lists first.
func (p *path) settle(v []byte) {
	for _, at := range slices.Backward(p.ordered) {
		c, ok := msgpack.Open(v[at.start:])
		if !ok {
			continue
		}
		settle(c, at.index)
	}
}

// settle moves element i of an otherwise ordered list to its place.
func settle(c msgpack.Container, i int) {
	from := msgpack.SkipN(c.Body, uint64(i))
	size := msgpack.Skip(c.Body[from:])
	to, pos := -1, 0
	for j := range int(c.Count) {
		if j != i && msgpack.Compare(c.Body[pos:], c.Body[from:]) > 0 {
			to = pos
			break
		}
		pos += msgpack.Skip(c.Body[pos:])
	}
	if to < 0 {
		to = pos
	}
	switch {
	case to < from:
		rotate(c.Body[to:from+size], from-to)
	case to > from+size:
		rotate(c.Body[from:to], size)
	}
}

// rotate swaps the first n bytes of p with the rest.
func rotate(p []byte, n int) {
	slices.Reverse(p[:n])
	slices.Reverse(p[n:])
	slices.Reverse(p)
}
