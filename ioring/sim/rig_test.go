package sim_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

// newSeed returns the seed of a random test and says how to replay it.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./ioring/sim -run '^%s$' -seed %d", t.Name(), seed)
	return seed
}

const (
	kib  = 1 << 10
	size = 1 << 20 // of a device, unless a test says otherwise
)

// rig is a world with one device and one queue, and blocking calls on them.
type rig struct {
	t    testing.TB
	w    *sim.World
	dev  *ioring.Device
	q    ioring.Queue
	file ioring.File
}

func newRig(t testing.TB, seed uint64, f sim.Faults) *rig {
	t.Helper()
	r := &rig{t: t, w: sim.New(seed, f)}
	r.dev = r.w.DeviceBlock("d0", size, 512)
	r.boot()
	return r
}

// boot starts the process (again): a new queue.
func (r *rig) boot() {
	r.t.Helper()
	r.q = r.w.Queue()
	var err error
	if r.file, err = r.q.Attach(r.dev); err != nil {
		r.t.Fatal(err)
	}
}

// buffer returns n bytes of value b whose address is aligned to 4 KiB.
func buffer(n int, b byte) []byte {
	p := make([]byte, n+4096)
	at := -int(uintptr(unsafe.Pointer(&p[0]))) & 4095
	p = p[at : at+n : at+n]
	for i := range p {
		p[i] = b
	}
	return p
}

// start submits an operation; the result appears in the Op, and *done grows.
func (r *rig) start(k ioring.Kind, fl ioring.Flags, off int64, p []byte, done *int) *ioring.Op {
	o := &ioring.Op{Kind: k, Flags: fl, File: r.file, Offset: off, Buf: p}
	o.Done = func(*ioring.Op) { *done++ }
	r.q.Submit(o)
	return o
}

// do runs one operation to its end and returns its result.
func (r *rig) do(k ioring.Kind, fl ioring.Flags, off int64, p []byte) int32 {
	r.t.Helper()
	done := 0
	o := r.start(k, fl, off, p, &done)
	r.wait(&done, 1)
	return o.Result
}

// wait polls until *done has reached n.
func (r *rig) wait(done *int, n int) {
	r.t.Helper()
	for range 1000 {
		if *done == n {
			return
		}
		if _, err := r.q.Poll(time.Minute); err != nil {
			r.t.Fatal(err)
		}
	}
	r.t.Fatalf("%d operations done after 1000 polls, want %d", *done, n)
}

func (r *rig) write(off int64, p []byte) int32 { r.t.Helper(); return r.do(ioring.Write, 0, off, p) }
func (r *rig) dsync(off int64, p []byte) int32 {
	r.t.Helper()
	return r.do(ioring.Write, ioring.DSync, off, p)
}
func (r *rig) fsync() int32 { r.t.Helper(); return r.do(ioring.Fsync, 0, 0, nil) }

// read returns n bytes at off, of which all must have been read.
func (r *rig) read(off int64, n int) []byte {
	r.t.Helper()
	p := buffer(n, 0)
	if got := r.do(ioring.Read, 0, off, p); got != int32(n) {
		r.t.Fatalf("read of %d bytes at %d: result %d", n, off, got)
	}
	return p
}

// want fails the test unless the n bytes at off all have value b.
func (r *rig) want(off int64, n int, b byte) {
	r.t.Helper()
	if got := r.read(off, n); !bytes.Equal(got, buffer(n, b)) {
		r.t.Fatalf("%d bytes at %d: first is %#x, want all %#x", n, off, got[0], b)
	}
}

// reboot cuts the power and starts anew.
func (r *rig) reboot() {
	r.t.Helper()
	r.w.Crash()
	r.boot()
}

// sectors returns how many of the 512-byte sectors of p are all b, and how
// many are all c. Any other sector fails the test: it was torn inside.
func sectors(t testing.TB, p []byte, b, c byte) (nb, nc int) {
	t.Helper()
	for at := 0; at < len(p); at += 512 {
		switch s := p[at : at+512]; {
		case bytes.Equal(s, buffer(512, b)):
			nb++
		case bytes.Equal(s, buffer(512, c)):
			nc++
		default:
			t.Fatalf("sector at %d is neither %#x nor %#x", at, b, c)
		}
	}
	return nb, nc
}
