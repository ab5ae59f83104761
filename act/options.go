package act

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Options configures Run. The zero value of a field means its default.
type Options struct {
	Config  Config
	Arrival Arrival
	// Seed of everything drawn by chance. Default: a fresh one, which the
	// result says.
	Seed uint64
	// Loops is the number of threads. Default: one for each 150,000 operations
	// a second, at most one a CPU.
	Loops int
	// CPUs that loops are pinned to. Default: those near the devices.
	CPUs []int
	// Depth is the most record operations in flight on one device, LargeDepth
	// that of block operations. What is due beyond waits, and its response
	// time goes on. Defaults 256 and 8.
	Depth, LargeDepth int
	// Verify checks what is read. Default on.
	NoVerify bool
	Verify   bool
	// ReadOnly leaves all writes out.
	ReadOnly bool
	// Slice is the length of what the rules apply to. Default 1 h, and all of
	// a shorter run.
	Slice time.Duration
	// Rules decide. Default: DefaultRules.
	Rules []Rule
	// JudgeAll runs to the end though the verdict is clear before.
	JudgeAll bool
	// MaxLateness by which the generator itself may be late with an operation,
	// for all but 1 % of them. Default 2 ms.
	MaxLateness time.Duration
	// MaxStarved is the share of its time that a loop may wait for a CPU.
	// Default 0.1.
	MaxStarved float64
	// Sync forces the engine without io_uring. IOPoll polls the device.
	Sync, IOPoll bool
	// Confirm names devices a second time, by serial, by which writing to
	// them is allowed.
	Confirm []string
	// Overwrite allows to write over a known signature.
	Overwrite bool

	// ACTLog takes a report each report interval, JSONL and HLog what happened
	// each second.
	ACTLog, JSONL, HLog io.Writer
	Progress            io.Writer
	Live                bool // Progress is a terminal
	Log                 *slog.Logger
}

// Defaults of Options.
const (
	defaultDepth      = 256
	defaultLargeDepth = 8
	defaultLateness   = 2 * time.Millisecond
	defaultStarved    = 0.1
	loopRate          = 150_000 // operations a second that one loop is given
	poolMemory        = 64 << 20
	runMemory         = 1 << 30
)

func (o *Options) setDefaults() {
	if o.Seed == 0 {
		o.Seed = rand.Uint64() | 1
	}
	if o.Depth == 0 {
		o.Depth = defaultDepth
	}
	if o.LargeDepth == 0 {
		o.LargeDepth = defaultLargeDepth
	}
	if o.Slice == 0 {
		o.Slice = DefaultSlice
	}
	o.Slice = min(o.Slice, o.Config.Duration)
	if o.Rules == nil {
		o.Rules = DefaultRules()
	}
	if o.MaxLateness == 0 {
		o.MaxLateness = defaultLateness
	}
	if o.MaxStarved == 0 {
		o.MaxStarved = defaultStarved
	}
	o.Verify = !o.NoVerify
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

func (o *Options) validate() error {
	errs := []error{o.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Depth < 1 || o.Depth > 1<<14 {
		fail("depth %d: want 1 to %d", o.Depth, 1<<14)
	}
	if o.LargeDepth < 1 || o.LargeDepth > 1<<10 {
		fail("large depth %d: want 1 to %d", o.LargeDepth, 1<<10)
	}
	if o.Loops < 0 || o.Loops > 1024 {
		fail("loops %d: want 1 to 1024", o.Loops)
	}
	if o.Slice < time.Second {
		fail("slice %v: want 1 s or more", o.Slice)
	}
	if o.MaxStarved < 0 || o.MaxStarved > 1 {
		fail("starved share %v: want 0 to 1", o.MaxStarved)
	}
	for _, r := range o.Rules {
		if thresholdIndex(r.Over) < 0 || r.PerMille == 0 {
			fail("rule %v: want one of the thresholds 1, 8 and 64 ms and a share above 0", r)
		}
	}
	if o.ReadOnly && o.Config.Rates().Reads.Zero() && o.Config.Rates().LargeReads.Zero() {
		fail("read-only, and the load only writes")
	}
	return errors.Join(errs...)
}
