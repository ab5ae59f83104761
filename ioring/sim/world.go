package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

// ErrPowerCut is what Poll answers on a queue that died in Crash or Kill, and
// on every queue once a cut that CutAfter announced has come.
var ErrPowerCut = errors.New("sim: power cut")

// ErrClosed is what Poll answers on a closed queue.
var ErrClosed = errors.New("sim: queue is closed")

// DefaultBlock is the logical block of a device made by Device, in bytes.
const DefaultBlock = 4096

// World is one simulated machine: its clock, its devices and the queues of
// the process that runs on it. One goroutine drives all of it; only a queue's
// Wake may be called from another.
type World struct {
	// Log, when set, gets one line for each completion and each power cut.
	Log io.Writer

	rand   *rand.Rand
	faults Faults
	counts Counts
	now    time.Duration
	trace  trace

	devices []*device
	queues  []*queue // alive
	flying  flights  // in flight, soonest first

	sequence  uint64 // operations so far, numbers them
	submitted uint64 // device operations so far
	effects   uint64 // effects so far
	failOps   map[uint64]syscall.Errno
	cutAt     uint64 // number of the device operation that cuts the power, 0: none
	cut       bool
}

// New returns a machine without devices whose every draw comes from seed.
func New(seed uint64, f Faults) *World {
	w := &World{
		rand:    rand.New(rand.NewPCG(seed, 0x5eed)),
		failOps: map[uint64]syscall.Errno{},
	}
	w.SetFaults(f)
	return w
}

// SetFaults replaces the faults from now on.
func (w *World) SetFaults(f Faults) {
	f.setDefaults()
	w.faults = f
}

// Counts returns how often each fault has struck so far.
func (w *World) Counts() Counts { return w.counts }

// Trace returns the hash of every completion and power cut so far: kind,
// place, time, result and data.
func (w *World) Trace() uint64 { return uint64(w.trace) }

// Operations returns how many device operations have been submitted so far.
func (w *World) Operations() uint64 { return w.submitted }

// Now returns the virtual time since the World began.
func (w *World) Now() time.Duration { return w.now }

// Advance lets d pass. Operations that complete meanwhile take effect; their
// Dones run in the next Poll of their queue.
func (w *World) Advance(d time.Duration) {
	end := w.now + max(d, 0)
	for !w.cut && len(w.flying) > 0 && w.flying[0].at <= end {
		w.step()
	}
	w.now = end
}

// Device returns the device of that name, made empty with size bytes and
// logical blocks of DefaultBlock at the first call. Its contents outlive
// Crash and Kill. To ask again with another size is a mistake that panics.
func (w *World) Device(name string, size int64) *ioring.Device {
	return w.DeviceBlock(name, size, DefaultBlock)
}

// DeviceBlock is Device with a logical block size: 512 or 4096.
func (w *World) DeviceBlock(name string, size int64, block int) *ioring.Device {
	if block != 512 && block != 4096 {
		panic(fmt.Sprintf("sim: block size %d: want 512 or 4096", block))
	}
	if size <= 0 || size%int64(block) != 0 {
		panic(fmt.Sprintf("sim: device size %d: want a positive multiple of %d", size, block))
	}
	for _, d := range w.devices {
		if d.name == name {
			if d.size != size || d.block != block {
				panic(fmt.Sprintf("sim: device %s has %d bytes in blocks of %d, not %d in %d",
					name, d.size, d.block, size, block))
			}
			return d.handle()
		}
	}
	d := newDevice(name, len(w.devices), size, block)
	w.devices = append(w.devices, d)
	return d.handle()
}

// Queue returns a new queue. It works on every device of the World.
func (w *World) Queue() ioring.Queue {
	q := &queue{w: w}
	w.queues = append(w.queues, q)
	return q
}

// Crash cuts the power: un-synced writes and writes in flight are kept, lost
// or torn in sectors of 512 bytes, what else was in flight vanishes, all
// queues die. The devices are there again at once, and the clock runs on.
func (w *World) Crash() {
	for _, d := range w.devices {
		w.cutPower(d)
	}
	w.killQueues()
	w.note("crash")
}

