package storage

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// machine is a simulated machine whose devices a test prepares before Open.
type machine struct {
	t *testing.T
	w *sim.World
}

const testDevice = 32 * testWblock

func (m *machine) device(name string) *ioring.Device { return m.w.DeviceBlock(name, testDevice, 512) }

// open opens a store and closes it again, cleanly or not.
func (m *machine) open(o Options, clean bool, devs ...*ioring.Device) error {
	m.t.Helper()
	q := m.w.Queue()
	s, err := Open(q, devs, o, new(epoch.Domain))
	if err != nil {
		return err
	}
	for i := range s.Devices() {
		if _, err := s.Load(q, i, func([]byte, record.Address, uint64) bool { return true }, nil); err != nil {
			m.t.Fatalf("Load: %v", err)
		}
	}
	s.LoadDone()
	if err := s.Close(q, clean); err != nil {
		m.t.Fatalf("Close: %v", err)
	}
	return nil
}

func (m *machine) mustOpen(o Options, devs ...*ioring.Device) {
	m.t.Helper()
	if err := m.open(o, true, devs...); err != nil {
		m.t.Fatalf("Open: %v", err)
	}
}

// scribble overwrites part of a device.
func (m *machine) scribble(name string, off int, p []byte) {
	content := m.w.Snapshot(name)
	copy(content[off:], p)
	m.w.Restore(name, content)
}

