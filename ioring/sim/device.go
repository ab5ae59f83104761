package sim

import (
	"slices"
	"syscall"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

// fdBase is added to the number of a device to make its descriptor: a number
// that no process has open, so that a call which goes around the queue fails
// with EBADF instead of hitting an innocent file.
const fdBase = 1 << 30

// device is one simulated device.
//
// Invariant: visible equals durable with the cached writes laid over it in
// order, except in sectors of chunks marked in differs (lying or failed
// syncs).
type device struct {
	name   string
	number int
	size   int64
	block  int

	visible image  // what reads see
	durable image  // what a power cut leaves
	differs []bool // by chunk: visible and durable may differ

	cache      []cached // un-synced writes, oldest first
	cacheBytes int64    // sum of their lengths

	failing []failing // ranges set by Fail
	latent  []int64   // offsets of unreadable sectors, ascending

	stalledUntil time.Duration
	lastDone     time.Duration // completion time of the last operation in order
	gone         bool
}

// cached is one write in the device's cache.
type cached struct {
	off  int64
	data []byte // never changes
	// durable says that the write has reached the medium already and stands
	// here only to keep an older write of the same sectors from undoing it.
	durable bool
	// effect numbers the effects of the World: it ascends along the cache.
	effect uint64
}

// failing is a range of bytes whose operations fail.
type failing struct {
	kind     ioring.Kind // Nop: every kind
	from, to int64
	errno    syscall.Errno
}

func newDevice(name string, number int, size int64, block int) *device {
	return &device{
		name: name, number: number, size: size, block: block,
		visible: newImage(size), durable: newImage(size),
		differs: make([]bool, (size+chunkSize-1)/chunkSize),
	}
}

// handle returns the device as package ioring knows it.
func (d *device) handle() *ioring.Device {
	return &ioring.Device{
		Path: "sim/" + d.name, FD: fdBase + d.number, Size: d.size, Block: d.block,
		Raw: true, Direct: true, Node: -1,
	}
}

// errnoAt returns the errno that Fail has set for an operation, 0 for none.
func (d *device) errnoAt(k ioring.Kind, off, n int64) syscall.Errno {
	for _, f := range d.failing {
		if (f.kind == k || f.kind == ioring.Nop && k != ioring.Fsync) && off < f.to && f.from < off+n {
			return f.errno
		}
	}
	return 0
}

// readable reports whether no sector of the range is unreadable.
func (d *device) readable(off, n int64) bool {
	i, _ := slices.BinarySearch(d.latent, off/sectorSize*sectorSize)
	return i == len(d.latent) || d.latent[i] >= off+n
}

// spoil makes the sector at off unreadable.
func (d *device) spoil(off int64) {
	off = off / sectorSize * sectorSize
	if i, found := slices.BinarySearch(d.latent, off); !found {
		d.latent = slices.Insert(d.latent, i, off)
	}
}

// show makes data visible at off.
func (d *device) show(data []byte, off int64) {
	d.visible.write(data, off)
	end := off + int64(len(data))
	from, _ := slices.BinarySearch(d.latent, off)
	to, _ := slices.BinarySearch(d.latent, end)
	d.latent = slices.Delete(d.latent, from, to)
	d.markDiffers(off, int64(len(data)))
}

// markDiffers notes that visible and durable may differ in the range.
func (d *device) markDiffers(off, n int64) {
	for i := off / chunkSize; i*chunkSize < off+n; i++ {
		d.differs[i] = true
	}
}

// write makes data visible at off, and durable if asked. The device keeps
// data, which must not change any more.
func (d *device) write(data []byte, off int64, durable bool, effect uint64, limit int64) {
	if len(data) == 0 {
		return
	}
	d.show(data, off)
	if durable {
		d.durable.write(data, off)
		if !d.cachedAt(off, int64(len(data))) {
			return
		}
	}
	d.cache = append(d.cache, cached{off: off, data: data, durable: durable, effect: effect})
	d.cacheBytes += int64(len(data))
	for d.cacheBytes > limit {
		d.destage(d.cache[0])
		d.cache = slices.Delete(d.cache, 0, 1)
	}
}

// cachedAt reports whether a cached write overlaps the range.
func (d *device) cachedAt(off, n int64) bool {
	for i := range d.cache {
		if c := &d.cache[i]; c.off < off+n && off < c.off+int64(len(c.data)) {
			return true
		}
	}
	return false
}

// destage makes one cached write durable. The caller takes it out of the
// cache, in which it is the oldest.
func (d *device) destage(c cached) {
	d.durable.write(c.data, c.off)
	d.cacheBytes -= int64(len(c.data))
}

// sync makes durable every cached write whose effect has a number below mark.
// Those for which doomed answers true leave the cache without becoming
// durable.
func (d *device) sync(mark uint64, doomed func() bool) {
	n := 0
	for n < len(d.cache) && d.cache[n].effect < mark {
		if c := d.cache[n]; !c.durable && doomed() {
			d.cacheBytes -= int64(len(c.data))
		} else {
			d.destage(c)
		}
		n++
	}
	d.cache = slices.Delete(d.cache, 0, n)
}

// settle ends a power cut: what is durable is what is visible.
func (d *device) settle() {
	for i, differs := range d.differs {
		if differs {
			d.visible.copyChunk(&d.durable, i)
			d.differs[i] = false
		}
	}
	clear(d.cache)
	d.cache, d.cacheBytes = d.cache[:0], 0
	d.stalledUntil, d.lastDone = 0, 0
}
