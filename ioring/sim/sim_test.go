package sim_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

func TestPerfectMachine(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	r.want(0, 4*kib, 0) // a fresh device is zero
	for i := range byte(20) {
		if got := r.write(int64(i)*4*kib, buffer(4*kib, i+1)); got != 4*kib {
			t.Fatalf("write %d: result %d, want %d", i, got, 4*kib)
		}
	}
	r.reboot()
	for i := range byte(20) {
		r.want(int64(i)*4*kib, 4*kib, i+1)
	}
}

// TestOrder holds the perfect machine to the order of submission and a
// reordering one to the set of operations only.
func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		faults  sim.Faults
		ordered bool
	}{
		{"perfect", sim.Faults{}, true},
		{"reorder", sim.Faults{Reorder: 0.5}, false},
		{"slow", sim.Faults{Slow: 0.2}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, newSeed(t), tt.faults)
			var order []int
			for i := range 64 {
				o := &ioring.Op{Kind: ioring.Read, File: r.file, Offset: int64(i) * 512, Buf: buffer(512, 0)}
				o.Done = func(*ioring.Op) { order = append(order, i) }
				r.q.Submit(o)
			}
			if got := r.q.InFlight(); got != 64 {
				t.Fatalf("%d in flight, want 64", got)
			}
			for polls := 0; len(order) < 64 && polls < 1000; polls++ {
				if _, err := r.q.Poll(time.Second); err != nil {
					t.Fatal(err)
				}
			}
			if got := slices.IsSorted(order); got != tt.ordered {
				t.Errorf("completed in order: %v, want %v: %v", got, tt.ordered, order)
			}
			slices.Sort(order)
			for i, got := range order {
				if got != i {
					t.Fatalf("operation %d did not complete exactly once: %v", i, order)
				}
			}
		})
	}
}

func TestClock(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{ReadLatency: sim.Range{Min: 100 * time.Microsecond, Max: 100 * time.Microsecond}})
	done := 0
	step := func(name string, wait time.Duration, wantDone int, wantNow time.Duration) {
		t.Helper()
		if _, err := r.q.Poll(wait); err != nil {
			t.Fatal(err)
		}
		if done != wantDone || r.w.Now() != wantNow {
			t.Fatalf("%s: %d done at %v, want %d at %v", name, done, r.w.Now(), wantDone, wantNow)
		}
	}
	us := time.Microsecond
	step("nothing in flight", 50*us, 0, 50*us)
	r.start(ioring.Read, 0, 0, buffer(512, 0), &done) // takes 100 us and 256 ns for the bytes
	step("too early", 60*us, 0, 110*us)
	step("until the completion, no longer", time.Hour, 1, 150*us+256)
	r.q.Wake()
	step("woken", time.Hour, 1, 151*us+256)
	step("without waiting", 0, 1, 152*us+256)
	r.start(ioring.Timeout, 0, int64(40*us), nil, &done)
	step("timeout", time.Hour, 2, 192*us+256)
	r.start(ioring.Nop, 0, 0, nil, &done)
	step("nop", time.Hour, 3, 192*us+256)
	r.start(ioring.Read, 0, 0, buffer(512, 0), &done)
	r.w.Advance(time.Second)
	if done != 3 {
		t.Fatal("Advance ran a Done")
	}
	step("ready since long", time.Hour, 4, time.Second+192*us+256)
}

