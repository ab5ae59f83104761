package msgpack

import (
	"slices"
	"sync"
)

// maxMoved limits the bytes that sorting may move within one value, so that
// maps nested in maps thousands deep, each unsorted, cannot hold a thread for
// seconds. One level moves at most the value's size.
const maxMoved = 1 << 27

// Normalize appends the value that p holds in stored form and reports whether
// it can be stored; if not, out is dst. Nothing may follow the value in p.
//
// Integers, raw values and headers become compact, bin headers raw ones;
// markers lose what is not stored (Persist only stands at the top level); a
// map's pairs are sorted by key unless it is marked as sorted. Refused are
// bytes cut short or left over, wildcard, infinity and every other ext value of
// their type, two markers, map keys other than integers, strings and blobs, a doubled key, and
// a marked container whose elements are not in order. (The elements of a list are
// compared as they came, maps among them unsorted: as in the original.)
func Normalize(dst, p []byte) (out []byte, ok bool) {
	return normalize(dst, p, true)
}

// NormalizeValue is Normalize for a value that will stand inside another: no
// container keeps Persist.
func NormalizeValue(dst, p []byte) (out []byte, ok bool) { return normalize(dst, p, false) }

func normalize(dst, p []byte, top bool) (out []byte, ok bool) {
	z := normalizers.Get().(*normalizer)
	z.out, z.in, z.top = dst, p, top
	ok = z.value(top) && z.at == len(p)
	out = dst
	if ok {
		out = z.out
	}
	z.release()
	return out, ok
}

// normalizer turns one value into its stored form. Its stack holds only the
// containers that have something to check or sort: unmarked lists, however
// deep, count as elements of the frame around them.
type normalizer struct {
	in    []byte
	top   bool
	at    int // next byte of in
	out   []byte
	stack []frame
	pairs []pair
	tmp   []byte
	moved int
}

// frame is one container under construction.
type frame struct {
	kind  frameKind
	flags byte
	asc   bool   // pairs came sorted so far
	count uint32 // elements or pairs
	left  uint64 // values still to come; those of plain lists inside included
	body  int    // where the first element starts in out
	prev  int    // where the last whole element starts in in, or the last key in out; or -1
	cur   int    // where the element that is being written starts, likewise
}

type frameKind uint8

const (
	frameFlat   frameKind = iota // nothing to check between elements
	frameSorted                  // ordered list: elements ascend
	frameKey                     // map: a key comes next
	frameValue                   // map: a value comes next
)

// pair is a key and its value in out.
type pair struct{ start, end int }

var normalizers = sync.Pool{New: func() any { return new(normalizer) }}

// keptScratch is the scratch memory in bytes that an idle normalizer keeps.
const keptScratch = 1 << 20

func (z *normalizer) release() {
	z.in, z.out, z.at, z.moved = nil, nil, 0, 0
	z.stack, z.pairs, z.tmp = z.stack[:0], z.pairs[:0], z.tmp[:0]
	if cap(z.stack) > keptScratch/64 || cap(z.pairs) > keptScratch/16 || cap(z.tmp) > keptScratch {
		return
	}
	normalizers.Put(z)
}

// value normalises one value from in to out.
func (z *normalizer) value(top bool) bool {
	if !z.item(top) {
		return false
	}
	for len(z.stack) > 0 {
		f := &z.stack[len(z.stack)-1]
		if f.left == 0 {
			if !z.close(f) {
				return false
			}
			continue
		}
		f.left--
		f.cur = len(z.out)
		if f.kind == frameSorted {
			f.cur = z.at
		}
		isKey := f.kind == frameKey
		depth := len(z.stack)
		if isKey && !z.key() || !isKey && !z.item(false) {
			return false
		}
		if len(z.stack) == depth && !z.childDone(&z.stack[depth-1]) {
			return false
		}
	}
	return true
}

// key normalises a map key.
func (z *normalizer) key() bool {
	it := Next(z.in[z.at:])
	if !IsKey(it, z.in[z.at:]) {
		return false
	}
	z.scalar(it)
	return true
}

// IsKey says whether the item, decoded from the start of p, can be a map key:
// an integer, a string, or bytes of the blob type.
func IsKey(it Item, p []byte) bool {
	switch it.Kind {
	case Negative, Positive, String:
		return true
	case Bytes:
		return it.Len > 0 && p[it.Head] == PrefixBlob
	}
	return false
}

func (z *normalizer) scalar(it Item) {
	p := z.in[z.at:]
	z.out = AppendCompact(z.out, it, p)
	z.at += int(it.Head) + it.content()
}

