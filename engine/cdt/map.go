package cdt

import (
	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Write flags of map operations. Others are ignored.
const (
	mapNoOverwrite = 0x01
	mapNoCreate    = 0x02
	mapNoFail      = 0x04 // do nothing instead of failing
	mapPartial     = 0x08 // with mapNoFail: write those pairs that are allowed
)

// entry is a key and its value, normalised, with the place where it belongs.
type entry struct {
	key, value []byte
	at         int
	found      bool
}

func (w *worker) mapPut() step          { return w.putOne(2, 3, 0) }
func (w *worker) mapAdd() step          { return w.putOne(2, -1, mapNoOverwrite) }
func (w *worker) mapReplace() step      { return w.putOne(-1, -1, mapNoCreate) }
func (w *worker) mapPutItems() step     { return w.putItems(1, 2, 0) }
func (w *worker) mapAddItems() step     { return w.putItems(1, -1, mapNoOverwrite) }
func (w *worker) mapReplaceItems() step { return w.putItems(-1, -1, mapNoCreate) }

// flagsAt returns the write flags in argument i, def without such an argument.
func (w *worker) flagsAt(i int, def int64) (int64, bool) {
	if i < 0 {
		return def, true
	}
	return w.call.intOr(i, def)
}

// key returns the normalised key in argument i.
func (w *worker) key(i int) ([]byte, bool) {
	p := w.call.args[i]
	if !msgpack.IsKey(msgpack.Next(p), p) {
		return nil, false
	}
	return w.stored(p)
}

// putOne writes the pair in arguments 0 and 1.
func (w *worker) putOne(order, wflags int, def int64) step {
	flags, ok := w.flagsAt(wflags, def)
	key, ok2 := w.key(0)
	value, ok3 := w.stored(w.call.args[1])
	if !ok || !ok2 || !ok3 || order >= 0 && !w.createWith(order) {
		return fail(record.Parameter)
	}
	at, found := w.seq.findKey(key)
	if res := forbidden(found, flags); res != record.OK {
		return w.refuse(res, flags&mapNoFail != 0)
	}
	w.putAt(at, found, key, value)
	return w.added()
}

// forbidden says why the flags do not allow to write a key.
func forbidden(found bool, flags int64) record.Result {
	switch {
	case found && flags&mapNoOverwrite != 0:
		return record.ElementExists
	case !found && flags&mapNoCreate != 0:
		return record.ElementNotFound
	}
	return record.OK
}

// putAt edits the map: the pair at its place, instead of the one there if it
// was found.
func (w *worker) putAt(at int, found bool, key, value []byte) {
	s := &w.seq
	n, next := s.n+1, at
	if found {
		n, next = s.n, at+1
	}
	w.begin(s.Kind, s.Flags, n)
	w.piece(s.span(0, at))
	w.piece(key)
	w.piece(value)
	w.piece(s.span(next, s.n))
}

// fewPairs is the number of pairs up to which an index is searched for each.
// More are merged in one walk over the map.
const fewPairs = 16

// putItems writes the pairs of the map in argument 0.
func (w *worker) putItems(order, wflags int, def int64) step {
	flags, ok := w.flagsAt(wflags, def)
	if !w.has && order < 0 && msgpack.Next(w.call.args[0]).Kind == msgpack.Map { // a replace
		return fail(record.ElementNotFound)
	}
	if !ok || !w.mapItems() || order >= 0 && !w.createWith(order) {
		return fail(record.Parameter)
	}
	// The original ignores mapNoCreate when it writes what it may to an empty map.
	partial := flags&(mapNoFail|mapPartial) == mapNoFail|mapPartial
	n, i := 0, 0
	walk := !w.seq.Indexed() || len(w.entries) > fewPairs
	for _, e := range w.entries {
		if walk {
			e.at, e.found = w.seq.findKeyFrom(i, e.key)
			i = e.at
		} else {
			e.at, e.found = w.seq.findKey(e.key)
		}
		if res := forbidden(e.found, flags); res != record.OK && !(partial && w.seq.n == 0) {
			if !partial {
				return w.refuse(res, flags&mapNoFail != 0)
			}
			continue
		}
		w.entries[n] = e
		n++
	}
	w.entries = w.entries[:n]
	if n == 0 && w.has {
		return step{result: integer(w.seq.n)}
	}
	w.mergePairs()
	return w.added()
}

// mapItems normalises the map in argument 0 into pairs in key order.
func (w *worker) mapItems() bool {
	if msgpack.Next(w.call.args[0]).Kind != msgpack.Map {
		return false
	}
	v, ok := w.stored(w.call.args[0])
	if !ok {
		return false
	}
	c, _ := msgpack.Open(v)
	w.entries = w.entries[:0]
	p := c.Body
	for range c.Count {
		k := msgpack.Skip(p)
		n := k + msgpack.Skip(p[k:])
		w.entries = append(w.entries, entry{key: p[:k], value: p[k:n]})
		p = p[n:]
	}
	return true
}

// mergePairs edits the map: with the pairs, which are in key order and know
// their places.
func (w *worker) mergePairs() {
	s := &w.seq
	n := s.n
	for _, e := range w.entries {
		if !e.found {
			n++
		}
	}
	w.begin(s.Kind, s.Flags, n)
	from := 0
	for _, e := range w.entries {
		w.piece(s.span(from, e.at))
		w.piece(e.key)
		w.piece(e.value)
		from = e.at
		if e.found {
			from++
		}
	}
	w.piece(s.span(from, s.n))
}

func (w *worker) mapIncrement() step { return w.mapSum(false) }
func (w *worker) mapDecrement() step { return w.mapSum(true) }

// mapSum adds a number to a key's value, or takes it away.
func (w *worker) mapSum(negate bool) step {
	key, ok := w.key(0)
	if !ok || !w.createWith(2) {
		return fail(record.Parameter)
	}
	at, found := w.seq.findKey(key)
	var old []byte
	if found {
		old = w.seq.value(at)
	}
	v, ok := w.sum(old, 1, negate)
	if !ok {
		return fail(record.Parameter)
	}
	w.putAt(at, found, key, v)
	return step{edit: true, result: w.scalar(v)}
}
