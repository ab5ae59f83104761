package sim

import (
	"syscall"
	"time"
)

// Range is an interval of durations, both ends included.
type Range struct{ Min, Max time.Duration }

// Latencies of a device when Faults gives none: of the order of an NVMe drive.
var (
	defaultReadLatency  = Range{60 * time.Microsecond, 140 * time.Microsecond}
	defaultWriteLatency = Range{15 * time.Microsecond, 60 * time.Microsecond}
	defaultSyncLatency  = Range{100 * time.Microsecond, 900 * time.Microsecond}
)

// Default limits of a Faults value.
const (
	defaultCacheSize = 8 << 20 // bytes
	defaultStallTime = 3 * time.Second
)

// Faults says how the devices of a World misbehave. The zero value is a
// perfect machine: operations complete in order, all succeed, and all that
// was visible survives a power cut. Rates are probabilities from 0 to 1 for
// each operation of the kind that is named.
type Faults struct {
	// ReadLatency, WriteLatency and SyncLatency are drawn from evenly. The
	// zero Range means the default.
	ReadLatency, WriteLatency, SyncLatency Range

	// Reorder is the rate of operations that may overtake and be overtaken.
	// The others of a device complete in the order of their Submit.
	Reorder float64
	// Slow is the rate of operations that take 10 to 1000 times as long.
	Slow float64
	// Stall is the rate of operations that freeze their device for StallTime
	// (default 3 s): nothing completes before it is over.
	Stall     float64
	StallTime time.Duration

	// ReadError, WriteError and SyncError are rates of operations that fail
	// with EIO or ENODATA. A failed Write has written nothing, some sectors
	// or all. A failed Fsync leaves some of the writes before it visible and
	// never durable.
	ReadError, WriteError, SyncError float64
	// Again is the rate of Reads and Writes that do nothing and answer EAGAIN
	// or EINTR.
	Again float64
	// Short is the rate of Reads and Writes of more than one block that move
	// a whole number of blocks fewer than asked, but at least one.
	Short float64
	// Latent is the rate of Writes that leave one sector unreadable (ENODATA)
	// until it is written again.
	Latent float64

	// Rot is the rate of Writes that leave one bit flipped on the device.
	Rot float64
	// ReadRot is the rate of Reads that deliver one bit flipped; the device
	// itself is sound.
	ReadRot float64
	// MisdirectWrite and MisdirectRead are rates of operations that succeed
	// at another, drawn place of the same device.
	MisdirectWrite, MisdirectRead float64
	// Dropped is the rate of Writes that succeed without writing.
	Dropped float64

	// Lost and Torn decide about each un-synced Write at a power cut: it is
	// wholly lost, or torn (some of its sectors are kept), or else kept.
	// A Write in flight is lost with one chance in two, else torn or kept.
	Lost, Torn float64
	// LyingSync is the rate of DSync Writes and Fsyncs that succeed without
	// making anything durable.
	LyingSync float64
	// CacheSize limits the un-synced bytes of a device (default 8 MiB); the
	// oldest Writes become durable when it is exceeded.
	CacheSize int64
}

func (f *Faults) setDefaults() {
	for _, d := range []struct{ latency, otherwise *Range }{
		{&f.ReadLatency, &defaultReadLatency},
		{&f.WriteLatency, &defaultWriteLatency},
		{&f.SyncLatency, &defaultSyncLatency},
	} {
		if *d.latency == (Range{}) {
			*d.latency = *d.otherwise
		}
	}
	if f.StallTime == 0 {
		f.StallTime = defaultStallTime
	}
	if f.CacheSize == 0 {
		f.CacheSize = defaultCacheSize
	}
}

// Counts is how often each fault has struck since the World began.
type Counts struct {
	Slow, Stalls                        int
	ReadErrors, WriteErrors, SyncErrors int
	Again, Short, Latent                int
	Rot, ReadRot                        int
	MisdirectedWrites, MisdirectedReads int
	Dropped, LyingSyncs                 int
	Kept, Lost, Torn                    int // fates of writes at power cuts
	Unaligned                           int // operations refused with EINVAL
}

// Errors drawn for a failing operation: a failed command, and a media error
// as the block layer reports it.
var (
	mediaErrnos = []syscall.Errno{syscall.EIO, syscall.ENODATA}
	againErrnos = []syscall.Errno{syscall.EAGAIN, syscall.EINTR}
	// goneErrnos is what operations on a pulled drive give.
	goneErrnos = []syscall.Errno{syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ENOSPC}
)
