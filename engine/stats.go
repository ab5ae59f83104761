package engine

import (
	"sync/atomic"

	"github.com/ashlardb/ashlar/engine/record"
)

// counter numbers what a worker counts.
type counter uint8

const (
	cReadSuccess counter = iota
	cReadError
	cReadTimeout
	cReadNotFound
	cReadFiltered
	cWriteSuccess
	cWriteError
	cWriteTimeout
	cWriteFiltered
	cXDRWriteSuccess
	cXDRWriteError
	cXDRWriteTimeout
	cDeleteSuccess
	cDeleteError
	cDeleteTimeout
	cDeleteNotFound
	cDeleteFiltered
	cXDRDeleteSuccess
	cXDRDeleteError
	cXDRDeleteTimeout
	cXDRDeleteNotFound
	cTouchSuccess
	cTouchError
	cTouchTimeout
	cTouchSkip
	cFailXDRForbidden
	cFailGeneration
	cFailTooBig
	cDeletedLastBin
	cTTLReductionsIgnored
	cTTLReductionsApplied
	cUnreadable
	cExpired
	nCounters
)

// counters are one worker's. Only its thread adds; any thread may read.
type counters struct {
	_ [64]byte // no line is shared with a neighbour
	n [nCounters]atomic.Uint64
	_ [64]byte
}

func (c *counters) add(i counter) { c.n[i].Add(1) }

// Outcomes of a request, by which it is counted.
type outcome [5]counter // success, error, timeout, not found, filtered out

var (
	readOutcome      = outcome{cReadSuccess, cReadError, cReadTimeout, cReadNotFound, cReadFiltered}
	writeOutcome     = outcome{cWriteSuccess, cWriteError, cWriteTimeout, cWriteError, cWriteFiltered}
	xdrWriteOutcome  = outcome{cXDRWriteSuccess, cXDRWriteError, cXDRWriteTimeout, cXDRWriteError, cXDRWriteError}
	deleteOutcome    = outcome{cDeleteSuccess, cDeleteError, cDeleteTimeout, cDeleteNotFound, cDeleteFiltered}
	xdrDeleteOutcome = outcome{cXDRDeleteSuccess, cXDRDeleteError, cXDRDeleteTimeout, cXDRDeleteNotFound, cXDRDeleteError}
	touchOutcome     = outcome{cTouchSuccess, cTouchError, cTouchTimeout, cTouchSkip, cTouchSkip}
)

// of returns the counter for a result.
func (o *outcome) of(res record.Result) counter {
	switch res {
	case record.OK:
		return o[0]
	case record.TimedOut:
		return o[2]
	case record.NotFound:
		return o[3]
	case record.FilteredOut:
		return o[4]
	}
	return o[1]
}

// Stats are a namespace's figures at one moment, under the original's names
// (tag stat) where it has them. Counters count since Open; sizes are bytes.
type Stats struct {
	Objects    int64 `stat:"objects"`
	Tombstones int64 `stat:"tombstones"`

	StopWrites      bool   `stat:"stop_writes"`
	StopWritesCause string // in the operator's words; empty while writes are accepted

	NonExpirableObjects int64 `stat:"non_expirable_objects"` // as the last expiry round found
	ExpiredObjects      int64 `stat:"expired_objects"`
	IndexUsedBytes      int64 `stat:"index_used_bytes"`

	DataTotalBytes int64 `stat:"data_total_bytes"`
	DataUsedBytes  int64 `stat:"data_used_bytes"`
	DataUsedPct    int   `stat:"data_used_pct"`
	DataAvailPct   int   `stat:"data_avail_pct"`
	CacheReadPct   int   `stat:"cache_read_pct"` // reads answered from memory, in percent

	ReadSuccess     uint64 `stat:"client_read_success"`
	ReadError       uint64 `stat:"client_read_error"`
	ReadTimeout     uint64 `stat:"client_read_timeout"`
	ReadNotFound    uint64 `stat:"client_read_not_found"`
	ReadFilteredOut uint64 `stat:"client_read_filtered_out"`

	WriteSuccess     uint64 `stat:"client_write_success"`
	WriteError       uint64 `stat:"client_write_error"`
	WriteTimeout     uint64 `stat:"client_write_timeout"`
	WriteFilteredOut uint64 `stat:"client_write_filtered_out"`

	XDRWriteSuccess uint64 `stat:"xdr_client_write_success"`
	XDRWriteError   uint64 `stat:"xdr_client_write_error"`
	XDRWriteTimeout uint64 `stat:"xdr_client_write_timeout"`

	DeleteSuccess     uint64 `stat:"client_delete_success"`
	DeleteError       uint64 `stat:"client_delete_error"`
	DeleteTimeout     uint64 `stat:"client_delete_timeout"`
	DeleteNotFound    uint64 `stat:"client_delete_not_found"`
	DeleteFilteredOut uint64 `stat:"client_delete_filtered_out"`

	XDRDeleteSuccess  uint64 `stat:"xdr_client_delete_success"`
	XDRDeleteError    uint64 `stat:"xdr_client_delete_error"`
	XDRDeleteTimeout  uint64 `stat:"xdr_client_delete_timeout"`
	XDRDeleteNotFound uint64 `stat:"xdr_client_delete_not_found"`

	ReadTouchSuccess uint64 `stat:"read_touch_success"`
	ReadTouchError   uint64 `stat:"read_touch_error"`
	ReadTouchTimeout uint64 `stat:"read_touch_timeout"`
	ReadTouchSkip    uint64 `stat:"read_touch_skip"`

	FailXDRForbidden  uint64 `stat:"fail_xdr_forbidden"`
	FailGeneration    uint64 `stat:"fail_generation"`
	FailRecordTooBig  uint64 `stat:"fail_record_too_big"`
	DeletedLastBin    uint64 `stat:"deleted_last_bin"`
	ReductionsIgnored uint64 `stat:"ttl_reductions_ignored"`
	ReductionsApplied uint64 `stat:"ttl_reductions_applied"`

	// Ours: reads of records that could not be read back as they were written.
	// None was ever answered with.
	UnreadableRecords uint64 `stat:"unreadable_records"`
}