// TestDeterminism runs the same drawn load twice with the same seed and once
// with another.
func TestDeterminism(t *testing.T) {
	seed := newSeed(t)
	run := func(worldSeed uint64) (uint64, sim.Counts) {
		r := newRig(t, worldSeed, sim.Faults{
			Reorder: 0.3, Slow: 0.05, Stall: 0.01, StallTime: time.Millisecond,
			ReadError: 0.05, WriteError: 0.05, SyncError: 0.1, Again: 0.05, Short: 0.1, Latent: 0.05,
			Rot: 0.05, ReadRot: 0.05, MisdirectRead: 0.05, MisdirectWrite: 0.05, Dropped: 0.05,
			Lost: 0.3, Torn: 0.3, LyingSync: 0.1, CacheSize: 64 * kib,
		})
		rnd := rand.New(rand.NewPCG(seed, 1))
		done := 0
		for i := range 400 {
			n := (1 + rnd.IntN(16)) * 512
			off := rnd.Int64N(size/512) * 512
			switch rnd.IntN(8) {
			case 0:
				r.start(ioring.Fsync, 0, 0, nil, &done)
			case 1, 2, 3:
				r.start(ioring.Read, 0, off, buffer(n, 0), &done)
			case 4:
				r.start(ioring.Write, ioring.DSync, off, buffer(n, byte(i)), &done)
			default:
				r.start(ioring.Write, 0, off, buffer(n, byte(i)), &done)
			}
			if rnd.IntN(4) == 0 {
				if _, err := r.q.Poll(100 * time.Microsecond); err != nil {
					t.Fatal(err)
				}
			}
			if rnd.IntN(100) == 0 {
				r.reboot()
			}
		}
		r.reboot()
		return r.w.Trace(), r.w.Counts()
	}
	trace, counts := run(seed)
	again, _ := run(seed)
	other, _ := run(seed + 1)
	if trace != again {
		t.Errorf("same seed: traces %#x and %#x", trace, again)
	}
	if trace == other {
		t.Errorf("another seed has the same trace %#x", trace)
	}
	t.Logf("struck: %+v", counts)
}

func TestKernelResults(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	block := buffer(4*kib, 1)
	for _, tt := range []struct {
		name string
		kind ioring.Kind
		off  int64
		buf  []byte
		want int32
	}{
		{"aligned read", ioring.Read, 512, block[:512], 512},
		{"offset not a multiple", ioring.Read, 100, block[:512], -int32(syscall.EINVAL)},
		{"length not a multiple", ioring.Read, 0, block[:500], -int32(syscall.EINVAL)},
		{"address not a multiple", ioring.Write, 0, block[16 : 16+512], -int32(syscall.EINVAL)},
		{"negative offset", ioring.Read, -512, block[:512], -int32(syscall.EINVAL)},
		{"read at the end", ioring.Read, size, block[:512], 0},
		{"read across the end", ioring.Read, size - 1024, block, 1024},
		{"write at the end", ioring.Write, size, block[:512], -int32(syscall.ENOSPC)},
		{"write across the end", ioring.Write, size - 1024, block, 1024},
		{"fsync", ioring.Fsync, 0, nil, 0},
		{"a kind for sockets", ioring.Recv, 0, block, -int32(syscall.EOPNOTSUPP)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := r.do(tt.kind, 0, tt.off, tt.buf); got != tt.want {
				t.Errorf("result %d, want %d", got, tt.want)
			}
		})
	}
	t.Run("unknown file", func(t *testing.T) {
		file := r.file
		defer func() { r.file = file }()
		r.file = ioring.Socket(3)
		if got, want := r.do(ioring.Read, 0, 0, block), -int32(syscall.EBADF); got != want {
			t.Errorf("result %d, want %d", got, want)
		}
	})
	t.Run("attach a foreign device", func(t *testing.T) {
		if _, err := r.q.Attach(&ioring.Device{Path: "/dev/null", FD: 3}); err == nil {
			t.Error("attached")
		}
	})
}

func TestBlock4096(t *testing.T) {
	w := sim.New(newSeed(t), sim.Faults{})
	r := &rig{t: t, w: w, dev: w.Device("big", size)}
	r.boot()
	if got := r.dev.Block; got != 4096 {
		t.Fatalf("default block %d, want 4096", got)
	}
	if got, want := r.write(512, buffer(512, 1)), -int32(syscall.EINVAL); got != want {
		t.Errorf("512-byte write to 4096-byte blocks: result %d, want %d", got, want)
	}
}

