package storage

import (
	"syscall"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// readAll reads a victim to its end.
func (r *rig) readAll(v *Victim) (res record.Result) {
	r.t.Helper()
	for !v.Complete() {
		done := false
		v.Done = func(v *Victim) { done = true }
		r.l.ReadVictim(v)
		r.settle()
		if !done {
			r.t.Fatal("ReadVictim is not done")
		}
		if v.Result != record.OK {
			res = v.Result
		}
	}
	return res
}

// defrag moves the live records of one victim, as an engine would. live maps
// a record's number to its address.
func (r *rig) defrag(v *Victim, live map[uint64]record.Address) (moved int) {
	r.t.Helper()
	r.readAll(v)
	for {
		flat, a, ok := v.Next()
		if !ok {
			break
		}
		f, err := record.ParseFlat(flat)
		if err != nil {
			r.t.Fatal(err)
		}
		n, found := numberOf(f.Digest), false
		if live[n] == a {
			found = true
		}
		if !found {
			continue
		}
		space, to, res := r.l.Reserve(Defrag, &f.Digest, len(flat))
		if res != record.OK {
			r.s.ReturnVictim(v)
			return moved
		}
		copy(space, flat)
		r.l.Seal(space, to)
		live[n] = to
		r.s.Free(a)
		moved++
	}
	r.s.ReleaseVictim(v)
	return moved
}

// TestDefrag empties sparse wblocks, from the device, the cache and memory.
func TestDefrag(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cache  int64
		memory bool
		reads  uint64 // wblocks
	}{
		{"from the device", 0, false, 4},
		{"from the cache", 64 * testWblock, false, 0},
		{"in memory", 0, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions()
			o.PostWriteCache = tt.cache
			wblocks := 64
			if tt.cache > 0 {
				wblocks = 18 // only where room is scarce
			}
			r := newRig(t, 1, wblocks, o, 1, sim.Faults{})
			step := uint64(1)
			if tt.memory {
				r.stop()
				r.memory(8 * 20 * testWblock)
				step = 8 // all to device 0
			}
			live := map[uint64]record.Address{}
			for i := range uint64(61) {
				live[i*step] = r.mustPut(Master, i*step, 1, 1024)
				r.settle()
			}
			if tt.cache > 0 {
				for n := range uint64(9) {
					r.mustPut(Migration, 1000+n, 1, r.s.MaxRecord())
					r.settle()
				}
			}
			for n, a := range live { // a third of four wblocks stays
				if n/step%3 != 0 && n/step < 60 {
					r.s.Free(a)
					delete(live, n)
				}
			}
			r.check()
			sources := map[uint32]bool{}
			for range 4 {
				v, ok := r.s.Victim()
				if !ok {
					t.Fatal("no victim")
				}
				sources[v.Wblock] = true
				r.check()
				if moved := r.defrag(v, live); moved != 5 {
					t.Errorf("wblock %d: %d records moved, want 5", v.Wblock, moved)
				}
			}
			if _, ok := r.s.Victim(); ok {
				t.Error("a fifth victim")
			}
			if !tt.memory { // in memory nothing has to be flushed
				r.l.Tick(r.now)
				for i := range sources {
					if got := State(r.s.devices[0].wblocks[i].state.Load()); got != StateEmptying {
						t.Errorf("wblock %d is %v before its records are flushed elsewhere, want %v", i, got, StateEmptying)
					}
				}
				r.flush()
			}
			r.l.Tick(r.now)
			for i := range sources {
				if got := State(r.s.devices[0].wblocks[i].state.Load()); got != StateFree {
					t.Errorf("wblock %d is %v in the end, want %v", i, got, StateFree)
				}
			}
			r.check()
			for n, a := range live {
				r.expect(n, 1, a)
			}
			if got := r.s.Stats().Devices[0].DefragReads; got != tt.reads {
				t.Errorf("defrag_reads %d, want %d", got, tt.reads)
			}
			if tt.memory {
				r.stop()
			}
		})
	}
}

