package index

// Memory says what the index's memory is used for, in bytes. It is exact when
// no writer runs meanwhile.
type Memory struct {
	Fixed       int64 // sprig headers and superblock: the same from New to Close
	Entries     int64 // 64 for each record
	Slots       int64 // 8 for each record
	Directories int64 // 16 for each leaf of large sprigs

	// Waste: what the slabs in use have beside that.
	FreeEntries int64 // room for entries
	FreeBlocks  int64 // slot blocks not in use
	Slack       int64 // unused ends of slot blocks and directories in use
	Overhead    int64 // slab headers, and what is left of a slab after whole blocks

	// InUse is the sum of all of the above, counted in another way: Fixed and
	// the slabs dealt out. It is what the limit is about.
	InUse int64
	Limit int64

	// Pool is memory of slabs that were in use and are not now. It is kept
	// for the next and not part of InUse.
	Pool int64
}

// Waste returns what the slabs in use have beside entries, slots and
// directories.
func (m *Memory) Waste() int64 { return m.FreeEntries + m.FreeBlocks + m.Slack + m.Overhead }

// Memory returns what the index's memory is used for.
func (x *Index) Memory() Memory {
	var m Memory
	var slabs, used [nClasses]int64
	for i := range x.super.nShards {
		sh := &x.super.shards[i]
		sh.spin.lock()
		for c := range nClasses {
			slabs[c] += int64(sh.slabs[c])
			used[c] += int64(sh.used[c])
		}
		sh.spin.unlock()
	}
	n := int64(x.Len())
	m.Slots = 8 * n
	m.Directories = childSize * int64(x.super.children.Load())
	m.Slack = -m.Slots - m.Directories
	for c := range nClasses {
		block := int64(classLines[c]) * lineSize
		free := (slabs[c]*int64(perSlab(c)) - used[c]) * block
		m.Overhead += slabs[c] * (slabSize - int64(perSlab(c))*block)
		if c == entryClass {
			m.Entries, m.FreeEntries = used[c]*block, free
			continue
		}
		m.FreeBlocks += free
		m.Slack += used[c] * block
	}
	p := &x.super.pool
	p.spin.lock()
	inUse := int64(p.inUse.Load())
	dealt := int64(p.next.Load()) * lineSize
	p.spin.unlock()
	m.Fixed = fixedBytes(1 << x.sprigBits)
	m.InUse = m.Fixed + inUse*slabSize
	m.Pool = dealt - m.InUse
	m.Limit = int64(x.limit) * lineSize
	return m
}
