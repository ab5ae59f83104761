package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

const (
	// A sequence number is the number of the start, from the headers, and
	// below it a count of wblocks: so none is used twice, whatever a crash
	// has lost. 2^40 wblocks a start are 8 EiB.
	sequenceBits = 40
	maxStarts    = 1<<(64-sequenceBits) - 1
	// memoryStripes is how many stripes a memory store has at least, and
	// stripeWblocks how many wblocks each: 512 MiB in all, as the original.
	memoryStripes = 8
	stripeWblocks = 8
)

// Store keeps the records of one namespace.
type Store struct {
	namespace   string
	memory      bool
	wblockSize  int
	wblockShift uint
	readBuffers int
	writeFlags  ioring.Flags
	log         *slog.Logger
	dom         *epoch.Domain
	pool        pool
	devices     []*device // by their number in the set

	dyn        atomic.Pointer[Options] // as changed at run time
	lwmBytes   atomic.Int32            // below it a wblock is defragged
	toFlush    atomic.Int32            // full swbs that wait for their flush
	maxToFlush atomic.Int32

	sequence atomic.Uint64 // of wblocks: the last one given out
	// tick counts wblocks that became empty. A lane's oldest compares with it.
	tick       atomic.Uint64
	flushAsked atomic.Uint64 // lanes flush what was reserved before this tick
	loaded     atomic.Bool
	nextVictim atomic.Uint32 // device to ask first

	mu     sync.Mutex
	lanes  atomic.Pointer[[]*Lane]
	gone   laneCounters    // of closed lanes
	arenas []*ioring.Arena // of closed lanes: their queues may still know them
	closed bool
}

func newStore(o Options, dom *epoch.Domain) *Store {
	assert.That(dom != nil, "a store has an epoch domain")
	s := &Store{
		namespace:   o.Namespace,
		wblockSize:  o.WblockSize,
		wblockShift: uint(bits.TrailingZeros(uint(o.WblockSize))),
		readBuffers: o.ReadBuffers,
		log:         o.Log,
		dom:         dom,
	}
	if !o.DisableODSync {
		s.writeFlags = ioring.DSync
	}
	s.pool = pool{size: o.WblockSize, dom: dom, mapped: map[*swb]struct{}{}}
	s.lanes.Store(new([]*Lane))
	s.setDynamic(o)
	return s
}

// OpenMemory makes a store in memory, with o.DataSize bytes, empty. There is
// nothing to load: NewLane may follow at once.
func OpenMemory(o Options, dom *epoch.Domain) (*Store, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	least := int64(memoryStripes * stripeWblocks * o.WblockSize)
	if o.DataSize < least {
		return nil, fmt.Errorf("storage: data-size %d: want at least %d", o.DataSize, least)
	}
	n := max(memoryStripes, int((o.DataSize+record.MaxDeviceSize-1)/record.MaxDeviceSize))
	if n > record.MaxDevices {
		return nil, fmt.Errorf("storage: data-size %d: want at most %d", o.DataSize, record.MaxDevices*int64(record.MaxDeviceSize))
	}
	s := newStore(o, dom)
	s.memory = true
	stripe := o.DataSize / int64(n) &^ int64(o.WblockSize-1)
	for i := range n {
		mem, err := mapMemory(int(stripe))
		if err != nil {
			return nil, errors.Join(err, s.Close(nil, false))
		}
		d := &device{s: s, number: i, mem: mem, name: fmt.Sprintf("stripe-%d", i), block: 1, fresh: true}
		d.header.size = stripe
		d.init(o.WblockSize)
		s.devices = append(s.devices, d)
	}
	s.loaded.Store(true)
	return s, nil
}

// Configure changes what can change at run time: FlushSize, FlushMax,
// PostWriteCache, CacheReplicaWrites, MaxWriteCache, DefragLWM, DefragSleep
// and DefragQueueMin. Everything else in o is ignored. A higher DefragLWM
// queues the wblocks that it newly reaches.
func (s *Store) Configure(o Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.dyn.Load()
	n := old
	n.FlushSize, n.FlushMax = o.FlushSize, o.FlushMax
	n.PostWriteCache, n.CacheReplicaWrites, n.MaxWriteCache = o.PostWriteCache, o.CacheReplicaWrites, o.MaxWriteCache
	n.DefragLWM, n.DefragSleep, n.DefragQueueMin = o.DefragLWM, o.DefragSleep, o.DefragQueueMin
	n.setDefaults()
	if err := n.validate(); err != nil {
		return err
	}
	s.pool.addLimit(s.budget(&n) - s.budget(&old))
	s.setDynamic(n)
	for _, d := range s.devices {
		d.mu.Lock()
		d.trimCacheLocked(d.cacheBudget())
		if n.DefragLWM > old.DefragLWM && s.loaded.Load() {
			for i := range d.wblocks[1:d.pristine] {
				d.settleLocked(uint32(i) + 1)
			}
		}
		d.mu.Unlock()
	}
	return nil
}

func (s *Store) setDynamic(o Options) {
	s.dyn.Store(&o)
	s.lwmBytes.Store(int32(int64(o.DefragLWM) * int64(s.wblockSize) / 100))
	s.maxToFlush.Store(int32(min(o.MaxWriteCache/int64(s.wblockSize)*int64(len(s.devices)), 1<<30)))
}

