package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ashlardb/ashlar/engine/geo"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
)

// Options configures a namespace. Names and meanings of the tagged fields are
// the original's; start from DefaultOptions. Fields marked dynamic may change
// with Configure, the others are fixed by Open.
type Options struct {
	// Name of the namespace: 1 to 31 bytes.
	Name string `config:",name"`

	// AllowTTLWithoutNsup accepts writes with a time to live although
	// nsup-period is 0, so that nothing reclaims what has expired. Dynamic.
	AllowTTLWithoutNsup bool `config:"allow-ttl-without-nsup"`
	// ApplyTTLReductions lets an update shorten a record's life; without it
	// the record keeps its void-time. Dynamic.
	ApplyTTLReductions bool `config:"apply-ttl-reductions"`
	// DefaultReadTouchTTLPct is the percentage of its life, counted from the
	// end, in which reading a record renews it; 0 never does. Dynamic.
	DefaultReadTouchTTLPct int `config:"default-read-touch-ttl-pct"`
	// DefaultTTL in seconds is for writes that ask for the default; 0: never
	// expire. Dynamic.
	DefaultTTL uint32 `config:"default-ttl"`
	// DisallowNullSetname refuses writes without a set name. Dynamic.
	DisallowNullSetname bool `config:"disallow-null-setname"`
	// IndexesMemoryBudget in bytes stops writes when the index is larger; 0:
	// no limit. Dynamic.
	IndexesMemoryBudget int64 `config:"indexes-memory-budget"`
	// MaxRecordSize in bytes, 64 to 8 MiB: the largest record in flat form,
	// before padding. Dynamic.
	MaxRecordSize int `config:"max-record-size"`
	// NsupPeriod in seconds is how often expired records are reclaimed; 0:
	// never. Dynamic.
	NsupPeriod uint32 `config:"nsup-period"`
	// PartitionTreeSprigs of each partition, a power of two, at least 16.
	PartitionTreeSprigs int `config:"partition-tree-sprigs"`
	// RejectNonXDRWrites refuses writes and deletes that do not come from
	// XDR. Dynamic.
	RejectNonXDRWrites bool `config:"reject-non-xdr-writes"`
	// RejectXDRWrites refuses those that do. Dynamic.
	RejectXDRWrites bool `config:"reject-xdr-writes"`
	// StopWritesSysMemoryPct refuses writes while more of the machine's
	// memory is in use, in percent; 0: never. Dynamic.
	StopWritesSysMemoryPct int `config:"stop-writes-sys-memory-pct"`
	// TransactionPendingLimit is how many transactions may wait for their
	// turn on one record; 0: any number. Package node/txn heeds it. Dynamic.
	TransactionPendingLimit int `config:"transaction-pending-limit"`

	// Geo is how regions are covered with cells.
	Geo geo.Options `config:"geo2dsphere-within"`
	// Storage says where records lie.
	Storage StorageOptions `config:"storage-engine"`
	// Sets are the sets with settings of their own. Dynamic.
	Sets []SetOptions `config:"set"`
}

// StorageOptions say where records lie, and when there is too little room
// left for new ones.
type StorageOptions struct {
	// Type is "memory", or "device" for files and block devices.
	Type string `config:",name"`
	storage.Options
	// StopWritesAvailPct refuses writes while fewer percent of the wblocks of
	// any device are free. Dynamic.
	StopWritesAvailPct int `config:"stop-writes-avail-pct"`
	// StopWritesUsedPct refuses writes from this fill on, in percent; 0:
	// never. Dynamic.
	StopWritesUsedPct int `config:"stop-writes-used-pct"`
}

// Values of StorageOptions.Type.
const (
	StorageMemory = "memory"
	StorageDevice = "device"
)

// SetOptions are the settings of one set. All are dynamic.
type SetOptions struct {
	// Name of the set: 1 to 63 bytes.
	Name string `config:",name"`
	// DefaultReadTouchTTLPct: 0 takes the namespace's, -1 never renews.
	DefaultReadTouchTTLPct int `config:"default-read-touch-ttl-pct"`
	// DefaultTTL in seconds: 0 takes the namespace's, -1 never expires.
	DefaultTTL int64 `config:"default-ttl"`
	// DisableEviction exempts the set from eviction.
	DisableEviction bool `config:"disable-eviction"`
	// EnableIndex asks for an index of the set's records.
	EnableIndex bool `config:"enable-index"`
	// StopWritesCount refuses new records from this number of them on; 0: no
	// limit.
	StopWritesCount int64 `config:"stop-writes-count"`
	// StopWritesSize refuses writes while the set's records take more bytes
	// of storage; 0: no limit.
	StopWritesSize int64 `config:"stop-writes-size"`
}

// Limits of settings and names.
const (
	maxNamespaceName = 31      // bytes
	minMaxRecordSize = 64      // bytes
	maxMaxRecordSize = 8 << 20 // bytes
	minSprigs        = 16
	maxSprigs        = 1 << 28
	maxDefaultTTL    = record.TTLMax // ten years, in seconds
)

