package storage

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

// Open takes the devices of a namespace: it reads their headers, refuses what
// is not theirs, initialises fresh ones and marks all as in use. Each error
// names the device and wraps one of this package's reasons.
//
// q is a queue of the calling thread. The caller goes on with Load for each
// device, LoadDone, and NewLane. Devices stay the caller's to close.
func Open(q ioring.Queue, devices []*ioring.Device, o Options, dom *epoch.Domain) (*Store, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if n := len(devices); n < 1 || n > record.MaxDevices {
		return nil, fmt.Errorf("storage: %d devices: want 1 to %d", n, record.MaxDevices)
	}
	s := newStore(o, dom)
	head, err := mapMemory(o.WblockSize)
	if err != nil {
		return nil, err
	}
	defer unmapMemory(head)
	opened := make([]*setup, len(devices))
	var errs []error
	for i, dev := range devices {
		opened[i], err = s.openDevice(q, dev, &o, head)
		errs = append(errs, err)
		if errors.Is(err, errQueue) {
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := s.number(opened, &o); err != nil {
		return nil, err
	}
	// Fresh devices first: a crash between two headers then leaves a set
	// that is smaller, or one whose fresh devices are known already.
	slices.SortStableFunc(opened, func(a, b *setup) int {
		return boolInt(b.d.fresh) - boolInt(a.d.fresh)
	})
	for _, u := range opened {
		if err := u.writeHeader(false); err != nil {
			return nil, err
		}
	}
	for _, d := range s.devices {
		d.init(o.WblockSize)
	}
	s.sizeLimits()
	if o.FlushMax == 0 {
		s.log.Warn("flush-max-ms is 0: records reach the device only when a flush unit is full", "namespace", s.namespace)
	}
	return s, nil
}

// openDevice reads and judges the header of one device. head is memory of a
// wblock's size.
func (s *Store) openDevice(q ioring.Queue, dev *ioring.Device, o *Options, head []byte) (*setup, error) {
	d := &device{s: s, dev: dev, name: dev.Path, block: dev.Block}
	refuse := func(reason error, format string, args ...any) (*setup, error) {
		return nil, fmt.Errorf("storage: %s: %s: %w", d.name, fmt.Sprintf(format, args...), reason)
	}
	if least := int64(minWblocks * o.WblockSize); dev.Size < least {
		return refuse(ErrTooSmall, "%d bytes, want at least %d", dev.Size, least)
	}
	if !powerOfTwo(int64(dev.Block)) || dev.Block > o.WblockSize/4 {
		return refuse(ErrWblockSize, "blocks of %d bytes: want a power of two, at most a quarter of the wblock's %d", dev.Block, o.WblockSize)
	}
	file, err := q.Attach(dev)
	if err != nil {
		return nil, fmt.Errorf("storage: %s: attach: %w", d.name, err)
	}
	u := &setup{q: q, file: file, d: d}
	n := u.headerBlock()
	first, second := head[:n], head[n:2*n]
	unreadable := errors.Join(u.readCopy(0, first), u.readCopy(u.secondHeader(), second))
	if errors.Is(unreadable, errQueue) {
		return nil, unreadable
	}
	h, _, err := chooseHeader(first, second)
	switch forced := slices.Contains(o.ForceInit, dev.Path); {
	case forced:
		d.fresh = true
	case err != nil && unreadable != nil:
		return nil, unreadable // the copy might have counted
	case errors.Is(err, errHeader):
		if err := u.read(0, head); err != nil {
			return nil, err
		}
		if !allZero(head) {
			return refuse(ErrForeign, "%s", describeForeign(head))
		}
		d.fresh = true
	case err != nil:
		return refuse(err, "device header")
	case h.namespace != s.namespace:
		return refuse(ErrNamespace, "namespace %q, want %q", h.namespace, s.namespace)
	case h.wblockSize != o.WblockSize:
		return refuse(ErrWblockSize, "wblocks of %d bytes, want %d", h.wblockSize, o.WblockSize)
	case dev.Size < h.size:
		return refuse(ErrTooSmall, "%d bytes, but it had %d when it was last used", dev.Size, h.size)
	case h.count < 1 || h.count > record.MaxDevices || h.number < 0 || h.number >= h.count:
		return refuse(ErrDamaged, "device %d of %d in its set", h.number, h.count)
	case o.ColdStartEmpty:
		d.fresh = true
	}
	if unreadable != nil {
		s.log.Warn("one copy of the device header cannot be read; the other one counts",
			"namespace", s.namespace, "device", d.name, "reason", unreadable)
	}
	d.header = h // of a fresh device: the generation to exceed, or zero
	// A copy that is gone may have been the newer one, and said otherwise.
	d.wasClean = h.clean && !d.fresh && bytes.Equal(first[:headerSize], second[:headerSize])
	return u, nil
}

// number checks that the devices are one whole set, and gives fresh ones the
// numbers that are left.
func (s *Store) number(opened []*setup, o *Options) error {
	ids := newIDs(o.Seed)
	count := len(opened)
	s.devices = make([]*device, count)
	var first *device // the first that belongs to a set
	for _, u := range opened {
		d := u.d
		if d.fresh {
			continue
		}
		h := &d.header
		if first == nil {
			first = d
		}
		switch {
		case h.set != first.header.set:
			return fmt.Errorf("storage: %s is of set %x, %s of set %x: %w",
				first.name, first.header.set, d.name, h.set, ErrDeviceSet)
		case h.count > count:
			return fmt.Errorf("storage: %s is one of %d devices, but %d are given: %w", d.name, h.count, count, ErrMissing)
		case s.devices[h.number] != nil:
			return fmt.Errorf("storage: %s and %s are both device %d of their set: %w",
				s.devices[h.number].name, d.name, h.number, ErrDeviceSet)
		}
		s.devices[h.number] = d
	}
	set := ids.uuid()
	if first != nil {
		set = first.header.set
	}
	had := members(opened)
	next := 0
	for _, u := range opened {
		d := u.d
		if d.fresh {
			for s.devices[next] != nil {
				next++
			}
			if next < had && !slices.Contains(o.ForceInit, d.dev.Path) {
				return fmt.Errorf("storage: device %d of the set is not among those given, and %s is empty: name it in force-init to do without what was on the other: %w",
					next, d.name, ErrMissing)
			}
			s.devices[next] = d
			// A device that is initialised anew has a header of a higher
			// generation, and so a new id even from the same seed: what lies
			// on it from its earlier life is not ours any more.
			d.header = header{
				generation: d.header.generation, number: next,
				id: ids.number() + d.header.generation*0x9e3779b97f4a7c15,
			}
		}
	}
	starts := uint64(0)
	for _, d := range s.devices {
		starts = max(starts, d.header.starts)
	}
	if starts++; starts > maxStarts {
		return fmt.Errorf("storage: %s: the set was opened %d times, want at most %d: sequence numbers run out",
			s.devices[0].name, starts, maxStarts)
	}
	s.sequence.Store(starts << sequenceBits)
	for i, d := range s.devices {
		h := &d.header
		h.namespace, h.set, h.count, h.starts = s.namespace, set, count, starts
		h.wblockSize, h.size = o.WblockSize, d.usable(o.WblockSize)
		d.number, d.id = i, h.id
	}
	return nil
}

// members returns how many devices the set had when it was last in use. A
// header of generation 1 does not tell: that start may have been cut short
// before the others had theirs.
func members(opened []*setup) int {
	n := 0
	for _, u := range opened {
		if h := &u.d.header; !u.d.fresh && h.generation > 1 {
			n = max(n, h.count)
		}
	}
	return n
}

// usable returns how many bytes of a device are used: whole wblocks, at most
// 2 TiB.
func (d *device) usable(wblockSize int) int64 {
	return min(d.dev.Size, record.MaxDeviceSize) &^ int64(wblockSize-1)
}

// init makes the tables of a device whose header is settled.
func (d *device) init(wblockSize int) {
	d.wblocks = make([]wblock, d.header.size/int64(wblockSize))
	d.pristine = 1
	data := len(d.wblocks) - 1
	d.reserve = min(defragReserve, max(1, data/8))
	d.loaded = d.fresh
}

// readCopy reads one copy of the header. Without success p is zero, and so no
// header.
func (u *setup) readCopy(offset int64, p []byte) error {
	err := u.read(offset, p)
	if err != nil {
		clear(p)
	}
	return err
}

// headerBlock returns the size of a header copy as it is written, whole
// blocks.
func (u *setup) headerBlock() int { return max(headerSize, u.d.block) }

// secondHeader returns where the second copy lies: far from the first.
func (u *setup) secondHeader() int64 { return int64(u.d.s.wblockSize / 2) }

// writeHeader writes both copies, one after the other, so that one is whole
// at every moment: first the place of the older copy.
func (u *setup) writeHeader(clean bool) error {
	h := &u.d.header
	h.generation++
	h.clean = clean
	p, err := mapMemory(u.headerBlock())
	if err != nil {
		return err
	}
	defer unmapMemory(p)
	h.encode(p)
	for _, at := range []int64{u.secondHeader(), 0} {
		if err := u.write(at, p); err != nil {
			return err
		}
	}
	return nil
}

func allZero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ids draws identifiers.
type ids struct{ read func(p []byte) }

func newIDs(seed uint64) ids {
	if seed == 0 {
		return ids{func(p []byte) { crand.Read(p) }} // it never fails
	}
	r := rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed)))
	return ids{func(p []byte) { r.Read(p) }}
}

func (d ids) number() uint64 {
	var p [8]byte
	d.read(p[:])
	return binary.LittleEndian.Uint64(p[:])
}

func (d ids) uuid() [16]byte {
	var u [16]byte
	d.read(u[:])
	u[6] = u[6]&0x0f | 0x40 // version 4: random
	u[8] = u[8]&0x3f | 0x80
	return u
}
