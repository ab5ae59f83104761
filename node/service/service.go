package service

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/info"
	"github.com/ashlardb/ashlar/node/txn"
)

var errNoMemory = errors.New("the loop's buffers are used up")

// Service is the loops, the listeners and the pool of one node.
type Service struct {
	opts   Options
	shared *txn.Shared
	info   Info
	log    *slog.Logger
	epoch  time.Time // Moment.Mono counts from here

	loops     []*loop
	listeners []*listener
	pool      *pool
	threads   sync.WaitGroup // of loops
	failed    chan error     // what ended a loop that nobody stopped

	closing sync.Once
	closed  error // what Close said

	connections atomic.Int64
	opened      atomic.Uint64
	refused     atomic.Uint64
	nextLoop    atomic.Uint64
	fdMax       atomic.Int64
	fdIdle      atomic.Int64 // nanoseconds

	badStreams, noMemory, tooMany, acceptErrors complaint
}

// Info is who answers info messages: an info.Server. Both are called from
// several goroutines at once.
type Info struct {
	// Answer appends the reply's body to dst: the answers to text, the body of
	// an info message of connection c.
	Answer func(dst []byte, c *info.Conn, text []byte) []byte
	// Close says that a connection has ended.
	Close func(c *info.Conn)
}

// New starts the loops; nothing is accepted before Bind and Accept. shared has as many
// loops as o.Threads, or DefaultThreads.
func New(o Options, shared *txn.Shared, to Info, log *slog.Logger) (*Service, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Service{
		opts: o, shared: shared, info: to, log: log, epoch: time.Now(),
		failed:       make(chan error, o.Threads),
		badStreams:   complaint{text: "closed a connection for what cannot be a message"},
		noMemory:     complaint{text: "closed a connection that needs more memory than there is"},
		tooMany:      complaint{text: "refused connections above proto-fd-max"},
		acceptErrors: complaint{text: "cannot accept connections"},
	}
	s.fdIdle.Store(int64(o.FDIdle))
	s.fdMax.Store(int64(raiseFDLimit(o.FDMax, log)))
	cpus, nodes, err := place(&o)
	if err != nil {
		return nil, err
	}
	s.pool = newPool(o.InfoThreads, to)
	var errs []error
	for i := range o.Threads {
		l := &loop{s: s, id: i, cpu: cpus[i], node: nodes[i]}
		started := make(chan error)
		s.threads.Go(func() {
			err := l.start()
			started <- err
			if err != nil {
				return
			}
			if err := l.run(); err != nil {
				s.failed <- err
			}
		})
		if err := <-started; err != nil {
			errs = append(errs, fmt.Errorf("service: loop %d: %w", i, err))
			break
		}
		s.loops = append(s.loops, l)
	}
	if len(errs) != 0 {
		return nil, errors.Join(append(errs, s.Close())...)
	}
	return s, nil
}

// place returns the CPU and the NUMA node of each loop, -1 for any.
func place(o *Options) (cpus, nodes []int, err error) {
	cpus, nodes = make([]int, o.Threads), make([]int, o.Threads)
	for i := range cpus {
		cpus[i], nodes[i] = -1, -1
	}
	if o.AutoPin == PinNone {
		return cpus, nodes, nil
	}
	t, err := numa.Read(os.DirFS("/sys"))
	if err != nil {
		return nil, nil, fmt.Errorf("service: auto-pin %s: %w", o.AutoPin, err)
	}
	var want []int
	if o.AutoPin == PinNUMA {
		want = o.Nodes
	}
	if cpus, err = t.Spread(o.Threads, want); err != nil {
		return nil, nil, fmt.Errorf("service: auto-pin %s: %w", o.AutoPin, err)
	}
	if o.AutoPin == PinNUMA {
		for i, cpu := range cpus {
			nodes[i] = t.NodeOf(cpu)
		}
	}
	return cpus, nodes, nil
}

// spareFDs are descriptors for what is not a client: devices, rings, logs.
const spareFDs = 1024

