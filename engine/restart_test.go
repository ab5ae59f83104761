package engine_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// newQuietRig is a rig on a perfect machine, always with the same settings,
// for tests that make each request on purpose.
func newQuietRig(t *testing.T) *rig { return newRig(t, 4711, sim.Faults{}) }

// do makes one request and waits for its answer.
func (g *rig) do(r *engine.Request) record.Result {
	g.t.Helper()
	ended := false
	done := r.Done
	r.Done = func(r *engine.Request) {
		ended = true
		if done != nil {
			done(r)
		}
	}
	defer func() { r.Done = done }()
	r.Now = g.now()
	if r.Info2 != 0 {
		g.workers[0].Write(r)
	} else {
		g.workers[0].Read(r)
	}
	for i := 0; !ended; i++ {
		if i > 10000 {
			g.t.Fatal("a request does not end")
		}
		g.turn(time.Millisecond)
	}
	return r.Result
}

func (g *rig) put(key byte, ttl uint32) {
	g.t.Helper()
	r := &engine.Request{
		Info2: record.Info2Write, Digest: record.Digest{key, 2, 3}, Set: []byte("s"), TTL: ttl,
		Ops: []record.Op{{Code: record.OpWrite, Type: record.Integer, Name: []byte("a"), Value: []byte{key}}},
	}
	if res := g.do(r); res != record.OK {
		g.t.Fatalf("put %d: %v", key, res)
	}
}

func (g *rig) delete(key byte) {
	g.t.Helper()
	r := &engine.Request{Info2: record.Info2Write | record.Info2Delete, Digest: record.Digest{key, 2, 3}}
	if res := g.do(r); res != record.OK {
		g.t.Fatalf("delete %d: %v", key, res)
	}
}

func (g *rig) wantResult(key byte, want record.Result) {
	g.t.Helper()
	r := &engine.Request{Info1: record.Info1Read | record.Info1GetAll, Digest: record.Digest{key, 2, 3}}
	if res := g.do(r); res != want {
		g.t.Errorf("get %d: %v, want %v", key, res, want)
	}
}

func (g *rig) wantCounts(what string, objects, tombstones int64) {
	g.t.Helper()
	if s := g.ns.Stats(); s.Objects != objects || s.Tombstones != tombstones {
		g.t.Errorf("%s: %d objects, %d tombstones, want %d, %d", what, s.Objects, s.Tombstones, objects, tombstones)
	}
}

// pass lets time go by, with everything running.
func (g *rig) pass(d time.Duration) {
	for end := g.world.Now() + d; g.world.Now() < end; {
		g.world.Advance(50 * time.Millisecond)
		for range 100 {
			g.turn(0)
		}
	}
}

func (g *rig) restart() {
	g.t.Helper()
	g.close()
	g.open()
}

// TestTombstones follows deleted and expired records through restarts.
func TestTombstones(t *testing.T) {
	g := newQuietRig(t)
	g.put(1, record.TTLNever)
	g.put(2, record.TTLNever)
	g.put(3, 3) // its only version: it may simply go
	g.put(4, record.TTLNever)
	g.put(4, 3) // the first version must not come back
	g.wantCounts("four records", 4, 0)
	g.delete(1)
	g.wantCounts("one deleted", 3, 1)
	g.wantResult(1, record.NotFound)
	g.pass(20 * time.Second)
	g.wantCounts("expired ones reclaimed", 1, 2)
	if s := g.ns.Stats(); s.ExpiredObjects != 2 || s.NonExpirableObjects != 1 {
		t.Errorf("%d expired, %d that cannot, want 2, 1", s.ExpiredObjects, s.NonExpirableObjects)
	}
	for range 3 {
		g.restart()
		g.wantResult(1, record.NotFound)
		g.wantResult(2, record.OK)
		g.wantResult(3, record.NotFound)
		g.wantResult(4, record.NotFound)
		g.wantCounts("after a restart", 1, 2) // the old versions are still on the device
	}
	g.put(1, record.TTLNever)
	g.restart()
	g.wantResult(1, record.OK)
	g.wantCounts("a deleted one written again", 2, 1)
	g.close()
}

// TestTombstoneIsDropped deletes records whose versions are all gone from the
// device by the next start: their tombstones go too.
func TestTombstoneIsDropped(t *testing.T) {
	g := newQuietRig(t)
	for i := range byte(50) {
		g.put(i, record.TTLNever)
		g.delete(i)
	}
	g.wantCounts("deleted", 0, 50)
	// Fill the device again and again: every wblock is written anew.
	big := make([]byte, 15<<10)
	for i := range 2000 {
		r := &engine.Request{
			Info2: record.Info2Write, Digest: record.Digest{byte(i), 200, 1, 8: byte(i)}, TTL: record.TTLNever,
			Ops: []record.Op{{Code: record.OpWrite, Type: record.Blob, Name: []byte("a"), Value: big}},
		}
		r.Digest[0] %= 30
		g.do(r)
		g.turn(time.Millisecond)
	}
	g.restart()
	if n := g.ns.Stats().Tombstones; n != 0 {
		t.Errorf("%d tombstones after the restart, want none", n)
	}
	g.close()
}

