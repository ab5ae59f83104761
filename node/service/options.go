package service

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

// Pin says where loops run.
type Pin string

// Ways to pin loops.
const (
	PinNone Pin = "none" // where the kernel likes
	PinCPU  Pin = "cpu"  // each on a CPU of its own
	PinNUMA Pin = "numa" // the same, on the CPUs of Options.Nodes only, with memory of the CPU's node
)

// Options configures New. Start from DefaultOptions: in most fields 0 means
// what it says.
type Options struct {
	// Addresses to listen on, with port: "127.0.0.1:3000", "[::]:3000". Port 0
	// takes a free one.
	Addresses []string

	// Threads is the number of loops, 0 for DefaultThreads. Fewer, busier loops
	// serve more.
	Threads int `config:"service-threads"`
	// AutoPin pins the loops.
	AutoPin Pin `config:"auto-pin"`
	// Nodes are the NUMA nodes of PinNUMA; none means all.
	Nodes []int

	// FDMax is how many client connections there may be; more are closed as
	// soon as they are accepted.
	FDMax int `config:"proto-fd-max"`
	// FDIdle is how long a connection may be without a request before it is
	// closed; 0: for ever.
	FDIdle time.Duration `config:"proto-fd-idle-ms"`
	// InfoThreads is how many goroutines answer info messages.
	InfoThreads int `config:"info-threads"`

	// LoopMemory bounds the buffers of one loop's connections, in bytes. It is
	// address space until it is used. A message of 128 MiB needs 512 MiB.
	LoopMemory int

	// FlushMax is how long after a write the engine may still have something
	// to flush: until then a loop without requests looks after it often.
	FlushMax time.Duration

	// Ring configures the loops' queues.
	Ring ioring.Options
}

// DefaultOptions returns the original's defaults where it has them.
func DefaultOptions() Options {
	return Options{
		Addresses:   []string{"127.0.0.1:3000"},
		AutoPin:     PinNone,
		FDMax:       15000,
		InfoThreads: 16,
		LoopMemory:  512 << 20,
		FlushMax:    time.Second,
		Ring:        ioring.Options{Node: -1},
	}
}

// Limits of Options.
const (
	maxThreads    = 4096
	minLoopMemory = 1 << 20
)

// DefaultThreads is the number of loops when nobody says: one for each CPU,
// less one in eight and at least one. Measured on two CPUs with the clients
// beside the node: one loop serves 1.7 times as many requests as two, which
// sleep and wake for each of them.
func DefaultThreads() int {
	n := runtime.NumCPU()
	return max(1, n-max(1, n/8))
}

func (o *Options) setDefaults() {
	if o.Threads == 0 {
		o.Threads = DefaultThreads()
	}
	if o.Ring.Limit == 0 {
		// A Recv and a Send for each connection, whichever loop it is dealt
		// to, and device operations beside them.
		o.Ring.Limit = min(max(16384, 2*o.FDMax+deviceOps), 65536)
	}
}

// deviceOps is how many operations of a loop's ring connections leave to
// devices.
const deviceOps = 8192

// loopConns returns how many connections one loop serves. With more, the
// receives of idle ones could hold all the ring's operations, and none would be
// left for what a device has to do.
func (o *Options) loopConns() int {
	return max(1, (o.Ring.Limit-min(deviceOps, o.Ring.Limit/2))/2)
}

// validate reports every mistake at once, in the operator's words.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("service: "+format, args...)) }
	if len(o.Addresses) == 0 {
		bad("no address to listen on")
	}
	if o.Threads < 1 || o.Threads > maxThreads {
		bad("service-threads %d: want 1 to %d", o.Threads, maxThreads)
	}
	switch o.AutoPin {
	case PinNone, PinCPU, PinNUMA:
	default:
		bad("auto-pin %q: want none, cpu or numa", o.AutoPin)
	}
	if o.FDMax < 1 {
		bad("proto-fd-max %d: want 1 or more", o.FDMax)
	}
	if o.FDIdle < 0 {
		bad("proto-fd-idle-ms %d: want 0 or more", o.FDIdle.Milliseconds())
	}
	if o.InfoThreads < 1 || o.InfoThreads > 256 {
		bad("info-threads %d: want 1 to 256", o.InfoThreads)
	}
	if o.LoopMemory < minLoopMemory {
		bad("memory of a loop %d bytes: want %d or more", o.LoopMemory, minLoopMemory)
	}
	return errors.Join(errs...)
}