// TestOneFault gives each drawn fault alone, at a rate of 1, and checks what
// it does to one operation and to nothing else.
func TestOneFault(t *testing.T) {
	old, fresh := byte(0x11), byte(0x22)
	isMedia := func(res int32) bool {
		return res == -int32(syscall.EIO) || res == -int32(syscall.ENODATA)
	}
	// others returns how many bytes of p are not b.
	others := func(p []byte, b byte) int { return len(p) - bytes.Count(p, []byte{b}) }

	for _, tt := range []struct {
		name   string
		faults sim.Faults
		check  func(t *testing.T, r *rig)
	}{
		{"read error", sim.Faults{ReadError: 1}, func(t *testing.T, r *rig) {
			if got := r.do(ioring.Read, 0, 0, buffer(4*kib, 0)); !isMedia(got) {
				t.Errorf("result %d, want -EIO or -ENODATA", got)
			}
		}},
		{"write error", sim.Faults{WriteError: 1}, func(t *testing.T, r *rig) {
			if got := r.dsync(0, buffer(4*kib, fresh)); !isMedia(got) {
				t.Errorf("result %d, want -EIO or -ENODATA", got)
			}
			sectors(t, r.read(0, 4*kib), old, fresh)
		}},
		{"again", sim.Faults{Again: 1}, func(t *testing.T, r *rig) {
			if got := r.write(0, buffer(4*kib, fresh)); got != -int32(syscall.EAGAIN) && got != -int32(syscall.EINTR) {
				t.Errorf("result %d, want -EAGAIN or -EINTR", got)
			}
			r.w.SetFaults(sim.Faults{})
			r.want(0, 4*kib, old)
		}},
		{"short", sim.Faults{Short: 1}, func(t *testing.T, r *rig) {
			got := r.write(0, buffer(4*kib, fresh))
			if got < 512 || got >= 4*kib || got%512 != 0 {
				t.Fatalf("write: result %d, want 512 to 3584 in blocks", got)
			}
			p := buffer(4*kib, 0)
			if n := r.do(ioring.Read, 0, 0, p); n < 512 || n >= 4*kib || n%512 != 0 {
				t.Fatalf("read: result %d, want 512 to 3584 in blocks", n)
			} else if others(p[n:], 0xDB) != 0 {
				t.Error("a short read filled more than it said")
			}
			r.w.SetFaults(sim.Faults{})
			r.want(0, int(got), fresh)
			r.want(int64(got), 4*kib-int(got), old)
		}},
		{"latent", sim.Faults{Latent: 1}, func(t *testing.T, r *rig) {
			r.write(0, buffer(4*kib, fresh))
			if got, want := r.do(ioring.Read, 0, 0, buffer(4*kib, 0)), -int32(syscall.ENODATA); got != want {
				t.Errorf("result %d, want %d", got, want)
			}
			r.want(4*kib, 4*kib, old)
			r.w.SetFaults(sim.Faults{})
			r.write(0, buffer(4*kib, fresh))
			r.want(0, 4*kib, fresh)
		}},
		{"rot", sim.Faults{Rot: 1}, func(t *testing.T, r *rig) {
			r.dsync(0, buffer(4*kib, fresh))
			if got := others(r.read(0, 4*kib), fresh); got != 1 {
				t.Errorf("%d bytes differ, want 1", got)
			}
			r.reboot()
			if got := others(r.read(0, 4*kib), fresh); got != 1 {
				t.Errorf("after a power cut %d bytes differ, want 1", got)
			}
		}},
		{"read rot", sim.Faults{ReadRot: 1}, func(t *testing.T, r *rig) {
			if got := others(r.read(0, 4*kib), old); got != 1 {
				t.Errorf("%d bytes differ, want 1", got)
			}
			r.w.SetFaults(sim.Faults{})
			r.want(0, 4*kib, old)
		}},
		{"misdirected write", sim.Faults{MisdirectWrite: 1}, func(t *testing.T, r *rig) {
			before := r.w.Snapshot("d0")
			if got := r.write(512*kib, buffer(4*kib, fresh)); got != 4*kib {
				t.Fatalf("result %d, want %d", got, 4*kib)
			}
			after := r.w.Snapshot("d0")
			at := bytes.IndexByte(after, fresh)
			if at < 0 || at%512 != 0 || others(after[at:at+4*kib], fresh) != 0 {
				t.Fatalf("the write is not whole at %d", at)
			}
			copy(after[at:at+4*kib], before[at:])
			if !bytes.Equal(before, after) {
				t.Error("the write went to more than one place")
			}
		}},
		{"misdirected read", sim.Faults{MisdirectRead: 1}, func(t *testing.T, r *rig) {
			foreign := 0
			for range 20 { // the drawn place may overlap the right one
				foreign += others(r.read(0, 4*kib), old)
			}
			if foreign == 0 {
				t.Error("20 reads at a place of its own delivered only what is at 0")
			}
		}},
		{"dropped", sim.Faults{Dropped: 1}, func(t *testing.T, r *rig) {
			if got := r.dsync(0, buffer(4*kib, fresh)); got != 4*kib {
				t.Errorf("result %d, want %d", got, 4*kib)
			}
			r.want(0, 4*kib, old)
		}},
		{"stall", sim.Faults{Stall: 1, StallTime: time.Minute}, func(t *testing.T, r *rig) {
			r.want(0, 512, old)
			if got := r.w.Now(); got < time.Minute {
				t.Errorf("a read that stalls was done at %v", got)
			}
		}},
		{"lost", sim.Faults{Lost: 1}, func(t *testing.T, r *rig) {
			r.write(0, buffer(4*kib, fresh))
			r.dsync(4*kib, buffer(4*kib, fresh))
			r.want(0, 4*kib, fresh)
			if got := r.w.Unsynced("d0"); got != 4*kib {
				t.Errorf("%d bytes un-synced, want %d", got, 4*kib)
			}
			r.reboot()
			r.want(0, 4*kib, old)
			r.want(4*kib, 4*kib, fresh)
		}},
		{"lying sync", sim.Faults{Lost: 1, LyingSync: 1}, func(t *testing.T, r *rig) {
			r.dsync(0, buffer(4*kib, fresh))
			r.write(4*kib, buffer(4*kib, fresh))
			if got := r.fsync(); got != 0 {
				t.Errorf("fsync: result %d, want 0", got)
			}
			r.want(0, 8*kib, fresh)
			r.reboot()
			r.want(0, 8*kib, old)
		}},
		{"cache limit", sim.Faults{Lost: 1, CacheSize: 4 * kib}, func(t *testing.T, r *rig) {
			r.write(0, buffer(4*kib, fresh))
			r.write(4*kib, buffer(4*kib, fresh))
			r.reboot()
			r.want(0, 4*kib, fresh) // destaged by the second
			r.want(4*kib, 4*kib, old)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, newSeed(t), sim.Faults{})
			// Beside the range under test the device holds another value.
			r.dsync(0, buffer(16*kib, old))
			r.dsync(16*kib, buffer(size-16*kib, 0x33))
			r.w.SetFaults(tt.faults)
			tt.check(t, r)
		})
	}
}

