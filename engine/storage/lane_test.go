package storage

import (
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// TestSizes writes records of sizes around every edge, and reads them from the
// buffer, from the cache, from the device and after a restart.
func TestSizes(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 2, 64, o, 1, sim.Faults{})
	sizes := []int{64, 80, 496, 512, 528, testFlush - 64, testFlush, testFlush + 16, r.s.MaxRecord() - 16, r.s.MaxRecord()}
	addrs := map[uint64]record.Address{}
	for i, size := range sizes {
		n := uint64(i)
		addrs[n] = r.mustPut(Master, n, 1, size)
		if !r.expect(n, 1, addrs[n]) {
			t.Errorf("record of %d bytes was not in memory after Seal", size)
		}
	}
	d := digestOf(1)
	if _, _, res := r.l.Reserve(Master, &d, r.s.MaxRecord()+record.RblockSize); res != record.TooBig {
		t.Errorf("Reserve of one rblock more than MaxRecord: %v, want %v", res, record.TooBig)
	}
	r.flush()
	for n, a := range addrs {
		r.expect(n, 1, a)
	}
	r.check()
	r.stop()
	r.start(func(_ []byte, a record.Address) bool { return true })
	if !r.s.WasClean() {
		t.Error("the store was closed cleanly, but Open does not say so")
	}
	for n, a := range addrs {
		if r.expect(n, 1, a) {
			t.Errorf("record %d is in memory after a restart", n)
		}
	}
}

// TestReserveIsZeroed reuses the memory and the wblocks of a small store and
// looks at every space that Reserve returns.
func TestReserveIsZeroed(t *testing.T) {
	o := testOptions()
	r := newRig(t, 1, 16, o, 1, sim.Faults{})
	for n := range uint64(200) {
		d := digestOf(n)
		space, a, res := r.l.Reserve(Master, &d, 4096)
		if res != record.OK {
			t.Fatalf("Reserve %d: %v", n, res)
		}
		if !allZero(space) {
			t.Fatalf("Reserve %d: space is not zero", n)
		}
		if len(space) != 4096 || cap(space) != 4096 {
			t.Fatalf("Reserve %d: len %d, cap %d, want 4096", n, len(space), cap(space))
		}
		copy(space, flatOf(n, 1, 4096))
		r.l.Seal(space, a)
		r.s.Free(a)
		r.tick(100 * time.Millisecond)
		r.settle()
	}
}

// TestFlushByAge holds a single record to flush-max-ms: it is on the device no
// later than that after it was written, and not much earlier.
func TestFlushByAge(t *testing.T) {
	const step = 50 * time.Millisecond
	for _, tt := range []struct {
		name     string
		kind     Kind
		flushMax time.Duration
		from, to time.Duration // when it is flushed
	}{
		{"a second", Master, time.Second, 900 * time.Millisecond, time.Second},
		{"100 ms", Replica, 100 * time.Millisecond, 0, 100 * time.Millisecond},
		{"never", Master, 0, time.Hour, time.Hour},
		{"defrag", Defrag, time.Second, 2900 * time.Millisecond, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions()
			o.FlushMax = tt.flushMax
			r := newRig(t, 1, 32, o, 1, sim.Faults{})
			r.tick(step)
			r.tick(step)
			r.mustPut(tt.kind, 1, 1, 64)
			var at time.Duration
			for at = 0; r.l.Dirty() && at < 10*time.Second; at += step {
				r.tick(step)
				r.settle()
			}
			if tt.from == time.Hour {
				if !r.l.Dirty() {
					t.Errorf("flushed after %v, want never", at)
				}
				return
			}
			if at < tt.from || at > tt.to {
				t.Errorf("flushed after %v, want %v to %v", at, tt.from, tt.to)
			}
		})
	}
}

// TestPartialFlushes adds to a wblock and flushes between, so that the tail
// block is rewritten again and again; the power is cut after each number of
// flushes, or within the last.
func TestPartialFlushes(t *testing.T) {
	seed := newSeed(t)
	for flushes := 1; flushes <= 40; flushes++ {
		o := testOptions()
		o.PostWriteCache = 0
		r := newRig(t, 1, 32, o, seed+uint64(flushes), sim.Faults{Torn: 0.5, Lost: 0.3})
		size := func(n int) int { return 64 + 16*(n%40) }
		addrs := map[record.Address]int{}
		for n := 1; n <= flushes; n++ {
			addrs[r.mustPut(Master, uint64(n), 1, size(n))] = n
			r.flush()
		}
		// One more, which may be lost, must not harm the others.
		r.mustPut(Master, 0, 1, 256)
		r.tick(time.Second)
		r.crash()
		found := r.start(func(flat []byte, a record.Address) bool {
			delete(addrs, a)
			return true
		})
		if len(addrs) > 0 {
			t.Fatalf("after %d flushes and a crash: missing %v; load found %+v", flushes, addrs, found)
		}
		if got := found[0].ChecksumFailures + found[0].Unparsable; got != 0 {
			t.Errorf("after %d flushes and a crash: %d faults are blamed on the device", flushes, got)
		}
		r.stop()
	}
}

