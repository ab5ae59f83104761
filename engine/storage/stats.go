package storage

// Stats are the figures of a store; names and meanings are the original's,
// and a few of ours come after them.
type Stats struct {
	DataTotalBytes int64 `stat:"data_total_bytes"` // usable sizes of the devices, headers included
	DataUsedBytes  int64 `stat:"data_used_bytes"`  // live records
	DataUsedPct    int   `stat:"data_used_pct"`
	DataAvailPct   int   `stat:"data_avail_pct"` // the smallest of the devices
	CacheReadPct   int   `stat:"cache_read_pct"` // of the reads since Open, those from memory

	WriteQ  int // full swbs that wait for their flush
	Devices []DeviceStats
}

// DeviceStats are the figures of one device, file or stripe.
type DeviceStats struct {
	Name                string
	TotalBytes          int64
	AvailPct            int
	UsedBytes           int64  `stat:"used_bytes"`   // live records
	FreeWblocks         int    `stat:"free_wblocks"` // in the free list or pristine
	WriteQ              int    `stat:"write_q"`      // full swbs that wait for their flush
	Writes              uint64 `stat:"writes"`       // wblocks written whole, defrag's apart
	PartialWrites       uint64 `stat:"partial_writes"`
	DefragQ             int    `stat:"defrag_q"`
	DefragReads         uint64 `stat:"defrag_reads"`  // wblocks read
	DefragWrites        uint64 `stat:"defrag_writes"` // wblocks written by defrag
	DefragPartialWrites uint64 `stat:"defrag_partial_writes"`
	ShadowWriteQ        int    `stat:"shadow_write_q"` // no shadow: 0
	ReadErrors          uint64 `stat:"read_errors"`    // checksum errors included
	Age                 int    `stat:"age"`            // of a drive in percent of its life; -1 unknown

	WriteErrors    uint64 // any fences the device
	ChecksumErrors uint64
	BytesWritten   uint64
	Fenced         bool
	Cached         int // wblocks in the post-write cache
	States         [nStates]int
}

// Stats collects the figures. It looks at every wblock, which takes about a
// millisecond for each 2 TiB.
func (s *Store) Stats() Stats {
	st := Stats{DataAvailPct: 100}
	for _, d := range s.devices {
		ds := d.stats()
		st.Devices = append(st.Devices, ds)
		st.DataTotalBytes += ds.TotalBytes
		st.DataUsedBytes += ds.UsedBytes
		st.DataAvailPct = min(st.DataAvailPct, ds.AvailPct)
		st.WriteQ += ds.WriteQ
	}
	if st.DataTotalBytes > 0 {
		st.DataUsedPct = int(st.DataUsedBytes * 100 / st.DataTotalBytes)
	}
	st.CacheReadPct = s.cacheReadPct()
	return st
}

// AvailPct returns data_avail_pct: the smallest share of free wblocks among
// the devices, in percent of the device. It costs a lock a device.
func (s *Store) AvailPct() int {
	pct := 100
	for _, d := range s.devices {
		d.mu.Lock()
		pct = min(pct, d.availPctLocked())
		d.mu.Unlock()
	}
	return pct
}

func (d *device) availPctLocked() int {
	return int(int64(d.nFreeLocked()) * int64(d.s.wblockSize) * 100 / d.header.size)
}

func (d *device) stats() DeviceStats {
	ds := DeviceStats{
		Name:                d.name,
		TotalBytes:          d.header.size,
		WriteQ:              int(d.writeQ.Load()),
		Writes:              d.writes.Load(),
		PartialWrites:       d.partialWrites.Load(),
		DefragReads:         d.defragReads.Load(),
		DefragWrites:        d.defragWrites.Load(),
		DefragPartialWrites: d.defragPartialWrites.Load(),
		ReadErrors:          d.readErrors.Load(),
		WriteErrors:         d.writeErrors.Load(),
		ChecksumErrors:      d.checksumErrors.Load(),
		BytesWritten:        d.bytesWritten.Load(),
		Fenced:              d.fenced.Load(),
		Age:                 -1,
	}
	for i := range d.wblocks[1:] {
		w := &d.wblocks[i+1]
		ds.UsedBytes += int64(w.used.Load())
		ds.States[w.state.Load()]++
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ds.FreeWblocks = d.nFreeLocked()
	ds.AvailPct = d.availPctLocked()
	ds.DefragQ = d.defrag.n
	ds.Cached = d.cache.n
	return ds
}

// cacheReadPct returns the share of reads that found their record in memory.
func (s *Store) cacheReadPct() int {
	hits, misses := s.gone.hits.Load(), s.gone.misses.Load()
	for _, l := range *s.lanes.Load() {
		hits += l.published.hits.Load()
		misses += l.published.misses.Load()
	}
	if hits+misses == 0 {
		return 0
	}
	return int(hits * 100 / (hits + misses))
}

// WasClean reports whether all devices were closed after a full flush.
func (s *Store) WasClean() bool {
	for _, d := range s.devices {
		if !d.fresh && !d.wasClean {
			return false
		}
	}
	return true
}

// Devices returns the number of devices, files or stripes.
func (s *Store) Devices() int { return len(s.devices) }
