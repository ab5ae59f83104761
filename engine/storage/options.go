package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
)

// Sizes of the format. DefaultWblockSize is the original's fixed 8 MiB.
const (
	DefaultWblockSize = 8 << 20
	minWblockSize     = 16 << 10
	minWblocks        = 16      // of a device: 128 MiB with the default wblock
	minFlushSize      = 4 << 10 // bytes
	maxNamespaceName  = 31
)

// Defaults of Options; the original's.
const (
	defaultFlushSize      = 1 << 20
	defaultFlushMax       = time.Second
	defaultPostWriteCache = 256 << 20
	defaultMaxWriteCache  = 64 << 20
	defaultDefragLWM      = 50
	defaultDefragSleep    = time.Millisecond
	defaultReadBuffers    = 32 << 20
	defragFlushMax        = 3 * time.Second // age at which a defrag swb is flushed
)

// Room beyond max-write-cache, in wblocks: writes that a peer has already
// accepted, and defrag, which frees more than it takes.
const (
	replicaHeadroom = 192
	defragHeadroom  = 128
)

// Options configures Open and OpenMemory. DefaultOptions has the defaults. A
// zero FlushMax, PostWriteCache, DefragSleep, DefragQueueMin or
// DefragStartupMin means zero; any other zero field means its default.
type Options struct {
	// Namespace is the name of the namespace, 1 to 31 bytes; it stands in
	// the header of each device.
	Namespace string

	// Devices and Files name what Open gets opened, DirectFiles, Filesize
	// and ReadPageCache say how. They are here for whoever opens them.
	Devices       []string `config:"device"`
	Files         []string `config:"file"`
	Filesize      int64    `config:"filesize"`
	DirectFiles   bool     `config:"direct-files"`
	ReadPageCache bool     `config:"read-page-cache"`

	// DataSize is the capacity of a memory store in bytes.
	DataSize int64 `config:"data-size"`

	// FlushSize is the unit of writes to a device in bytes, a power of two
	// from 4 KiB to the size of a wblock. Default 1 MiB.
	FlushSize int64 `config:"flush-size"`
	// FlushMax is the age at which records that do not fill a flush unit
	// are written nevertheless: what a crash can lose without a commit.
	// 0 means never.
	FlushMax time.Duration `config:"flush-max-ms"`
	// PostWriteCache is how much of a device's newest wblocks stays in
	// memory, in bytes a device. 0 means none.
	PostWriteCache int64 `config:"post-write-cache"`
	// CacheReplicaWrites lets wblocks of replica writes into that cache.
	CacheReplicaWrites bool `config:"cache-replica-writes"`
	// MaxWriteCache is how much may wait for being written, in bytes a
	// device, before writes are refused with DeviceOverload. Default 64 MiB,
	// at least 8 wblocks.
	MaxWriteCache int64 `config:"max-write-cache"`

	// DefragLWM is the fill, in percent, below which a wblock is defragged.
	// Default 50. Higher saves space and costs write amplification.
	DefragLWM int `config:"defrag-lwm-pct"`
	// DefragSleep is the pause between two reads of defrag. The engine, which
	// paces defrag, keeps it.
	DefragSleep time.Duration `config:"defrag-sleep"`
	// DefragQueueMin is how many wblocks stay queued on a device before
	// Victim gives one out.
	DefragQueueMin int `config:"defrag-queue-min"`
	// DefragStartupMin is the avail-pct that the engine reaches by defrag
	// before it serves. 0 to 99.
	DefragStartupMin int `config:"defrag-startup-minimum"`

	// CommitToDevice says that the engine acknowledges a write when it is
	// durable. It excludes DisableODSync.
	CommitToDevice bool `config:"commit-to-device"`
	// DisableODSync leaves flushed data in the device's volatile cache: a
	// power cut can then lose more than FlushMax of writes.
	DisableODSync bool `config:"disable-odsync"`
	// ColdStartEmpty forgets all records of the namespace's own devices.
	ColdStartEmpty bool `config:"cold-start-empty"`

	// ForceInit lists the paths of devices to be taken over whatever they
	// hold.
	ForceInit []string

	// WblockSize is the size of a wblock in bytes, a power of two. Default
	// 8 MiB; tests and the simulator shrink it, to no less than 16 KiB.
	WblockSize int
	// ReadBuffers is the size in bytes of a lane's arena for device reads and
	// partial flushes. Default 32 MiB, at least four wblocks.
	ReadBuffers int
	// Seed draws the identifiers of fresh devices from a number, so that a
	// simulation can be repeated. 0 draws them from the system.
	Seed uint64
	// Log takes what is worth a line. Default slog.Default().
	Log *slog.Logger
}

