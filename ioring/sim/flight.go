package sim

import (
	"bytes"
	"container/heap"
	"fmt"
	"syscall"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

// poison fills a read's buffer from Submit to Done: a reader that does not
// wait finds it instead of data.
const poison = 0xDB

// poisoned is a stretch of poison, to fill and compare with.
var poisoned = [4096]byte(bytes.Repeat([]byte{poison}, 4096))

// transfer returns the time that n bytes add to an operation, at 2 GB/s.
func transfer(n int) time.Duration { return time.Duration(n) * time.Nanosecond / 2 }

// flight is one operation in flight.
type flight struct {
	q    *queue
	op   *ioring.Op
	dev  *device // nil for Nop and Timeout
	slot uint32  // op.Slot

	off   int64
	n     int
	data  []byte        // Write: Buf as it was at Submit; Read: what Done will find
	mark  uint64        // Fsync: effects that it covers are below
	errno syscall.Errno // drawn by FailOp

	at        time.Duration // when it takes effect
	seq       uint64        // breaks ties of at: order of Submit
	index     int           // in World.flying, -1 when ready
	cancelled bool
	result    int32
}

// flights is a heap, soonest first.
type flights []*flight

func (h flights) Len() int { return len(h) }
func (h flights) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h flights) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for container/heap.
func (h *flights) Push(x any) {
	f := x.(*flight)
	f.index = len(*h)
	*h = append(*h, f)
}

// Pop is for container/heap.
func (h *flights) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	f.index = -1
	return f
}

// launch gives f its time of completion and puts it in flight.
func (w *World) launch(f *flight) {
	w.schedule(f)
	heap.Push(&w.flying, f)
}

// schedule draws when f takes effect.
func (w *World) schedule(f *flight) {
	var latency time.Duration
	switch f.op.Kind {
	case ioring.Nop:
	case ioring.Timeout:
		latency = time.Duration(max(f.op.Offset, 0))
	case ioring.Read:
		latency = w.draw(w.faults.ReadLatency) + transfer(f.n)
	case ioring.Write:
		latency = w.draw(w.faults.WriteLatency) + transfer(f.n)
	case ioring.Fsync:
		latency = w.draw(w.faults.SyncLatency)
	}
	f.at = w.now + latency
	d := f.dev
	if d == nil {
		return
	}
	if w.strikes(w.faults.Stall) {
		w.counts.Stalls++
		d.stalledUntil = max(d.stalledUntil, w.now+w.faults.StallTime)
	}
	switch {
	case w.strikes(w.faults.Slow):
		w.counts.Slow++
		f.at = w.now + latency*time.Duration(10+w.rand.IntN(991))
	case w.strikes(w.faults.Reorder):
	default:
		f.at = max(f.at, d.lastDone)
		d.lastDone = f.at
	}
}

// effect does what f asks at the current time and returns its result.
func (w *World) effect(f *flight) int32 {
	switch {
	case f.cancelled:
		return -int32(syscall.ECANCELED)
	case f.dev == nil:
		return f.result // set by Submit: 0, or the errno of a bad operation
	case f.result < 0:
		return f.result
	case f.dev.gone:
		return -int32(goneErrnos[w.rand.IntN(len(goneErrnos))])
	}
	switch f.op.Kind {
	case ioring.Read:
		return w.read(f)
	case ioring.Write:
		return w.write(f)
	default:
		return w.sync(f)
	}
}

// refusal returns the result of a Read or Write that does not happen at all,
// 0 otherwise.
func (w *World) refusal(f *flight) int32 {
	if errno := f.dev.errnoAt(f.op.Kind, f.off, int64(f.n)); errno != 0 {
		return -int32(errno)
	}
	if w.strikes(w.faults.Again) {
		w.counts.Again++
		return -int32(againErrnos[w.rand.IntN(len(againErrnos))])
	}
	return 0
}

// media returns the errno of an operation that fails at this rate, 0
// otherwise, and counts it.
func (w *World) media(f *flight, rate float64, count *int) syscall.Errno {
	if f.errno != 0 {
		*count++
		return f.errno
	}
	if w.strikes(rate) {
		*count++
		return mediaErrnos[w.rand.IntN(len(mediaErrnos))]
	}
	return 0
}

// reach returns how many bytes f moves: less than asked at the device's end
// and when the fault Short strikes.
func (w *World) reach(f *flight) int {
	n := int(min(int64(f.n), max(f.dev.size-f.off, 0)))
	if blocks := n / f.dev.block; blocks > 1 && w.strikes(w.faults.Short) {
		w.counts.Short++
		n = (1 + w.rand.IntN(blocks-1)) * f.dev.block
	}
	return n
}

// elsewhere returns a drawn block-aligned offset at which n bytes fit.
func (w *World) elsewhere(d *device, n int) int64 {
	return w.rand.Int64N((d.size-int64(n))/int64(d.block)+1) * int64(d.block)
}

func (w *World) read(f *flight) int32 {
	if res := w.refusal(f); res != 0 {
		return res
	}
	if errno := w.media(f, w.faults.ReadError, &w.counts.ReadErrors); errno != 0 {
		return -int32(errno)
	}
	n, off := w.reach(f), f.off
	if n == 0 {
		return 0
	}
	if w.strikes(w.faults.MisdirectRead) {
		w.counts.MisdirectedReads++
		off = w.elsewhere(f.dev, n)
	}
	if !f.dev.readable(off, int64(n)) {
		return -int32(syscall.ENODATA)
	}
	f.data = make([]byte, n)
	f.dev.visible.read(f.data, off)
	w.race(f.dev, f.data, off)
	if w.strikes(w.faults.ReadRot) {
		w.counts.ReadRot++
		f.data[w.rand.IntN(n)] ^= 1 << w.rand.IntN(8)
	}
	return int32(n)
}