// TestYoungWblocks: with room on the device, what is in the post-write cache
// is not defragged; when it leaves the cache, or room gets scarce, it is.
func TestYoungWblocks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wblocks int
		evict   bool
		want    int // in the defrag queue
	}{
		{"room", 64, false, 0},
		{"room, evicted", 64, true, 2},
		{"scarce", 18, false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions()
			r := newRig(t, 1, tt.wblocks, o, 1, sim.Faults{})
			for n := range uint64(10) {
				r.mustPut(Migration, 1000+n, 1, r.s.MaxRecord())
				r.settle()
			}
			for n := range uint64(46) { // three wblocks and a record
				if a := r.mustPut(Master, n, 1, 1024); n%15 > 0 && n/15 < 2 {
					r.s.Free(a)
				}
				r.settle()
			}
			r.tick(time.Millisecond)
			if tt.evict {
				o.PostWriteCache = 0
				if err := r.s.Configure(o); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.s.Stats().Devices[0].DefragQ; got != tt.want {
				t.Errorf("%d wblocks are queued, want %d", got, tt.want)
			}
			r.check()
		})
	}
}

// TestVictimFreedEarly frees what is left in a wblock while it is queued, and
// while it is a victim.
func TestVictimFreedEarly(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 64 * testWblock
	r := newRig(t, 1, 18, o, 1, sim.Faults{}) // room gets scarce
	for n := range uint64(10) {
		r.mustPut(Migration, 1000+n, 1, r.s.MaxRecord())
		r.settle()
	}
	var addrs []record.Address
	for n := range uint64(31) {
		addrs = append(addrs, r.mustPut(Master, n, 1, 1024))
		r.settle()
	}
	for n := range 30 {
		if n%15 != 0 {
			r.s.Free(addrs[n]) // one record of each of two wblocks stays
		}
	}
	v, ok := r.s.Victim()
	if !ok {
		t.Fatal("no victim")
	}
	r.s.Free(addrs[0])
	r.s.Free(addrs[15]) // of the one in the queue
	r.check()
	if _, ok := r.s.Victim(); ok {
		t.Error("an empty wblock is given out")
	}
	// The image is evicted while the victim reads from it.
	small := o
	small.PostWriteCache = 0
	if err := r.s.Configure(small); err != nil {
		t.Fatal(err)
	}
	r.check()
	if moved := r.defrag(v, nil); moved != 0 {
		t.Errorf("%d records moved", moved)
	}
	r.flush()
	r.l.Tick(r.now)
	r.check()
	if got := r.s.Stats().Devices[0].States[StateEmptying]; got != 0 {
		t.Errorf("%d wblocks are still emptying", got)
	}
}

// TestDefragReadError defrags a wblock that the device cannot read in part.
func TestDefragReadError(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 64, o, 1, sim.Faults{})
	live := map[uint64]record.Address{}
	for n := range uint64(16) {
		live[n] = r.mustPut(Master, n, 1, 1024)
		r.settle()
	}
	for n := range uint64(15) {
		if n%3 != 0 {
			r.s.Free(live[n])
			delete(live, n)
		}
	}
	r.flush()
	bad := live[6]
	r.w.Fail("d0", bad.Offset(), bad.Offset()+512, syscall.ENODATA)
	v, ok := r.s.Victim()
	if !ok {
		t.Fatal("no victim")
	}
	moved := r.defrag(v, live)
	if moved == 0 || moved >= 5 || live[6] != bad {
		t.Errorf("%d records moved, the unreadable one: %v", moved, live[6] != bad)
	}
	r.flush()
	if got := State(r.s.devices[0].wblocks[1].state.Load()); got != StateEmptying {
		t.Errorf("the source is %v, want %v: something live is in it", got, StateEmptying)
	}
	r.check()
	r.w.Fail("d0", bad.Offset(), bad.Offset()+512, 0)
	r.expect(6, 1, bad)
}