// TestCache fills the post-write cache by kind and looks at what stays.
func TestCache(t *testing.T) {
	perBlock := (testWblock - wblockOverhead) / 1024
	for _, tt := range []struct {
		name     string
		kind     Kind
		replicas bool
		budget   int64 // wblocks
		want     int
	}{
		{"master", Master, false, 4, 4},
		{"master, none", Master, false, 0, 0},
		{"replica", Replica, false, 4, 0},
		{"replica, cached", Replica, true, 4, 4},
		{"migration", Migration, true, 4, 0},
		{"defrag", Defrag, true, 4, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions()
			o.PostWriteCache, o.CacheReplicaWrites = tt.budget*testWblock, tt.replicas
			r := newRig(t, 1, 64, o, 1, sim.Faults{})
			var addrs []record.Address
			for n := range 8*perBlock + 1 { // the ninth wblock is begun
				addrs = append(addrs, r.mustPut(tt.kind, uint64(n), 1, 1024))
				r.settle()
			}
			if got := r.s.Stats().Devices[0].Cached; got != tt.want {
				t.Errorf("%d wblocks are cached, want %d", got, tt.want)
			}
			for n, a := range addrs[:8*perBlock] {
				want := n/perBlock >= 8-tt.want // the newest stay
				if got := r.expect(uint64(n), 1, a); got != want {
					t.Errorf("record %d of wblock %d: in memory %v, want %v", n, n/perBlock, got, want)
				}
			}
			r.check()
		})
	}
}

// TestFullDevice fills a device to its end, frees it and fills it again.
func TestFullDevice(t *testing.T) {
	for _, round := range []string{"device", "memory"} {
		t.Run(round, func(t *testing.T) {
			o := testOptions()
			o.MaxWriteCache = 1 << 30
			r := newRig(t, 1, 40, o, 1, sim.Faults{})
			if round == "memory" {
				r.stop()
				r.memory(8 * 40 * testWblock)
				defer r.stop()
			}
			for cycle := range 3 {
				var addrs []record.Address
				var last record.Result
				for n := uint64(0); ; n += uint64(len(r.s.devices)) { // all to device 0
					a, res := r.put(Master, n, 1, 2048)
					r.settle()
					if res != record.OK {
						last = res
						break
					}
					addrs = append(addrs, a)
				}
				if last != record.OutOfSpace {
					t.Fatalf("cycle %d: a full device answers %v, want %v", cycle, last, record.OutOfSpace)
				}
				// All but the reserve of defrag: 39 wblocks, 4 reserved; the
				// header's wblock exists in a stripe too.
				if got, want := len(addrs), (39-4)*7; got != want {
					t.Errorf("cycle %d: %d records fit, want %d", cycle, got, want)
				}
				r.check()
				for _, a := range addrs {
					r.s.Free(a)
				}
				for range 5 {
					r.tick(time.Second)
					r.settle()
				}
				r.check()
				if got := r.s.Stats().DataUsedBytes; got != 0 {
					t.Errorf("cycle %d: %d bytes used after freeing all", cycle, got)
				}
				if got, least := r.s.Stats().Devices[0].FreeWblocks, 38; got < least {
					t.Errorf("cycle %d: %d free wblocks, want at least %d", cycle, got, least)
				}
			}
		})
	}
}

// memory replaces the rig's store by one in memory.
func (r *rig) memory(size int64) {
	r.t.Helper()
	r.rd = r.dom.Register()
	r.q = r.w.Queue()
	r.o.DataSize = size
	var err error
	if r.s, err = OpenMemory(r.o, r.dom); err != nil {
		r.t.Fatal(err)
	}
	if r.l, err = r.s.NewLane(r.q, r.rd); err != nil {
		r.t.Fatal(err)
	}
}

