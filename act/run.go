package act

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/ioring"
)

// run is the engine of one measurement: loops and what they share.
type run struct {
	o       Options
	targets []*target
	loops   []*loop
	logs    []*hist.Log2 // by device, then class; nil where nothing goes
	filler  *filler
	asked   [nClasses]Rate // of all devices

	clock func() time.Duration // since the start of the run
	look  func(*recorder)      // at the calling thread; nil without threads

	firstSequence uint64
	ready         chan string
	begin         chan struct{}

	stopNs atomic.Int64 // when the run was stopped, MaxInt64 before
	mu     sync.Mutex
	early  []stop // why it was stopped before its time
}

// stopCause says why a run was stopped before its time.
type stopCause uint8

const (
	stopLag     stopCause = iota // operations wait for the device for too long
	stopStuck                    // an operation does not come back
	stopVerdict                  // the outcome is clear, or the engine is broken
	stopUser
)

// stop is why a run was stopped before its time.
type stop struct {
	cause stopCause
	class Class
	name  string // of the device
	lag   time.Duration
}

func (s stop) String() string {
	switch s.cause {
	case stopLag:
		return fmt.Sprintf("%s: %s can't keep up: %v behind their time with all of the depth in flight", s.name, s.class, s.lag.Round(time.Millisecond))
	case stopStuck:
		return fmt.Sprintf("%s: one of the %s has not come back for %v", s.name, s.class, s.lag.Round(time.Millisecond))
	case stopUser:
		return "interrupted"
	}
	return "the outcome was clear"
}

// newRun plans a load over targets. What Options may say must be valid.
func newRun(o Options, targets []*target, loops int, clock func() time.Duration) *run {
	r := &run{
		o: o, targets: targets, clock: clock, filler: newFiller(o.Config.CompressPct, o.Seed), firstSequence: 1,
		ready: make(chan string, loops), begin: make(chan struct{}), logs: make([]*hist.Log2, len(targets)*int(nClasses)),
	}
	r.stopNs.Store(math.MaxInt64)
	for i := range loops {
		r.loops = append(r.loops, &loop{run: r, index: i, rec: newRecorder(len(targets)), floor: hist.NewHDR(measured), ended: make(chan error, 1)})
	}
	r.plan()
	return r
}

// plan deals the load to the loops: records of each device to all of them,
// blocks of a device to one.
func (r *run) plan() {
	c, rates := &r.o.Config, r.o.Config.Rates()
	n, l := len(r.targets), len(r.loops)
	number := uint64(0)
	add := func(loop int, p plan) {
		number++
		p.stream = number
		p.depth = r.depth(p, l)
		r.loops[loop].plans = append(r.loops[loop].plans, p)
		for _, t := range p.targets {
			r.addCell(loop, t.index, p.class)
		}
	}
	for class, rate := range map[Class]Rate{Read: rates.Reads, Write: rates.Writes, LargeRead: rates.LargeReads, LargeWrite: rates.LargeWrites} {
		if !rate.Zero() && (!class.writes() || !r.o.ReadOnly) {
			r.asked[class] = rate
		}
	}
	for class := range nClasses {
		rate := r.asked[class]
		switch {
		case rate.Zero():
		case class.large():
			for d, t := range r.targets {
				add(d%l, plan{class: class, targets: []*target{t}, rate: rate.Over(n), part: 2*d + int(class-LargeRead), parts: 2 * n})
			}
		case r.o.Arrival == ACT5 || r.o.Arrival == ACT6: // one stream, which draws the device
			add(0, plan{class: class, targets: r.targets, rate: rate, parts: 1})
		default:
			for d, t := range r.targets {
				for i := range l {
					add(i, plan{class: class, targets: []*target{t}, rate: rate.Over(n * l), part: d + i*n, parts: n * l})
				}
			}
		}
	}
	if c.TombRaider && c.Model == Storage {
		for d, t := range r.targets {
			add(d%l, plan{class: TombRead, targets: []*target{t}})
		}
	}
}