// TestOpenRefuses prepares devices in every state and opens them.
func TestOpenRefuses(t *testing.T) {
	garbage := bytes.Repeat([]byte{0xab}, 512)
	for _, tt := range []struct {
		name string
		// prepare returns the devices to open; it may change the options.
		prepare func(m *machine, o *Options) []*ioring.Device
		want    error // nil: opens
		says    string
	}{
		{"fresh", func(m *machine, o *Options) []*ioring.Device {
			return []*ioring.Device{m.device("a"), m.device("b")}
		}, nil, ""},
		{"ours", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"), m.device("b"))
			return []*ioring.Device{m.device("a"), m.device("b")}
		}, nil, ""},
		{"ours in another order", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"), m.device("b"))
			return []*ioring.Device{m.device("b"), m.device("a")}
		}, nil, ""},
		{"a device is added", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			return []*ioring.Device{m.device("b"), m.device("a")}
		}, nil, ""},
		{"a device is missing", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"), m.device("b"))
			return []*ioring.Device{m.device("b")}
		}, ErrMissing, "sim/b is one of 2 devices, but 1 are given"},
		{"a device is replaced by a fresh one", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"), m.device("b"))
			return []*ioring.Device{m.device("c"), m.device("b")}
		}, ErrMissing, "device 0 of the set is not among those given, and sim/c is empty"},
		{"a device is replaced by a fresh one, forced", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"), m.device("b"))
			o.ForceInit = []string{"sim/c"}
			return []*ioring.Device{m.device("c"), m.device("b")}
		}, nil, ""},
		{"foreign bytes at the start", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.scribble("a", 0, garbage)
			return []*ioring.Device{m.device("a")}
		}, ErrForeign, "unknown data at byte 0"},
		{"foreign bytes late in the first wblock", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.scribble("a", testWblock-1, []byte{1})
			return []*ioring.Device{m.device("a")}
		}, ErrForeign, "unknown data at byte 16383"},
		{"ext4", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.scribble("a", 1080, []byte{0x53, 0xef})
			return []*ioring.Device{m.device("a")}
		}, ErrForeign, "ext4"},
		{"GPT behind its boot sector", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.scribble("a", 510, []byte("\x55\xaaEFI PART"))
			return []*ioring.Device{m.device("a")}
		}, ErrForeign, "GPT"},
		{"foreign, forced", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.scribble("a", 0, garbage)
			o.ForceInit = []string{"sim/a"}
			return []*ioring.Device{m.device("a")}
		}, nil, ""},
		{"foreign, another one forced", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.scribble("a", 0, garbage)
			o.ForceInit = []string{"sim/b"}
			return []*ioring.Device{m.device("a"), m.device("b")}
		}, ErrForeign, "sim/a"},
		{"another namespace's", func(m *machine, o *Options) []*ioring.Device {
			other := *o
			other.Namespace = "other"
			m.mustOpen(other, m.device("a"))
			return []*ioring.Device{m.device("a")}
		}, ErrNamespace, `namespace "other", want "test"`},
		{"another set's", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			other := *o
			other.Seed = 2
			m.mustOpen(other, m.device("b"))
			return []*ioring.Device{m.device("a"), m.device("b")}
		}, ErrDeviceSet, "sim/a is of set"},
		{"a copy of a device", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"), m.device("b"))
			m.w.Restore("b", m.w.Snapshot("a"))
			return []*ioring.Device{m.device("a"), m.device("b")}
		}, ErrDeviceSet, "both device 0"},
		{"wblocks of another size", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			o.WblockSize *= 2
			o.MaxWriteCache, o.ReadBuffers = 0, 0
			return []*ioring.Device{m.device("a")}
		}, ErrWblockSize, "16384 bytes, want 32768"},
		{"too small", func(m *machine, o *Options) []*ioring.Device {
			return []*ioring.Device{m.w.DeviceBlock("a", 16*testWblock-512, 512)}
		}, ErrTooSmall, "261632 bytes, want at least 262144"},
		{"smallest", func(m *machine, o *Options) []*ioring.Device {
			return []*ioring.Device{m.w.DeviceBlock("a", 16*testWblock, 4096)}
		}, nil, ""},
		{"shrunk", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			content := m.w.Snapshot("a")[:testDevice-testWblock]
			small := m.w.DeviceBlock("small", testDevice-testWblock, 512)
			m.w.Restore("small", content)
			return []*ioring.Device{small}
		}, ErrTooSmall, "507904 bytes, but it had 524288"},
		{"grown", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			large := m.w.DeviceBlock("large", 2*testDevice, 512)
			m.w.Restore("large", append(m.w.Snapshot("a"), make([]byte, testDevice)...))
			return []*ioring.Device{large}
		}, nil, ""},
		{"a version to come", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			for _, at := range []int{0, testWblock / 2} {
				p := m.w.Snapshot("a")[at : at+headerSize]
				p[8] = headerVersion + 1
				resum(p)
				m.scribble("a", at, p)
			}
			return []*ioring.Device{m.device("a")}
		}, ErrVersion, "version 2, want 1"},
		{"first copy is damaged", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			m.w.Rot("a", 100, 1)
			return []*ioring.Device{m.device("a")}
		}, nil, ""},
		{"second copy is damaged", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			m.w.Rot("a", testWblock/2+100, 1)
			return []*ioring.Device{m.device("a")}
		}, nil, ""},
		{"first copy cannot be read", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			m.w.Spoil("a", 0)
			return []*ioring.Device{m.device("a")}
		}, nil, ""},
		{"second copy cannot be read", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			m.w.Spoil("a", testWblock/2)
			return []*ioring.Device{m.device("a")}
		}, nil, ""},
		{"one copy cannot be read, one is damaged", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			m.w.Spoil("a", 0)
			m.w.Rot("a", testWblock/2+100, 1)
			return []*ioring.Device{m.device("a")}
		}, syscall.ENODATA, "sim/a: read: at 0"},
		{"both copies are damaged", func(m *machine, o *Options) []*ioring.Device {
			m.mustOpen(*o, m.device("a"))
			m.w.Rot("a", 100, 1)
			m.w.Rot("a", testWblock/2+100, 1)
			return []*ioring.Device{m.device("a")}
		}, ErrDamaged, "both copies"},
		{"header cannot be read", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.w.Fail("a", 0, 512, syscall.EIO)
			return []*ioring.Device{m.device("a")}
		}, syscall.EIO, "sim/a: read: at 0"},
		{"header cannot be written", func(m *machine, o *Options) []*ioring.Device {
			m.device("a")
			m.w.FailKind(ioring.Write, "a", 0, 512, syscall.ENOSPC)
			return []*ioring.Device{m.device("a")}
		}, syscall.ENOSPC, "sim/a: write: at 0"},
		{"no device", func(m *machine, o *Options) []*ioring.Device {
			return nil
		}, nil, "0 devices: want 1 to 128"},
		{"bad options", func(m *machine, o *Options) []*ioring.Device {
			o.DefragLWM, o.FlushSize = 100, 5000
			return []*ioring.Device{m.device("a")}
		}, nil, "flush-size 5000: want a power of two from 4096 to 16384\nstorage: defrag-lwm-pct 100: want 1 to 99"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &machine{t, sim.New(1, sim.Faults{})}
			o := testOptions()
			devs := tt.prepare(m, &o)
			err := m.open(o, true, devs...)
			switch {
			case tt.want == nil && tt.says == "" && err != nil:
				t.Errorf("Open: %v, want success", err)
			case (tt.want != nil || tt.says != "") && err == nil:
				t.Errorf("Open succeeds, want %v %s", tt.want, tt.says)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("Open: %v, want %v", err, tt.want)
			case err != nil && !strings.Contains(err.Error(), tt.says):
				t.Errorf("Open: %v, want it to say %q", err, tt.says)
			}
		})
	}
}

