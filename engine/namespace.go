package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

// Env is what a namespace needs of its surroundings.
type Env struct {
	// Devices of a namespace on devices, opened, in the order of the
	// configuration.
	Devices []*ioring.Device
	// NewQueue makes a queue on the calling thread. Open and Check use one of
	// their own; a namespace in memory needs none.
	NewQueue func() (ioring.Queue, error)
	// Now tells the time at which Open decides what has expired.
	Now func() record.Time
	// Log takes what is worth a line. Default slog.Default().
	Log *slog.Logger
	// IndexMemory is the most memory of the index in bytes; 0: the default of
	// package index.
	IndexMemory int64
}

// Namespace is an open namespace. Its methods may be called from any thread;
// records are reached through Workers.
type Namespace struct {
	name     string
	env      Env
	log      *slog.Logger
	inMemory bool
	// commits says that a write is answered when it is on the device.
	commits bool
	// shadows is the flag that entries which replace another get, 0 in memory,
	// where no old copy can come back.
	shadows uint8

	options atomic.Pointer[Options]
	index   *index.Index
	store   *storage.Store
	domain  *epoch.Domain
	sets    *setTable

	// stop is why client writes are refused, nil while they are accepted.
	stop          atomic.Pointer[string]
	evaluated     atomic.Uint64 // record.Time of the last look at the limits
	sysMemoryPct  atomic.Int32
	nonExpirable  atomic.Int64
	unreadableLog logLimit

	mu       sync.Mutex // guards counters and Configure
	counters []*counters
}

// shadows in an entry's flags says that older copies of the record may lie on
// a device: when the record goes, a tombstone has to stay.
const shadows uint8 = 1 << 7

const _ = uint(shadows - index.HasKey - index.Tombstone - 1) // the index's flags are other bits

// Open opens a namespace. One on devices is read back from them first (cold
// start): the newest copy of each record counts, what was deleted or has
// expired does not.
func Open(o Options, env Env) (*Namespace, error) {
	ns, err := open(o, env)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", o.Name, err)
	}
	return ns, nil
}

func open(o Options, env Env) (ns *Namespace, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if env.Log == nil {
		env.Log = slog.Default()
	}
	if env.Now == nil {
		return nil, errors.New("engine: no clock: want Env.Now")
	}
	ns = &Namespace{
		name:     o.Name,
		env:      env,
		log:      env.Log.With("namespace", o.Name),
		inMemory: o.Storage.Type == StorageMemory && len(env.Devices) == 0,
		domain:   &epoch.Domain{},
		sets:     newSetTable(o.Sets),
	}
	o.Storage.Namespace, o.Storage.Log = o.Name, env.Log
	ns.options.Store(&o)
	if !ns.inMemory {
		ns.shadows = shadows
		ns.commits = o.Storage.CommitToDevice
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ns.release(false))
			ns = nil
		}
	}()
	if ns.index, err = index.New(index.Options{Sprigs: o.PartitionTreeSprigs, MaxBytes: env.IndexMemory}); err != nil {
		return ns, err
	}
	if ns.inMemory {
		ns.store, err = storage.OpenMemory(o.Storage.Options, ns.domain)
		return ns, err
	}
	if err = ns.openDevices(&o); err != nil {
		return ns, err
	}
	return ns, nil
}

