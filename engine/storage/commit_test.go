package storage

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// writeCounter counts the writes that pass a queue.
type writeCounter struct {
	ioring.Queue
	writes []*ioring.Op
}

func (c *writeCounter) Submit(o *ioring.Op) {
	if o.Kind == ioring.Write {
		c.writes = append(c.writes, o)
		if o.Flags&ioring.DSync == 0 {
			panic("a write without DSync")
		}
	}
	c.Queue.Submit(o)
}

// committer commits records and notes in which order they were answered.
type committer struct {
	r       *rig
	order   []uint64
	results []record.Result
}

func (c *committer) put(n uint64, size int) *Commit {
	c.r.t.Helper()
	co := &Commit{Addr: c.r.mustPut(Master, n, 1, size)}
	co.Done = func(co *Commit) {
		c.order = append(c.order, n)
		c.results = append(c.results, co.Result)
	}
	c.r.l.Durable(co)
	return co
}

// TestGroupCommit commits many records in one loop turn, and more while their
// write is in flight: one write for each group, answers in order.
func TestGroupCommit(t *testing.T) {
	r := newRig(t, 1, 64, testOptions(), 1, sim.Faults{})
	count := &writeCounter{Queue: r.q}
	r.l.q = count
	c := &committer{r: r}
	for n := range uint64(20) {
		c.put(n, 128)
	}
	if len(count.writes) != 0 || len(c.order) != 0 {
		t.Fatalf("within the turn: %d writes, %d answers, want none", len(count.writes), len(c.order))
	}
	for len(count.writes) == 0 {
		r.q.Poll(time.Second)
	}
	for n := range uint64(20) { // the first group's write is in flight
		c.put(20+n, 128)
	}
	if len(c.order) != 0 {
		t.Fatalf("%d answers before the first write was done", len(c.order))
	}
	r.settle()
	if len(count.writes) > 3 { // the 40 records fill one flush unit
		t.Errorf("%d writes for two groups, want at most 3", len(count.writes))
	}
	if len(c.order) != 40 || !slices.IsSorted(c.order) {
		t.Errorf("answered in the order %v, want 0 to 39", c.order)
	}
	for n, res := range c.results {
		if res != record.OK {
			t.Errorf("commit %d: %v", n, res)
		}
	}
	r.check()
}

// TestCommitIsDurable cuts the power after every number of operations: what
// was answered is there afterwards.
func TestCommitIsDurable(t *testing.T) {
	seed := newSeed(t)
	for cut := 1; cut < 1000; cut += 1 + cut/16 {
		r := newRig(t, 2, 64, testOptions(), seed+uint64(cut), sim.Faults{Torn: 0.4, Lost: 0.4, Reorder: 0.5, Slow: 0.05})
		r.w.CutAfter(cut)
		c := &committer{r: r}
		addrs := map[uint64]record.Address{}
		complete := false
		for n := uint64(0); !complete; n++ {
			if n < 150 {
				size := 64 + int(n*n%61)*16
				if n%29 == 0 {
					size = 5000 &^ 15
				}
				addrs[n] = c.put(n, size).Addr
			}
			if n%7 == 0 || n >= 150 {
				if _, err := r.q.Poll(time.Second); err != nil {
					break
				}
			}
			complete = len(c.order) == 150
		}
		r.crash()
		found := map[record.Address]bool{}
		r.start(func(_ []byte, a record.Address) bool { found[a] = true; return true })
		for i, n := range c.order {
			if c.results[i] != record.OK {
				t.Fatalf("cut %d: commit %d: %v", cut, n, c.results[i])
			}
			if !found[addrs[n]] {
				t.Fatalf("cut %d: record %d was committed and is gone", cut, n)
			}
			r.expect(n, 1, addrs[n])
		}
		r.stop()
		if complete {
			if cut < 10 {
				t.Errorf("all is done after %d operations", cut)
			}
			return
		}
	}
	t.Error("no run was completed")
}

