package engine

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
)

// set is one set of a namespace, or, as number 0, all records without one.
// Sets are never removed: an index entry may refer to its number for as long
// as the namespace is open.
type set struct {
	name    []byte
	id      uint16
	options atomic.Pointer[SetOptions]
	counts  [setShards]setCounts
}

// setShards is over how many cache lines each set's counts are spread, so
// that loops writing to one set do not fight for a line.
const setShards = 16

// setCounts are the changes that some workers made; only the sums over all
// shards mean anything.
type setCounts struct {
	objects    atomic.Int64
	tombstones atomic.Int64
	bytes      atomic.Int64 // storage of objects and tombstones
	_          [40]byte
}

// defaultSetOptions is what a set has that the configuration does not name.
var defaultSetOptions SetOptions

// account adds one index entry to the set's counts, or takes it away (sign
// -1), on behalf of a worker.
func (s *set) account(worker int, e *index.Entry, sign int64) {
	c := &s.counts[worker%setShards]
	if e.Flags&index.Tombstone != 0 {
		c.tombstones.Add(sign)
	} else {
		c.objects.Add(sign)
	}
	c.bytes.Add(sign * int64(e.Addr.Size()))
}

func (s *set) objects() int64 {
	n := int64(0)
	for i := range s.counts {
		n += s.counts[i].objects.Load()
	}
	return n
}

func (s *set) tombstones() int64 {
	n := int64(0)
	for i := range s.counts {
		n += s.counts[i].tombstones.Load()
	}
	return n
}

func (s *set) bytes() int64 {
	n := int64(0)
	for i := range s.counts {
		n += s.counts[i].bytes.Load()
	}
	return n
}

// setTable finds sets by name and by number. Lookups take no lock; only
// making a new set does.
type setTable struct {
	mu    sync.Mutex // held to add a set or change settings
	n     int        // sets made, without number 0
	byID  [record.MaxSets + 1]atomic.Pointer[set]
	slots [setSlots]atomic.Pointer[set] // open addressing by name; never removed from
	// options are the settings by name, for sets that do not exist yet too.
	options map[string]*SetOptions
}

// setSlots keeps the table at most half full.
const setSlots = 8192

const _ = uint(setSlots - 2*(record.MaxSets+1)) // or the probing could be long

func newSetTable(options []SetOptions) *setTable {
	t := &setTable{}
	none := &set{}
	none.options.Store(&defaultSetOptions)
	t.byID[0].Store(none)
	t.configure(options)
	return t
}

// configure replaces the settings of all sets.
func (t *setTable) configure(options []SetOptions) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.options = make(map[string]*SetOptions, len(options))
	for i := range options {
		o := options[i]
		t.options[o.Name] = &o
	}
	for id := 1; id <= t.n; id++ {
		s := t.byID[id].Load()
		s.options.Store(t.optionsOf(s.name))
	}
}

func (t *setTable) optionsOf(name []byte) *SetOptions {
	if o := t.options[string(name)]; o != nil {
		return o
	}
	return &defaultSetOptions
}

// get returns the set of an index entry's number.
func (t *setTable) get(id uint16) *set { return t.byID[id].Load() }

// find returns the set of this name, number 0 for the empty name, or nil.
func (t *setTable) find(name []byte) *set {
	if len(name) == 0 {
		return t.byID[0].Load()
	}
	for i := setSlot(name); ; i = (i + 1) % setSlots {
		s := t.slots[i].Load()
		if s == nil || bytes.Equal(s.name, name) {
			return s
		}
	}
}

// findOrAdd returns the set of this name and makes it if need be. It returns
// nil when there is no room for another or when no set can have this name.
func (t *setTable) findOrAdd(name []byte) *set {
	if s := t.find(name); s != nil {
		return s
	}
	if !validSetName(name) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := setSlot(name)
	for ; ; i = (i + 1) % setSlots {
		s := t.slots[i].Load()
		if s == nil {
			break
		}
		if bytes.Equal(s.name, name) {
			return s // another worker was first
		}
	}
	if t.n == record.MaxSets {
		return nil
	}
	t.n++
	s := &set{name: bytes.Clone(name), id: uint16(t.n)}
	s.options.Store(t.optionsOf(name))
	t.byID[s.id].Store(s) // before the slot: who finds the set may look it up by number
	t.slots[i].Store(s)
	return s
}

// all calls fn for each set that exists, number 0 first.
func (t *setTable) all(fn func(*set)) {
	for id := range t.byID {
		s := t.byID[id].Load()
		if s == nil {
			return
		}
		fn(s)
	}
}

// setSlot hashes a name to a slot: multiply and rotate over its words. A
// client that picks names to collide costs at most 4095 compares.
func setSlot(name []byte) int {
	h := uint64(len(name))
	for len(name) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(name)) * 0x9e3779b97f4a7c15
		h ^= h >> 32
		name = name[8:]
	}
	for _, c := range name {
		h = (h ^ uint64(c)) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return int(h % setSlots)
}

// SetInfo is what is known of one set.
type SetInfo struct {
	Name       string
	Objects    int64
	Tombstones int64
	Bytes      int64 // of storage, whole rblocks
	Options    SetOptions
}

// Sets returns the sets that exist, in the order in which they came to be.
// Records without a set are not in it.
func (ns *Namespace) Sets() []SetInfo {
	var infos []SetInfo
	ns.sets.all(func(s *set) {
		if s.id == 0 {
			return
		}
		infos = append(infos, SetInfo{
			Name:       string(s.name),
			Objects:    s.objects(),
			Tombstones: s.tombstones(),
			Bytes:      s.bytes(),
			Options:    *s.options.Load(),
		})
	})
	return infos
}