// race lays over p, read at off, drawn sectors of the writes in flight there.
func (w *World) race(d *device, p []byte, off int64) {
	for _, f := range w.flying {
		if f.dev != d {
			continue
		}
		data := f.pending()
		from, to := max(off, f.off), min(off+int64(len(p)), f.off+int64(len(data)))
		for at := from; at < to; at += sectorSize {
			if w.coin() {
				copy(p[at-off:at-off+sectorSize], data[at-f.off:])
			}
		}
	}
}

func (w *World) write(f *flight) int32 {
	if res := w.refusal(f); res != 0 {
		return res
	}
	if errno := w.media(f, w.faults.WriteError, &w.counts.WriteErrors); errno != 0 {
		w.writeSome(f)
		return -int32(errno)
	}
	n := w.reach(f)
	if n == 0 {
		return -int32(syscall.ENOSPC)
	}
	if w.strikes(w.faults.Dropped) {
		w.counts.Dropped++
		return int32(n)
	}
	d, off := f.dev, f.off
	if w.strikes(w.faults.MisdirectWrite) {
		w.counts.MisdirectedWrites++
		off = w.elsewhere(d, n)
	}
	d.write(f.data[:n], off, w.durable(f), w.effects, w.faults.CacheSize)
	if w.strikes(w.faults.Rot) {
		w.Rot(d.name, off+w.rand.Int64N(int64(n)), 1)
	}
	if w.strikes(w.faults.Latent) {
		w.counts.Latent++
		d.spoil(off + w.rand.Int64N(int64(n)))
	}
	return int32(n)
}

// durable draws whether a Write is on the medium at its Done.
func (w *World) durable(f *flight) bool {
	if f.op.Flags&ioring.DSync == 0 {
		return false
	}
	if w.strikes(w.faults.LyingSync) {
		w.counts.LyingSyncs++
		return false
	}
	return true
}

// writeSome does what a failing write does: nothing, some sectors, or all.
func (w *World) writeSome(f *flight) {
	data := f.pending()
	switch w.rand.IntN(3) {
	case 0:
	case 1:
		f.dev.write(data, f.off, w.coin(), w.effects, w.faults.CacheSize)
	default:
		w.tear(len(data), func(from, to int) {
			f.dev.write(data[from:to], f.off+int64(from), w.coin(), w.effects, w.faults.CacheSize)
		})
	}
}

func (w *World) sync(f *flight) int32 {
	errno := f.dev.errnoAt(ioring.Fsync, 0, f.dev.size)
	if errno == 0 {
		errno = w.media(f, w.faults.SyncError, &w.counts.SyncErrors)
	}
	switch {
	case errno != 0:
		f.dev.sync(f.mark, w.coin)
		return -int32(errno)
	case w.strikes(w.faults.LyingSync):
		w.counts.LyingSyncs++
	default:
		f.dev.sync(f.mark, func() bool { return false })
	}
	return 0
}

// pending returns what f would still write, nil when it is no write or will
// do nothing.
func (f *flight) pending() []byte {
	if f.op.Kind != ioring.Write || f.cancelled || f.result < 0 || f.dev.gone {
		return nil
	}
	return f.data[:min(int64(f.n), max(f.dev.size-f.off, 0))]
}

// deliver checks that f's buffer was left alone, gives a read its data and
// the operation its result, and returns the operation to its owner.
func (f *flight) deliver() {
	o := f.op
	if f.dev != nil {
		switch o.Kind {
		case ioring.Write:
			if !bytes.Equal(o.Buf, f.data) {
				panic(f.misuse("its buffer changed while in flight, at byte ", differsAt(o.Buf, f.data)))
			}
		case ioring.Read:
			if i := foreign(o.Buf); i >= 0 {
				panic(f.misuse("its buffer was written while in flight, at byte ", i))
			}
			copy(o.Buf, f.data)
		}
	}
	o.Result = f.result
	o.Slot = 0
}

// differsAt returns the first index at which p and q differ.
func differsAt(p, q []byte) int {
	for i := range p {
		if i >= len(q) || p[i] != q[i] {
			return i
		}
	}
	return len(p)
}

// foreign returns the index of the first byte that is not poison, -1 if none.
func foreign(p []byte) int {
	for from := 0; from < len(p); from += len(poisoned) {
		part := p[from:min(from+len(poisoned), len(p))]
		if !bytes.Equal(part, poisoned[:len(part)]) {
			return from + differsAt(part, poisoned[:])
		}
	}
	return -1
}

func (f *flight) String() string {
	if f.dev == nil {
		return kindName(f.op.Kind)
	}
	return fmt.Sprintf("%s of %d bytes at %d on %s", kindName(f.op.Kind), f.n, f.off, f.dev.name)
}

func (f *flight) misuse(fact string, arg any) string { return fmt.Sprint("sim: ", f, ": ", fact, arg) }

func kindName(k ioring.Kind) string {
	switch k {
	case ioring.Nop:
		return "nop"
	case ioring.Read:
		return "read"
	case ioring.Write:
		return "write"
	case ioring.Fsync:
		return "fsync"
	case ioring.Timeout:
		return "timeout"
	}
	return fmt.Sprintf("kind %d", k)
}