// TestWriteErrorFences fails writes at different moments.
func TestWriteErrorFences(t *testing.T) {
	for _, tt := range []struct {
		name  string
		errno syscall.Errno
		at    int // the write that fails
	}{
		{"first write, media", syscall.EIO, 1},
		{"third write, media", syscall.ENODATA, 3},
		{"no space", syscall.ENOSPC, 2},
		{"drive is gone", syscall.ENXIO, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 2, 64, testOptions(), 1, sim.Faults{})
			// A record of each device that is safe.
			safe := []record.Address{r.mustPut(Replica, 100, 1, 64), r.mustPut(Replica, 101, 1, 64)}
			r.flush()
			for range tt.at - 1 {
				c := &committer{r: r}
				c.put(2, 64)
				r.settle()
			}
			r.w.FailKind(ioring.Write, "d0", 0, testDevice*2, tt.errno)
			c := &committer{r: r}
			lost := c.put(4, 64)
			kept := c.put(5, 64)
			r.settle()
			if lost.Result == record.OK || len(c.order) != 2 {
				t.Errorf("commit on the failed device: %v, %d answers", lost.Result, len(c.order))
			}
			if kept.Result != record.OK {
				t.Errorf("commit on the other device: %v", kept.Result)
			}
			st := r.s.Stats()
			if !st.Devices[0].Fenced || st.Devices[0].WriteErrors == 0 || st.Devices[1].Fenced {
				t.Errorf("stats %+v: want device 0 fenced with a write error, device 1 not", st.Devices)
			}
			if _, res := r.put(Master, 6, 1, 64); res != record.OutOfSpace {
				t.Errorf("Reserve on the fenced device: %v, want %v", res, record.OutOfSpace)
			}
			d := digestOf(6)
			if !r.l.Overloaded(&d) {
				t.Error("the fenced device is not overloaded")
			}
			c.put(7, 64)
			r.settle()
			if got := c.results[len(c.results)-1]; got != record.OK {
				t.Errorf("a later commit on the other device: %v", got)
			}
			r.expect(100, 1, safe[0])
			r.expect(101, 1, safe[1])
			if !r.expect(4, 1, lost.Addr) {
				t.Error("the record that could not be written is not in memory")
			}
			if err := r.l.Close(); err == nil {
				t.Error("Lane.Close does not say that the device failed")
			}
			if err := r.s.Close(r.q, true); err == nil {
				t.Error("a clean Store.Close succeeds with a fenced device")
			}
		})
	}
}

// TestShortAndAgain makes the device move less than asked, and ask to be asked
// again: nobody else notices.
func TestShortAndAgain(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 64, o, newSeed(t), sim.Faults{Short: 0.4, Again: 0.4, Reorder: 0.3})
	var addrs []record.Address
	for n := range uint64(40) {
		addrs = append(addrs, r.mustPut(Master, n, 1, 64+int(n)*160))
		r.settle()
	}
	r.flush()
	for n, a := range addrs {
		r.expect(uint64(n), 1, a)
	}
	r.stop()
	found := 0
	r.start(func([]byte, record.Address) bool { found++; return true })
	if found != len(addrs) {
		t.Errorf("%d records found, want %d", found, len(addrs))
	}
	if st := r.s.Stats().Devices[0]; st.ReadErrors != 0 || st.WriteErrors != 0 {
		t.Errorf("%d read and %d write errors, want none", st.ReadErrors, st.WriteErrors)
	}
}

// TestReadFaults damages a record on the device in every way, and reads it.
func TestReadFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		break_ func(r *rig, n uint64, a record.Address) (uint64, record.Address)
		want   record.Result
		count  uint64 // read errors
	}{
		{"sound", func(r *rig, n uint64, a record.Address) (uint64, record.Address) { return n, a }, record.OK, 0},
		{"media error", func(r *rig, n uint64, a record.Address) (uint64, record.Address) {
			r.w.Spoil("d0", a.Offset())
			return n, a
		}, record.Unknown, 1},
		{"a flipped bit", func(r *rig, n uint64, a record.Address) (uint64, record.Address) {
			r.w.Rot("d0", a.Offset()+int64(a.Size())/2, 1)
			return n, a
		}, record.Unknown, 1},
		{"another record's digest", func(r *rig, n uint64, a record.Address) (uint64, record.Address) { return n + 1, a }, record.Unknown, 1},
		{"another record's place", func(r *rig, n uint64, a record.Address) (uint64, record.Address) {
			content := r.w.Snapshot("d0")
			copy(content[a.Offset():], content[a.Offset()+int64(a.Size()):][:a.Size()])
			r.w.Restore("d0", content)
			return n + 1, a
		}, record.Unknown, 1},
		{"another size", func(r *rig, n uint64, a record.Address) (uint64, record.Address) {
			return n, record.MakeAddress(0, a.Offset(), a.Size()-16)
		}, record.Unknown, 1},
		{"zeroes", func(r *rig, n uint64, a record.Address) (uint64, record.Address) {
			content := r.w.Snapshot("d0")
			clear(content[a.Offset():][:a.Size()])
			r.w.Restore("d0", content)
			return n, a
		}, record.Unknown, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions()
			o.PostWriteCache = 0
			r := newRig(t, 1, 64, o, 1, sim.Faults{})
			var addrs []record.Address
			for n := range uint64(30) {
				addrs = append(addrs, r.mustPut(Master, n, 1, 1024))
				r.settle()
			}
			n, a := tt.break_(r, 5, addrs[5])
			flat, inMemory, res := r.get(n, a)
			if res != tt.want || inMemory {
				t.Errorf("read: %v, in memory %v, want %v from the device", res, inMemory, tt.want)
			}
			if res != record.OK && flat != nil {
				t.Error("a failed read delivers bytes")
			}
			if got := r.s.Stats().Devices[0].ReadErrors; got != tt.count {
				t.Errorf("%d read errors, want %d", got, tt.count)
			}
			r.expect(8, 1, addrs[8]) // its neighbours are well
		})
	}
}