// item normalises a scalar, or opens a container.
func (z *normalizer) item(top bool) bool {
	it := Next(z.in[z.at:])
	switch it.Kind {
	case Invalid, Wildcard, Infinity:
		return false
	case Ext:
		if it.Type == 0xff { // kept for wildcard and infinity
			return false
		}
		z.scalar(it)
	case List, Map:
		return z.open(it, top)
	default:
		z.scalar(it)
	}
	return true
}

// open writes a container's header and marker and pushes its frame, if it
// needs one.
func (z *normalizer) open(it Item, top bool) bool {
	z.at += int(it.Head)
	n, flags := it.Len, byte(0)
	if n > 0 {
		if m := Next(z.in[z.at:]); isMarkerAt(m, z.in[z.at:]) {
			if !z.skipMarker(it.Kind, m) {
				return false
			}
			n--
			flags = StoredFlags(it.Kind, m.Type)
			if n > 0 {
				// A second marker; one byte of content would become a fixext.
				if m := Next(z.in[z.at:]); isMarkerAt(m, z.in[z.at:]) && m.Len != 1 {
					return false
				}
			}
		}
	}
	if !top {
		flags &^= Persist
	}
	z.out = AppendHead(z.out, it.Kind, flags, n)
	f := frame{flags: flags, asc: true, count: n, left: uint64(n), body: len(z.out), prev: -1}
	switch {
	case it.Kind == Map:
		f.kind, f.left = frameKey, 2*uint64(n)
	case flags&Ordered != 0:
		f.kind = frameSorted
	case len(z.stack) > 0 && z.stack[len(z.stack)-1].kind == frameFlat:
		z.stack[len(z.stack)-1].left += uint64(n)
		return true
	}
	z.stack = append(z.stack, f)
	return true
}

// isMarkerAt is isMarker for an item that may be Invalid.
func isMarkerAt(it Item, p []byte) bool { return it.Kind != Invalid && isMarker(it, p) }

// skipMarker steps over a marker, and in a map over the value beside it.
func (z *normalizer) skipMarker(k Kind, m Item) bool {
	if m.Type == 0xff && z.in[z.at] >= 0xd5 && !z.top {
		return false // the original lets this type pass in whole-bin writes only
	}
	z.at += int(m.Head) + m.content()
	if k == List {
		return true
	}
	n := Skip(z.in[z.at:])
	z.at += n
	return n > 0
}

// childDone runs when a direct child of f is whole: out[f.cur:].
func (z *normalizer) childDone(f *frame) bool {
	switch f.kind {
	case frameSorted:
		if f.prev >= 0 && Compare(z.in[f.prev:], z.in[f.cur:]) > 0 {
			return false
		}
		f.prev = f.cur
	case frameKey:
		f.kind = frameValue
		if f.prev >= 0 {
			c := Compare(z.out[f.prev:], z.out[f.cur:])
			if c == 0 || c > 0 && f.flags&Ordered != 0 {
				return false
			}
			f.asc = f.asc && c < 0
		}
		f.prev = f.cur
	case frameValue:
		f.kind = frameKey
	}
	return true
}

// close finishes the innermost container and reports it to the one around it.
func (z *normalizer) close(f *frame) bool {
	if f.kind == frameKey && !f.asc && !z.sort(f) {
		return false
	}
	if f.flags&Persist != 0 {
		z.addIndex(f)
	}
	z.stack = z.stack[:len(z.stack)-1]
	if len(z.stack) == 0 {
		return true
	}
	return z.childDone(&z.stack[len(z.stack)-1])
}

// sort puts the pairs of a map in key order. It reports false when a key is
// there twice.
func (z *normalizer) sort(f *frame) bool {
	body := z.out[f.body:]
	if z.moved += len(body); z.moved > maxMoved {
		return false
	}
	pairs := z.pairs[:0]
	for at := 0; at < len(body); {
		n := SkipN(body[at:], 2)
		pairs = append(pairs, pair{at, at + n})
		at += n
	}
	z.pairs = pairs
	slices.SortFunc(pairs, func(a, b pair) int { return Compare(body[a.start:], body[b.start:]) })
	tmp := z.tmp[:0]
	for i, p := range pairs {
		if i > 0 && Compare(body[pairs[i-1].start:], body[p.start:]) == 0 {
			return false
		}
		tmp = append(tmp, body[p.start:p.end]...)
	}
	copy(body, tmp)
	z.tmp = tmp
	return true
}

// addIndex rewrites the top container with its index.
func (z *normalizer) addIndex(f *frame) {
	k := List
	if f.kind == frameKey {
		k = Map
	}
	z.tmp = append(z.tmp[:0], z.out[f.body:]...)
	head := len(AppendHead(z.tmp[len(z.tmp):], k, f.flags, f.count))
	z.out = AppendContainer(z.out[:f.body-head], k, f.flags, f.count, z.tmp)
}