// Kill ends the process, not the machine: what the devices have in their
// caches stays there, each write in flight is wholly done or not at all, all
// queues die.
func (w *World) Kill() {
	for _, f := range w.inFlight(nil) {
		if data := f.pending(); len(data) > 0 && w.coin() {
			w.effects++
			f.dev.write(data, f.off, false, w.effects, w.faults.CacheSize)
		}
	}
	w.killQueues()
	w.note("kill")
}

// cutPower decides what of d's writes survives.
func (w *World) cutPower(d *device) {
	for i := range d.cache {
		switch c := &d.cache[i]; {
		case c.durable:
			d.durable.write(c.data, c.off)
		case w.strikes(w.faults.Lost):
			w.counts.Lost++
		default:
			w.leave(d, c.data, c.off)
		}
	}
	flying := w.inFlight(d)
	w.rand.Shuffle(len(flying), func(i, j int) { flying[i], flying[j] = flying[j], flying[i] })
	for _, f := range flying {
		if data := f.pending(); len(data) > 0 && w.coin() {
			w.leave(d, data, f.off)
		}
	}
	d.settle()
}

// leave makes a write durable in a power cut, whole or torn.
func (w *World) leave(d *device, data []byte, off int64) {
	d.markDiffers(off, int64(len(data)))
	if !w.strikes(w.faults.Torn) {
		w.counts.Kept++
		d.durable.write(data, off)
		return
	}
	w.counts.Torn++
	w.tear(len(data), func(from, to int) { d.durable.write(data[from:to], off+int64(from)) })
}

// tear calls keep for the sectors of n bytes that survive: a prefix, a
// suffix, or each by a coin.
func (w *World) tear(n int, keep func(from, to int)) {
	sectors := n / sectorSize
	switch at := w.rand.IntN(sectors+1) * sectorSize; w.rand.IntN(3) {
	case 0:
		keep(0, at)
	case 1:
		keep(at, n)
	default:
		for i := range sectors {
			if w.coin() {
				keep(i*sectorSize, (i+1)*sectorSize)
			}
		}
	}
}

// killQueues ends the process that the queues belong to.
func (w *World) killQueues() {
	for _, q := range w.queues {
		q.dead = true
		q.slots, q.ready = nil, nil
	}
	w.queues = nil
	w.flying = nil
	w.cut, w.cutAt = false, 0
}

// inFlight returns the operations that have not taken effect, those of one
// device or of all (nil), in the order of their submission.
func (w *World) inFlight(d *device) []*flight {
	var fs []*flight
	for _, f := range w.flying {
		if f.dev != nil && (d == nil || f.dev == d) {
			fs = append(fs, f)
		}
	}
	slices.SortFunc(fs, func(a, b *flight) int { return int(int64(a.seq) - int64(b.seq)) })
	return fs
}

// CutAfter cuts the power when the n-th device operation from now (1: the
// next) has been submitted: no Poll completes anything any more, all answer
// ErrPowerCut. The driver then calls Crash, or Kill. 0 calls it off.
func (w *World) CutAfter(n int) {
	w.cutAt = 0
	if n > 0 {
		w.cutAt = w.submitted + uint64(n)
	}
}

// PowerCut reports whether a cut that CutAfter announced has come and neither
// Crash nor Kill has followed yet.
func (w *World) PowerCut() bool { return w.cut }

// FailOp makes the n-th device operation from now (1: the next) fail with
// errno. A failing Write has written nothing, some sectors or all.
func (w *World) FailOp(n int, errno syscall.Errno) {
	w.failOps[w.submitted+uint64(n)] = errno
}

// Fail makes reads and writes that touch bytes from to to (exclusive) of a
// device fail with errno and do nothing, until they are healed by errno 0.
func (w *World) Fail(dev string, from, to int64, errno syscall.Errno) {
	w.FailKind(ioring.Nop, dev, from, to, errno)
}

// FailKind is Fail for one kind of operation (Nop: Read and Write). For Fsync
// the range does not matter, as long as it is not empty.
func (w *World) FailKind(k ioring.Kind, dev string, from, to int64, errno syscall.Errno) {
	d := w.mustDevice(dev)
	d.failing = slices.DeleteFunc(d.failing, func(f failing) bool {
		return f.kind == k && f.from == from && f.to == to
	})
	if errno != 0 {
		d.failing = append(d.failing, failing{kind: k, from: from, to: to, errno: errno})
	}
}

