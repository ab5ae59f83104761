package storage

import (
	"os"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// benchStore is a store with wblocks of full size over a queue that completes
// at once: what is measured is the package, not a device.
func benchStore(b *testing.B) (*Store, *Lane, *epoch.Reader) {
	b.Helper()
	o := DefaultOptions()
	o.Namespace, o.Log, o.Seed = "bench", testOptions().Log, 1
	o.PostWriteCache = 32 << 20 // few buffers, so that all are soon paged in
	w := sim.New(1, sim.Faults{})
	dev := w.DeviceBlock("d0", 4<<30, 4096)
	dom := new(epoch.Domain)
	q := w.Queue()
	s, err := Open(q, []*ioring.Device{dev}, o, dom)
	if err != nil {
		b.Fatal(err)
	}
	s.LoadDone()
	rd := dom.Register()
	l, err := s.NewLane(&instantQueue{}, rd)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		l.Close()
		s.Close(nil, false)
	})
	return s, l, rd
}

func BenchmarkAppend(b *testing.B) {
	for _, bm := range []struct {
		name string
		size int
	}{{"256B", 256}, {"1536B", 1536}} {
		b.Run(bm.name, func(b *testing.B) {
			s, l, _ := benchStore(b)
			flat, d := flatOf(1, 1, bm.size), digestOf(1)
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			n := 0
			for range 64 << 20 / bm.size { // all buffers have been used
				_, a, _ := l.Reserve(Master, &d, bm.size)
				l.Seal(l.devices[0].cur[Master].buf[l.s.inWblock(a):][:bm.size], a)
				s.Free(a)
				l.q.Poll(0)
			}
			for b.Loop() {
				space, a, res := l.Reserve(Master, &d, bm.size)
				if res != record.OK {
					b.Fatal(res)
				}
				copy(space, flat)
				l.Seal(space, a)
				s.Free(a)
				if n++; n%256 == 0 {
					l.q.Poll(0)
					l.Tick(l.now + 1)
				}
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	_, l, rd := benchStore(b)
	var addrs []record.Address
	for n := range uint64(4096) {
		d := digestOf(n)
		space, a, res := l.Reserve(Master, &d, 256)
		if res != record.OK {
			b.Fatal(res)
		}
		copy(space, flatOf(n, 1, 256))
		l.Seal(space, a)
		addrs = append(addrs, a)
	}
	b.ReportAllocs()
	n, sum := 0, 0
	for b.Loop() {
		rd.Enter()
		v, _ := l.View(addrs[n&4095])
		sum += len(v)
		rd.Exit()
		n++
	}
}

// BenchmarkLoad scans a real file of a GiB that is full of records of 1 KiB.
// Its directory can be chosen with ASHLAR_BENCH_DIR.
func BenchmarkLoad(b *testing.B) {
	const size = 1 << 30
	dir := os.Getenv("ASHLAR_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	o := DefaultOptions()
	o.Namespace, o.Log = "bench", testOptions().Log
	devs := openFiles(b, dir, 1, size)
	s := openReal(b, devs, o, new(epoch.Domain), nil)
	if err := onLoop(func(q ioring.Queue) error { return fillStore(s, q) })(); err != nil {
		b.Fatal(err)
	}
	if err := onLoop(func(q ioring.Queue) error { return s.Close(q, true) })(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		found := 0
		s := openReal(b, devs, o, new(epoch.Domain), func([]byte, record.Address) bool { found++; return true })
		if found < 900_000 {
			b.Fatalf("%d records found", found)
		}
		s.Close(nil, false)
	}
}

// fillStore writes records of 1 KiB until the store is full.
func fillStore(s *Store, q ioring.Queue) error {
	rd := s.dom.Register()
	defer s.dom.Unregister(rd)
	l, err := s.NewLane(q, rd)
	if err != nil {
		return err
	}
	flat := flatOf(1, 1, 1024)
	for n := uint64(0); ; n++ {
		d := digestOf(n)
		space, a, res := l.Reserve(Master, &d, len(flat))
		if res == record.OutOfSpace {
			break
		}
		if res != record.OK {
			if _, err := q.Poll(time.Millisecond); err != nil {
				return err
			}
			continue
		}
		copy(space, flat)
		l.Seal(space, a)
	}
	return l.Close()
}