// depth returns how many operations of a plan may be in flight on one device.
func (r *run) depth(p plan, loops int) int {
	if p.class == TombRead {
		return 1
	}
	depth := r.o.LargeDepth
	if !p.class.large() {
		depth = r.o.Depth
		if len(p.targets) == 1 && r.o.Arrival != ACT5 && r.o.Arrival != ACT6 {
			depth = (depth + loops - 1) / loops
		}
	}
	memory := min(poolMemory, runMemory/len(r.targets)/loops)
	return max(2, min(depth, memory/pow2(r.bufferSize(p.targets[0], p.class))))
}

func (r *run) addCell(loop, device int, class Class) {
	i := device*int(nClasses) + int(class)
	if r.logs[i] == nil {
		unit := hist.Msec
		if r.o.Config.Microseconds {
			unit = hist.Usec
		}
		r.logs[i] = hist.NewLog2(r.targets[device].name+"-"+class.String(), unit, len(r.loops))
	}
	if cells := r.loops[loop].rec.cells; cells[i] == nil {
		cells[i] = &cell{service: hist.NewHDR(measured), response: hist.NewHDR(measured), log2: r.logs[i].Recorder(loop)}
	}
}

// bufferSize returns the largest operation of a class in bytes.
func (r *run) bufferSize(t *target, c Class) int {
	if c.large() {
		return int(t.large)
	}
	return int(t.record+t.recordSteps-1) * t.block
}

// threads returns how many operations of a class ACT issues at one moment.
func (r *run) threads(c Class) int {
	switch {
	case c.large():
		return 1
	case c == Write && r.o.Config.Model == Index:
		return r.o.Config.CacheThreads
	}
	return r.o.Config.ServiceThreads
}

// stopped reports whether nothing new is to be issued at a moment.
func (r *run) stopped(now time.Duration) bool { return now >= min(r.o.Config.Duration, r.stopAt()) }

// stopAt returns when the run was stopped, never if it was not.
func (r *run) stopAt() time.Duration {
	return min(time.Duration(r.stopNs.Load()), r.o.Config.Duration)
}

// patience returns how long a loop waits for the device at the end.
func (r *run) patience() time.Duration {
	if r.o.Config.MaxLag > 0 {
		return r.o.Config.MaxLag
	}
	return 10 * time.Second
}

func (r *run) lagging(lag time.Duration) bool {
	return r.o.Config.MaxLag > 0 && lag > r.o.Config.MaxLag
}

// stopFor ends the run before its time. The first cause of each kind counts.
func (r *run) stopFor(cause stopCause, class Class, t *target, lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.early {
		if s.cause == cause {
			return
		}
	}
	s := stop{cause: cause, class: class, lag: lag}
	if t != nil {
		s.name = t.name
	}
	r.early = append(r.early, s)
	r.stopNs.CompareAndSwap(math.MaxInt64, int64(r.clock()))
}

// stops returns why the run was stopped before its time.
func (r *run) stops() []stop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]stop(nil), r.early...)
}

// start lets the loops go, each on a thread of its own, and returns what their
// queues are.
func (r *run) start(cpus []int, open func() (ioring.Queue, error)) (queue string, err error) {
	for i, l := range r.loops {
		cpu := -1
		if len(cpus) > 0 {
			cpu = cpus[i%len(cpus)]
		}
		go func() { l.ended <- l.main(cpu, open) }()
	}
	for _, l := range r.loops {
		select {
		case queue = <-r.ready:
		case err := <-l.ended:
			l.ended <- err // for wait
			r.stopNs.Store(0)
			close(r.begin)
			return "", r.wait()
		}
	}
	return queue, nil
}

// baseline notes what a loop's thread had used of the CPU before the run.
func (r *run) baseline(l *loop) {
	l.cpuBefore, l.starvedBefore, l.involuntaryBefore = l.rec.cpu.Load(), l.rec.starved.Load(), l.rec.involuntary.Load()
}

// wait waits for the loops, which give up on a device that does not answer.
func (r *run) wait() error {
	var errs []error
	for _, l := range r.loops {
		errs = append(errs, <-l.ended)
	}
	return errors.Join(errs...)
}