// TestVictimLimits holds Victim to defrag-queue-min and to the write queue.
func TestVictimLimits(t *testing.T) {
	o := testOptions()
	o.DefragQueueMin, o.PostWriteCache = 2, 0
	r := newRig(t, 1, 64, o, 1, sim.Faults{})
	var addrs []record.Address
	for n := range uint64(46) {
		addrs = append(addrs, r.mustPut(Master, n, 1, 1024))
		r.settle()
	}
	for n, a := range addrs[:45] {
		if n%15 != 0 {
			r.s.Free(a)
		}
	}
	v, ok := r.s.Victim()
	if !ok {
		t.Fatal("no victim with three wblocks queued and a minimum of two")
	}
	if _, ok := r.s.Victim(); ok {
		t.Error("a victim with two wblocks queued and a minimum of two")
	}
	r.s.ReturnVictim(v)
	if got := r.s.Stats().Devices[0].DefragQ; got != 3 {
		t.Errorf("defrag_q %d after ReturnVictim, want 3", got)
	}
	r.s.toFlush.Add(1000)
	if _, ok := r.s.Victim(); ok {
		t.Error("a victim while too much waits for being written")
	}
	r.s.toFlush.Add(-1000)
	r.check()
}

// TestDefragNeverLoses moves a record again and again and cuts the power at
// each operation: it must be found in one place at least.
func TestDefragNeverLoses(t *testing.T) {
	seed := newSeed(t)
	moves := 0
	for cut := 1; cut < 2000; cut += 1 + cut/10 {
		o := testOptions()
		o.PostWriteCache = 0
		r := newRig(t, 1, 17, o, seed+uint64(cut), sim.Faults{Torn: 0.4, Lost: 0.4, Reorder: 0.3})
		live := map[uint64]record.Address{7: r.mustPut(Master, 7, 1, 2048)}
		first := live[7]
		r.flush()
		r.w.CutAfter(cut)
		version := 0
		for version = 0; version < 150; version++ {
			// Other records fill the device, so that every wblock is reused,
			// and close the wblock that the record was moved to.
			kinds := []Kind{Master, Master, Master, Master, Defrag}
			if version%8 != 0 {
				kinds = kinds[:4]
			}
			for _, k := range kinds {
				if a, res := r.put(k, 1000, 1, r.s.MaxRecord()); res == record.OK {
					r.s.Free(a)
				}
				for range 8 { // more than one wblock's writes
					if _, err := r.q.Poll(time.Millisecond); err != nil {
						break
					}
				}
			}
			if _, err := r.q.Poll(time.Millisecond); err != nil {
				break
			}
			r.tick(10 * time.Millisecond)
			if v, ok := r.s.Victim(); ok {
				if !r.tryDefrag(v, live) {
					break
				}
			}
		}
		if live[7].Offset() != first.Offset() {
			moves++
		}
		r.crash()
		found := false
		r.start(func(flat []byte, _ record.Address) bool {
			f, err := record.ParseFlat(flat)
			found = found || err == nil && numberOf(f.Digest) == 7
			return true
		})
		r.stop()
		if !found {
			t.Fatalf("cut at operation %d, round %d: the record is gone", cut, version)
		}
	}
	if moves < 20 {
		t.Errorf("the record had been moved before %d cuts only", moves)
	}
}

// tryDefrag is defrag on a machine that may lose its power: false then.
func (r *rig) tryDefrag(v *Victim, live map[uint64]record.Address) bool {
	for !v.Complete() {
		done := false
		v.Done = func(v *Victim) { done = true }
		r.l.ReadVictim(v)
		for !done {
			if _, err := r.q.Poll(time.Second); err != nil {
				return false
			}
		}
		if v.Result == record.DeviceOverload {
			r.s.ReturnVictim(v)
			return true
		}
	}
	r.defrag(v, live)
	return true
}

func numberOf(d record.Digest) uint64 {
	return uint64(d[12]) | uint64(d[13])<<8 | uint64(d[14])<<16 | uint64(d[15])<<24
}

var _ ioring.Queue = (*writeCounter)(nil)
