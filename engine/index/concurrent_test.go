package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// storm is one index under writers and readers at the same time. Some digests
// stay, some come and go. Which is a digest's kind is in its last bit.
type storm struct {
	t      *testing.T
	x      *Index
	ds     []record.Digest
	number atomic.Uint64
	done   atomic.Bool
}

func stays(d *record.Digest) bool { return d[19]&1 == 0 }

func (s *storm) next(d record.Digest) Entry { return entryFor(d, s.number.Add(1)) }

// write changes digests at random: those that stay are replaced and relocated,
// the others inserted and deleted too.
func (s *storm) write(r *rand.Rand, n int) {
	for range n {
		d := s.ds[r.IntN(len(s.ds))]
		e := s.next(d)
		switch op := r.IntN(5); {
		case op == 0 && !stays(&d):
			if old, ok := s.x.Delete(&d); ok {
				s.check("Delete", &old, &d)
			}
		case op == 1 && !stays(&d):
			if now, ok := s.x.Get(&d); ok {
				if old, ok := s.x.DeleteIf(&d, now.Addr); ok && old != now {
					s.t.Errorf("DeleteIf: got %+v, want %+v", old, now)
				}
			}
		case op == 2:
			old, found, put, err := s.x.PutIf(&e, func(old Entry) bool { return old.Addr < e.Addr })
			if err != nil || put != (!found || old.Addr < e.Addr) {
				s.t.Errorf("PutIf: old %+v, found %v, put %v, %v", old, found, put, err)
			}
		default:
			old, replaced, err := s.x.Put(&e)
			if err != nil {
				s.t.Errorf("Put: %v", err)
			}
			if replaced {
				s.check("Put", &old, &d)
			}
			if !replaced && stays(&d) {
				s.t.Errorf("Put %x: not found", d)
			}
		}
	}
}

func (s *storm) check(op string, e *Entry, d *record.Digest) {
	if e.Digest != *d || !sound(e) {
		s.t.Errorf("%s %x: got a mix: %+v", op, *d, *e)
	}
}

func (s *storm) read(r *rand.Rand) {
	for !s.done.Load() {
		d := s.ds[r.IntN(len(s.ds))]
		e, ok := s.x.Get(&d)
		if ok {
			s.check("Get", &e, &d)
		} else if stays(&d) {
			s.t.Errorf("Get %x: not found", d)
		}
	}
}

func (s *storm) readBatch(r *rand.Rand) {
	var ds [50]record.Digest
	var es [50]Entry
	var found [50]bool
	for !s.done.Load() {
		for i := range ds {
			ds[i] = s.ds[r.IntN(len(s.ds))]
		}
		s.x.GetBatch(ds[:], es[:], found[:])
		for i := range ds {
			if found[i] {
				s.check("GetBatch", &es[i], &ds[i])
			} else if stays(&ds[i]) {
				s.t.Errorf("GetBatch %x: not found", ds[i])
			}
		}
	}
}

// reduce wants descending order, and every digest that stays exactly once.
func (s *storm) reduce() {
	want := map[int]int{}
	for _, d := range s.ds {
		if stays(&d) {
			want[d.Partition()]++
		}
	}
	for !s.done.Load() {
		for p, n := range want {
			var last record.Digest
			first, stayed := true, 0
			s.x.Reduce(p, nil, func(e *Entry) bool {
				if !sound(e) || e.Digest.Partition() != p {
					s.t.Errorf("Reduce of %d: got %+v", p, *e)
				}
				if !first && bytes.Compare(e.Digest[:], last[:]) >= 0 {
					s.t.Errorf("Reduce of %d: %x after %x", p, e.Digest, last)
				}
				if stays(&e.Digest) {
					stayed++
				}
				first, last = false, e.Digest
				return true
			})
			if stayed != n {
				s.t.Errorf("Reduce of %d: %d entries that stay, want %d", p, stayed, n)
			}
		}
	}
}