// TestCheckFindsDamage changes bits of a record on the device: Check says so,
// a read is an error, and at the next start the record is not there.
func TestCheckFindsDamage(t *testing.T) {
	g := newQuietRig(t)
	g.put(1, record.TTLNever)
	g.restart() // out of the caches
	for _, d := range g.devices {
		name := filepath.Base(d.Path)
		g.world.Rot(name, rigWblock, 4096)
	}
	if err := g.ns.Check(); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("check of a rotten device: %v, want a record that cannot be read", err)
	}
	g.wantResult(1, record.Unknown)
	if n := g.ns.Stats().UnreadableRecords; n == 0 {
		t.Error("the unreadable record was not counted")
	}
	g.delete(1) // a record need not be read to be deleted
	g.wantResult(1, record.NotFound)
	g.close()
}

// TestTombstoneOfUnreadable deletes a record whose copy cannot be read at one
// start, and can at the next: it stays deleted.
func TestTombstoneOfUnreadable(t *testing.T) {
	g := newQuietRig(t)
	fail := func(errno syscall.Errno) {
		for _, d := range g.devices { // the first wblock: the record's copy lies there
			g.world.FailKind(ioring.Read, filepath.Base(d.Path), rigWblock, 2*rigWblock, errno)
		}
	}
	g.put(1, record.TTLNever)
	g.restart() // what comes now lies in other wblocks
	g.delete(1)
	g.close()
	fail(syscall.EIO)
	g.open()
	g.wantResult(1, record.NotFound)
	g.put(2, record.TTLNever) // takes the wblock of the tombstone, if that was dropped
	g.close()
	fail(0)
	g.open()
	g.wantResult(1, record.NotFound)
	g.close()
}

// TestDefragOfUnreadable lets defrag meet a wblock that cannot be read in
// part: it moves what can be, and does not come back to it again and again.
func TestDefragOfUnreadable(t *testing.T) {
	g := newQuietRig(t)
	for key := range byte(100) {
		g.put(key, record.TTLNever)
	}
	g.restart() // the sparse wblocks are queued for defrag
	for _, d := range g.devices {
		g.world.FailKind(ioring.Read, filepath.Base(d.Path), rigWblock, 64*rigWblock, syscall.EIO)
	}
	reads := func() (n uint64) {
		for _, d := range g.ns.Store().Stats().Devices {
			n += d.ReadErrors
		}
		return n
	}
	g.pass(time.Second)
	before := reads()
	if before == 0 {
		t.Fatal("defrag has read nothing")
	}
	g.pass(time.Second)
	if n := reads() - before; n != 0 {
		t.Errorf("%d more failed reads of the same wblocks, want none", n)
	}
	for _, d := range g.devices {
		g.world.FailKind(ioring.Read, filepath.Base(d.Path), rigWblock, 64*rigWblock, 0)
	}
	for key := range byte(100) {
		g.wantResult(key, record.OK)
	}
	if err := g.ns.Check(); err != nil {
		t.Error(err)
	}
	g.close()
}

// TestDeleteWhenFull fills the devices to the last wblock that writes may take
// and deletes everything again: deletes have room, and make some.
func TestDeleteWhenFull(t *testing.T) {
	g := newQuietRig(t)
	request := func(i int) *engine.Request {
		return &engine.Request{
			Info2: record.Info2Write, TTL: record.TTLNever,
			Digest: record.Digest{byte(i), byte(i >> 8), 3, 8: byte(i), 9: byte(i >> 8)},
		}
	}
	write := func(i int) record.Result {
		r := request(i)
		r.Ops = []record.Op{{Code: record.OpWrite, Type: record.Blob, Name: []byte("a"), Value: make([]byte, 300)}}
		return g.do(r)
	}
	n := 0
	for refused := 0; refused < 50; { // on each of the devices
		if write(n) == record.OK {
			n++
			refused = 0
			continue
		}
		refused++
		g.turn(time.Millisecond)
	}
	for i := range n {
		r := request(i)
		r.Info2 |= record.Info2Delete
		res := g.do(r)
		for try := 0; res == record.DeviceOverload && try < 1000; try++ { // some will be free soon
			g.turn(10 * time.Millisecond)
			res = g.do(r)
		}
		if res != record.OK {
			t.Fatalf("delete %d of %d: %v", i, n, res)
		}
	}
	g.pass(5 * time.Second)
	if res := write(0); res != record.OK {
		t.Errorf("write after everything was deleted: %v", res)
	}
	if err := g.ns.Check(); err != nil {
		t.Error(err)
	}
	g.close()
}