// DefaultOptions returns the defaults of a namespace: those of the original,
// but that nsup-period is 120 s, so that writes with a time to live work.
func DefaultOptions() Options {
	return Options{
		ApplyTTLReductions:      true,
		MaxRecordSize:           1 << 20,
		NsupPeriod:              120,
		PartitionTreeSprigs:     256,
		StopWritesSysMemoryPct:  90,
		TransactionPendingLimit: 20,
		Geo:                     geo.DefaultOptions(),
		Storage: StorageOptions{
			Type:               StorageMemory,
			Options:            storage.DefaultOptions(),
			StopWritesAvailPct: 5,
			StopWritesUsedPct:  70,
		},
	}
}

// validate reports every mistake at once, in the operator's words. Package
// storage validates its own.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if n := len(o.Name); n == 0 || n > maxNamespaceName {
		bad("namespace name %q: %d bytes, want 1 to %d", o.Name, n, maxNamespaceName)
	}
	if o.DefaultTTL > maxDefaultTTL {
		bad("default-ttl %d: want 0 to %d seconds", o.DefaultTTL, maxDefaultTTL)
	}
	if o.DefaultTTL != 0 && o.NsupPeriod == 0 && !o.AllowTTLWithoutNsup {
		bad("default-ttl %d: want nsup-period above 0, or allow-ttl-without-nsup true", o.DefaultTTL)
	}
	if p := o.DefaultReadTouchTTLPct; p < 0 || p > 100 {
		bad("default-read-touch-ttl-pct %d: want 0 to 100", p)
	}
	if o.IndexesMemoryBudget < 0 {
		bad("indexes-memory-budget %d: want 0 or more bytes", o.IndexesMemoryBudget)
	}
	if n := o.MaxRecordSize; n < minMaxRecordSize || n > maxMaxRecordSize {
		bad("max-record-size %d: want %d to %d bytes", n, minMaxRecordSize, maxMaxRecordSize)
	}
	if n := o.PartitionTreeSprigs; n < minSprigs || n > maxSprigs || n&(n-1) != 0 {
		bad("partition-tree-sprigs %d: want a power of two from %d to %d", n, minSprigs, maxSprigs)
	}
	if p := o.StopWritesSysMemoryPct; p < 0 || p > 100 {
		bad("stop-writes-sys-memory-pct %d: want 0 to 100", p)
	}
	if o.TransactionPendingLimit < 0 {
		bad("transaction-pending-limit %d: want 0 or more", o.TransactionPendingLimit)
	}
	if t := o.Storage.Type; t != StorageMemory && t != StorageDevice {
		bad("storage-engine %q: want memory or device", t)
	}
	if p := o.Storage.StopWritesAvailPct; p < 0 || p > 100 {
		bad("stop-writes-avail-pct %d: want 0 to 100", p)
	}
	if p := o.Storage.StopWritesUsedPct; p < 0 || p > 100 {
		bad("stop-writes-used-pct %d: want 0 to 100", p)
	}
	errs = append(errs, o.Geo.Validate())
	for i := range o.Sets {
		errs = append(errs, o.Sets[i].validate(o))
		if slices.ContainsFunc(o.Sets[:i], func(s SetOptions) bool { return s.Name == o.Sets[i].Name }) {
			bad("set %q: named twice", o.Sets[i].Name)
		}
	}
	return errors.Join(errs...)
}

func (s *SetOptions) validate(o *Options) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("set %q: "+format, append([]any{s.Name}, args...)...))
	}
	if !validSetName([]byte(s.Name)) {
		bad("name of %d bytes: want 1 to %d, none of them 0", len(s.Name), record.MaxSetName)
	}
	if s.DefaultTTL < -1 || s.DefaultTTL > int64(maxDefaultTTL) {
		bad("default-ttl %d: want -1 to %d seconds", s.DefaultTTL, maxDefaultTTL)
	}
	if s.DefaultTTL > 0 && o.NsupPeriod == 0 && !o.AllowTTLWithoutNsup {
		bad("default-ttl %d: want nsup-period above 0, or allow-ttl-without-nsup true", s.DefaultTTL)
	}
	if p := s.DefaultReadTouchTTLPct; p < -1 || p > 100 {
		bad("default-read-touch-ttl-pct %d: want -1 to 100", p)
	}
	if s.StopWritesCount < 0 {
		bad("stop-writes-count %d: want 0 or more", s.StopWritesCount)
	}
	if s.StopWritesSize < 0 {
		bad("stop-writes-size %d: want 0 or more bytes", s.StopWritesSize)
	}
	return errors.Join(errs...)
}

// validSetName reports whether a set may have this name.
func validSetName(name []byte) bool {
	return len(name) > 0 && len(name) <= record.MaxSetName && bytes.IndexByte(name, 0) < 0
}