// TestConcurrent lets readers, batch readers, a reducer and three writers
// loose on digests that share sprigs, order bits or little.
func TestConcurrent(t *testing.T) {
	const nWrites = 30000 / raceScale
	for _, tt := range []struct {
		family, nDigests int
	}{
		{0, 2000}, {1, 2000}, {2, 2000}, {5, 2000}, {8, 2000},
		// Few digests of one sprig: all meet at the same entries.
		{2, 4}, {2, 40}, {5, 4}, {5, 40},
	} {
		g, nDigests := &families[tt.family], tt.nDigests
		t.Run(fmt.Sprintf("%s, %d digests", g.name, nDigests), func(t *testing.T) {
			r := newRand(t)
			s := &storm{t: t, x: open(t, Options{Sprigs: MinSprigs, MaxBytes: 32 << 20})}
			seen := map[record.Digest]bool{}
			for len(s.ds) < nDigests {
				d := g.random(r)
				if seen[d] {
					continue
				}
				seen[d] = true
				s.ds = append(s.ds, d)
				if e := s.next(d); stays(&d) {
					if _, _, err := s.x.Put(&e); err != nil {
						t.Fatal(err)
					}
				}
			}
			var readers, writers sync.WaitGroup
			seeds := func() *rand.Rand { return rand.New(rand.NewPCG(r.Uint64(), 0)) }
			a, b := seeds(), seeds()
			readers.Go(func() { s.read(a) })
			readers.Go(func() { s.readBatch(b) })
			readers.Go(s.reduce)
			for range 3 {
				w := seeds()
				writers.Go(func() { s.write(w, nWrites/3) })
			}
			writers.Wait()
			s.done.Store(true)
			readers.Wait()
		})
	}
}

// TestProtocol takes the steps of readers and writers one by one, in the orders
// that threads meet in once in a million times.
func TestProtocol(t *testing.T) {
	x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 16 << 20})
	d := record.Digest{1, 2, 3}
	k := x.keyOf(&d)
	e, next := entryFor(d, 1), entryFor(d, 2)
	put := func(e *Entry) {
		t.Helper()
		if _, _, err := x.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	put(&e)
	handle := x.mustSearch(&view{header: k.header, word: load(k.header, 1), root: x.read(&k).root}, &k).handle
	var got Entry

	for _, tt := range []struct {
		name    string
		between func()
		holds   bool
	}{
		{"nothing", func() {}, true},
		{"Put", func() { put(&next) }, false},
		{"PutIf that does not", func() { x.PutIf(&e, func(Entry) bool { return false }) }, true},
		{"PutIf that does", func() { x.PutIf(&e, func(Entry) bool { return true }) }, false},
		{"Relocate that does not", func() { x.Relocate(&d, e.Addr+1, e.Addr) }, true},
		{"Relocate that does", func() { x.Relocate(&d, e.Addr, e.Addr) }, false},
		{"DeleteIf that does not", func() { x.DeleteIf(&d, e.Addr+1) }, true},
		{"Delete of another", func() { x.Delete(&record.Digest{1, 2, 4}) }, true},
		{"Delete and Put", func() { x.Delete(&d); put(&e) }, false},
		{"Put of another", func() { other := entryFor(record.Digest{1, 2, 4}, 3); put(&other) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, ok := readPlain(k.header)
			v := x.read(&k)
			if !ok || !s.holds() || !v.holds() {
				t.Fatal("a sprig without a writer does not hold")
			}
			tt.between()
			if s.holds() != tt.holds || v.holds() != tt.holds {
				t.Errorf("plain holds %v, view holds %v, want %v", s.holds(), v.holds(), tt.holds)
			}
			if found := x.copyIf(&s, handle, &d, &got); found != tt.holds {
				t.Errorf("copyIf: %v, want %v", found, tt.holds)
			}
			c := reduction{x: x, key: k}
			if ok := c.copyBatch(&v); ok != tt.holds {
				t.Errorf("copyBatch: %v, want %v", ok, tt.holds)
			}
		})
	}

	before := load(k.header, 1)
	v := x.lock(&k)
	if _, ok := readPlain(k.header); ok {
		t.Error("a header is read while a writer is at the sprig")
	}
	x.unlock(&v)
	if after := load(k.header, 1); after&locked != 0 || after == before {
		t.Errorf("version after unlock: %#x, before the lock %#x", after, before)
	}
}