// openDevices opens the store and reads the index back from it.
func (ns *Namespace) openDevices(o *Options) (err error) {
	if len(ns.env.Devices) == 0 || ns.env.NewQueue == nil {
		return fmt.Errorf("storage-engine device with %d devices: want at least one, and a queue", len(ns.env.Devices))
	}
	runtime.LockOSThread() // a queue belongs to a thread
	defer runtime.UnlockOSThread()
	q, err := ns.env.NewQueue()
	if err != nil {
		return fmt.Errorf("queue of cold start: %w", err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	if ns.store, err = storage.Open(q, ns.env.Devices, o.Storage.Options, ns.domain); err != nil {
		return err
	}
	return ns.coldStart(q)
}

// Close closes the namespace; all workers are closed already. A clean close
// leaves the devices marked so. It returns the first error, and closes all the
// same.
func (ns *Namespace) Close() error { return ns.release(true) }

// Abandon gives back the namespace's memory without touching the devices, when
// their machine is dead; all workers are abandoned already.
func (ns *Namespace) Abandon() error { return ns.release(false) }

func (ns *Namespace) release(clean bool) error {
	var errs []error
	if ns.store != nil {
		errs = append(errs, ns.closeStore(clean))
		ns.store = nil
	}
	if ns.index != nil {
		errs = append(errs, ns.index.Close())
		ns.index = nil
	}
	return errors.Join(errs...)
}

// closeStore closes the storage, which needs a queue to mark devices clean.
func (ns *Namespace) closeStore(clean bool) error {
	if ns.inMemory || !clean {
		return ns.store.Close(nil, false)
	}
	runtime.LockOSThread() // a queue belongs to a thread
	defer runtime.UnlockOSThread()
	q, err := ns.env.NewQueue()
	if err != nil {
		return errors.Join(fmt.Errorf("queue of close: %w", err), ns.store.Close(nil, false))
	}
	return errors.Join(ns.store.Close(q, true), q.Close())
}

// Name returns the namespace's name.
func (ns *Namespace) Name() string { return ns.name }

// InMemory reports whether records lie in memory only.
func (ns *Namespace) InMemory() bool { return ns.inMemory }

// Objects returns the number of records of a partition, tombstones and
// expired records that are still there included.
func (ns *Namespace) Objects(partition int) int { return ns.index.LenPartition(partition) }

// Store returns the namespace's storage, for its figures.
func (ns *Namespace) Store() *storage.Store { return ns.store }

// Options returns the settings in force.
func (ns *Namespace) Options() Options {
	o := *ns.options.Load()
	o.Sets = slices.Clone(o.Sets)
	return o
}

// Configure changes the dynamic settings. It refuses, changing nothing, when a
// value is out of range or a fixed setting differs.
func (ns *Namespace) Configure(o Options) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if err := o.validate(); err != nil {
		return fmt.Errorf("namespace %s: %w", ns.name, err)
	}
	old := ns.options.Load()
	var errs []error
	fixed := func(name string, same bool) {
		if !same {
			errs = append(errs, fmt.Errorf("namespace %s: %s cannot change while the node runs", ns.name, name))
		}
	}
	fixed("the name", o.Name == old.Name)
	fixed("partition-tree-sprigs", o.PartitionTreeSprigs == old.PartitionTreeSprigs)
	fixed("storage-engine", o.Storage.Type == old.Storage.Type)
	fixed("commit-to-device", o.Storage.CommitToDevice == old.Storage.CommitToDevice)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	o.Storage.Namespace, o.Storage.Log = ns.name, ns.env.Log
	if err := ns.store.Configure(o.Storage.Options); err != nil {
		return fmt.Errorf("namespace %s: %w", ns.name, err)
	}
	o.Sets = slices.Clone(o.Sets)
	ns.options.Store(&o)
	ns.sets.configure(o.Sets)
	return nil
}

// addCounters gives a thread counters and a number of its own.
func (ns *Namespace) addCounters() (*counters, int) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	c := &counters{}
	ns.counters = append(ns.counters, c)
	return c, len(ns.counters) - 1
}

func (ns *Namespace) allCounters() []*counters {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.counters
}

func (ns *Namespace) indexBytes() int64 {
	m := ns.index.Memory()
	return m.InUse
}

// logUnreadable reports a record that is not what the index says, at most once a
// second by the records' own clock.
func (ns *Namespace) logUnreadable(e *index.Entry) {
	if ns.unreadableLog.allow(ns.env.Now()) {
		ns.log.Error("record cannot be read back as it was written; it is not answered",
			"digest", fmt.Sprintf("%x", e.Digest), "device", e.Addr.Device(), "offset", e.Addr.Offset(), "size", e.Addr.Size())
	}
}

// logLimit lets one line a second through.
type logLimit struct{ last atomic.Uint64 }

func (l *logLimit) allow(now record.Time) bool {
	last := l.last.Load()
	return uint64(now) >= last+1000 && l.last.CompareAndSwap(last, uint64(now))
}
