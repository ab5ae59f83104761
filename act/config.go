package act

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Model is what a load imitates.
type Model uint8

// Models.
const (
	Storage Model = iota // a namespace's data devices
	Index                // a primary index on flash
)

// String returns the model's name.
func (m Model) String() string { return [...]string{"storage", "index"}[m] }

// Limits of a configuration.
const (
	maxStorageDevices = 128
	maxIndexDevices   = 16
	maxDeviceName     = 127
	maxRecordBytes    = 8 << 20
	maxLargeBlock     = 8 << 20
	maxReplication    = 16 // keeps Rates within 64 bits
	maxConfigLine     = 4096
	maxConfigErrors   = 100
)

// Config is the load that a run makes, in the terms of ACT's configuration
// files. Rates are sums over all devices.
type Config struct {
	Model             Model
	Devices           []string
	FileSize          int64 // bytes; above 0 the devices are files that are brought to this size
	ServiceThreads    int   // shapes act6 arrivals; 5 a CPU by default
	CacheThreads      int   // index only; the same
	Duration          time.Duration
	ReportInterval    time.Duration
	Microseconds      bool // unit of the histograms in the ACT-format log
	ReadRate          uint32
	WriteRate         uint32
	RecordBytes       int
	RecordBytesMax    int // 0: no range
	LargeBlock        int // bytes
	ReplicationFactor int
	UpdatePct         int
	DefragLWM         int
	NoDefragReads     bool
	CompressPct       int // 100: incompressible
	DisableODSync     bool
	CommitToDevice    bool
	TombRaider        bool
	TombRaiderSleep   time.Duration
	MaxLag            time.Duration // 0: never

	// ExactBlocks counts records per block with their fraction, where ACT
	// rounds down.
	ExactBlocks bool
	// WriteBlock is the unit that large blocks are written into one after the
	// other, taken from a free list. 0: each large block goes to a random place.
	WriteBlock int
}

// DefaultConfig returns ACT's defaults.
func DefaultConfig(m Model) Config {
	return Config{
		Model: m, ServiceThreads: 5 * runtime.NumCPU(), CacheThreads: 8, ReportInterval: time.Second,
		RecordBytes: 1536, LargeBlock: 128 << 10, ReplicationFactor: 1, DefragLWM: 50, CompressPct: 100,
		MaxLag: 10 * time.Second,
	}
}

// key is one line of a configuration file.
type key struct {
	index bool // known to act_index too
	only  bool // known to act_index only
	set   func(c *Config, value string) (warning string, err error)
	show  func(c *Config) string
}

// keyOrder is the order in which a log shows the configuration.
var keyOrder = []string{
	"device-names", "file-size-mbytes", "service-threads", "cache-threads", "test-duration-sec", "report-interval-sec",
	"microsecond-histograms", "read-reqs-per-sec", "write-reqs-per-sec", "record-bytes", "record-bytes-range-max",
	"large-block-op-kbytes", "replication-factor", "update-pct", "defrag-lwm-pct", "no-defrag-reads", "compress-pct",
	"disable-odsync", "commit-to-device", "tomb-raider", "tomb-raider-sleep-usec", "max-lag-sec",
}

