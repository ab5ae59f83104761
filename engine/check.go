package engine

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
	"github.com/ashlardb/ashlar/ioring"
)

// Limits of a Check.
const (
	checkDepth  = 32 // device reads at a time
	checkErrors = 20 // faults that are described; more are counted
)

// checker is the state of one Check.
type checker struct {
	ns    *Namespace
	q     ioring.Queue
	lane  *storage.Lane
	idle  []*checkRead
	reads int // in flight

	bytes  int64
	counts map[uint16]*setSums
	faults int
	errs   []error
}

// checkRead is one device read of a Check.
type checkRead struct {
	c    *checker
	e    index.Entry
	read storage.Read
}

type setSums struct{ objects, tombstones, bytes int64 }

// Check verifies the namespace as a whole: the index and the storage each in
// themselves; that each index entry leads to a whole record of its digest,
// last-update-time, generation, void-time and set; and that what is counted is
// what is there. It reads every record. No request, supervisor or other Check
// runs meanwhile. An error is a bug, or a device that does not keep what was
// written to it.
func (ns *Namespace) Check() (err error) {
	c := &checker{ns: ns, counts: make(map[uint16]*setSums)}
	if err := ns.index.Check(); err != nil {
		c.fault("index: %w", err)
	}
	if err := ns.store.Check(); err != nil {
		c.fault("%w", err)
	}
	if !ns.inMemory {
		runtime.LockOSThread() // a queue belongs to a thread
		defer runtime.UnlockOSThread()
		if c.q, err = ns.env.NewQueue(); err != nil {
			return fmt.Errorf("namespace %s: queue of check: %w", ns.name, err)
		}
		defer func() { err = errors.Join(err, c.q.Close()) }()
	}
	reader := ns.domain.Register()
	defer ns.domain.Unregister(reader)
	if c.lane, err = ns.store.NewLane(c.q, reader); err != nil {
		return fmt.Errorf("namespace %s: check: %w", ns.name, err)
	}
	for range checkDepth {
		cr := &checkRead{c: c}
		cr.read.Done = cr.done
		c.idle = append(c.idle, cr)
	}
	reader.Enter()
	for p := range record.Partitions {
		ns.index.Reduce(p, nil, c.entry)
	}
	for c.reads > 0 && c.poll() {
	}
	reader.Exit()
	c.checkCounts()
	if c.faults > checkErrors {
		c.errs = append(c.errs, fmt.Errorf("and %d more faults", c.faults-checkErrors))
	}
	c.errs = append(c.errs, c.lane.Close())
	if err := errors.Join(c.errs...); err != nil {
		return fmt.Errorf("namespace %s: check: %w", ns.name, err)
	}
	return nil
}

func (c *checker) fault(format string, args ...any) {
	if c.faults++; c.faults <= checkErrors {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

// entry checks one index entry, at once or when its record has been read.
func (c *checker) entry(e *index.Entry) bool {
	sums := c.counts[e.SetID]
	if sums == nil {
		sums = &setSums{}
		c.counts[e.SetID] = sums
	}
	if e.Flags&index.Tombstone != 0 {
		sums.tombstones++
	} else {
		sums.objects++
	}
	sums.bytes += int64(e.Addr.Size())
	c.bytes += int64(e.Addr.Size())
	if flat, ok := c.lane.View(e.Addr); ok {
		c.record(e, flat)
		return true
	}
	for len(c.idle) == 0 {
		if !c.poll() {
			return false
		}
	}
	last := len(c.idle) - 1
	cr := c.idle[last]
	c.idle = c.idle[:last]
	cr.e, cr.read.Addr, cr.read.Digest = *e, e.Addr, e.Digest
	c.reads++
	c.lane.Read(&cr.read)
	return true
}

func (c *checker) poll() bool {
	if _, err := c.q.Poll(time.Second); err != nil {
		c.fault("queue: %w", err)
		return false
	}
	return true
}

// done is the Done of a device read.
func (cr *checkRead) done(r *storage.Read) {
	c := cr.c
	if r.Result != record.OK {
		c.fault("record %x at device %d, offset %d: cannot be read", cr.e.Digest, cr.e.Addr.Device(), cr.e.Addr.Offset())
	} else {
		c.record(&cr.e, r.Flat)
	}
	c.lane.Release(r)
	c.reads--
	c.idle = append(c.idle, cr)
}

// record compares a record with its index entry.
func (c *checker) record(e *index.Entry, flat []byte) {
	f, err := record.ParseFlat(flat)
	if err == nil {
		_, err = f.AppendBins(nil)
	}
	if err != nil {
		c.fault("record %x at device %d, offset %d: %w", e.Digest, e.Addr.Device(), e.Addr.Offset(), err)
		return
	}
	s := c.ns.sets.get(e.SetID)
	if s == nil {
		c.fault("record %x: set %d does not exist", e.Digest, e.SetID)
		return
	}
	if f.Digest != e.Digest || f.LUT != e.LUT || f.Generation != e.Generation || f.VoidTime != e.VoidTime ||
		f.Size() != e.Addr.Size() || f.Tombstone != (e.Flags&index.Tombstone != 0) ||
		(len(f.Key) != 0) != (e.Flags&index.HasKey != 0) || string(f.Set) != string(s.name) ||
		!f.Tombstone && f.NBins == 0 {
		c.fault("record at device %d, offset %d is %+v with %d bins in %d bytes, the index has %+v, set %q",
			e.Addr.Device(), e.Addr.Offset(), f.Meta, f.NBins, f.Size(), *e, s.name)
	}
}

// checkCounts compares what was met with what is counted.
func (c *checker) checkCounts() {
	if used := c.ns.store.Stats().DataUsedBytes; used != c.bytes {
		c.fault("storage counts %d used bytes, the index leads to %d", used, c.bytes)
	}
	c.ns.sets.all(func(s *set) {
		want := setSums{}
		if sums := c.counts[s.id]; sums != nil {
			want = *sums
		}
		if got := (setSums{s.objects(), s.tombstones(), s.bytes()}); got != want {
			c.fault("set %q counts %+v, want %+v", s.name, got, want)
		}
	})
}