func TestTornWrites(t *testing.T) {
	seed := newSeed(t)
	whole, torn := 0, 0
	for i := range uint64(50) {
		r := newRig(t, seed+i, sim.Faults{Torn: 1})
		r.dsync(0, buffer(16*kib, 1))
		r.write(0, buffer(16*kib, 2))
		r.reboot()
		if kept, lost := sectors(t, r.read(0, 16*kib), 2, 1); kept > 0 && lost > 0 {
			torn++
		} else {
			whole++
		}
	}
	if torn < 25 {
		t.Errorf("%d writes torn, %d whole: want most torn", torn, whole)
	}
}

// TestFsync checks which writes an Fsync covers: those complete when it was
// submitted, and no others.
func TestFsync(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{Lost: 1})
	r.write(0, buffer(512, 1))
	done := 0
	r.start(ioring.Fsync, 0, 0, nil, &done)
	r.start(ioring.Write, 0, 512, buffer(512, 2), &done)
	r.wait(&done, 2)
	r.reboot()
	r.want(0, 512, 1)
	r.want(512, 512, 0)

	r.write(0, buffer(512, 3))
	if got := r.fsync(); got != 0 {
		t.Fatalf("fsync: result %d, want 0", got)
	}
	r.reboot()
	r.want(0, 512, 3)
}

// TestFsyncError checks that a failed Fsync is not made good by the next one:
// some of the writes before it are gone at a power cut.
func TestFsyncError(t *testing.T) {
	seed := newSeed(t)
	lost := 0
	for i := range uint64(40) {
		r := newRig(t, seed+i, sim.Faults{Lost: 1})
		r.write(0, buffer(512, 1))
		r.w.FailOp(1, syscall.EIO)
		if got, want := r.fsync(), -int32(syscall.EIO); got != want {
			t.Fatalf("fsync: result %d, want %d", got, want)
		}
		r.want(0, 512, 1)
		if got := r.fsync(); got != 0 {
			t.Fatalf("second fsync: result %d, want 0", got)
		}
		r.reboot()
		if r.read(0, 512)[0] == 0 {
			lost++
		}
	}
	if lost == 0 || lost == 40 {
		t.Errorf("%d of 40 writes before a failed fsync were lost, want some", lost)
	}
}