// TestBatchBetweenStages changes the index between the stages of a batch: what
// it then finds at the old places is of another sprig, and it must not believe
// it.
func TestBatchBetweenStages(t *testing.T) {
	put := func(x *Index, d record.Digest) {
		t.Helper()
		e := entryFor(d, uint64(d[2])+1)
		if _, _, err := x.Put(&e); err != nil {
			t.Fatal(err)
		}
	}
	// Sprig a has a full block. When it grows, sprig b of the same shard gets
	// the block and fills it.
	a := func(n int) record.Digest { return record.Digest{0, 0, byte(n)} }
	b := func(n int) record.Digest { return record.Digest{0, 0x10, byte(100 + n)} }
	change := func(x *Index) {
		put(x, a(lineSlots))
		for n := range lineSlots {
			put(x, b(n))
		}
	}
	for stage := range 4 {
		t.Run(fmt.Sprintf("before stage %d", stage), func(t *testing.T) {
			x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 16 << 20})
			ds := make([]record.Digest, lineSlots)
			for n := range ds {
				ds[n] = a(n)
				put(x, ds[n])
			}
			es, found := make([]Entry, len(ds)), make([]bool, len(ds))
			p := make(batch, len(ds))
			for i, run := range []func(){
				func() { p.locate(x, ds) },
				func() { p.readHeaders(x) },
				func() { p.findSlots(x) },
				func() { p.copyEntries(x, ds, es, found) },
			} {
				if i == stage {
					change(x)
				}
				run()
			}
			for i := range ds {
				if want := entryFor(ds[i], uint64(i)+1); !found[i] || es[i] != want {
					t.Errorf("%x: got %+v, %v, want %+v", ds[i], es[i], found[i], want)
				}
			}
		})
	}
}

// TestWritersExclude holds a sprig's lock while others want it: they must
// come after, and see all or nothing of what was written under it.
func TestWritersExclude(t *testing.T) {
	x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 16 << 20})
	d := record.Digest{1, 2, 3}
	k := x.keyOf(&d)
	e := entryFor(d, 1)
	if _, _, err := x.Put(&e); err != nil {
		t.Fatal(err)
	}
	v := x.lock(&k)
	p := x.mustSearch(&v, &k)
	half := entryFor(d, 7)
	half.Generation++ // no longer sound
	writeEntry(x.line(p.handle), &half)

	var others sync.WaitGroup
	var asked atomic.Int32
	others.Go(func() {
		asked.Add(1)
		if got, ok := x.Get(&d); !ok || !sound(&got) {
			t.Errorf("Get: %+v, %v", got, ok)
		}
	})
	others.Go(func() {
		asked.Add(1)
		es, found := make([]Entry, 1), make([]bool, 1)
		if x.GetBatch([]record.Digest{d}, es, found); !found[0] || !sound(&es[0]) {
			t.Errorf("GetBatch: %+v, %v", es[0], found[0])
		}
	})
	others.Go(func() {
		asked.Add(1)
		if got := reduceAll(x, d.Partition(), nil); len(got) != 1 || !sound(&got[0]) {
			t.Errorf("Reduce: %+v", got)
		}
	})
	others.Go(func() {
		asked.Add(1)
		e := entryFor(d, 9)
		if old, ok, err := x.Put(&e); err != nil || !ok || !sound(&old) {
			t.Errorf("Put: old %+v, %v, %v", old, ok, err)
		}
	})
	for asked.Load() < 4 {
		runtime.Gosched()
	}
	for range 2 * spinLimit { // let them come as far as they can
		runtime.Gosched()
	}
	whole := entryFor(d, 8)
	writeEntry(x.line(p.handle), &whole)
	x.unlock(&v)
	others.Wait()
}

// TestLostUpdates counts: of two writers that change one entry each time only
// if it is as they saw it, every success must show.
func TestLostUpdates(t *testing.T) {
	x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 16 << 20})
	d := record.Digest{1, 2, 3}
	e := entryFor(d, 0)
	if _, _, err := x.Put(&e); err != nil {
		t.Fatal(err)
	}
	const nWriters, nEach = 4, 2000
	var writers sync.WaitGroup
	for range nWriters {
		writers.Go(func() {
			for range nEach {
				for {
					now, _ := x.Get(&d)
					if x.Relocate(&d, now.Addr, now.Addr+1) {
						break
					}
				}
			}
		})
	}
	writers.Wait()
	if now, _ := x.Get(&d); now.Addr != nWriters*nEach {
		t.Errorf("address after %d increments: %d", nWriters*nEach, now.Addr)
	}
}

// TestPublishes hands heap memory from writer to reader through the index, as
// callers do: under the race detector the index must count as synchronization
// even when its memory is mapped.
func TestPublishes(t *testing.T) {
	x, err := New(Options{Sprigs: MinSprigs, MaxBytes: 16 << 20}) // mapped, always
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	const n = 1000
	values := make([]int, n)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range values {
			values[i] = i + 1
			e := entryFor(record.Digest{1, 2, byte(i), byte(i >> 8)}, uint64(i))
			if _, _, err := x.Put(&e); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := 0; i < n && !t.Failed(); {
		e, ok := x.Get(&record.Digest{1, 2, byte(i), byte(i >> 8)})
		if !ok {
			continue
		}
		if v := values[e.Addr]; v != i+1 {
			t.Fatalf("value %d: got %d", i, v)
		}
		i++
	}
	writer.Wait()
}