// TestRealDevice writes through the machine's own queue to a file and reads
// back after a restart.
func TestRealDevice(t *testing.T) {
	runtime.LockOSThread() // a queue belongs to a thread
	defer runtime.UnlockOSThread()
	newQueue := func() (ioring.Queue, error) {
		return ioring.New(ioring.Options{Entries: 64, Node: -1, Log: slog.New(slog.DiscardHandler)})
	}
	path := filepath.Join(t.TempDir(), "drive")
	o := engine.DefaultOptions()
	o.Name = "test"
	o.Storage.Type = engine.StorageDevice
	o.Storage.WblockSize = 256 << 10
	o.Storage.FlushSize = 64 << 10
	o.Storage.PostWriteCache = 0
	o.Storage.CommitToDevice = true
	o.Storage.StopWritesAvailPct = 0
	const n = 300
	for round := range 2 {
		dev, err := ioring.OpenDevice(path, ioring.DeviceOptions{Size: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		env := testEnv()
		env.Devices, env.NewQueue = []*ioring.Device{dev}, newQueue
		ns, err := engine.Open(o, env)
		if err != nil {
			t.Fatal(err)
		}
		q, err := newQueue()
		if err != nil {
			t.Fatal(err)
		}
		w, err := ns.NewWorker(q)
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		requests := make([]engine.Request, n)
		for i := range requests {
			r := &requests[i]
			r.Done = func(r *engine.Request) {
				ended++
				if r.Result != record.OK {
					t.Errorf("round %d, request %d: %v", round, i, r.Result)
				} else if round == 1 && (len(r.Bins) != 1 || len(r.Bins[0].Value.Bytes) != 500+i) {
					t.Errorf("request %d: %d bins", i, len(r.Bins))
				}
			}
			r.Digest, r.Now = record.Digest{byte(i), byte(i >> 8), 7}, startTime
			if round == 0 {
				asWrite(r, make([]byte, 500+i))
				w.Write(r)
			} else {
				asRead(r)
				w.Read(r)
			}
		}
		for i := 0; ended < n && i < 10000; i++ {
			if _, err := q.Poll(time.Millisecond); err != nil {
				t.Fatal(err)
			}
			w.Tick(startTime + record.Time(i))
		}
		if ended != n {
			t.Fatalf("round %d: %d of %d requests ended", round, ended, n)
		}
		for _, err := range []error{w.Close(), q.Close(), ns.Check(), ns.Close(), dev.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSuperviseEnds ends a supervisor in the middle of a pause that an operator
// has made an hour long.
func TestSuperviseEnds(t *testing.T) {
	runtime.LockOSThread() // a queue belongs to a thread
	defer runtime.UnlockOSThread()
	newQueue := func() (ioring.Queue, error) {
		return ioring.New(ioring.Options{Entries: 64, Node: -1, Log: slog.New(slog.DiscardHandler)})
	}
	path := filepath.Join(t.TempDir(), "drive")
	o := engine.DefaultOptions()
	o.Name = "test"
	o.Storage.Type = engine.StorageDevice
	o.Storage.WblockSize = 256 << 10
	o.Storage.FlushSize = 256 << 10
	o.Storage.DefragSleep = time.Hour
	for round := range 2 {
		dev, err := ioring.OpenDevice(path, ioring.DeviceOptions{Size: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		env := testEnv()
		env.Devices, env.NewQueue = []*ioring.Device{dev}, newQueue
		ns, err := engine.Open(o, env)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 { // leave a wblock that is nearly empty
			q, err := newQueue()
			if err != nil {
				t.Fatal(err)
			}
			w := newWorker(t, ns, q)
			r := &engine.Request{Digest: record.Digest{1}, Now: startTime, Done: func(*engine.Request) {}}
			asWrite(r, make([]byte, 500))
			w.Write(r)
			for _, err := range []error{w.Close(), q.Close()} {
				if err != nil {
					t.Error(err)
				}
			}
		} else {
			superviseBriefly(t, ns)
		}
		for _, err := range []error{ns.Close(), dev.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// superviseBriefly runs a supervisor until it has something to pause after.
func superviseBriefly(t *testing.T, ns *engine.Namespace) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- ns.Supervise(ctx) }()
	for i := 0; ns.Store().Stats().Devices[0].DefragReads == 0 && i < 10000; i++ {
		time.Sleep(time.Millisecond)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the supervisor pauses on")
	}
}