// TestDurableOverCached checks that an un-synced write of the past never
// comes back over a durable one of the same sectors.
func TestDurableOverCached(t *testing.T) {
	seed := newSeed(t)
	for i := range uint64(40) {
		r := newRig(t, seed+i, sim.Faults{Lost: 0.5, Torn: 0.5})
		r.write(0, buffer(4*kib, 1))
		r.dsync(512, buffer(512, 2))
		r.write(2048, buffer(512, 3))
		r.reboot()
		r.want(512, 512, 2)
		sectors(t, r.read(2048, 512), 3, r.read(2048, 512)[0])
	}
}

// TestCrashInFlight checks the fate of writes that were never acknowledged.
func TestCrashInFlight(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults sim.Faults
		end    func(w *sim.World)
		torn   bool
	}{
		{"power cut", sim.Faults{}, (*sim.World).Crash, false},
		{"power cut that tears", sim.Faults{Torn: 1}, (*sim.World).Crash, true},
		{"kill", sim.Faults{Torn: 1, Lost: 1}, (*sim.World).Kill, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seed := newSeed(t)
			fates := map[string]int{}
			for i := range uint64(60) {
				r := newRig(t, seed+i, tt.faults)
				done := 0
				r.start(ioring.Write, ioring.DSync, 0, buffer(16*kib, 1), &done)
				tt.end(r.w)
				if _, err := r.q.Poll(time.Second); !errors.Is(err, sim.ErrPowerCut) {
					t.Fatalf("poll of a dead queue: %v", err)
				}
				if done != 0 || r.q.InFlight() != 0 {
					t.Fatalf("%d done, %d in flight after the end", done, r.q.InFlight())
				}
				r.boot()
				switch kept, lost := sectors(t, r.read(0, 16*kib), 1, 0); {
				case lost == 0:
					fates["kept"]++
				case kept == 0:
					fates["lost"]++
				default:
					fates["torn"]++
				}
			}
			if fates["lost"] == 0 || !tt.torn && fates["kept"] == 0 || (fates["torn"] > 0) != tt.torn {
				t.Errorf("fates %v, torn wanted: %v", fates, tt.torn)
			}
		})
	}
}

func TestKillKeepsTheCache(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{Lost: 1})
	r.write(0, buffer(512, 1))
	r.w.Kill()
	r.boot()
	r.want(0, 512, 1)
	r.reboot()
	r.want(0, 512, 0)
}

// TestReadRacesWrite checks that a read beside a write in flight sees the old
// or the new in each sector, and in the end both.
func TestReadRacesWrite(t *testing.T) {
	seed := newSeed(t)
	mixed := 0
	for i := range uint64(20) {
		r := newRig(t, seed+i, sim.Faults{
			ReadLatency:  sim.Range{Min: time.Microsecond, Max: time.Microsecond},
			WriteLatency: sim.Range{Min: time.Second, Max: time.Second},
			Reorder:      1,
		})
		done := 0
		r.start(ioring.Write, 0, 4*kib, buffer(8*kib, 1), &done)
		p := buffer(16*kib, 0)
		r.start(ioring.Read, 0, 0, p, &done)
		r.wait(&done, 1)
		if nb, nc := sectors(t, p, 1, 0); nb > 0 && nc > 16 {
			mixed++
		}
		sectors(t, p[:4*kib], 0, 0)
		sectors(t, p[12*kib:], 0, 0)
		r.wait(&done, 2)
		r.want(4*kib, 8*kib, 1)
	}
	if mixed == 0 {
		t.Error("no read saw old and new together")
	}
}

