package storage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// TestLoadFaults damages a device between a clean stop and a start, and counts
// what is found and what is blamed.
func TestLoadFaults(t *testing.T) {
	const perBlock, blocks = 15, 6 // records of 1 KiB; the last wblock is not full
	base := func(block, n int) int64 {
		return int64((1+block)*testWblock + wblockHeaderSize + n*1024)
	}
	for _, tt := range []struct {
		name    string
		damage  func(r *rig)
		missing int
		want    func(st LoadStats) bool
	}{
		{"none", func(*rig) {}, 0, func(st LoadStats) bool {
			return st.ChecksumFailures+st.Unparsable+st.Torn == 0 && st.Written == blocks+1 && st.Trailers == 0
		}},
		{"a bit of a value", func(r *rig) { r.w.Rot("d0", base(2, 3)+500, 1) }, 1,
			func(st LoadStats) bool { return st.ChecksumFailures == 1 && st.Unparsable == 0 }},
		{"a bit of a magic number", func(r *rig) { r.w.Rot("d0", base(2, 3), 1) }, 1,
			func(st LoadStats) bool { return st.ChecksumFailures == 0 && st.Unparsable == 1 }},
		{"the size of a record", func(r *rig) { r.w.Rot("d0", base(2, 3)+8, 1) }, 1,
			func(st LoadStats) bool { return st.ChecksumFailures+st.Unparsable == 1 }},
		{"the last record of a full wblock", func(r *rig) { r.w.Rot("d0", base(1, perBlock-1)+9, 40) }, 1,
			func(st LoadStats) bool { return st.ChecksumFailures+st.Unparsable == 1 }},
		{"the header of a wblock", func(r *rig) { r.w.Rot("d0", base(1, 0)-30, 1) }, 0,
			func(st LoadStats) bool { return st.Trailers == 1 && st.Written == blocks+1 }},
		{"header and trailer of a wblock", func(r *rig) {
			r.w.Rot("d0", base(1, 0)-30, 1)
			r.w.Rot("d0", 3*testWblock-30, 1)
		}, perBlock, func(st LoadStats) bool { return st.Written == blocks }},
		{"an unreadable sector", func(r *rig) { r.w.Spoil("d0", base(3, 5)&^511) }, 2,
			func(st LoadStats) bool { return st.Unreadable == 1 }},
		{"an unreadable header", func(r *rig) { r.w.Spoil("d0", 4*testWblock) }, 1,
			func(st LoadStats) bool { return st.Unreadable == 1 && st.Trailers == 1 }},
		{"a wblock in another's place", func(r *rig) {
			content := r.w.Snapshot("d0")
			copy(content[2*testWblock:3*testWblock], content[4*testWblock:])
			r.w.Restore("d0", content)
		}, perBlock, func(st LoadStats) bool { return st.Written == blocks }},
		{"a sector lost in a write", func(r *rig) {
			content := r.w.Snapshot("d0")
			clear(content[(base(4, 7)+511)&^511:][:512])
			r.w.Restore("d0", content)
		}, 1, func(st LoadStats) bool { return st.ChecksumFailures == 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions()
			r := newRig(t, 1, 64, o, 1, sim.Faults{})
			n := blocks*perBlock + 4
			for i := range uint64(n) {
				r.mustPut(Master, i, 1, 1024)
				r.settle()
			}
			r.stop()
			tt.damage(r)
			found := 0
			st := r.start(func(flat []byte, a record.Address) bool {
				f, err := record.ParseFlat(flat)
				if err != nil || !bytes.Equal(flat[8:], flatOf(numberOf(f.Digest), 1, 1024)[8:]) {
					t.Errorf("a wrong record is visited at %d: %v", a.Offset(), err)
				}
				found++
				return true
			})[0]
			if found != n-tt.missing {
				t.Errorf("%d records found, want %d", found, n-tt.missing)
			}
			if int(st.Records) != found || !tt.want(st) {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestLoadStops looks at how far Load reads, and ends it early.
func TestLoadStops(t *testing.T) {
	r := newRig(t, 1, 1024, testOptions(), 1, sim.Faults{})
	for n := range uint64(100) {
		r.mustPut(Master, n, 1, 1024)
		r.settle()
	}
	r.flush()
	all := func([]byte, record.Address) bool { return true }
	for _, clean := range []bool{false, true} {
		want := 7
		if clean {
			r.stop()
		} else {
			r.crash()
			want += stopRun
		}
		st := r.start(all)[0]
		if st.Scanned != want || st.Written != 7 {
			t.Errorf("clean %v: %d wblocks were looked at, %d written, want %d and 7", clean, st.Scanned, st.Written, want)
		}
		if got := r.s.devices[0].pristine; got != 8 {
			t.Errorf("clean %v: pristine mark %d, want 8", clean, got)
		}
	}
	r.stop()

	q := r.w.Queue()
	s, err := Open(q, r.devs, r.o, r.dom)
	if err != nil {
		t.Fatal(err)
	}
	visits, progress := 0, 0
	_, err = s.Load(q, 0, func([]byte, record.Address, uint64) bool { visits++; return visits < 20 },
		func(LoadStats) { progress++ })
	if !errors.Is(err, ErrStopped) || visits != 20 || progress != 1 {
		t.Errorf("Load: %v after %d visits and %d wblocks of progress, want %v after 20 and 1", err, visits, progress, ErrStopped)
	}
	if q.InFlight() != 0 {
		t.Errorf("%d operations are still in flight", q.InFlight())
	}
	if err := s.Close(nil, false); err != nil {
		t.Error(err)
	}
}

// TestGapsBelowPristine loses many wblocks in a crash while a later one is on
// the device: the scan does not stop before it.
func TestGapsBelowPristine(t *testing.T) {
	o := testOptions()
	o.MaxWriteCache = 1 << 30
	r := newRig(t, 1, 1024, o, 1, sim.Faults{})
	// Writes stall: wblocks are taken and nothing of them arrives.
	last := record.OK
	taken := 0
	for n := uint64(0); last == record.OK; n++ {
		if _, last = r.put(Master, n, 1, r.s.MaxRecord()); last == record.OK {
			taken++
		}
		if taken > 1000 {
			break
		}
	}
	if last != record.DeviceOverload || taken != stopRun-1 {
		t.Fatalf("%d wblocks are taken, then %v: want %d, then %v", taken, last, stopRun-1, record.DeviceOverload)
	}
	r.settle()
	a := r.mustPut(Master, 5000, 1, r.s.MaxRecord())
	r.flush()
	r.check()
	r.stop()
	// Only the very last is left.
	content := r.w.Snapshot("d0")
	clear(content[testWblock : a.Offset()-wblockHeaderSize])
	r.w.Restore("d0", content)
	found := 0
	r.start(func(_ []byte, b record.Address) bool { found++; return a == b })
	if found != 1 {
		t.Errorf("%d records found behind a gap of %d wblocks, want 1", found, stopRun-1)
	}
	// The gap is used before the pristine end, and so closed.
	b := r.mustPut(Master, 1, 1, 64)
	if b.Offset() >= a.Offset() {
		t.Errorf("the next wblock is at %d, want one of the gap", b.Offset())
	}
	r.check()
}

// TestUnreadableIsLeftAlone: a wblock that could not be read at the start is
// not overwritten.
func TestUnreadableIsLeftAlone(t *testing.T) {
	r := newRig(t, 1, 16, testOptions(), 1, sim.Faults{})
	for n := range uint64(46) {
		r.mustPut(Master, n, 1, 1024)
		r.settle()
	}
	r.stop()
	r.w.FailKind(0, "d0", 2*testWblock, 3*testWblock, syscall.EIO)
	r.start(nil) // nothing is live
	r.w.FailKind(0, "d0", 2*testWblock, 3*testWblock, 0)
	before := r.w.Snapshot("d0")[2*testWblock : 3*testWblock]
	for n := range uint64(200) {
		if a, res := r.put(Defrag, n, 2, 1024); res == record.OK {
			r.s.Free(a)
		}
		r.tick(time_)
		r.settle()
	}
	if !bytes.Equal(before, r.w.Snapshot("d0")[2*testWblock:3*testWblock]) {
		t.Error("it was overwritten")
	}
	if got := r.s.Stats().Devices[0].States[StateBad]; got != 1 {
		t.Errorf("%d wblocks are %v, want 1", got, StateBad)
	}
}

const time_ = 100e6 // 100 ms

// TestDefragQueueAfterLoad: the emptiest wblocks come first.
func TestDefragQueueAfterLoad(t *testing.T) {
	r := newRig(t, 1, 64, testOptions(), 1, sim.Faults{})
	for n := range uint64(60) {
		r.mustPut(Master, n, 1, 1024)
		r.settle()
	}
	r.stop()
	keep := []int{5, 1, 9, 3} // records of each wblock that stay
	r.start(func(flat []byte, a record.Address) bool {
		f, _ := record.ParseFlat(flat)
		n := int(numberOf(f.Digest))
		return n%15 < keep[n/15]
	})
	var order []uint32
	for {
		v, ok := r.s.Victim()
		if !ok {
			break
		}
		order = append(order, v.Wblock)
		defer r.s.ReturnVictim(v)
	}
	if len(order) != 3 || order[0] != 2 || order[1] != 4 || order[2] != 1 {
		t.Errorf("victims %v, want [2 4 1]", order)
	}
}

// TestSequencesGrow: no wblock of a later start has a number that one of an
// earlier start may have had.
func TestSequencesGrow(t *testing.T) {
	r := newRig(t, 2, 64, testOptions(), 1, sim.Faults{Lost: 1})
	top := uint64(0)
	for range 4 {
		for n := range uint64(100) {
			r.mustPut(Master, n, 1, 1024)
		}
		lost := r.s.sequence.Load()
		if lost <= top {
			t.Fatalf("sequence %d, want more than %d", lost, top)
		}
		top = lost
		r.crash()
		r.start(nil)
	}
}

// FuzzScan scans a wblock in which anything may stand.
func FuzzScan(f *testing.F) {
	const key = 77
	build := func(sizes ...int) []byte {
		img := make([]byte, 4096)
		h := blockHeader{sequence: key, number: 3, size: 4096}
		h.encode(img)
		at := wblockHeaderSize
		for i, size := range sizes {
			flat := flatOf(uint64(i), 1, size)
			record.Seal(flat, key, record.MakeAddress(2, 3*4096+int64(at), size))
			copy(img[at:], flat)
			at += size
		}
		copy(img[4096-wblockHeaderSize:], img[:wblockHeaderSize])
		return img
	}
	f.Add(build(64, 512, 80, 1024), []byte{}, uint16(0))
	f.Add(build(3968), []byte{1, 2, 3}, uint16(100))
	f.Add(build(64, 64, 64), build(64)[64:128], uint16(192))
	f.Add(build(), bytes.Repeat([]byte{0x72, 0x1a, 0x5b, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 200), uint16(64))
	f.Fuzz(func(t *testing.T, img, patch []byte, at uint16) {
		if len(img) < 2*wblockHeaderSize || len(img)%record.RblockSize != 0 || len(img) > 1<<16 {
			return
		}
		copy(img[int(at)%len(img):], patch)
		var c scan
		c.begin(img, 2, 3*4096, key)
		last := wblockHeaderSize
		n := 0
		for {
			flat, a, ok := c.next()
			if !ok {
				break
			}
			from := int(a.Offset() - 3*4096)
			if from < last || from+len(flat) > len(img)-wblockHeaderSize || len(flat) != a.Size() || a.Device() != 2 {
				t.Fatalf("record at %d of %d bytes after %d", from, len(flat), last)
			}
			if !record.Verify(flat, key, a) {
				t.Fatalf("record at %d does not verify", from)
			}
			last = from + len(flat)
			n++
		}
		if st := c.end(true); int(st.Records) != n {
			t.Errorf("%d records counted, %d returned", st.Records, n)
		}
	})
}

// TestScanFindsTheRest damages one record of a wblock: all others are found.
// What is true is known from how the wblock was built.
func TestScanFindsTheRest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(newSeed(t), 0))
	for range 300 {
		img := make([]byte, testWblock)
		var starts []int
		at := wblockHeaderSize
		for {
			size := (4 + rnd.IntN(60)) * 16
			if at+size > len(img)-wblockHeaderSize {
				break
			}
			flat := flatOf(rnd.Uint64N(1000), 1, size)
			record.Seal(flat, 5, record.MakeAddress(0, int64(at), size))
			copy(img[at:], flat)
			starts = append(starts, at)
			at += size
		}
		victim := rnd.IntN(len(starts))
		from, to := starts[victim], at
		if victim+1 < len(starts) {
			to = starts[victim+1]
		}
		for range 1 + rnd.IntN(20) {
			img[from+rnd.IntN(to-from)] ^= 1 << rnd.IntN(8)
		}
		found := map[int]bool{}
		var c scan
		c.begin(img, 0, 0, 5)
		for {
			_, a, ok := c.next()
			if !ok {
				break
			}
			found[int(a.Offset())] = true
		}
		for i, start := range starts {
			if i != victim && !found[start] {
				t.Fatalf("record %d of %d at %d is not found after damage in record %d", i, len(starts), start, victim)
			}
		}
	}
}

// TestScanIsBounded fills a wblock with what looks like large records.
func TestScanIsBounded(t *testing.T) {
	img := make([]byte, 1<<20)
	trap := flatOf(1, 1, 64)[:16]
	trap[8], trap[9], trap[10] = 0xff, 0x0f, 0 // 64 KiB
	for at := 0; at < len(img); at += 16 {
		copy(img[at:], trap)
	}
	var c scan
	c.begin(img, 0, 0, 5)
	if _, _, ok := c.next(); ok {
		t.Fatal("a record is found")
	}
	if tried := c.failed * 64 << 10; tried > (scanBudget+1)*len(img) {
		t.Errorf("%d bytes were checked in vain for a wblock of %d", tried, len(img))
	}
	if st := c.end(true); st.Abandoned != 1 {
		t.Errorf("%+v, want it abandoned", st)
	}
}
