package engine

import (
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
)

// defrag moves what is still live out of wblocks that are mostly dead:
//
//	storage.Victim ─▶ ReadVictim, in parts ─▶ each record:
//	    index: is it still at this address? ─▶ Reserve, copy, Seal
//	        ─▶ index.Relocate, if it still is ─▶ Free of the old place
//
// A record that a write replaces meanwhile is simply not relocated, and its
// copy is dead at once.
type defrag struct {
	s       *Supervisor
	victim  *storage.Victim
	reading bool // a part of the victim is on its way
	pause   bool // what comes next is due after defrag-sleep

	// The record that is next, when there was no room for it.
	flat []byte
	addr record.Address
	held bool
}

// defragBatch is how many records a step looks at.
const defragBatch = 256

// step reads a part of a victim or moves some of its records.
func (d *defrag) step() (busy bool) {
	store := d.s.ns.store
	if d.reading {
		return true
	}
	if d.victim == nil {
		v, ok := store.Victim()
		if !ok {
			return false
		}
		v.Done = d.arrived
		d.victim = v
	}
	if !d.victim.Complete() {
		d.reading = true
		d.s.lane.ReadVictim(d.victim)
		return true
	}
	d.s.reader.Enter()
	defer d.s.reader.Exit()
	for range defragBatch {
		if !d.held {
			var ok bool
			if d.flat, d.addr, ok = d.victim.Next(); !ok {
				d.release()
				d.pause = true
				return true
			}
		}
		if d.held = !d.move(); d.held {
			return false // no room now: wait as if there were nothing to do
		}
	}
	return true
}

// takePause reports whether defrag-sleep is due, once.
func (d *defrag) takePause() bool {
	due := d.pause
	d.pause = false
	return due
}

// arrived is the Done of a part.
func (d *defrag) arrived(*storage.Victim) {
	d.reading, d.pause = false, true
}

// move moves one record if it is live. It returns false when there is no room.
func (d *defrag) move() bool {
	ns := d.s.ns
	digest := record.PeekHeader(d.flat).Digest
	e, found := ns.index.Get(&digest)
	if !found || e.Addr != d.addr {
		return true
	}
	space, to, res := d.s.lane.Reserve(storage.Defrag, &digest, len(d.flat))
	if res != record.OK {
		return false
	}
	copy(space, d.flat)
	d.s.lane.Seal(space, to)
	if ns.index.Relocate(&digest, d.addr, to) {
		ns.store.Free(d.addr)
	} else {
		ns.store.Free(to)
	}
	return true
}

// release ends a victim. A record that could not be read stays where it is,
// and keeps its wblock from being free until it is rewritten or deleted: to
// defrag the wblock again would only read in vain.
func (d *defrag) release() {
	d.s.ns.store.ReleaseVictim(d.victim)
	d.victim, d.flat, d.held = nil, nil, false
}

// stop gives a victim back that is half done.
func (d *defrag) stop() error {
	for d.reading {
		if _, err := d.s.q.Poll(idleWait); err != nil {
			return err
		}
	}
	if d.victim != nil {
		d.s.ns.store.ReturnVictim(d.victim)
		d.victim, d.flat, d.held = nil, nil, false
	}
	return nil
}