func TestRanges(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	r.dsync(0, buffer(16*kib, 1))
	result := func(k ioring.Kind, off int64) int32 {
		t.Helper()
		return r.do(k, 0, off, buffer(4*kib, 1))
	}
	check := func(name string, got, want int32) {
		t.Helper()
		if got != want {
			t.Errorf("%s: result %d, want %d", name, got, want)
		}
	}
	eio, enodata := -int32(syscall.EIO), -int32(syscall.ENODATA)

	r.w.Fail("d0", 4*kib, 8*kib, syscall.EIO)
	check("read before", result(ioring.Read, 0), 4*kib)
	check("read overlapping", result(ioring.Read, 3584), eio)
	check("write inside", result(ioring.Write, 4*kib), eio)
	check("read behind", result(ioring.Read, 8*kib), 4*kib)
	check("fsync", r.fsync(), 0)
	r.w.Fail("d0", 4*kib, 8*kib, 0)
	check("read healed", result(ioring.Read, 4*kib), 4*kib)

	r.w.FailKind(ioring.Read, "d0", 0, size, syscall.ENODATA)
	check("read only", result(ioring.Read, 0), enodata)
	check("read only", result(ioring.Write, 0), 4*kib)
	r.w.FailKind(ioring.Read, "d0", 0, size, 0)

	r.w.FailKind(ioring.Fsync, "d0", 0, size, syscall.EIO)
	check("fsync", r.fsync(), eio)
	r.w.FailKind(ioring.Fsync, "d0", 0, size, 0)
	check("fsync healed", r.fsync(), 0)

	r.w.Spoil("d0", 700)
	check("spoilt sector", result(ioring.Read, 0), enodata)
	check("beside it", r.do(ioring.Read, 0, 1024, buffer(512, 0)), 512)
	check("rewritten", result(ioring.Write, 0), 4*kib)
	check("readable again", result(ioring.Read, 0), 4*kib)

	r.w.Rot("d0", 100, 3)
	if got := r.read(0, 512); bytes.Count(got, []byte{1}) != 509 {
		t.Errorf("%d bytes intact after Rot of 3, want 509", bytes.Count(got, []byte{1}))
	}

	r.w.FailOp(2, syscall.ENODATA)
	check("operation 1", result(ioring.Read, 8*kib), 4*kib)
	check("operation 2", result(ioring.Read, 8*kib), enodata)
	check("operation 3", result(ioring.Read, 8*kib), 4*kib)
}

func TestVanish(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{Lost: 1})
	r.dsync(0, buffer(512, 1))
	r.write(512, buffer(512, 2))
	done := 0
	inFlight := r.start(ioring.Write, ioring.DSync, 1024, buffer(512, 3), &done)
	r.w.Vanish("d0")
	r.wait(&done, 1)
	if inFlight.Result >= 0 {
		t.Errorf("write in flight: result %d, want an error", inFlight.Result)
	}
	for _, k := range []ioring.Kind{ioring.Read, ioring.Write, ioring.Fsync} {
		if got := r.do(k, 0, 0, buffer(512, 0)); got >= 0 {
			t.Errorf("kind %d on a pulled device: result %d, want an error", k, got)
		}
	}
	r.w.Reappear("d0")
	r.want(0, 512, 1)
	r.want(512, 1024, 0)
}

func TestStallByHand(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	other := r.w.DeviceBlock("d1", size, 512)
	done := 0
	r.start(ioring.Read, 0, 0, buffer(512, 0), &done)
	r.w.Stall("d0", time.Minute)
	r.start(ioring.Read, 0, 512, buffer(512, 0), &done)
	file, err := r.q.Attach(other)
	if err != nil {
		t.Fatal(err)
	}
	quick := 0
	d0 := r.file
	r.file = file
	r.start(ioring.Read, 0, 0, buffer(512, 0), &quick)
	r.file = d0
	if _, err := r.q.Poll(time.Second); err != nil || quick != 1 || done != 0 {
		t.Fatalf("after 1 s: %d done on the other device and %d on the stalled, want 1 and 0 (%v)", quick, done, err)
	}
	r.wait(&done, 2)
	if got := r.w.Now(); got != time.Minute {
		t.Errorf("done at %v, want 1m0s", got)
	}
}

// TestCutAfter cuts the power at operation i for each i of a sequence of
// durable writes: what was acknowledged is there, and in order.
func TestCutAfter(t *testing.T) {
	seed := newSeed(t)
	for i := 1; i <= 10; i++ {
		r := newRig(t, seed, sim.Faults{Torn: 0.5, Lost: 0.5})
		r.w.CutAfter(i)
		acknowledged := 0
		for n := range 10 {
			done := 0
			r.start(ioring.Write, ioring.DSync, int64(n)*512, buffer(512, byte(n+1)), &done)
			if _, err := r.q.Poll(time.Second); err != nil {
				if !errors.Is(err, sim.ErrPowerCut) {
					t.Fatal(err)
				}
				break
			}
			acknowledged += done
		}
		if acknowledged != i-1 {
			t.Fatalf("cut at operation %d: %d acknowledged, want %d", i, acknowledged, i-1)
		}
		r.reboot()
		for n := range acknowledged {
			r.want(int64(n)*512, 512, byte(n+1))
		}
		r.want(int64(i)*512, 512, 0)
	}
}

