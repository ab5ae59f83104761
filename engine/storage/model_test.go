package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// model is what a store must remember: for each record the version and place
// that an index would know, and the versions that no crash may take.
type model struct {
	*rig
	rnd   *rand.Rand
	recs  map[uint64]*modelRecord
	steps int
	log   []string
}

type modelRecord struct {
	addr      record.Address
	version   uint64
	durable   uint64 // this version or a later one survives everything
	attempted uint64 // the latest version
}

func (m *model) logf(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf("%d: ", m.steps)+fmt.Sprintf(format, args...))
	if len(m.log) > 60 {
		m.log = m.log[1:]
	}
}

func (m *model) fatalf(format string, args ...any) {
	m.t.Helper()
	for _, line := range m.log {
		m.t.Log(line)
	}
	m.t.Fatalf("step %d: "+format, append([]any{m.steps}, args...)...)
}

// TestModel runs random operations with random faults, crashes and restarts,
// and compares the store with a map.
func TestModel(t *testing.T) {
	seed := newSeed(t)
	runs := 40
	if testing.Short() || assert.Slow {
		runs = 8
	}
	for run := range uint64(runs) {
		runModel(t, seed+run)
		if t.Failed() {
			t.Logf("failed in run %d: replay with -seed %d", run, seed+run)
			return
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	rate := func(limit float64) float64 { // often zero
		if rnd.IntN(3) == 0 {
			return 0
		}
		return rnd.Float64() * limit
	}
	f := sim.Faults{
		Reorder: rate(1), Slow: rate(0.1), Again: rate(0.2), Short: rate(0.3),
		Torn: rate(1), Lost: rate(1),
	}
	o := testOptions()
	o.PostWriteCache = int64(rnd.IntN(6)) * testWblock
	o.CacheReplicaWrites = rnd.IntN(2) == 0
	o.FlushMax = time.Duration(1+rnd.IntN(10)) * 100 * time.Millisecond
	m := &model{rig: newRig(t, 1+rnd.IntN(3), 24+rnd.IntN(30), o, seed, f), rnd: rnd, recs: map[uint64]*modelRecord{}}
	for m.steps = 0; m.steps < 1500; m.steps++ {
		m.step()
	}
	m.restart(false)
}

func (m *model) step() {
	switch n := m.rnd.Uint64N(60); m.rnd.IntN(40) {
	default:
		m.write(n, false)
	case 0, 1, 2, 3:
		m.write(n, true)
	case 4, 5, 6, 7, 8:
		m.read(n)
	case 9, 10, 11, 12, 13:
		m.poll(time.Duration(m.rnd.IntN(300)) * time.Microsecond)
	case 14, 15, 16:
		m.poll(20 * time.Millisecond)
		m.tick(time.Duration(1+m.rnd.IntN(30)) * time.Millisecond)
		m.noteClean()
	case 17, 18:
		if v, ok := m.s.Victim(); ok {
			m.move(v)
		}
	case 19:
		m.verify()
	case 20:
		if m.rnd.IntN(12) == 0 {
			m.restart(m.rnd.IntN(3) > 0)
		}
	}
}

func (m *model) poll(d time.Duration) {
	if _, err := m.q.Poll(d); err != nil {
		m.fatalf("Poll: %v", err)
	}
}

func (m *model) write(n uint64, commit bool) {
	r := m.recs[n]
	if r == nil {
		r = &modelRecord{}
		m.recs[n] = r
	}
	size := (4 + m.rnd.IntN(60)) * 16
	if m.rnd.IntN(20) == 0 {
		size = (4 + m.rnd.IntN(m.s.MaxRecord()/16-4)) * 16
	}
	version := r.attempted + 1
	a, res := m.put(Kind(m.rnd.IntN(3)), n, version, size)
	if res != record.OK {
		m.logf("write %d of %d bytes: %v", n, size, res)
		return // full or overloaded: defrag and polls will help
	}
	m.logf("write %d version %d at %d.%d, %d bytes, commit %v", n, version, a.Device(), a.Offset(), size, commit)
	r.attempted = version
	old := r.addr
	r.addr, r.version = a, version
	if old != 0 {
		m.s.Free(old)
	}
	if !commit {
		return
	}
	c := &Commit{Addr: a}
	c.Done = func(c *Commit) {
		if c.Result != record.OK {
			m.fatalf("commit of record %d: %v", n, c.Result)
		}
		r.durable = max(r.durable, version)
	}
	m.l.Durable(c)
}

func (m *model) read(n uint64) {
	r := m.recs[n]
	if r == nil || r.addr == 0 {
		return
	}
	flat, _, res := m.get(n, r.addr)
	if res != record.OK {
		m.fatalf("record %d version %d at %d.%d: %v", n, r.version, r.addr.Device(), r.addr.Offset(), res)
	}
	if want := flatOf(n, r.version, r.addr.Size()); string(flat[8:]) != string(want[8:]) {
		m.fatalf("record %d version %d at %d.%d: wrong bytes", n, r.version, r.addr.Device(), r.addr.Offset())
	}
}

// noteClean: what a lane that is not dirty has written is on the devices.
func (m *model) noteClean() {
	if m.l.Dirty() {
		return
	}
	for _, r := range m.recs {
		r.durable = r.version
	}
}

// move defrags one wblock.
func (m *model) move(v *Victim) {
	m.logf("victim %d.%d", v.Device, v.Wblock)
	live := map[uint64]record.Address{}
	for n, r := range m.recs {
		live[n] = r.addr
	}
	m.defrag(v, live)
	for n, r := range m.recs {
		r.addr = live[n]
	}
}

// verify compares the books.
func (m *model) verify() {
	if err := m.s.Check(); err != nil {
		m.fatalf("%v", err)
	}
	used := int64(0)
	for _, r := range m.recs {
		if r.addr != 0 {
			used += int64(r.addr.Size())
		}
	}
	if st := m.s.Stats(); st.DataUsedBytes != used {
		m.fatalf("%d bytes used, want %d", st.DataUsedBytes, used)
	}
}

// restart ends the process, by a power cut or cleanly, and loads what is left:
// the newest version of each record. It must be no older than what was
// durable: committed, flushed, or found at an earlier restart; however often
// it has been overwritten and moved since.
func (m *model) restart(crash bool) {
	m.verify()
	clean := !crash
	if crash {
		m.logf("crash")
		m.rig.crash()
	} else {
		m.logf("stop")
		m.rig.stop()
	}
	type place struct {
		version uint64
		addr    record.Address
	}
	best := map[uint64]place{}
	m.start(func(flat []byte, a record.Address) bool {
		f, err := record.ParseFlat(flat)
		if err != nil {
			m.fatalf("load: %v", err)
		}
		n := numberOf(f.Digest)
		if want := flatOf(n, uint64(f.LUT), len(flat)); string(flat[8:]) != string(want[8:]) {
			m.fatalf("load: record %d at %d.%d: wrong bytes", n, a.Device(), a.Offset())
		}
		old, ok := best[n]
		if ok && old.version >= uint64(f.LUT) {
			return false
		}
		if ok {
			m.s.Free(old.addr)
		}
		best[n] = place{uint64(f.LUT), a}
		return true
	})
	for n, r := range m.recs {
		got := best[n]
		least := r.durable
		if clean {
			least = r.version
		}
		if got.version < least || got.version > r.attempted {
			m.fatalf("record %d: version %d after a restart (clean %v), want %d to %d", n, got.version, clean, least, r.attempted)
		}
		r.addr, r.version, r.durable = got.addr, got.version, got.version
	}
	m.verify()
}