// resum gives a device header that a test has changed its checksum again.
func resum(p []byte) {
	crc := ^uint32(0)
	for _, b := range p[:headerCRC] { // CRC-32C by its definition
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78&-(crc&1)
		}
	}
	crc = ^crc
	p[headerCRC], p[headerCRC+1], p[headerCRC+2], p[headerCRC+3] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
}

// TestRefusalWritesNothing compares devices before and after a refused Open.
func TestRefusalWritesNothing(t *testing.T) {
	m := &machine{t, sim.New(1, sim.Faults{})}
	o := testOptions()
	m.mustOpen(o, m.device("ours"))
	m.device("foreign")
	m.scribble("foreign", 5000, []byte("somebody's data"))
	before := [][]byte{m.w.Snapshot("ours"), m.w.Snapshot("foreign")}
	if err := m.open(o, true, m.device("ours"), m.device("foreign")); !errors.Is(err, ErrForeign) {
		t.Fatalf("Open: %v, want %v", err, ErrForeign)
	}
	for i, name := range []string{"ours", "foreign"} {
		if !bytes.Equal(before[i], m.w.Snapshot(name)) {
			t.Errorf("a refused Open has written to device %s", name)
		}
	}
}

// TestHeaderCrash cuts the power at each operation of an Open and a clean
// Close, with writes torn and lost: the device must open afterwards.
func TestHeaderCrash(t *testing.T) {
	seed := newSeed(t)
	for cut := 1; ; cut++ {
		m := &machine{t, sim.New(seed+uint64(cut), sim.Faults{Torn: 0.7, Lost: 0.2})}
		o := testOptions()
		if cut%2 == 0 {
			m.mustOpen(o, m.device("a"), m.device("b"))
		}
		q := m.w.Queue()
		m.w.CutAfter(cut)
		s, err := Open(q, []*ioring.Device{m.device("a"), m.device("b")}, o, new(epoch.Domain))
		if err == nil {
			for i := range 2 {
				if _, err = s.Load(q, i, func([]byte, record.Address, uint64) bool { return true }, nil); err != nil {
					break
				}
			}
			if err == nil {
				s.LoadDone()
				err = s.Close(q, true)
			}
		}
		if err == nil {
			if cut < 10 {
				t.Errorf("only %d operations until a clean close", cut)
			}
			return
		}
		m.w.Crash()
		if err := m.open(o, true, m.device("a"), m.device("b")); err != nil {
			t.Fatalf("cut at operation %d: the next Open: %v", cut, err)
		}
		if cut > 10000 {
			t.Fatal("no run succeeds")
		}
	}
}

