package engine

import (
	"errors"
	"fmt"

	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
	"github.com/ashlardb/ashlar/ioring"
)

// loader reads the index back from the devices of a namespace.
//
// It offers each record that a device holds to the index, which keeps the
// newest of a digest. The entry remembers whether an older copy was met
// (shadows). When all devices have been read, what is left of deleted and
// expired records goes where nothing older could come back, and all else is
// what is live.
type loader struct {
	ns    *Namespace
	now   record.Time
	ticks record.Time // when progress was last logged
	err   error       // why visit stopped

	// unreadable counts wblocks that could not be read, wholly or in part. Older
	// copies may lie there of any record.
	unreadable int

	entry index.Entry // offered; a field, so that newer need not be made for each record

	records, replaced, older, expired, tombstones, unparsable, voids int
}

// progressPeriod is how often a cold start logs how far it is.
const progressPeriod record.Time = 10_000

func (ns *Namespace) coldStart(q ioring.Queue) error {
	ld := &loader{ns: ns, now: ns.env.Now()}
	ld.ticks = ld.now
	for i := range ns.store.Devices() {
		st, err := ns.store.Load(q, i, ld.visit, ld.progress)
		if errors.Is(err, storage.ErrStopped) {
			err = ld.err
		}
		if err != nil {
			return fmt.Errorf("cold start: %s: %w", st.Name, err)
		}
		ld.unreadable += st.Unreadable
		ns.log.Info("device loaded", "device", st.Name, "wblocks", st.Written, "bytes", st.Bytes,
			"unreadable-wblocks", st.Unreadable, "checksum-failures", st.ChecksumFailures, "torn", st.Torn)
	}
	ld.settle()
	ns.store.LoadDone()
	ns.log.Info("cold start done", "clean", ns.store.WasClean(), "records", ns.index.Len(), "read", ld.records,
		"replaced", ld.replaced, "older", ld.older, "expired", ld.expired, "tombstones-dropped", ld.tombstones,
		"unparsable", ld.unparsable)
	return nil
}

// visit offers one record to the index.
func (ld *loader) visit(flat []byte, a record.Address, _ uint64) bool {
	f, err := record.ParseFlat(flat)
	if err != nil || f.LUT > index.MaxLUT {
		ld.unparsable++
		return true
	}
	if f.Generation == 0 {
		ld.voids++ // space that was not needed
		return true
	}
	ld.records++
	s := ld.ns.sets.findOrAdd(f.Set)
	if s == nil {
		ld.err = fmt.Errorf("set %q at offset %d: want at most %d sets", f.Set, a.Offset(), record.MaxSets)
		return false
	}
	ld.entry = entryOf(&f.Meta, a, s.id)
	old, found, put, err := ld.ns.index.PutIf(&ld.entry, ld.better)
	switch {
	case err != nil:
		ld.err = fmt.Errorf("record at offset %d: %w", a.Offset(), err)
		return false
	case found && put:
		ld.replaced++
		ld.shadow(&ld.entry, &old)
	case found:
		ld.older++
		ld.shadow(&old, &ld.entry)
	}
	return true
}

func (ld *loader) better(old index.Entry) bool { return newer(&ld.entry, &old) }

// shadow marks the entry that won. Two copies of one version, which defrag
// leaves behind, are no older and newer one.
func (ld *loader) shadow(won, lost *index.Entry) {
	flags := won.Flags | lost.Flags&shadows
	if newer(won, lost) {
		flags |= shadows
	}
	if flags != won.Flags {
		e := *won
		ld.mark(&e)
	}
}

// mark notes in an entry of the index that older copies may lie on a device.
func (ld *loader) mark(e *index.Entry) {
	e.Flags |= shadows
	if _, _, err := ld.ns.index.Put(e); err != nil {
		ld.ns.log.Error("index refused to replace an entry", "error", err) // it never has to grow for that
	}
}

// newer reports whether a is a later version of its record than b: by
// last-update-time, then by generation, which wraps around.
func newer(a, b *index.Entry) bool {
	if a.LUT != b.LUT {
		return a.LUT > b.LUT
	}
	return int16(a.Generation-b.Generation) > 0
}

func (ld *loader) progress(st storage.LoadStats) {
	now := ld.ns.env.Now()
	if now < ld.ticks+progressPeriod {
		return
	}
	ld.ticks = now
	ld.ns.log.Info("cold start", "device", st.Name, "wblock", st.Scanned, "of", st.Wblocks,
		"records", ld.ns.index.Len())
}

// settle decides on every entry when all devices have been read.
func (ld *loader) settle() {
	ns := ld.ns
	for p := range record.Partitions {
		ns.index.Reduce(p, nil, func(e *index.Entry) bool {
			if ld.unreadable > 0 {
				ld.mark(e) // the next start may find what this one could not read
			}
			last := e.Flags&shadows == 0 // no older copy anywhere
			switch {
			case last && e.Flags&index.Tombstone != 0:
				ld.tombstones++
				ns.index.Delete(&e.Digest)
			case last && expired(e, ld.now):
				ld.expired++
				ns.index.Delete(&e.Digest)
			default:
				ns.store.Account(e.Addr)
				ns.sets.get(e.SetID).account(0, e, +1)
			}
			return true
		})
	}
}