// Stats sums the figures. It takes tens of microseconds: every set and every
// worker has its own.
func (ns *Namespace) Stats() Stats {
	var n [nCounters]uint64
	for _, c := range ns.allCounters() {
		for i := range n {
			n[i] += c.n[i].Load()
		}
	}
	st := ns.store.Stats()
	s := Stats{
		NonExpirableObjects: ns.nonExpirable.Load(),
		ExpiredObjects:      int64(n[cExpired]),
		IndexUsedBytes:      ns.indexBytes(),
		DataTotalBytes:      st.DataTotalBytes,
		DataUsedBytes:       st.DataUsedBytes,
		DataUsedPct:         st.DataUsedPct,
		DataAvailPct:        st.DataAvailPct,
		CacheReadPct:        st.CacheReadPct,

		ReadSuccess: n[cReadSuccess], ReadError: n[cReadError], ReadTimeout: n[cReadTimeout],
		ReadNotFound: n[cReadNotFound], ReadFilteredOut: n[cReadFiltered],
		WriteSuccess: n[cWriteSuccess], WriteError: n[cWriteError], WriteTimeout: n[cWriteTimeout],
		WriteFilteredOut: n[cWriteFiltered],
		XDRWriteSuccess:  n[cXDRWriteSuccess], XDRWriteError: n[cXDRWriteError], XDRWriteTimeout: n[cXDRWriteTimeout],
		DeleteSuccess: n[cDeleteSuccess], DeleteError: n[cDeleteError], DeleteTimeout: n[cDeleteTimeout],
		DeleteNotFound: n[cDeleteNotFound], DeleteFilteredOut: n[cDeleteFiltered],
		XDRDeleteSuccess: n[cXDRDeleteSuccess], XDRDeleteError: n[cXDRDeleteError],
		XDRDeleteTimeout: n[cXDRDeleteTimeout], XDRDeleteNotFound: n[cXDRDeleteNotFound],
		ReadTouchSuccess: n[cTouchSuccess], ReadTouchError: n[cTouchError],
		ReadTouchTimeout: n[cTouchTimeout], ReadTouchSkip: n[cTouchSkip],
		FailXDRForbidden: n[cFailXDRForbidden], FailGeneration: n[cFailGeneration],
		FailRecordTooBig: n[cFailTooBig], DeletedLastBin: n[cDeletedLastBin],
		ReductionsIgnored: n[cTTLReductionsIgnored], ReductionsApplied: n[cTTLReductionsApplied],
		UnreadableRecords: n[cUnreadable],
	}
	ns.sets.all(func(set *set) {
		s.Objects += set.objects()
		s.Tombstones += set.tombstones()
	})
	if cause := ns.stop.Load(); cause != nil {
		s.StopWrites, s.StopWritesCause = true, *cause
	}
	return s
}