// TestCleanFlag follows the flag through clean and other ends.
func TestCleanFlag(t *testing.T) {
	m := &machine{t, sim.New(1, sim.Faults{})}
	o := testOptions()
	dev := m.device("a")
	wasClean := func() bool {
		s, err := Open(m.w.Queue(), []*ioring.Device{dev}, o, new(epoch.Domain))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(nil, false)
		return s.WasClean()
	}
	m.mustOpen(o, dev)
	if !wasClean() {
		t.Error("after a clean close: not clean")
	}
	if wasClean() {
		t.Error("after an Open without a clean close: clean")
	}
	m.mustOpen(o, dev)
	m.w.Spoil("a", testWblock/2) // it might have been the newer copy
	if wasClean() {
		t.Error("with one copy of the header: clean")
	}
}

// TestReinitialised forgets a device's records by force: none of them may
// come back, although they still lie there.
func TestReinitialised(t *testing.T) {
	for _, how := range []string{"force-init", "cold-start-empty"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, 2, 32, testOptions(), 1, sim.Faults{})
			for n := range uint64(100) {
				r.mustPut(Master, n, 1, 512)
			}
			r.stop()
			if how == "force-init" {
				r.o.ForceInit = []string{"sim/d1"}
			} else {
				r.o.ColdStartEmpty = true
			}
			byDevice := [2]int{}
			count := func(_ []byte, a record.Address) bool { byDevice[a.Device()]++; return true }
			r.start(count)
			want := [2]int{50, 0}
			if how == "cold-start-empty" {
				want = [2]int{}
			}
			if byDevice != want {
				t.Errorf("records found on the devices: %v, want %v", byDevice, want)
			}
			r.mustPut(Master, 1, 2, 512)
			r.stop()
			r.o.ForceInit, r.o.ColdStartEmpty = nil, false
			want[1]++
			byDevice = [2]int{}
			r.start(count)
			if byDevice != want {
				t.Errorf("records found after the restart: %v, want %v", byDevice, want)
			}
		})
	}
}

// TestAddedDevice adds a device: old records stay where they are, new ones go
// where the new number of devices says.
func TestAddedDevice(t *testing.T) {
	r := newRig(t, 1, 32, testOptions(), 1, sim.Faults{})
	a := r.mustPut(Master, 1, 1, 512)
	r.stop()
	r.devs = append([]*ioring.Device{r.w.DeviceBlock("new", testDevice, 512)}, r.devs...)
	r.start(func([]byte, record.Address) bool { return true })
	r.expect(1, 1, a)
	b := r.mustPut(Master, 1, 2, 512)
	if a.Device() != 0 || b.Device() != 1 {
		t.Errorf("record 1 lies on device %d, then %d: want 0, then 1", a.Device(), b.Device())
	}
	r.stop()
	found := map[record.Address]bool{}
	r.start(func(_ []byte, a record.Address) bool { found[a] = true; return true })
	if !found[a] || !found[b] || len(found) != 2 {
		t.Errorf("found %v, want %v and %v", found, a, b)
	}
}

func FuzzHeader(f *testing.F) {
	h := header{generation: 3, namespace: "test", id: 7, number: 1, count: 2, wblockSize: testWblock, size: testDevice}
	p := make([]byte, headerSize)
	h.encode(p)
	f.Add(p, p[:100])
	f.Add(make([]byte, headerSize), p)
	f.Add([]byte{}, []byte("ASHLARDV"))
	q := bytes.Clone(p)
	q[8] = 9
	resum(q)
	f.Add(q, p)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		h, n, err := chooseHeader(first, second)
		if err != nil {
			return
		}
		// Whatever is accepted is exactly what encode writes, spare bytes
		// and unknown flags apart.
		again := make([]byte, headerSize)
		h.encode(again)
		if back, err := decodeHeader(again); err != nil || back != h {
			t.Errorf("copy %d: %+v becomes %+v, %v", n, h, back, err)
		}
	})
}