// TestReuseWaits holds wblocks back from reuse: while a reader may see them,
// and while what replaced their records is not on the device.
func TestReuseWaits(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 40, o, 1, sim.Faults{})
	a := r.mustPut(Master, 1, 1, r.s.MaxRecord())
	b := r.mustPut(Master, 1, 1, 64) // the first wblock is full and flushed now
	r.flush()
	state := func() State { return State(r.s.devices[0].wblocks[r.s.wblockOf(a)].state.Load()) }
	if got := state(); got != StateUsed {
		t.Fatalf("a flushed wblock is %v, want %v", got, StateUsed)
	}
	// A reader holds it.
	other := r.dom.Register()
	other.Enter()
	c := r.mustPut(Master, 1, 2, 64)
	r.s.Free(a)
	r.flush()
	if got := state(); got != StateEmptying {
		t.Errorf("with a reader inside: %v, want %v", got, StateEmptying)
	}
	other.Exit()
	r.tick(time.Millisecond)
	if got := state(); got != StateFree {
		t.Errorf("after the reader's exit: %v, want %v", got, StateFree)
	}
	r.s.Free(b)
	r.s.Free(c)
	r.check()

	// The replacement is not flushed.
	a = r.mustPut(Replica, 2, 1, r.s.MaxRecord())
	r.mustPut(Replica, 3, 1, 64)
	r.flush()
	r.mustPut(Master, 2, 2, 64)
	r.s.Free(a)
	r.tick(time.Millisecond)
	if got := state(); got != StateEmptying {
		t.Errorf("before the replacement's flush: %v, want %v", got, StateEmptying)
	}
	r.flush()
	r.tick(time.Millisecond)
	if got := state(); got != StateFree {
		t.Errorf("after the replacement's flush: %v, want %v", got, StateFree)
	}
}

// TestOverload stalls the device: writes are refused with DeviceOverload, not
// lost, and go on when it is over.
func TestOverload(t *testing.T) {
	o := testOptions()
	o.MaxWriteCache = 8 * testWblock
	r := newRig(t, 1, 128, o, 1, sim.Faults{})
	var addrs []record.Address
	d := digestOf(0)
	for !r.l.Overloaded(&d) {
		addrs = append(addrs, r.mustPut(Master, uint64(len(addrs)), 1, 4096))
		if len(addrs) > 1000 {
			t.Fatal("never overloaded")
		}
	}
	if _, res := r.put(Master, 1, 1, 64); res != record.DeviceOverload {
		t.Errorf("Reserve: %v, want %v", res, record.DeviceOverload)
	}
	if _, res := r.put(Replica, 1, 1, 64); res != record.OK {
		t.Errorf("Reserve of a replica: %v, want it to have headroom", res)
	}
	if got := r.s.Stats().Devices[0].WriteQ; got != 9 {
		t.Errorf("write_q %d, want 9", got)
	}
	r.settle()
	if r.l.Overloaded(&d) {
		t.Error("still overloaded after the device has caught up")
	}
	for n, a := range addrs {
		r.expect(uint64(n), 1, a)
	}
}

// TestRaisedLWM raises the low-water mark and finds the wblocks that it newly
// reaches in the queue.
func TestRaisedLWM(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 64, o, 1, sim.Faults{})
	var addrs []record.Address
	for n := range uint64(4*15 + 1) {
		addrs = append(addrs, r.mustPut(Master, n, 1, 1024))
		r.settle()
	}
	for n, a := range addrs[:60] {
		if n%15 < 5 {
			r.s.Free(a) // each wblock keeps 10 KiB of 16
		}
	}
	if got := r.s.Stats().Devices[0].DefragQ; got != 0 {
		t.Errorf("at 50 %%: %d wblocks are queued, want 0", got)
	}
	o.DefragLWM = 70
	if err := r.s.Configure(o); err != nil {
		t.Fatal(err)
	}
	if got := r.s.Stats().Devices[0].DefragQ; got != 4 {
		t.Errorf("at 70 %%: %d wblocks are queued, want 4", got)
	}
	r.check()
	o.DefragLWM = 100
	if err := r.s.Configure(o); err == nil {
		t.Error("defrag-lwm-pct 100 was accepted")
	}
}

// TestReadDepth asks for many records at once: the device never has more than
// readDepth of the reads, and all are answered.
func TestReadDepth(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 128, o, 1, sim.Faults{})
	const records = 4 * readDepth
	var addrs []record.Address
	for n := range uint64(records) {
		addrs = append(addrs, r.mustPut(Master, n, 1, 256))
		r.settle()
	}
	r.mustPut(Master, records, 1, r.s.MaxRecord()) // the records' last wblock is full and flushed
	r.flush()
	asked, answered := 0, 0
	reads := make([]Read, records)
	r.rd.Enter()
	for n := range reads {
		if _, ok := r.l.View(addrs[n]); ok {
			continue
		}
		reads[n] = Read{Addr: addrs[n], Digest: digestOf(uint64(n)), Done: func(rd *Read) {
			if rd.Result != record.OK {
				t.Errorf("read %d: %v", n, rd.Result)
			}
			answered++
			r.l.Release(rd)
		}}
		asked++
		r.l.Read(&reads[n])
	}
	r.rd.Exit()
	if asked <= 2*readDepth {
		t.Fatalf("only %d of %d records are on the device", asked, records)
	}
	for answered < asked {
		if got := r.q.InFlight(); got > readDepth {
			t.Fatalf("%d operations are with the device, want at most %d", got, readDepth)
		}
		if n, err := r.q.Poll(time.Second); err != nil || n == 0 {
			t.Fatalf("%d of %d reads answered, then nothing: %v", answered, asked, err)
		}
	}
}