var keys = map[string]key{
	"device-names": {index: true, set: setDevices, show: func(c *Config) string { return strings.Join(c.Devices, " ") }},
	"file-size-mbytes": number(true, 0, math.MaxUint32,
		func(c *Config, n int64) { c.FileSize = n << 20 }, func(c *Config) int64 { return c.FileSize >> 20 }),
	"service-threads": number(true, 1, 1<<16,
		func(c *Config, n int64) { c.ServiceThreads = int(n) }, func(c *Config) int64 { return int64(c.ServiceThreads) }),
	"cache-threads": only(number(true, 1, 1<<16,
		func(c *Config, n int64) { c.CacheThreads = int(n) }, func(c *Config) int64 { return int64(c.CacheThreads) })),
	"test-duration-sec": number(true, 1, math.MaxUint32,
		func(c *Config, n int64) { c.Duration = time.Duration(n) * time.Second },
		func(c *Config) int64 { return int64(c.Duration / time.Second) }),
	"report-interval-sec": number(true, 1, 1<<20,
		func(c *Config, n int64) { c.ReportInterval = time.Duration(n) * time.Second },
		func(c *Config) int64 { return int64(c.ReportInterval / time.Second) }),
	"microsecond-histograms": boolean(true, func(c *Config) *bool { return &c.Microseconds }),
	"read-reqs-per-sec": number(true, 0, math.MaxUint32,
		func(c *Config, n int64) { c.ReadRate = uint32(n) }, func(c *Config) int64 { return int64(c.ReadRate) }),
	"write-reqs-per-sec": number(true, 0, math.MaxUint32,
		func(c *Config, n int64) { c.WriteRate = uint32(n) }, func(c *Config) int64 { return int64(c.WriteRate) }),
	"record-bytes": number(false, 1, maxRecordBytes,
		func(c *Config, n int64) { c.RecordBytes = int(n) }, func(c *Config) int64 { return int64(c.RecordBytes) }),
	"record-bytes-range-max": number(false, 0, maxRecordBytes,
		func(c *Config, n int64) { c.RecordBytesMax = int(n) }, func(c *Config) int64 { return int64(c.RecordBytesMax) }),
	"large-block-op-kbytes": number(false, 1, maxLargeBlock>>10,
		func(c *Config, n int64) { c.LargeBlock = int(n) << 10 }, func(c *Config) int64 { return int64(c.LargeBlock >> 10) }),
	"replication-factor": number(true, 1, maxReplication,
		func(c *Config, n int64) { c.ReplicationFactor = int(n) }, func(c *Config) int64 { return int64(c.ReplicationFactor) }),
	"update-pct": number(false, 0, 100,
		func(c *Config, n int64) { c.UpdatePct = int(n) }, func(c *Config) int64 { return int64(c.UpdatePct) }),
	"defrag-lwm-pct": number(true, 0, 99,
		func(c *Config, n int64) { c.DefragLWM = int(n) }, func(c *Config) int64 { return int64(c.DefragLWM) }),
	"no-defrag-reads": boolean(false, func(c *Config) *bool { return &c.NoDefragReads }),
	"compress-pct": number(false, 0, 100,
		func(c *Config, n int64) { c.CompressPct = int(n) }, func(c *Config) int64 { return int64(c.CompressPct) }),
	"disable-odsync":   boolean(true, func(c *Config) *bool { return &c.DisableODSync }),
	"commit-to-device": boolean(false, func(c *Config) *bool { return &c.CommitToDevice }),
	"tomb-raider":      boolean(false, func(c *Config) *bool { return &c.TombRaider }),
	"tomb-raider-sleep-usec": number(false, 0, math.MaxUint32,
		func(c *Config, n int64) { c.TombRaiderSleep = time.Duration(n) * time.Microsecond },
		func(c *Config) int64 { return int64(c.TombRaiderSleep / time.Microsecond) }),
	"max-lag-sec": number(true, 0, math.MaxUint32,
		func(c *Config, n int64) { c.MaxLag = time.Duration(n) * time.Second },
		func(c *Config) int64 { return int64(c.MaxLag / time.Second) }),
}

// removedKeys are keys of earlier ACT releases, with the release that dropped
// them. They are skipped with a warning.
var removedKeys = map[string]string{
	"num-queues": "6.0", "threads-per-queue": "6.0", "max-reqs-queued": "6.0", "commit-min-bytes": "6.4",
	"scheduler-mode": "6.5", "queue-per-device": "4.0", "use-valloc": "4.0", "num-write-buffers": "3.0",
	"large-block-ops-per-sec": "3.0", "read-req-num-512-blocks": "3.0",
}

func only(k key) key { k.only = true; return k }

func number(index bool, low, high int64, set func(*Config, int64), get func(*Config) int64) key {
	return key{index: index, show: func(c *Config) string { return strconv.FormatInt(get(c), 10) },
		set: func(c *Config, value string) (string, error) {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < low || n > high {
				return "", fmt.Errorf("%q: want a whole number from %d to %d", value, low, high)
			}
			set(c, n)
			return "", nil
		}}
}

func boolean(index bool, field func(*Config) *bool) key {
	return key{index: index,
		show: func(c *Config) string {
			if *field(c) {
				return "yes"
			}
			return "no"
		},
		set: func(c *Config, value string) (string, error) {
			switch strings.ToLower(value) {
			case "y", "yes", "true", "on", "1":
				*field(c) = true
				if value[0] != 'y' {
					return fmt.Sprintf("%q is read as yes; ACT 6 reads it as no", value), nil
				}
			case "n", "no", "false", "off", "0":
				*field(c) = false
			default:
				return "", fmt.Errorf("%q: want yes or no", value)
			}
			return "", nil
		}}
}

