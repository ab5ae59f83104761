package engine

import (
	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
)

// nsup reclaims records whose life has ended. They have been absent to
// everybody since; this gives back their index entries and their storage.
//
// It walks the partitions once each nsup-period, in small steps. An expired
// record is dropped if it is its digest's only copy, since a cold start would
// find it expired again. If older copies may lie on a device a tombstone takes
// its place, or a longer-lived one of them could come back.
type nsup struct {
	s         *Supervisor
	next      record.Time // when the next round is due
	running   bool
	partition int
	after     *record.Digest // where in the partition the round is; nil: at its start
	at        record.Digest

	nonExpirable int64 // met in this round
	found        []index.Entry
}

const (
	// nsupBatch is how many entries a step looks at.
	nsupBatch = 1024
	// nsupOff is how far away the next round is while nsup-period is 0: it
	// may be changed meanwhile.
	nsupOff record.Time = 1000
)

// nsupPeriod returns nsup-period in the clock's unit.
func (ns *Namespace) nsupPeriod() record.Time {
	return record.Time(ns.options.Load().NsupPeriod) * 1000
}

func (n *nsup) step() (busy bool) {
	if !n.running {
		if n.s.now < n.next {
			return false
		}
		if n.s.ns.nsupPeriod() == 0 {
			n.next = n.s.now + nsupOff
			return false
		}
		n.running, n.partition, n.after, n.nonExpirable = true, 0, nil, 0
	}
	looked, whole := 0, true
	n.found = n.found[:0]
	n.s.ns.index.Reduce(n.partition, n.after, func(e *index.Entry) bool {
		if e.Flags&index.Tombstone == 0 {
			if expired(e, n.s.now) {
				n.found = append(n.found, *e)
			} else if e.VoidTime == 0 {
				n.nonExpirable++
			}
		}
		n.at = e.Digest
		looked++
		whole = looked < nsupBatch
		return whole
	})
	for i := range n.found {
		n.reap(&n.found[i])
	}
	n.after = &n.at
	if whole {
		n.after = nil
		n.partition++
	}
	if n.partition == record.Partitions {
		n.running = false
		n.next = n.s.now + max(n.s.ns.nsupPeriod(), nsupOff)
		n.s.ns.nonExpirable.Store(n.nonExpirable)
	}
	return true
}

// reap reclaims one expired record, unless it has been written meanwhile.
func (n *nsup) reap(e *index.Entry) {
	ns := n.s.ns
	if e.Flags&shadows != 0 {
		n.bury(e)
		return
	}
	if old, ok := ns.index.DeleteIf(&e.Digest, e.Addr); ok {
		n.gone(&old)
	}
}

// bury replaces an expired record by a tombstone. When there is no room for
// one the record stays for a later round.
func (n *nsup) bury(e *index.Entry) {
	ns := n.s.ns
	meta := record.Meta{
		Digest: e.Digest, LUT: e.LUT, Generation: nextGeneration(e.Generation),
		Set: ns.sets.get(e.SetID).name, Tombstone: true,
	}
	space, addr, res := reserve(n.s.lane, &meta, record.FlatSize(&meta, nil))
	if res != record.OK {
		return
	}
	record.EncodeFlat(space, &meta, nil)
	t := entryOf(&meta, addr, e.SetID)
	t.Flags |= shadows
	from := e.Addr
	old, found, put, err := ns.index.PutIf(&t, func(old index.Entry) bool { return old.Addr == from })
	if !put || err != nil {
		record.EncodeVoid(space)
		n.s.lane.Seal(space, addr)
		ns.store.Free(addr)
		return
	}
	n.s.lane.Seal(space, addr)
	ns.sets.get(t.SetID).account(n.s.id, &t, +1)
	if found {
		n.gone(&old)
	}
}

// gone takes a reclaimed record off the books.
func (n *nsup) gone(old *index.Entry) {
	ns := n.s.ns
	ns.sets.get(old.SetID).account(n.s.id, old, -1)
	ns.store.Free(old.Addr)
	n.s.counts.add(cExpired)
}