// Rot flips one drawn bit in each of the n bytes at off: on the medium, and
// so in what reads see.
func (w *World) Rot(dev string, off int64, n int) {
	d := w.mustDevice(dev)
	for i := range int64(n) {
		bit := uint(w.rand.IntN(8))
		d.visible.flip(off+i, bit)
		d.durable.flip(off+i, bit)
	}
	w.counts.Rot++
}

// Spoil makes the sector at off unreadable (ENODATA) until it is written.
func (w *World) Spoil(dev string, off int64) { w.mustDevice(dev).spoil(off) }

// Stall freezes a device: nothing on it completes for the next d.
func (w *World) Stall(dev string, d time.Duration) {
	dv := w.mustDevice(dev)
	dv.stalledUntil = max(dv.stalledUntil, w.now+d)
}

// Vanish pulls a device out: all operations on it fail, those in flight too.
func (w *World) Vanish(dev string) { w.mustDevice(dev).gone = true }

// Reappear plugs a device in again: it has lost power, as in Crash.
func (w *World) Reappear(dev string) {
	d := w.mustDevice(dev)
	w.cutPower(d)
	d.gone = false
}

// Unsynced returns how many bytes a power cut could take from a device.
func (w *World) Unsynced(dev string) int64 {
	var n int64
	for _, c := range w.mustDevice(dev).cache {
		if !c.durable {
			n += int64(len(c.data))
		}
	}
	return n
}

// Snapshot returns what reads of a device would see.
func (w *World) Snapshot(dev string) []byte {
	d := w.mustDevice(dev)
	p := make([]byte, d.size)
	d.visible.read(p, 0)
	return p
}

// Restore gives a device the content of a Snapshot, durably. Operations in
// flight go on.
func (w *World) Restore(dev string, content []byte) {
	d := w.mustDevice(dev)
	if int64(len(content)) != d.size {
		panic(fmt.Sprintf("sim: restore %d bytes to device %s of %d", len(content), dev, d.size))
	}
	d.visible, d.durable = newImage(d.size), newImage(d.size)
	d.visible.write(content, 0)
	d.durable.write(content, 0)
	clear(d.differs)
	d.cache, d.cacheBytes, d.latent = nil, 0, nil
}

func (w *World) mustDevice(name string) *device {
	for _, d := range w.devices {
		if d.name == name {
			return d
		}
	}
	panic("sim: no device " + name)
}

// deviceOf returns the device of a File, nil for an unknown one.
func (w *World) deviceOf(f ioring.File) *device {
	if i := f.FD() - fdBase; i >= 0 && i < len(w.devices) {
		return w.devices[i]
	}
	return nil
}

// hasten lets f take effect now.
func (w *World) hasten(f *flight) {
	f.at = w.now
	heap.Fix(&w.flying, f.index)
}

// forget takes a closed queue out of the machine.
func (w *World) forget(q *queue) {
	w.queues = slices.DeleteFunc(w.queues, func(other *queue) bool { return other == q })
}

// step takes the soonest operation in flight to its effect.
func (w *World) step() {
	f := w.flying[0]
	w.now = max(w.now, f.at)
	if f.dev != nil && f.dev.stalledUntil > w.now && !f.cancelled && !f.dev.gone {
		f.at = f.dev.stalledUntil
		heap.Fix(&w.flying, 0)
		return
	}
	heap.Pop(&w.flying)
	w.effects++
	f.result = w.effect(f)
	f.q.ready = append(f.q.ready, f)
	w.noteCompletion(f)
}

// strikes draws whether a fault with this rate happens now.
func (w *World) strikes(rate float64) bool { return rate > 0 && w.rand.Float64() < rate }

func (w *World) coin() bool { return w.rand.Uint64()&1 == 0 }

// draw returns a duration within r.
func (w *World) draw(r Range) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + time.Duration(w.rand.Int64N(int64(r.Max-r.Min)+1))
}
