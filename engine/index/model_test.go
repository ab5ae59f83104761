package index

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// model is the truth for one index: a plain map, and sorting when asked.
type model struct {
	t testing.TB
	x *Index
	m map[record.Digest]Entry
	// seen are the digests that were ever put: to choose from, as the order of
	// a map does not follow the seed.
	seen []record.Digest
	n    uint64 // the number of the last entry
}

func newModel(t testing.TB, o Options) *model {
	return &model{t: t, x: open(t, o), m: map[record.Digest]Entry{}}
}

func (m *model) next(d record.Digest) Entry {
	m.n++
	return entryFor(d, m.n)
}

// expect compares an operation's answer with the map's.
func (m *model) expect(op string, d *record.Digest, got, want any) {
	m.t.Helper()
	if got != want {
		m.t.Fatalf("%s %x: got %+v, want %+v", op, d, got, want)
	}
}

type answer struct {
	entry   Entry
	ok, put bool
	err     error
}

func (m *model) get(d record.Digest) {
	m.t.Helper()
	e, ok := m.x.Get(&d)
	want, has := m.m[d]
	m.expect("Get", &d, answer{entry: e, ok: ok}, answer{entry: want, ok: has})
}

func (m *model) put(d record.Digest) {
	m.t.Helper()
	e := m.next(d)
	old, replaced, err := m.x.Put(&e)
	want, has := m.m[d]
	m.expect("Put", &d, answer{entry: old, ok: replaced, err: err}, answer{entry: want, ok: has})
	m.set(d, e)
}

func (m *model) set(d record.Digest, e Entry) {
	if _, has := m.m[d]; !has {
		m.seen = append(m.seen, d)
	}
	m.m[d] = e
}

func (m *model) putIf(d record.Digest, better bool) {
	m.t.Helper()
	e := m.next(d)
	var asked Entry
	old, found, put, err := m.x.PutIf(&e, func(old Entry) bool {
		asked = old
		return better
	})
	want, has := m.m[d]
	m.expect("PutIf", &d, answer{old, found, put, err}, answer{want, has, !has || better, nil})
	m.expect("PutIf's question", &d, asked, want)
	if put {
		m.set(d, e)
	}
}

func (m *model) delete(d record.Digest) {
	m.t.Helper()
	old, ok := m.x.Delete(&d)
	want, has := m.m[d]
	m.expect("Delete", &d, answer{entry: old, ok: ok}, answer{entry: want, ok: has})
	delete(m.m, d)
}

// pick returns the address of d, or one that it does not have.
func (m *model) pick(d record.Digest, right bool) record.Address {
	if e, has := m.m[d]; has && right {
		return e.Addr
	}
	return 1 << 62
}

func (m *model) deleteIf(d record.Digest, right bool) {
	m.t.Helper()
	addr := m.pick(d, right)
	old, ok := m.x.DeleteIf(&d, addr)
	want, has := m.m[d]
	if !has || want.Addr != addr {
		want, has = Entry{}, false
	}
	m.expect("DeleteIf", &d, answer{entry: old, ok: ok}, answer{entry: want, ok: has})
	if has {
		delete(m.m, d)
	}
}

func (m *model) relocate(d record.Digest, right bool) {
	m.t.Helper()
	from := m.pick(d, right)
	m.n++
	to := record.Address(m.n)
	e, has := m.m[d]
	want := has && e.Addr == from
	m.expect("Relocate", &d, m.x.Relocate(&d, from, to), want)
	if want {
		e.Addr = to
		m.m[d] = e
	}
}

func (m *model) getBatch(ds []record.Digest) {
	m.t.Helper()
	es, found := make([]Entry, len(ds)), make([]bool, len(ds))
	for i := range es { // what was there before must not shine through
		es[i], found[i] = entryFor(ds[i], 12345), i%2 == 0
	}
	m.x.GetBatch(ds, es, found)
	for i := range ds {
		want, has := m.m[ds[i]]
		m.expect(fmt.Sprintf("GetBatch %d of %d", i, len(ds)), &ds[i],
			answer{entry: es[i], ok: found[i]}, answer{entry: want, ok: has})
	}
}