func TestSnapshotRestore(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{Lost: 1})
	r.write(0, buffer(512, 1))
	saved := r.w.Snapshot("d0")
	r.dsync(0, buffer(512, 2))
	r.w.Restore("d0", saved)
	r.want(0, 512, 1)
	r.reboot()
	r.want(0, 512, 1) // a restored image is durable
}

func TestMisuse(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig, done *int)
		want string
	}{
		{"write buffer changed", func(r *rig, done *int) {
			p := buffer(512, 1)
			r.start(ioring.Write, 0, 0, p, done)
			p[7] = 0
			r.wait(done, 1)
		}, "write of 512 bytes at 0 on d0: its buffer changed while in flight, at byte 7"},
		{"read buffer written", func(r *rig, done *int) {
			p := buffer(512, 1)
			r.start(ioring.Read, 0, 0, p, done)
			p[9] = 0
			r.wait(done, 1)
		}, "its buffer was written while in flight, at byte 9"},
		{"two reads to one buffer", func(r *rig, done *int) {
			p := buffer(1024, 1)
			r.start(ioring.Read, 0, 0, p[:1024], done)
			r.start(ioring.Read, 0, 4096, p[512:], done)
		}, "its buffer is in flight already in a read of 1024 bytes at 0"},
		{"read into a write's buffer", func(r *rig, done *int) {
			p := buffer(512, 1)
			r.start(ioring.Write, 0, 0, p, done)
			r.start(ioring.Read, 0, 0, p, done)
		}, "its buffer is in flight already in a write"},
		{"submitted twice", func(r *rig, done *int) {
			o := r.start(ioring.Nop, 0, 0, nil, done)
			r.q.Submit(o)
		}, "submitted while in flight"},
		{"without Done", func(r *rig, _ *int) { r.q.Submit(&ioring.Op{}) }, "without a Done"},
		{"closed queue", func(r *rig, done *int) {
			if err := r.q.Close(); err != nil {
				r.t.Error(err)
			}
			r.start(ioring.Nop, 0, 0, nil, done)
		}, "closed queue"},
		{"poll in a Done", func(r *rig, _ *int) {
			r.q.Submit(&ioring.Op{Done: func(*ioring.Op) { _, _ = r.q.Poll(0) }})
			_, _ = r.q.Poll(time.Second)
		}, "Poll called from a Done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, newSeed(t), sim.Faults{})
			defer func() {
				fact, _ := recover().(string)
				if !strings.Contains(fact, tt.want) {
					t.Errorf("panic %q, want %q", fact, tt.want)
				}
			}()
			done := 0
			tt.do(r, &done)
		})
	}
}

// TestTwoWritesOfOneBuffer is allowed: nobody changes it.
func TestTwoWritesOfOneBuffer(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	p, done := buffer(512, 1), 0
	r.start(ioring.Write, 0, 0, p, &done)
	r.start(ioring.Write, 0, 512, p, &done)
	r.wait(&done, 2)
	r.want(0, 1024, 1)
}

func TestReadBufferIsPoison(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	p, done := buffer(512, 1), 0
	r.start(ioring.Read, 0, 0, p, &done)
	r.w.Advance(time.Second) // complete, but not yet polled
	if !bytes.Equal(p, buffer(512, 0xDB)) {
		t.Error("a read's buffer holds data before its Done")
	}
	r.wait(&done, 1)
	if !bytes.Equal(p, buffer(512, 0)) {
		t.Error("a read's buffer does not hold the data at its Done")
	}
}

func TestCancelAndClose(t *testing.T) {
	seed := newSeed(t)
	cancelled, finished := 0, 0
	for i := range uint64(40) {
		r := newRig(t, seed+i, sim.Faults{})
		done := 0
		timeout := r.start(ioring.Timeout, 0, int64(time.Hour), nil, &done)
		o := r.start(ioring.Write, 0, 0, buffer(512, 1), &done)
		if err := r.q.Close(); err != nil {
			t.Fatal(err)
		}
		if done != 2 || r.q.InFlight() != 0 || timeout.InFlight() {
			t.Fatalf("%d Dones, %d in flight after Close, want 2 and 0", done, r.q.InFlight())
		}
		if want := -int32(syscall.ECANCELED); timeout.Result != want {
			t.Fatalf("timeout: result %d, want %d", timeout.Result, want)
		}
		r.boot()
		switch o.Result {
		case -int32(syscall.ECANCELED):
			cancelled++
			r.want(0, 512, 0)
		case 512:
			finished++
			r.want(0, 512, 1)
		default:
			t.Fatalf("write: result %d", o.Result)
		}
	}
	if cancelled == 0 || finished == 0 {
		t.Errorf("%d cancelled, %d finished, want some of each", cancelled, finished)
	}
}