// TestReadOfMovedRecord reuses a wblock while a read in it is in flight.
func TestReadOfMovedRecord(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 16, o, 1, sim.Faults{})
	a := r.mustPut(Master, 1, 1, r.s.MaxRecord())
	r.mustPut(Master, 2, 1, 64)
	r.flush()
	rd := &Read{Addr: a, Digest: digestOf(1)}
	done := false
	rd.Done = func(*Read) { done = true }
	r.l.Read(rd)
	rd.key-- // as if the wblock had begun another life meanwhile
	r.settle()
	if !done || rd.Result != record.Unknown || !rd.Moved {
		t.Errorf("done %v, %v, moved %v: want an unknown result that says so", done, rd.Result, rd.Moved)
	}
	r.l.Release(rd)
	if got := r.s.Stats().Devices[0].ReadErrors; got != 0 {
		t.Errorf("%d read errors, want none: the device is well", got)
	}
}

// TestReadsWaitForMemory asks for more than the lane's arena holds at once.
func TestReadsWaitForMemory(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 64, o, 1, sim.Faults{})
	var addrs []record.Address
	for n := range uint64(30) {
		addrs = append(addrs, r.mustPut(Master, n, 1, 8192))
		r.settle()
	}
	r.flush()
	done := 0
	reads := make([]Read, len(addrs))
	for n, a := range addrs {
		rd := &reads[n]
		rd.Addr, rd.Digest = a, digestOf(uint64(n))
		rd.Done = func(rd *Read) {
			if rd.Result != record.OK {
				t.Errorf("read %d: %v", n, rd.Result)
			}
			done++
			r.l.Release(rd)
		}
		r.l.Read(rd)
	}
	if r.l.waiting.head == nil {
		t.Error("nothing waits: the test is too small")
	}
	r.settle()
	if done != len(addrs) {
		t.Errorf("%d of %d reads are done", done, len(addrs))
	}
	if got := r.l.arena.InUse(); got != 0 {
		t.Errorf("%d bytes of the arena are still in use", got)
	}
}

// TestLostFlush: a drive acknowledges writes and drops them, in wblocks that
// have held other records before. What it then delivers is sound and old; it
// must be recognised.
func TestLostFlush(t *testing.T) {
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 16, o, 1, sim.Faults{})
	fill := func(version uint64) map[uint64]record.Address {
		addrs := map[uint64]record.Address{}
		for n := uint64(0); n < 200; n++ {
			a, res := r.put(Master, n, version, 1024)
			if res != record.OK {
				break
			}
			addrs[n] = a
			r.settle()
		}
		r.flush()
		return addrs
	}
	for _, a := range fill(1) {
		r.s.Free(a)
	}
	r.flush()
	r.w.SetFaults(sim.Faults{Dropped: 1})
	addrs := fill(1) // the same bytes, apart from the checksums
	r.w.SetFaults(sim.Faults{})
	lost := 0
	for n, a := range addrs {
		flat, inMemory, res := r.get(n, a)
		switch {
		case inMemory:
		case res == record.OK:
			t.Errorf("record %d: %x… is taken for what was written", n, flat[:48])
		default:
			lost++
		}
	}
	if lost < 100 {
		t.Errorf("%d reads went to the device, want most of %d", lost, len(addrs))
	}
	if got := r.s.Stats().Devices[0].ChecksumErrors; got != uint64(lost) {
		t.Errorf("%d checksum errors for %d lost records", got, lost)
	}
}
