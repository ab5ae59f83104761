package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
)

// Options is a run: what is asked of which server, how fast and for how long.
type Options struct {
	Hosts      []string // host or host:port
	Port       int      // of hosts without one
	Namespaces []string
	Sets       []string // operations are spread over all sets of all namespaces; "" is no set

	Keys     uint64
	StartKey uint64
	KeyType  KeyType
	KeyDist  string // see newPicker

	Workload string // see parseMix
	Object   string // see spec
	Bin      string // name of the first bin
	Compress float64

	TTL           int64 // seconds; 0 default, -1 never, -2 unchanged
	SendKey       bool
	DurableDelete bool

	Connections int // operations in flight at the most
	Loops       int
	CPUs        []int // to pin loops to, in turn; none: not pinned
	Rate        Rate
	Arrival     Arrival

	Duration  time.Duration // of the measurement; 0 with a workload that ends by itself
	Warmup    time.Duration
	Timeout   time.Duration // of an operation
	MaxErrors uint64        // the run ends when there are more; 0: no limit

	// MaxLateness is how late the generator itself may be in sending an
	// operation; more than 1 % later than that make the run invalid.
	MaxLateness time.Duration
	// MaxStarved is the share of its time that a loop may wait for a CPU.
	MaxStarved float64

	ServerPID int // when the server is local: to count its CPU
	Seed      uint64
	Fallback  bool // do without io_uring

	Progress io.Writer     // a line a second goes here, if set
	Live     bool          // Progress is a terminal: one line that changes
	Every    time.Duration // of progress lines when not Live

	specs []spec
	mix   *mix
}

// setDefaults fills in what was left open.
func (o *Options) setDefaults() {
	def := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"127.0.0.1"}
	}
	if o.Port == 0 {
		o.Port = 3000
	}
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{"test"}
	}
	if len(o.Sets) == 0 {
		o.Sets = []string{"testset"}
	}
	if o.Keys == 0 {
		o.Keys = 1_000_000
	}
	def(&o.KeyDist, "uniform")
	def(&o.Workload, "RU,50")
	def(&o.Object, "I4")
	def(&o.Bin, "testbin")
	if o.Connections == 0 {
		o.Connections = 16
	}
	if o.Loops == 0 {
		o.Loops = 1
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if o.MaxLateness == 0 {
		o.MaxLateness = 2 * time.Millisecond
	}
	if o.MaxStarved == 0 {
		o.MaxStarved = 0.05
	}
	if o.Compress == 0 {
		o.Compress = 1
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
}

// Limits of Options.
const (
	maxConnections = 1 << 15
	maxLoops       = 256
)

// validate reports everything that is wrong at once, and parses what is text.
func (o *Options) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, ns := range o.Namespaces {
		if ns == "" || len(ns) > 31 {
			fail("namespace %q: want 1 to 31 bytes", ns)
		}
	}
	for _, s := range o.Sets {
		if len(s) > record.MaxSetName {
			fail("set %q: want at most %d bytes", s, record.MaxSetName)
		}
	}
	if o.Connections < 1 || o.Connections > maxConnections {
		fail("connections %d: want 1 to %d", o.Connections, maxConnections)
	}
	if o.Loops < 1 || o.Loops > maxLoops {
		fail("loops %d: want 1 to %d", o.Loops, maxLoops)
	} else if o.Loops > o.Connections {
		fail("loops %d: want no more than connections (%d)", o.Loops, o.Connections)
	}
	if o.TTL < -2 || o.TTL > int64(record.TTLMax) {
		fail("ttl %d: want -2 (unchanged), -1 (never), 0 (default) or seconds up to %d", o.TTL, record.TTLMax)
	}
	if o.Compress < 0 || o.Compress > 1 {
		fail("compressible share %g: want 0 to 1", o.Compress)
	}
	if o.Timeout < time.Millisecond {
		fail("timeout %v: want at least 1ms", o.Timeout)
	}
	if o.Duration < 0 || o.Warmup < 0 {
		fail("duration %v, warmup %v: want none below 0", o.Duration, o.Warmup)
	}
	if len(o.Bin) > record.MaxBinName {
		fail("bin %q: want at most %d bytes", o.Bin, record.MaxBinName)
	}
	var err error
	if o.specs, err = parseSpecs(o.Object); err != nil {
		errs = append(errs, err)
	} else if last := binNames(o.Bin, count(o.specs)); len(last[len(last)-1]) > record.MaxBinName {
		fail("object spec %q: bin %q has more than %d bytes", o.Object, last[len(last)-1], record.MaxBinName)
	}
	if o.mix, err = parseMix(o.Workload); err != nil {
		errs = append(errs, err)
	}
	if _, err = newPicker(o.KeyDist, max(o.Keys, 1), 0, 1); err != nil {
		errs = append(errs, err)
	}
	if o.mix != nil && !o.mix.once && o.Duration == 0 {
		fail("workload %s does not end by itself: want a duration", o.Workload)
	}
	return errors.Join(errs...)
}

// seeds returns the addresses of the hosts.
func (o *Options) seeds() []string {
	addresses := make([]string, len(o.Hosts))
	for i, h := range o.Hosts {
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), strconv.Itoa(o.Port))
		}
		addresses[i] = h
	}
	return addresses
}