// TestDoneMaySubmit keeps one operation going through its own Done.
func TestDoneMaySubmit(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	left := 100
	o := &ioring.Op{Kind: ioring.Read, File: r.file, Buf: buffer(512, 0)}
	o.Done = func(o *ioring.Op) {
		if left--; left > 0 {
			r.q.Submit(o)
		}
	}
	r.q.Submit(o)
	for range 100 {
		if n, err := r.q.Poll(time.Second); n != 1 || err != nil {
			t.Fatalf("poll: %d, %v, want 1 Done each", n, err)
		}
	}
	if left != 0 || r.q.InFlight() != 0 {
		t.Errorf("%d left, %d in flight, want 0 and 0", left, r.q.InFlight())
	}
}

func TestTwoQueuesShareTheClock(t *testing.T) {
	r := newRig(t, newSeed(t), sim.Faults{})
	first, done := r.q, 0
	r.start(ioring.Write, 0, 0, buffer(512, 1), &done)
	r.boot() // a second queue beside it
	r.w.Advance(time.Millisecond)
	r.want(0, 512, 1) // visible, though the first queue has not polled
	if done != 0 {
		t.Fatal("one queue's Poll ran another's Done")
	}
	if n, err := first.Poll(0); n != 1 || err != nil || done != 1 {
		t.Errorf("first queue: %d Dones, %v", n, err)
	}
}

// TestModel holds a device with reordering and power cuts to the rules of the
// package: bytes are those of the last durable write or of a later one.
func TestModel(t *testing.T) {
	seed := newSeed(t)
	for i := range uint64(200) {
		modelRun(t, seed+i)
		if t.Failed() {
			t.Fatalf("run %d", i)
		}
	}
}

func modelRun(t *testing.T, seed uint64) {
	const blocks = 16
	rnd := rand.New(rand.NewPCG(seed, 2))
	r := newRig(t, seed, sim.Faults{Reorder: rnd.Float64(), Lost: rnd.Float64(), Torn: rnd.Float64(), CacheSize: 4 * kib})
	var may [blocks][]byte // values that a block may hold; the first is durable
	for b := range may {
		may[b] = []byte{0}
	}
	value := byte(0)
	for range 60 {
		switch rnd.IntN(10) {
		case 0:
			r.reboot()
			for b := range may {
				got := r.read(int64(b)*512, 512)[0]
				if !slices.Contains(may[b], got) {
					t.Errorf("block %d holds %d, want one of %v", b, got, may[b])
				}
				may[b] = []byte{got}
			}
		case 1:
			r.fsync()
			for b := range may {
				may[b] = may[b][len(may[b])-1:]
			}
		default:
			value++
			from := rnd.IntN(blocks)
			n := 1 + rnd.IntN(blocks-from)
			p := buffer(n*512, value)
			durable := rnd.IntN(2) == 0
			if durable {
				r.dsync(int64(from)*512, p)
			} else {
				r.write(int64(from)*512, p)
			}
			for b := from; b < from+n; b++ {
				if durable {
					may[b] = nil
				}
				may[b] = append(may[b], value)
			}
		}
		b := rnd.IntN(blocks)
		if got, want := r.read(int64(b)*512, 512)[0], may[b][len(may[b])-1]; got != want {
			t.Errorf("block %d reads %d, want %d", b, got, want)
		}
	}
}

func TestLog(t *testing.T) {
	var log strings.Builder
	r := newRig(t, newSeed(t), sim.Faults{})
	r.w.Log = &log
	r.dsync(512, buffer(512, 1))
	r.reboot()
	for _, want := range []string{"write of 512 bytes at 512 on d0 dsync = 512", "crash"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q lacks %q", log.String(), want)
		}
	}
	r.w.Log = io.Discard
}

func BenchmarkWrite64K(b *testing.B) {
	r := newRig(b, 1, sim.Faults{})
	p := buffer(64*kib, 1)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		r.dsync(0, p)
	}
}