// sizeLimits sets what depends on the number of devices.
func (s *Store) sizeLimits() {
	o := s.dyn.Load()
	s.setDynamic(*o)
	s.pool.addLimit(s.budget(o))
}

// budget returns how many buffers the caches may hold, and what the headroom
// for replicas and for readers that are late to leave their epoch adds.
func (s *Store) budget(o *Options) int {
	const most = 1 << 48 // bytes a device; options may say "no limit"
	perDevice := (min(o.MaxWriteCache, most) + min(o.PostWriteCache, most)) / int64(s.wblockSize)
	return int(perDevice+2)*len(s.devices) + replicaHeadroom
}

// Options returns the options in force.
func (s *Store) Options() Options { return *s.dyn.Load() }

// MaxRecord returns the size in bytes of the largest record that fits.
func (s *Store) MaxRecord() int { return s.wblockSize - wblockOverhead }

func (s *Store) flushSize() int { return int(s.dyn.Load().FlushSize) }

// offset returns where wblock i begins on its device.
func (s *Store) offset(i uint32) int64 { return int64(i) << s.wblockShift }

// wblockOf returns the wblock of an address.
func (s *Store) wblockOf(a record.Address) uint32 { return uint32(a.Offset() >> s.wblockShift) }

// inWblock returns the position of an address within its wblock.
func (s *Store) inWblock(a record.Address) int { return int(a.Offset() & int64(s.wblockSize-1)) }

// cacheable reports whether wblocks of a kind enter the post-write cache.
func (s *Store) cacheable(k Kind) bool {
	return k == Master || k == Replica && s.dyn.Load().CacheReplicaWrites
}

// Free says that the record at a is dead: nothing leads to it any more. Its
// wblock may become free, or be queued for defrag.
func (s *Store) Free(a record.Address) {
	d := s.devices[a.Device()]
	i := s.wblockOf(a)
	left := d.wblocks[i].used.Add(-int32(a.Size()))
	assert.That(left >= 0, "a record is freed once")
	if s.loaded.Load() {
		d.noteFreed(i, left)
	}
}

// askFlush makes every lane flush, in its next Tick, what it reserved before
// tick.
func (s *Store) askFlush(tick uint64) {
	for {
		old := s.flushAsked.Load()
		if old >= tick || s.flushAsked.CompareAndSwap(old, tick) {
			return
		}
	}
}

// flushedThrough reports whether all that was reserved before tick is on its
// device.
func (s *Store) flushedThrough(tick uint64) bool {
	for _, l := range *s.lanes.Load() {
		if l.oldest.Load() < tick {
			return false
		}
	}
	return true
}

func (s *Store) addLane(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := append(slices.Clone(*s.lanes.Load()), l)
	s.lanes.Store(&lanes)
	if !s.memory {
		s.pool.addLimit(len(s.devices) * nKinds)
	}
}

func (s *Store) removeLane(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := slices.DeleteFunc(slices.Clone(*s.lanes.Load()), func(o *Lane) bool { return o == l })
	s.lanes.Store(&lanes)
	s.gone.hits.Add(l.published.hits.Load())
	s.gone.misses.Add(l.published.misses.Load())
	if !s.memory {
		s.pool.addLimit(-len(s.devices) * nKinds)
		s.arenas = append(s.arenas, l.arena)
	}
}

// Close ends the use of the store: the lanes and their queues are closed, and
// nobody holds a view. With clean, the headers of the devices say that all of
// their contents is there; that fails for a device that is fenced. The devices
// stay the caller's to close. q is a queue of the calling thread; a memory
// store, and a close that is not clean, need none.
func (s *Store) Close(q ioring.Queue, clean bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if n := len(*s.lanes.Load()); n > 0 {
		return fmt.Errorf("storage: close of namespace %s: %d lanes are still open, want none", s.namespace, n)
	}
	s.closed = true
	var errs []error
	for _, d := range s.devices {
		if clean && !s.memory {
			errs = append(errs, d.markClean(q))
		}
		d.dropImages()
		if d.mem != nil {
			unmapMemory(d.mem)
			d.mem = nil
		}
	}
	for _, a := range s.arenas {
		errs = append(errs, a.Close())
	}
	// A process that dies in a simulation leaves victims behind.
	if out := s.pool.close(); out > 0 && clean {
		errs = append(errs, fmt.Errorf("storage: close of namespace %s: %d buffers are still in use", s.namespace, out))
	}
	return errors.Join(errs...)
}

// markClean writes the headers of a device on which everything is flushed.
func (d *device) markClean(q ioring.Queue) error {
	if d.fenced.Load() {
		return fmt.Errorf("storage: %s: not marked clean: a write had failed", d.name)
	}
	if !d.loaded {
		return nil // never used: it is as unclean as it was
	}
	file, err := q.Attach(d.dev)
	if err != nil {
		return fmt.Errorf("storage: %s: attach: %w", d.name, err)
	}
	u := &setup{q: q, file: file, d: d}
	if d.s.writeFlags&ioring.DSync == 0 {
		if err := u.sync(); err != nil {
			return err
		}
	}
	d.header.pristine = d.pristine
	return u.writeHeader(true)
}

// dropImages gives the pool every buffer that is still an image.
func (d *device) dropImages() {
	for i := range d.wblocks {
		b := d.wblocks[i].image.Swap(nil)
		if b != nil && d.mem == nil {
			d.s.pool.put(b)
		}
	}
}