func setDevices(c *Config, value string) (string, error) {
	for _, name := range strings.FieldsFunc(value, isListSpace) {
		if len(name) > maxDeviceName {
			return "", fmt.Errorf("%q: %d bytes, want at most %d", name, len(name), maxDeviceName)
		}
		c.Devices = append(c.Devices, name)
	}
	return "", nil
}

func isListSpace(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' }

// ParseConfig reads a configuration file of ACT over the defaults. It returns
// every mistake at once, each with its line, and warnings about lines that have
// no effect or another one than with ACT.
func ParseConfig(r io.Reader, m Model) (c Config, warnings []string, err error) {
	c = DefaultConfig(m)
	var errs []error
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxConfigLine), maxConfigLine)
	line := 0
	for s.Scan() && len(errs) < maxConfigErrors {
		line++
		warning, err := c.setLine(s.Text())
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", line, err))
		}
		if warning != "" {
			warnings = append(warnings, fmt.Sprintf("line %d: %s", line, warning))
		}
	}
	if err := s.Err(); err != nil {
		errs = append(errs, fmt.Errorf("line %d: %w (lines have at most %d bytes)", line+1, err, maxConfigLine))
	}
	if len(errs) == 0 {
		errs = append(errs, c.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return c, warnings, fmt.Errorf("act: configuration: %w", err)
	}
	return c, warnings, nil
}

// setLine takes one line of a configuration file.
func (c *Config) setLine(text string) (warning string, err error) {
	text, _, _ = strings.Cut(text, "#")
	text = strings.TrimSpace(text)
	if text == "" {
		return "", nil
	}
	name, value := text, ""
	if i := strings.IndexAny(text, ": \t"); i >= 0 {
		name, value = text[:i], strings.TrimLeft(text[i:], ": \t")
	}
	if release, ok := removedKeys[name]; ok {
		return fmt.Sprintf("%s has no effect: ACT %s removed it", name, release), nil
	}
	k, ok := keys[name]
	if !ok || c.Model == Index && !k.index || c.Model == Storage && k.only {
		return "", fmt.Errorf("%q is no setting of the %s test", name, c.Model)
	}
	if value == "" {
		return "", fmt.Errorf("%s has no value", name)
	}
	if warning, err = k.set(c, value); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if warning != "" {
		warning = name + ": " + warning
	}
	return warning, nil
}

// Validate reports every mistake at once.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	most := maxStorageDevices
	if c.Model == Index {
		most = maxIndexDevices
	}
	if n := len(c.Devices); n < 1 || n > most {
		fail("device-names: %d devices, want 1 to %d", n, most)
	}
	seen := map[string]bool{}
	for _, name := range c.Devices {
		if seen[name] {
			fail("device-names: %s is named twice", name)
		}
		seen[name] = true
	}
	if c.Duration < time.Second {
		fail("test-duration-sec is missing: want 1 or more (86400 for a certificate)")
	}
	if c.ReadRate == 0 && c.WriteRate == 0 {
		fail("read-reqs-per-sec and write-reqs-per-sec are both 0: want a load")
	}
	if c.RecordBytesMax != 0 && c.RecordBytesMax <= c.RecordBytes {
		fail("record-bytes-range-max %d: want 0 or more than record-bytes %d", c.RecordBytesMax, c.RecordBytes)
	}
	if c.Model == Storage {
		if c.LargeBlock < 1<<10 || c.LargeBlock > maxLargeBlock || bits.OnesCount(uint(c.LargeBlock)) != 1 {
			fail("large-block-op-kbytes %d: want a power of two from 1 to %d", c.LargeBlock>>10, maxLargeBlock>>10)
		}
		if largest := max(c.RecordBytes, c.RecordBytesMax); c.WriteRate > 0 && largest > c.LargeBlock {
			fail("records of %d bytes do not fit in large blocks of %d: want large-block-op-kbytes of %d or more", largest, c.LargeBlock, (largest+1023)/1024)
		}
	}
	if c.CommitToDevice && c.DisableODSync {
		fail("commit-to-device and disable-odsync exclude each other: a commit is a write that is durable")
	}
	if c.WriteBlock != 0 && (c.WriteBlock < c.LargeBlock || c.WriteBlock%c.LargeBlock != 0) {
		fail("write block of %d bytes: want a multiple of the large block, %d", c.WriteBlock, c.LargeBlock)
	}
	return errors.Join(errs...)
}