// reduce compares Reduce with a sorted list, from the start and after digests
// that are and are not in the index, with an early stop.
func (m *model) reduce(r *rand.Rand, partition int, foreign record.Digest) {
	m.t.Helper()
	var ds []record.Digest
	for d := range m.m {
		if d.Partition() == partition {
			ds = append(ds, d)
		}
	}
	inOrder(ds)
	m.expectReduced("start", partition, nil, ds, len(ds))
	here := foreign // foreign may be of any partition: what counts is the order within it
	here[0], here[1] = byte(partition), foreign[1]&0xF0|byte(partition>>8)
	foreign[0] += byte(r.Uint32())
	m.expectReduced("after any", partition, &foreign, below(ds, here), 1+r.IntN(len(ds)+1))
	if len(ds) > 0 {
		d := ds[r.IntN(len(ds))]
		m.expectReduced("after one of it", partition, &d, below(ds, d), 1+r.IntN(len(ds)+1))
	}
	m.expect("LenPartition", &foreign, m.x.LenPartition(partition), len(ds))
}

func below(ds []record.Digest, d record.Digest) []record.Digest {
	for i := range ds {
		if bytes.Compare(ds[i][:], d[:]) < 0 {
			return ds[i:]
		}
	}
	return nil
}

// expectReduced reduces until stop entries have come.
func (m *model) expectReduced(name string, partition int, after *record.Digest, want []record.Digest, stop int) {
	m.t.Helper()
	i := 0
	m.x.Reduce(partition, after, func(e *Entry) bool {
		if i == len(want) || *e != m.m[want[i]] {
			m.t.Fatalf("Reduce %s: entry %d of %d: got %+v", name, i, len(want), *e)
		}
		i++
		e.Digest = record.Digest{} // it is a copy
		return i != stop
	})
	if i != min(stop, len(want)) {
		m.t.Fatalf("Reduce %s: %d entries, want %d", name, i, min(stop, len(want)))
	}
}

// verify holds the whole index to the map.
func (m *model) verify() {
	m.t.Helper()
	if n := m.x.Len(); n != len(m.m) {
		m.t.Fatalf("Len: %d, want %d", n, len(m.m))
	}
	if err := m.x.Check(); err != nil {
		m.t.Fatal(err)
	}
	memory := m.x.Memory()
	if want := 64 * int64(len(m.m)); memory.Entries != want {
		m.t.Fatalf("Memory: %d bytes of entries, want %d", memory.Entries, want)
	}
	sum := memory.Fixed + memory.Entries + memory.Slots + memory.Directories + memory.Waste()
	if sum != memory.InUse || memory.InUse > memory.Limit {
		m.t.Fatalf("Memory: parts make %d, in use %d, limit %d: %+v", sum, memory.InUse, memory.Limit, memory)
	}
}

// step is one operation, chosen by a number.
func (m *model) step(r *rand.Rand, g *digests) {
	m.t.Helper()
	d := g.random(r)
	if len(m.seen) > 0 && r.IntN(2) == 0 {
		d = m.seen[r.IntN(len(m.seen))]
	}
	switch r.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		m.put(d)
	case 6, 7:
		m.putIf(d, r.IntN(2) == 0)
	case 8, 9, 10:
		m.delete(d)
	case 11, 12:
		m.deleteIf(d, r.IntN(3) > 0)
	case 13, 14:
		m.relocate(d, r.IntN(3) > 0)
	case 15:
		ds := make([]record.Digest, r.IntN(70))
		for i := range ds {
			ds[i] = g.random(r)
		}
		m.getBatch(append(ds, d, d))
	default:
		m.get(d)
	}
}

// grow puts n records, mostly new ones.
func (m *model) grow(r *rand.Rand, g *digests, n int) {
	m.t.Helper()
	for range n {
		m.put(g.random(r))
	}
}

// clear deletes everything, and the memory must be back.
func (m *model) clear(r *rand.Rand) {
	m.t.Helper()
	ds := slices.Collect(maps.Keys(m.m))
	inOrder(ds)
	r.Shuffle(len(ds), func(i, j int) { ds[i], ds[j] = ds[j], ds[i] })
	for i, d := range ds {
		m.delete(d)
		if i == len(ds)/2 {
			m.verify()
		}
	}
	m.verify()
	memory := m.x.Memory()
	if memory.InUse != memory.Fixed || memory.Slots != 0 || memory.Directories != 0 || memory.Waste() != 0 {
		m.t.Fatalf("Memory of an empty index: %+v", memory)
	}
}

