package storage

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

// newSeed returns the seed of a random test and says how to replay it.
func newSeed(t testing.TB) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./engine/storage -run '^%s$' -seed %d", t.Name(), seed)
	return seed
}

const (
	testWblock = 16 << 10
	testFlush  = 4 << 10
)

// testOptions are those of a small store.
func testOptions() Options {
	return Options{
		Namespace: "test", WblockSize: testWblock, FlushSize: testFlush, FlushMax: time.Second,
		PostWriteCache: 4 * testWblock, MaxWriteCache: 64 * testWblock, ReadBuffers: 4 * testWblock,
		Seed: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// rig is a simulated machine with a store and one lane.
type rig struct {
	t    testing.TB
	o    Options
	w    *sim.World
	devs []*ioring.Device
	dom  *epoch.Domain
	rd   *epoch.Reader
	q    ioring.Queue
	s    *Store
	l    *Lane
	now  record.Time
}

// newRig makes a machine with n devices of wblocks wblocks, the header's
// included, and starts a store on it.
func newRig(t testing.TB, n, wblocks int, o Options, seed uint64, f sim.Faults) *rig {
	t.Helper()
	r := &rig{t: t, o: o, w: sim.New(seed, f), now: 1000}
	for i := range n {
		r.devs = append(r.devs, r.w.DeviceBlock(fmt.Sprintf("d%d", i), int64(wblocks*o.WblockSize), 512))
	}
	r.start(nil)
	t.Cleanup(func() { r.stop() })
	return r
}

// start opens the store; live says which records found are accounted (nil:
// none).
func (r *rig) start(live func(flat []byte, a record.Address) bool) []LoadStats {
	r.t.Helper()
	r.dom = new(epoch.Domain)
	r.rd = r.dom.Register()
	r.q = r.w.Queue()
	var err error
	if r.s, err = Open(r.q, r.devs, r.o, r.dom); err != nil {
		r.t.Fatalf("Open: %v", err)
	}
	var found []LoadStats
	for i := range r.devs {
		st, err := r.s.Load(r.q, i, func(flat []byte, a record.Address, _ uint64) bool {
			if live != nil && live(flat, a) {
				r.s.Account(a)
			}
			return true
		}, nil)
		if err != nil {
			r.t.Fatalf("Load: %v", err)
		}
		found = append(found, st)
	}
	r.s.LoadDone()
	r.check()
	if r.l, err = r.s.NewLane(r.q, r.rd); err != nil {
		r.t.Fatalf("NewLane: %v", err)
	}
	return found
}

// stop closes everything cleanly, if it is open.
func (r *rig) stop() {
	r.t.Helper()
	if r.s == nil {
		return
	}
	fenced := false
	for _, d := range r.s.devices {
		fenced = fenced || d.fenced.Load()
	}
	if err := r.l.Close(); err != nil && !fenced {
		r.t.Errorf("Lane.Close: %v", err)
	}
	if err := r.s.Check(); err != nil && !fenced {
		r.t.Error(err)
	}
	if err := r.s.Close(r.q, true); err != nil && !fenced {
		r.t.Errorf("Store.Close: %v", err)
	}
	if err := r.q.Close(); err != nil {
		r.t.Errorf("Queue.Close: %v", err)
	}
	r.s = nil
}

// crash cuts the power and drops the process.
func (r *rig) crash() {
	r.t.Helper()
	r.w.Crash()
	r.drop()
}

func (r *rig) drop() {
	r.l.Abandon()
	if err := r.s.Close(nil, false); err != nil {
		r.t.Errorf("Store.Close after a crash: %v", err)
	}
	r.s = nil
}

func (r *rig) check() {
	r.t.Helper()
	if err := r.s.Check(); err != nil {
		r.t.Error(err)
	}
}

// flatOf returns the flat record number n, of size bytes, whole rblocks: a
// blob that depends on n and version.
func flatOf(n, version uint64, size int) []byte {
	meta := record.Meta{Digest: digestOf(n), LUT: record.Time(version), Generation: 1}
	value := record.Value{Type: record.Blob}
	bins := []record.NamedValue{{Name: []byte("b"), Value: value}}
	spare := size - record.FlatSize(&meta, bins)
	bins[0].Value.Bytes = bytes.Repeat([]byte{byte(n) ^ byte(version<<4) | 1}, spare)
	flat := make([]byte, size)
	record.EncodeFlat(flat, &meta, bins)
	return flat
}

func digestOf(n uint64) record.Digest {
	var d record.Digest
	binary.LittleEndian.PutUint64(d[:], n*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint32(d[8:], uint32(n)) // device n mod devices
	binary.LittleEndian.PutUint64(d[12:], n)
	return d
}

// put writes record n and returns its address.
func (r *rig) put(k Kind, n, version uint64, size int) (record.Address, record.Result) {
	d := digestOf(n)
	space, a, res := r.l.Reserve(k, &d, size)
	if res != record.OK {
		return 0, res
	}
	copy(space, flatOf(n, version, size))
	r.l.Seal(space, a)
	return a, record.OK
}

func (r *rig) mustPut(k Kind, n, version uint64, size int) record.Address {
	r.t.Helper()
	a, res := r.put(k, n, version, size)
	if res != record.OK {
		r.t.Fatalf("Reserve(%v) of record %d, %d bytes: %v", k, n, size, res)
	}
	return a
}

// settle polls until nothing is in flight.
func (r *rig) settle() {
	r.t.Helper()
	for range 1 << 20 {
		if r.q.InFlight() == 0 {
			return
		}
		if _, err := r.q.Poll(time.Second); err != nil {
			r.t.Fatalf("Poll: %v", err)
		}
	}
	r.t.Fatal("operations stay in flight")
}

// tick lets d pass and ticks the lane.
func (r *rig) tick(d time.Duration) {
	r.now += record.Time(d / time.Millisecond)
	r.l.Tick(r.now)
}

// flush writes everything that is reserved.
func (r *rig) flush() {
	r.t.Helper()
	for range 4 {
		r.tick(10 * time.Second)
		r.settle()
	}
	if r.l.Dirty() {
		r.t.Fatal("the lane is dirty after a flush")
	}
}

// get returns record n at a: from memory or from its device.
func (r *rig) get(n uint64, a record.Address) (flat []byte, inMemory bool, res record.Result) {
	r.t.Helper()
	r.rd.Enter()
	defer r.rd.Exit()
	if v, ok := r.l.View(a); ok {
		return bytes.Clone(v), true, record.OK
	}
	rd := &Read{Addr: a, Digest: digestOf(n)}
	done := false
	rd.Done = func(*Read) { done = true }
	r.l.Read(rd)
	for !done {
		if _, err := r.q.Poll(time.Second); err != nil {
			r.t.Fatalf("Poll: %v", err)
		}
	}
	flat = bytes.Clone(rd.Flat)
	r.l.Release(rd)
	return flat, false, rd.Result
}

// expect checks that record n, version, can be read at a.
func (r *rig) expect(n, version uint64, a record.Address) (inMemory bool) {
	r.t.Helper()
	flat, inMemory, res := r.get(n, a)
	if res != record.OK {
		r.t.Fatalf("record %d at %d: %v", n, a.Offset(), res)
	}
	if want := flatOf(n, version, a.Size()); !bytes.Equal(flat[8:], want[8:]) {
		r.t.Fatalf("record %d at %d: got %x…, want %x…", n, a.Offset(), flat[:64], want[:64])
	}
	return inMemory
}
