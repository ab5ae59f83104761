package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/client"
)

// run is one run of the generator.
type run struct {
	o      *Options
	log    *slog.Logger
	spaces []*space
	nodes  []string // addresses
	loops  []*loop
	seed   uint64

	zero  time.Time // of the clock
	queue string    // what the loops' queues are
	ready chan error
	begin chan struct{}
	over  chan struct{} // closed when all loops have ended
	stop  atomic.Bool
}

// space is one namespace: who owns its partitions.
type space struct {
	name    string
	cluster *client.Cluster
	owners  atomic.Pointer[[record.Partitions]int16] // by partition: index of the node, negative for none
}

// owner returns the index of the node that owns a partition, negative if none.
func (s *space) owner(partition int) int { return int(s.owners.Load()[partition]) }

// clock returns the time since the run's zero.
func (r *run) clock() time.Duration { return time.Since(r.zero) }

func (r *run) mix() *mix { return r.o.mix }

// Run measures: it connects, warms up, loads the server for the given time and
// returns what it saw. The error says why there is no result: bad options, no
// server. A run that was cut short by ctx has a result.
func Run(ctx context.Context, o Options) (*Result, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &run{o: &o, log: slog.New(slog.NewTextHandler(io.Discard, nil)), seed: o.Seed, zero: time.Now(), begin: make(chan struct{}), over: make(chan struct{})}
	if r.seed == 0 {
		r.seed = rand.Uint64()
	}
	for _, name := range o.Namespaces {
		cluster, err := client.Dial(ctx, o.seeds(), client.Options{Timeout: o.Timeout, Namespace: name})
		if err != nil {
			return nil, err
		}
		defer func() { _ = cluster.Close() }() // only read from
		s := &space{name: name, cluster: cluster}
		r.spaces = append(r.spaces, s)
		for _, n := range cluster.Map().Nodes {
			if !slices.Contains(r.nodes, n.Address) {
				r.nodes = append(r.nodes, n.Address)
			}
		}
		r.takeMap(s)
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	return r.measure(ctx)
}

// takeMap takes over a namespace's partition map. Nodes that joined after the
// start are not known here: their partitions have no owner.
func (r *run) takeMap(s *space) {
	m := s.cluster.Map()
	var owners [record.Partitions]int16
	for p := range owners {
		owners[p] = client.NoNode
		if n := m.Owner(p); n >= 0 {
			owners[p] = int16(slices.Index(r.nodes, m.Nodes[n].Address))
		}
	}
	s.owners.Store(&owners)
}

// start makes the loops and waits until all are connected.
func (r *run) start() error {
	o := r.o
	r.ready = make(chan error, 2*o.Loops) // a loop that ends in trouble reports twice
	for i := range o.Loops {
		l, err := r.newLoop(i)
		if err != nil {
			return err
		}
		r.loops = append(r.loops, l)
	}
	var running sync.WaitGroup
	running.Add(len(r.loops))
	for i, l := range r.loops {
		cpu := -1
		if len(o.CPUs) > 0 {
			cpu = o.CPUs[i%len(o.CPUs)]
		}
		l.ended = make(chan error, 1)
		go func() {
			err := l.main(cpu)
			l.ended <- err
			r.ready <- err // only looked at while starting
			running.Done()
		}()
	}
	go func() {
		running.Wait()
		close(r.over)
	}()
	var errs []error
	for range r.loops { // each says once that it is connected, or why not
		errs = append(errs, <-r.ready)
	}
	if err := errors.Join(errs...); err != nil {
		r.stop.Store(true)
		close(r.begin)
		return err
	}
	return nil
}

// newLoop makes a loop with its share of connections and operations.
func (r *run) newLoop(i int) (*loop, error) {
	o := r.o
	l := &loop{run: r, index: i, r: newRNG(r.seed + uint64(i)*0x9E3779B97F4A7C15), rec: newRecorder(o.mix, o.Rate.Open())}
	for _, space := range r.spaces {
		for _, set := range o.Sets {
			pick, err := newPicker(o.KeyDist, o.Keys, i, o.Loops)
			if o.mix.once {
				pick, err = &sequential{at: uint64(i), step: uint64(o.Loops), n: o.Keys}, nil
			}
			if err != nil {
				return nil, err
			}
			l.targets = append(l.targets, target{
				space:    space,
				keys:     newKeySource(pick, o.StartKey, set, o.KeyType),
				requests: newRequests(o, space.name, set, o.mix, &values{r: l.r, compress: o.Compress}),
			})
		}
	}
	for n := i; n < o.Connections; n += o.Loops {
		l.slots = append(l.slots, &slot{})
	}
	l.left = ^uint64(0)
	if o.mix.once { // every key of every target
		each := o.Keys / uint64(o.Loops)
		if uint64(i) < o.Keys%uint64(o.Loops) {
			each++
		}
		l.left = each * uint64(len(l.targets))
	}
	if o.Rate.Open() {
		l.sched = newSchedule(o.Rate, o.Arrival, i, o.Loops)
		l.next = l.sched.due(l.r)
	}
	return l, nil
}

// measure lets the loops go and follows them to the end.
func (r *run) measure(ctx context.Context) (*Result, error) {
	began := time.Now()
	r.zero = began // before any loop reads the clock
	r.queue = ioring.Describe(r.loops[0].q)
	w := newWatch(r, began)
	w.start() // anew after a warm-up
	close(r.begin)
	interrupted, err := w.follow(ctx)
	r.stop.Store(true)
	for _, l := range r.loops {
		if e := <-l.ended; e != nil {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return nil, err
	}
	return w.result(interrupted), nil
}

// merged adds up one kind of histogram over the loops.
func (r *run) merged(pick func(*recorder) *hist.HDR) *hist.Merged {
	var hs []*hist.HDR
	for _, l := range r.loops {
		if h := pick(l.rec); h != nil {
			hs = append(hs, h)
		}
	}
	return hist.Merge(hs...)
}

// sum adds up a counter over the loops.
func (r *run) sum(pick func(*loop) uint64) uint64 {
	var n uint64
	for _, l := range r.loops {
		n += pick(l)
	}
	return n
}