// TestModel runs random operations on digests of each family against the map:
// few records, then so many that sprigs have directories, then none again.
func TestModel(t *testing.T) {
	for i := 0; i < len(families); i += (raceScale + 1) / 2 {
		g := &families[i]
		t.Run(g.name, func(t *testing.T) {
			r := newRand(t)
			m := newModel(t, Options{Sprigs: MinSprigs, MaxBytes: 32 << 20})
			some := g.random(r)
			for _, grow := range []int{0, 100, 4000 - 600*raceScale} {
				m.grow(r, g, grow)
				for range 1500 {
					m.step(r, g)
				}
				for range 5 {
					m.reduce(r, some.Partition(), g.random(r))
				}
				m.verify()
			}
			m.clear(r)
			m.grow(r, g, 500)
			m.clear(r)
		})
	}
}

// TestLargeSprig takes one sprig through a directory of many leaves and back,
// in orders that split and join at the ends and everywhere.
func TestLargeSprig(t *testing.T) {
	const n = 20000 / raceScale
	for _, tt := range []struct {
		name    string
		family  int
		arrange func(r *rand.Rand, ds []record.Digest)
	}{
		{"descending", 2, func(_ *rand.Rand, ds []record.Digest) { inOrder(ds) }},
		{"ascending", 2, func(_ *rand.Rand, ds []record.Digest) { inOrder(ds); slices.Reverse(ds) }},
		{"random, equal order bits", 5, func(*rand.Rand, []record.Digest) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRand(t)
			m := newModel(t, Options{Sprigs: MinSprigs, MaxBytes: 32 << 20})
			ds := make([]record.Digest, n)
			for i := range ds {
				ds[i] = families[tt.family].random(r)
			}
			tt.arrange(r, ds)
			for _, d := range ds {
				m.put(d)
			}
			m.verify()
			if memory := m.x.Memory(); memory.Directories < childSize*n/maxLeafSlots {
				t.Errorf("%d bytes of directories for %d records in one sprig", memory.Directories, n)
			}
			m.reduce(r, ds[0].Partition(), families[tt.family].random(r))
			for _, d := range ds[:n/2] {
				m.delete(d)
			}
			m.verify()
			m.reduce(r, ds[0].Partition(), families[tt.family].random(r))
			for _, d := range ds[n/2:] {
				m.get(d)
				m.relocate(d, true)
			}
			m.clear(r)
		})
	}
}

// TestFull fills an index to its limit at every size of the last free piece:
// what ErrFull answers must change nothing, and deletes must make room.
func TestFull(t *testing.T) {
	for i := 0; i < 7; i += raceScale {
		g := &families[i]
		t.Run(g.name, func(t *testing.T) {
			r := newRand(t)
			m := newModel(t, Options{Sprigs: MinSprigs, MaxBytes: fixedBytes(MinSprigs) + 12*slabSize})
			for round := range 3 {
				failed := 0
				for failed < 50 {
					d := g.random(r)
					if _, has := m.m[d]; has {
						continue
					}
					e := m.next(d)
					old, replaced, err := m.x.Put(&e)
					if err == nil {
						m.set(d, e)
						continue
					}
					failed++
					m.expect("Put when full", &d, answer{old, replaced, false, err}, answer{err: ErrFull})
					_, found, put, err := m.x.PutIf(&e, func(Entry) bool { return true })
					m.expect("PutIf when full", &d, answer{ok: found, put: put, err: err}, answer{err: ErrFull})
					m.get(d)
				}
				if memory := m.x.Memory(); memory.InUse != memory.Limit {
					t.Fatalf("round %d: full with %d of %d bytes in use", round, memory.InUse, memory.Limit)
				}
				m.verify()
				some := g.random(r)
				m.reduce(r, some.Partition(), some)
				for i, d := range m.seen { // replacing and removing works at the limit
					if _, has := m.m[d]; has && i%2 == 0 {
						m.put(d)
					} else if i%3 == 0 {
						m.delete(d)
					}
				}
				m.verify()
			}
			m.clear(r)
		})
	}
}
