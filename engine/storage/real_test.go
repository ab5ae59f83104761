package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

// openFiles opens n fresh files for direct I/O where the file system has it.
func openFiles(t testing.TB, dir string, n int, size int64) []*ioring.Device {
	t.Helper()
	var devs []*ioring.Device
	for i := range n {
		d, err := ioring.OpenDevice(filepath.Join(dir, fmt.Sprintf("file%d", i)), ioring.DeviceOptions{Size: size, Fill: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		devs = append(devs, d)
	}
	return devs
}

// onLoop runs f as a service loop would run: on a thread with its own queue.
// The returned func waits for it.
func onLoop(f func(q ioring.Queue) error) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		q, err := ioring.New(ioring.Options{Entries: 64, Limit: 256, Node: -1})
		if err != nil {
			done <- err
			return
		}
		err = f(q)
		if e := q.Close(); err == nil {
			err = e
		}
		done <- err
	}()
	return func() error { return <-done }
}

// openReal opens a store on real files and loads it.
func openReal(t testing.TB, devs []*ioring.Device, o Options, dom *epoch.Domain, visit func(flat []byte, a record.Address) bool) *Store {
	t.Helper()
	var s *Store
	err := onLoop(func(q ioring.Queue) (err error) {
		if s, err = Open(q, devs, o, dom); err != nil {
			return err
		}
		for i := range devs {
			if _, err := s.Load(q, i, func(flat []byte, a record.Address, _ uint64) bool {
				if visit != nil && visit(flat, a) {
					s.Account(a)
				}
				return true
			}, nil); err != nil {
				return err
			}
		}
		s.LoadDone()
		return nil
	})()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// register is an index as small as can be: what the engine guarantees and
// needs, for a fixed number of records.
type register struct {
	slots [512]struct {
		turn    sync.Mutex // one writer a record
		mu      sync.Mutex // guards what follows
		addr    record.Address
		version uint64
	}
}

func (x *register) get(n uint64) (record.Address, uint64) {
	s := &x.slots[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr, s.version
}

func (x *register) put(n uint64, a record.Address, version uint64) (old record.Address) {
	s := &x.slots[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	old, s.addr, s.version = s.addr, a, version
	return old
}

func (x *register) relocate(n uint64, from, to record.Address) bool {
	s := &x.slots[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr != from {
		return false
	}
	s.addr = to
	return true
}

// realOptions are those of TestLoops and TestMemoryLoops: files smaller than
// what is written in all.
func realOptions() Options {
	o := testOptions()
	o.WblockSize, o.FlushSize = 64<<10, 16<<10
	o.PostWriteCache, o.MaxWriteCache, o.ReadBuffers = 256<<10, 2<<20, 1<<20
	o.FlushMax = 5 * time.Millisecond
	o.DataSize = 8 << 20
	return o
}

// runLoops runs two service loops and a defragger with real queues: writes,
// views, reads, commits and moves at the same time. Every read must deliver
// the version that was current when it began, or a later one.
func runLoops(t *testing.T, s *Store, dom *epoch.Domain, seed uint64) *register {
	t.Helper()
	x := new(register)
	start := time.Now()
	now := func() record.Time { return record.Time(time.Since(start).Milliseconds()) + 1000 }
	const rounds = 6000
	var waits []func() error
	for loop := range uint64(2) {
		waits = append(waits, onLoop(func(q ioring.Queue) error {
			return (&realLoop{s: s, x: x, q: q, now: now, rnd: rand.New(rand.NewPCG(seed, loop))}).run(dom, rounds)
		}))
	}
	stop := make(chan struct{})
	defragged := onLoop(func(q ioring.Queue) error { return runDefrag(s, x, q, dom, now, stop) })
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := defragged(); err != nil {
		t.Error(err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	st := s.Stats()
	t.Logf("%+v", st)
	if live := x.live(); st.DataUsedBytes != live {
		t.Errorf("%d bytes used, %d are live", st.DataUsedBytes, live)
	}
	moved := uint64(0)
	for _, d := range st.Devices {
		if d.ReadErrors+d.WriteErrors+d.ChecksumErrors != 0 {
			t.Errorf("%s: %d read, %d write, %d checksum errors, want none", d.Name, d.ReadErrors, d.WriteErrors, d.ChecksumErrors)
		}
		moved += d.DefragWrites
	}
	if moved == 0 {
		t.Error("defrag had nothing to do")
	}
	return x
}

// live returns how many bytes the register leads to.
func (x *register) live() (n int64) {
	for i := range x.slots {
		if a, _ := x.get(uint64(i)); a != 0 {
			n += int64(a.Size())
		}
	}
	return n
}

func TestMemoryLoops(t *testing.T) {
	seed := newSeed(t)
	dom := new(epoch.Domain)
	s, err := OpenMemory(realOptions(), dom)
	if err != nil {
		t.Fatal(err)
	}
	runLoops(t, s, dom, seed)
	if err := s.Close(nil, true); err != nil {
		t.Error(err)
	}
}

func TestLoops(t *testing.T) {
	seed := newSeed(t)
	o := realOptions()
	devs := openFiles(t, t.TempDir(), 2, 4<<20)
	dom := new(epoch.Domain)
	s := openReal(t, devs, o, dom, nil)
	x := runLoops(t, s, dom, seed)
	live := x.live()
	if err := onLoop(func(q ioring.Queue) error { return s.Close(q, true) })(); err != nil {
		t.Fatal(err)
	}

	// All is there after the restart.
	left := map[uint64]record.Address{}
	for n := range uint64(len(x.slots)) {
		if a, _ := x.get(n); a != 0 {
			left[n] = a
		}
	}
	s = openReal(t, devs, o, new(epoch.Domain), func(flat []byte, a record.Address) bool {
		f, err := record.ParseFlat(flat)
		n := numberOf(f.Digest)
		if err != nil || left[n] != a {
			return false
		}
		_, version := x.get(n)
		if !bytes.Equal(flat[8:], realFlat(n, version, len(flat))[8:]) {
			t.Errorf("record %d at %d: wrong bytes", n, a.Offset())
		}
		delete(left, n)
		return true
	})
	if len(left) > 0 {
		t.Errorf("%d records are gone after the restart: %v", len(left), left)
	}
	if !s.WasClean() {
		t.Error("not clean after a clean close")
	}
	if got := s.Stats().DataUsedBytes; got != live {
		t.Errorf("%d bytes used after the restart, want %d", got, live)
	}
	if err := s.Close(nil, false); err != nil {
		t.Error(err)
	}
}

// realFlat is flatOf with the version readable at its end.
func realFlat(n, version uint64, size int) []byte {
	flat := flatOf(n, version, size)
	binary.LittleEndian.PutUint64(flat[size-24:], version)
	return flat
}

// realLoop is one service loop of runLoops.
type realLoop struct {
	s    *Store
	x    *register
	q    ioring.Queue
	l    *Lane
	rd   *epoch.Reader
	now  func() record.Time
	rnd  *rand.Rand
	last record.Time
}

func (r *realLoop) run(dom *epoch.Domain, rounds int) (err error) {
	r.rd = dom.Register()
	defer dom.Unregister(r.rd)
	if r.l, err = r.s.NewLane(r.q, r.rd); err != nil {
		return err
	}
	for range rounds {
		n := r.rnd.Uint64N(uint64(len(r.x.slots)))
		switch r.rnd.IntN(4) {
		case 0:
			err = r.write(n, false)
		case 1:
			err = r.write(n, r.rnd.IntN(20) == 0)
		default:
			err = r.read(n)
		}
		if err != nil {
			break
		}
		if now := r.now(); now != r.last {
			r.last = now
			r.l.Tick(now)
		}
		if _, err = r.q.Poll(0); err != nil {
			break
		}
	}
	if e := r.l.Close(); err == nil {
		err = e
	}
	return err
}

func (r *realLoop) write(n uint64, commit bool) error {
	slot := &r.x.slots[n]
	if !slot.turn.TryLock() {
		return nil // the other loop writes it
	}
	defer slot.turn.Unlock()
	_, version := r.x.get(n)
	version++
	size := (4 + r.rnd.IntN(200)) * 16
	d := digestOf(n)
	var space []byte
	var a record.Address
	for tries := 0; ; tries++ {
		var res record.Result
		if space, a, res = r.l.Reserve(Master, &d, size); res == record.OK {
			break
		}
		if tries > 5000 {
			return fmt.Errorf("record %d of %d bytes: %v, and no end", n, size, res)
		}
		if _, err := r.q.Poll(time.Millisecond); err != nil {
			return err
		}
		r.l.Tick(r.now())
	}
	copy(space, realFlat(n, version, size))
	r.l.Seal(space, a)
	if old := r.x.put(n, a, version); old != 0 {
		r.s.Free(old)
	}
	if !commit {
		return nil
	}
	done := false
	c := &Commit{Addr: a, Done: func(*Commit) { done = true }}
	r.l.Durable(c)
	for !done {
		if _, err := r.q.Poll(time.Millisecond); err != nil {
			return err
		}
	}
	if c.Result != record.OK {
		return fmt.Errorf("commit of record %d: %v", n, c.Result)
	}
	return nil
}

func (r *realLoop) read(n uint64) error {
	for range 100 { // as often as it moves away meanwhile
		r.rd.Enter()
		a, version := r.x.get(n)
		if a == 0 {
			r.rd.Exit()
			return nil
		}
		if v, ok := r.l.View(a); ok {
			err := checkReal(n, version, v)
			r.rd.Exit()
			return err
		}
		r.rd.Exit()
		done := false
		rd := Read{Addr: a, Digest: digestOf(n), Done: func(*Read) { done = true }}
		r.l.Read(&rd)
		for !done {
			if _, err := r.q.Poll(time.Millisecond); err != nil {
				return err
			}
		}
		if rd.Result == record.OK {
			err := checkReal(n, version, rd.Flat)
			r.l.Release(&rd)
			return err
		}
		r.l.Release(&rd)
		if again, _ := r.x.get(n); again == a {
			return fmt.Errorf("record %d at %d on device %d: %v, though it has not moved", n, a.Offset(), a.Device(), rd.Result)
		}
	}
	return fmt.Errorf("record %d moves faster than it can be read", n)
}

// checkReal checks a record that was looked up when it had at least version.
func checkReal(n, version uint64, flat []byte) error {
	got := binary.LittleEndian.Uint64(flat[len(flat)-24:])
	if want := realFlat(n, got, len(flat)); got < version || !bytes.Equal(flat[8:], want[8:]) {
		return fmt.Errorf("record %d: version %d of %d bytes, looked up at version %d: wrong bytes", n, got, len(flat), version)
	}
	return nil
}

// runDefrag defrags until stop is closed.
func runDefrag(s *Store, x *register, q ioring.Queue, dom *epoch.Domain, now func() record.Time, stop chan struct{}) error {
	rd := dom.Register()
	defer dom.Unregister(rd)
	l, err := s.NewLane(q, rd)
	if err != nil {
		return err
	}
	for {
		select {
		case <-stop:
			return l.Close()
		default:
		}
		l.Tick(now())
		v, ok := s.Victim()
		if !ok {
			if _, err := q.Poll(time.Millisecond); err != nil {
				return err
			}
			continue
		}
		v.Done = func(*Victim) {}
		for !v.Complete() {
			l.ReadVictim(v)
			for v.op.InFlight() {
				if _, err := q.Poll(time.Millisecond); err != nil {
					return err
				}
			}
			if v.Result != record.OK {
				break
			}
		}
		if !v.Complete() {
			s.ReturnVictim(v)
			continue
		}
		if moveAll(s, x, l, v) {
			s.ReleaseVictim(v)
		} else {
			s.ReturnVictim(v)
		}
		if _, err := q.Poll(0); err != nil {
			return err
		}
	}
}

func moveAll(s *Store, x *register, l *Lane, v *Victim) bool {
	for {
		flat, from, ok := v.Next()
		if !ok {
			return true
		}
		f, err := record.ParseFlat(flat)
		if err != nil {
			return false
		}
		n := numberOf(f.Digest)
		if at, _ := x.get(n); at != from {
			continue
		}
		space, to, res := l.Reserve(Defrag, &f.Digest, len(flat))
		if res != record.OK {
			return false
		}
		copy(space, flat)
		l.Seal(space, to)
		if x.relocate(n, from, to) {
			s.Free(from)
		} else {
			s.Free(to)
		}
	}
}