// DefaultOptions returns the defaults of every option.
func DefaultOptions() Options {
	o := Options{
		FlushMax:       defaultFlushMax,
		PostWriteCache: defaultPostWriteCache,
		DefragSleep:    defaultDefragSleep,
	}
	o.setDefaults()
	return o
}

func (o *Options) setDefaults() {
	orInt := func(p *int64, otherwise int64) {
		if *p == 0 {
			*p = otherwise
		}
	}
	if o.WblockSize == 0 {
		o.WblockSize = DefaultWblockSize
	}
	orInt(&o.FlushSize, min(defaultFlushSize, int64(o.WblockSize)))
	orInt(&o.MaxWriteCache, max(defaultMaxWriteCache, 8*int64(o.WblockSize)))
	if o.DefragLWM == 0 {
		o.DefragLWM = defaultDefragLWM
	}
	if o.ReadBuffers == 0 {
		o.ReadBuffers = max(defaultReadBuffers, 4*o.WblockSize)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// validate reports every mistake at once, in the operator's own words.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("storage: "+format, args...))
	}
	if n := len(o.Namespace); n < 1 || n > maxNamespaceName {
		bad("namespace name %q of %d bytes: want 1 to %d", o.Namespace, n, maxNamespaceName)
	}
	if w := o.WblockSize; !powerOfTwo(int64(w)) || w < minWblockSize || w > record.MaxFlatSize {
		bad("wblock size %d: want a power of two from %d to %d", w, minWblockSize, record.MaxFlatSize)
	}
	if f := o.FlushSize; !powerOfTwo(f) || f < minFlushSize || f > int64(o.WblockSize) {
		bad("flush-size %d: want a power of two from %d to %d", f, minFlushSize, o.WblockSize)
	}
	if o.FlushMax < 0 || o.FlushMax > time.Second {
		bad("flush-max-ms %v: want 0 to 1 s", o.FlushMax)
	}
	if o.PostWriteCache < 0 {
		bad("post-write-cache %d: want 0 or more", o.PostWriteCache)
	}
	if least := 8 * int64(o.WblockSize); o.MaxWriteCache < least {
		bad("max-write-cache %d: want at least %d, eight wblocks", o.MaxWriteCache, least)
	}
	if o.DefragLWM < 1 || o.DefragLWM > 99 {
		bad("defrag-lwm-pct %d: want 1 to 99", o.DefragLWM)
	}
	if o.DefragSleep < 0 {
		bad("defrag-sleep %v: want 0 or more", o.DefragSleep)
	}
	if o.DefragQueueMin < 0 {
		bad("defrag-queue-min %d: want 0 or more", o.DefragQueueMin)
	}
	if o.DefragStartupMin < 0 || o.DefragStartupMin > 99 {
		bad("defrag-startup-minimum %d: want 0 to 99", o.DefragStartupMin)
	}
	if o.CommitToDevice && o.DisableODSync {
		bad("commit-to-device with disable-odsync: want one of them")
	}
	if least := 4 * o.WblockSize; o.ReadBuffers < least {
		bad("read buffers of %d bytes: want at least %d, four wblocks", o.ReadBuffers, least)
	}
	return errors.Join(errs...)
}

func powerOfTwo(n int64) bool { return n > 0 && bits.OnesCount64(uint64(n)) == 1 }
