package txn

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/internal/hist"
)

// Options are the settings of transactions that hold for the whole node.
type Options struct {
	// TransactionMax is how long a transaction may wait for its turn when its
	// client names no time of its own. Default 1 s, as the original has it.
	TransactionMax time.Duration `config:"transaction-max-ms"`
}

func (o *Options) setDefaults() {
	if o.TransactionMax == 0 {
		o.TransactionMax = time.Second
	}
}

func (o *Options) validate() error {
	if o.TransactionMax < 0 {
		return fmt.Errorf("transaction-max-ms %d: want 0 or more", o.TransactionMax.Milliseconds())
	}
	return nil
}

// Namespace is a namespace as transactions see it. It is made by
// Shared.AddNamespace and lives as long as the Shared.
type Namespace struct {
	Name   string
	Engine *engine.Namespace

	id           int // index in Shared.namespaces and Worker.spaces
	pendingLimit atomic.Int64
	latency      [nKinds]*hist.Log2
}

// SetPendingLimit changes how many writes may wait for one key; more are
// answered KeyBusy. 0 is no limit. It may be called at any time.
func (ns *Namespace) SetPendingLimit(n int) { ns.pendingLimit.Store(int64(n)) }

// Shared is what the loops of a node share: namespaces, keys being written.
// Namespaces are added before the first Worker is made.
type Shared struct {
	log        *slog.Logger
	loops      int // Workers there will be
	table      table
	namespaces []*Namespace
	byName     map[string]*Namespace
	maxWait    atomic.Int64 // nanoseconds

	mu      sync.Mutex // guards workers
	workers []*Worker

	queries, batches, udfs refusal
}

// NewShared returns the state for a node of so many loops, each with a Worker.
func NewShared(o Options, loops int, log *slog.Logger) (*Shared, error) {
	s := &Shared{
		log: log, loops: loops, byName: map[string]*Namespace{},
		queries: refusal{what: "a query or scan (a message without digest)"},
		batches: refusal{what: "a batch"},
		udfs:    refusal{what: "a UDF call"},
	}
	if err := s.Configure(o); err != nil {
		return nil, err
	}
	return s, nil
}

// Configure changes the settings; it may be called at any time.
func (s *Shared) Configure(o Options) error {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return fmt.Errorf("txn: %w", err)
	}
	s.maxWait.Store(int64(o.TransactionMax))
	return nil
}

// AddNamespace makes a namespace known. Its name is not taken yet.
func (s *Shared) AddNamespace(ns *engine.Namespace) (*Namespace, error) {
	o := ns.Options()
	name := o.Name
	if s.byName[name] != nil {
		return nil, fmt.Errorf("txn: namespace %s is there already", name)
	}
	if len(s.workers) != 0 {
		return nil, errors.New("txn: namespaces are added before the first worker")
	}
	n := &Namespace{Name: name, Engine: ns, id: len(s.namespaces)}
	n.SetPendingLimit(o.TransactionPendingLimit)
	for k := range n.latency {
		n.latency[k] = hist.NewLog2("{"+name+"}-"+kindNames[k], hist.Msec, s.loops)
	}
	s.namespaces = append(s.namespaces, n)
	s.byName[name] = n
	return n, nil
}

// Namespaces returns the namespaces in the order in which they were added.
func (s *Shared) Namespaces() []*Namespace { return s.namespaces }

// Latencies returns the namespace's histograms by the part of their name
// behind "{ns}-": read, write, read-touch.
func (ns *Namespace) Latencies() map[string]*hist.Log2 {
	m := map[string]*hist.Log2{}
	for k, h := range ns.latency {
		m[kindNames[k]] = h
	}
	return m
}

// Stats returns the sums of all loops for ns. Any thread may call it.
func (s *Shared) Stats(ns *Namespace) (sum Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		w.spaces[ns.id].counters.addTo(&sum)
	}
	return sum
}

// NodeStats returns the sums of all loops. Any thread may call it.
func (s *Shared) NodeStats() (sum NodeStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		sum.EarlyErrors += w.earlyErrors.Load()
	}
	return sum
}

// refusal says in the log what clients ask for and this version does not do,
// at most once in refusalEvery.
type refusal struct {
	what string
	next atomic.Int64 // nanoseconds on the loops' clock
	n    atomic.Uint64
}

const refusalEvery = 10 * time.Second

func (f *refusal) log(s *Shared, now Moment) {
	n := f.n.Add(1)
	next := f.next.Load()
	if now.Mono < next || !f.next.CompareAndSwap(next, now.Mono+int64(refusalEvery)) {
		return
	}
	s.log.Warn("refused "+f.what+": this version runs single-record transactions only", "result", 16, "times", n)
}