// raiseFDLimit makes the process's limit hold max connections and returns how
// many it holds.
func raiseFDLimit(fdMax int, log *slog.Logger) int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		log.Warn("cannot read the limit of open files", "error", err)
		return fdMax
	}
	want := uint64(fdMax) + spareFDs
	if r.Cur >= want {
		return fdMax
	}
	up := r
	up.Cur, up.Max = want, max(r.Max, want)
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &up) == nil { // privileged: beyond the hard limit too
		return fdMax
	}
	r.Cur = min(want, r.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		log.Warn("cannot raise the limit of open files", "error", err)
	}
	if r.Cur < want {
		clamped := max(1, int(r.Cur)-spareFDs)
		log.Warn("proto-fd-max is above the limit of open files and was lowered", "proto-fd-max", fdMax, "now", clamped, "limit", r.Cur)
		return clamped
	}
	return fdMax
}

// Configure changes the settings that can change while the node runs:
// proto-fd-max and proto-fd-idle-ms. It refuses others, changing nothing.
func (s *Service) Configure(o Options) error {
	o.setDefaults()
	errs := []error{o.validate()}
	fixed := func(name string, same bool) {
		if !same {
			errs = append(errs, fmt.Errorf("service: %s cannot change while the node runs", name))
		}
	}
	fixed("service-threads", o.Threads == s.opts.Threads)
	fixed("info-threads", o.InfoThreads == s.opts.InfoThreads)
	fixed("auto-pin", o.AutoPin == s.opts.AutoPin)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.fdMax.Store(int64(raiseFDLimit(o.FDMax, s.log)))
	s.fdIdle.Store(int64(o.FDIdle))
	return nil
}

// deal hands a fresh socket to the next loop in turn.
func (s *Service) deal(fd int) {
	if n := s.connections.Add(1); n > s.fdMax.Load() {
		s.connections.Add(-1)
		s.refused.Add(1)
		s.tooMany.logNow(s, fmt.Errorf("%d are open", n-1))
		unix.Close(fd) //nolint:errcheck // nothing was sent
		return
	}
	s.opened.Add(1)
	l := s.loops[s.nextLoop.Add(1)%uint64(len(s.loops))]
	l.inbox.Post(&txn.Task{Run: func() { l.accept(fd) }})
}

// release counts a connection of l that has ended.
func (s *Service) release(l *loop) {
	inc(&l.counters.closed)
	s.connections.Add(-1)
}

// Threads returns the number of loops.
func (s *Service) Threads() int { return len(s.loops) }

// CPUs returns where each loop is pinned, -1 for nowhere.
func (s *Service) CPUs() []int {
	cpus := make([]int, len(s.loops))
	for i, l := range s.loops {
		cpus[i] = l.cpu
	}
	return cpus
}

// Describe says what the loops' queues are.
func (s *Service) Describe() string { return ioring.Describe(s.loops[0].q) }

// Failed delivers what ended a loop that nobody stopped. The node cannot
// serve on.
func (s *Service) Failed() <-chan error { return s.failed }

// Stats sums the figures of all loops. Any thread may call it.
func (s *Service) Stats() Stats {
	st := Stats{
		Connections: s.connections.Load(), Opened: s.opened.Load(), Refused: s.refused.Load(),
		InfoQueue: int64(len(s.pool.jobs)),
	}
	for _, l := range s.loops {
		l.counters.addTo(&st)
	}
	return st
}

// Close stops accepting, lets requests on their way end, closes the
// connections and flushes what the loops have written. After it every write
// that was answered is with the engine's devices. Only the first call counts.
func (s *Service) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Service) close() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.close())
	}
	s.listeners = nil
	for _, l := range s.loops {
		l.inbox.Post(&l.stop)
	}
	s.threads.Wait()
	s.pool.close()
	for {
		select {
		case err := <-s.failed:
			errs = append(errs, err)
		default:
			return errors.Join(errs...)
		}
	}
}

// complaint is a log line that comes at most once in complainEvery, with the
// number of times it was due.
type complaint struct {
	text string
	next atomic.Int64
	n    atomic.Uint64
}

const complainEvery = 10 * time.Second

func (c *complaint) log(s *Service, now txn.Moment, err error) {
	n := c.n.Add(1)
	next := c.next.Load()
	if now.Mono >= next && c.next.CompareAndSwap(next, now.Mono+int64(complainEvery)) {
		s.log.Warn(c.text, "times", n, "last", err)
	}
}

// logNow is log for goroutines that have no clock of their own.
func (c *complaint) logNow(s *Service, err error) {
	c.log(s, txn.Moment{Mono: int64(time.Since(s.epoch))}, err)
}
