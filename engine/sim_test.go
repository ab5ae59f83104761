package engine_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// rig is a namespace on simulated devices, with everything that a node would
// run of it, on one goroutine.
type rig struct {
	t       *testing.T
	world   *sim.World
	rnd     *rand.Rand
	devices []*ioring.Device
	options engine.Options
	faults  sim.Faults

	ns      *engine.Namespace
	workers []*engine.Worker
	sup     *engine.Supervisor
	queues  []ioring.Queue
}

// Sizes of a rig's devices: small, so that records soon leave the caches,
// devices fill up and defrag has work.
const (
	rigWblock     = 64 << 10
	rigDevice     = 40 * rigWblock
	rigFlushMax   = 200 * time.Millisecond
	rigWorkers    = 2
	rigMaxRecord  = 16 << 10
	rigIndexBytes = 512 << 20
)

func newRig(t *testing.T, seed uint64, f sim.Faults) *rig {
	rnd := rand.New(rand.NewPCG(seed, 1))
	g := &rig{t: t, world: sim.New(seed, sim.Faults{}), rnd: rnd, faults: f}
	for i := range 1 + rnd.IntN(2) {
		g.devices = append(g.devices, g.world.Device(fmt.Sprintf("drive-%d", i), rigDevice))
	}
	o := engine.DefaultOptions()
	o.Name = "test"
	o.MaxRecordSize = rigMaxRecord
	o.NsupPeriod = 5
	o.PartitionTreeSprigs = 16
	o.Storage.Type = engine.StorageDevice
	o.Storage.WblockSize = rigWblock
	o.Storage.FlushSize = 4096 << rnd.IntN(3)
	o.Storage.FlushMax = rigFlushMax
	o.Storage.PostWriteCache = int64(rnd.IntN(3)) * rigWblock
	o.Storage.MaxWriteCache = 8 * rigWblock
	o.Storage.ReadBuffers = 4 * rigWblock
	o.Storage.DefragLWM = 40 + rnd.IntN(30)
	o.Storage.CommitToDevice = rnd.IntN(2) == 0
	o.Storage.StopWritesAvailPct, o.Storage.StopWritesUsedPct = 0, 0
	o.Storage.Seed = seed | 1
	g.options = o
	g.open()
	return g
}

func (g *rig) now() record.Time { return startTime + record.Time(g.world.Now()/time.Millisecond) }

func (g *rig) queue() ioring.Queue {
	q := g.world.Queue()
	g.queues = append(g.queues, q)
	return q
}

func (g *rig) open() {
	g.t.Helper()
	// Opening and checking read everything: what the drive fails to deliver
	// they find fault with, rightly.
	g.world.SetFaults(sim.Faults{Torn: g.faults.Torn, Lost: g.faults.Lost})
	defer func() { g.world.SetFaults(g.faults) }()
	var err error
	g.ns, err = engine.Open(g.options, engine.Env{
		Devices:     g.devices,
		NewQueue:    func() (ioring.Queue, error) { return g.world.Queue(), nil },
		Now:         g.now,
		Log:         slog.New(slog.DiscardHandler),
		IndexMemory: rigIndexBytes,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.queues, g.workers = nil, nil
	for range rigWorkers {
		w, err := g.ns.NewWorker(g.queue())
		if err != nil {
			g.t.Fatal(err)
		}
		g.workers = append(g.workers, w)
	}
	if g.sup, err = g.ns.NewSupervisor(g.queue()); err != nil {
		g.t.Fatal(err)
	}
	if err := g.ns.Check(); err != nil {
		g.t.Fatalf("after opening: %v", err)
	}
}

// turn lets everything run for a moment.
func (g *rig) turn(wait time.Duration) {
	for _, q := range g.queues {
		if _, err := q.Poll(wait); err != nil {
			g.t.Fatal(err)
		}
	}
	g.sup.Step(g.now())
	for _, w := range g.workers {
		w.Tick(g.now())
	}
}

// close shuts down in order.
func (g *rig) close() {
	g.t.Helper()
	check := func(err error) {
		g.t.Helper()
		if err != nil {
			g.t.Error(err)
		}
	}
	check(g.sup.Close())
	for _, w := range g.workers {
		check(w.Close())
	}
	for _, q := range g.queues {
		check(q.Close())
	}
	check(g.ns.Close())
}

// state is what a record is: the model's own idea of it.
type state struct {
	exists bool
	ghost  bool // absent, but it may be an expired record that is still there
	gen    uint32
	void   uint32
	bins   []bin
}

type bin struct{ name, value string }

func (s state) at(now record.Time) state {
	if s.exists && s.void != 0 && s.void < now.Seconds() {
		return state{}
	}
	return s
}

func (s state) String() string {
	if !s.exists {
		return "absent"
	}
	return fmt.Sprintf("gen %d void %d %.200v", s.gen, s.void, s.bins)
}

func sameState(a, b state) bool {
	return a.exists == b.exists && a.gen == b.gen && a.void == b.void && slices.Equal(a.bins, b.bins)
}

// version is a state that a key had, and when it was acknowledged.
type version struct {
	state
	at time.Duration
}

// key is one record of the model.
type modelKey struct {
	digest  record.Digest
	set     string
	history []version // oldest first; the last is the present
	busy    bool
	maybe   *state // what the request in flight would make of it
}

func (k *modelKey) present() state { return k.history[len(k.history)-1].state }

// action is one request of the model.
type action struct {
	req  engine.Request
	key  *modelKey
	want state // afterwards, if it succeeds
	res  record.Result
	read bool
	busy bool
	at   record.Time
}

// model drives a rig with random requests and knows what they must answer.
type model struct {
	*rig
	keys    []*modelKey
	actions []*action
	faulty  bool // reads may fail, devices may be fenced
	done    int
	refused int // with 8 or 18
	unread  int
	parked  int
}

func newModel(g *rig, keys int) *model {
	m := &model{rig: g}
	for i := range keys {
		k := &modelKey{history: []version{{}}}
		for j := range k.digest {
			k.digest[j] = byte(g.rnd.Uint32())
		}
		if i%3 != 0 {
			k.set = fmt.Sprintf("set%d", i%3)
		}
		m.keys = append(m.keys, k)
	}
	m.newActions()
	return m
}

func (m *model) newActions() {
	m.actions = nil
	for range 12 {
		a := &action{}
		a.req.Done = func(*engine.Request) { m.finished(a) }
		m.actions = append(m.actions, a)
	}
}

func (m *model) text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = 'a' + byte(m.rnd.UintN(26))
	}
	return p
}

// set gives the model's record a bin, in place or as the last one.
func (s *state) set(name, value string) {
	for i := range s.bins {
		if s.bins[i].name == name {
			s.bins[i].value = value
			return
		}
	}
	s.bins = append(s.bins, bin{name, value})
}

// drop removes a bin: the last one moves into its place.
func (s *state) drop(name string) {
	for i := range s.bins {
		if s.bins[i].name == name {
			last := len(s.bins) - 1
			s.bins[i] = s.bins[last]
			s.bins = s.bins[:last]
			return
		}
	}
}

func (s *state) get(name string) string {
	for _, b := range s.bins {
		if b.name == name {
			return b.value
		}
	}
	return ""
}

// start begins a random request on an idle key.
func (m *model) start(a *action) {
	k := m.keys[m.rnd.IntN(len(m.keys))]
	if k.busy {
		return
	}
	k.busy, a.busy, a.key = true, true, k
	r := &a.req
	r.Reset()
	r.Digest, r.Set, r.Now = k.digest, []byte(k.set), m.now()
	a.at = r.Now
	cur := k.present().at(r.Now)
	next := state{exists: true, gen: cur.gen + 1, bins: slices.Clone(cur.bins)}
	a.read, a.res = false, record.OK
	r.Info2, r.TTL = record.Info2Write, record.TTLNever
	if m.rnd.IntN(4) == 0 {
		r.TTL = 1 + m.rnd.Uint32N(20)
		next.void = r.Now.Seconds() + r.TTL
	}
	name := []string{"a", "b", "c"}[m.rnd.IntN(3)]
	value := m.text(m.rnd.IntN(300))
	if m.rnd.IntN(20) == 0 {
		value = m.text(m.rnd.IntN(8000))
	}
	op := record.Op{Code: record.OpWrite, Type: record.String, Name: []byte(name), Value: value}
	r.Ops = append(r.Ops[:0], op)
	switch kind := m.rnd.IntN(20); {
	case kind < 6:
		next.set(name, string(value))
	case kind < 8:
		r.Info3 = record.Info3CreateOrReplace
		next.bins = nil
		next.set(name, string(value))
	case kind < 9:
		r.Info2 |= record.Info2CreateOnly
		next.set(name, string(value))
		if cur.exists {
			a.res = record.Exists
		}
	case kind < 11:
		r.Ops[0].Code = record.OpAppend
		r.Ops[0].Value = value[:len(value)%50]
		next.set(name, next.get(name)+string(r.Ops[0].Value))
	case kind < 12:
		r.Ops[0] = record.Op{Code: record.OpTouch}
		if !cur.exists {
			a.res = record.NotFound
		}
	case kind < 13:
		r.Ops[0].Type, r.Ops[0].Value = record.Null, nil
		next.drop(name)
		switch {
		case len(cur.bins) == 0:
			a.res = record.NotFound
		case len(next.bins) == 0:
			next = state{}
		}
	case kind < 16:
		r.Info2 |= record.Info2Delete
		r.Ops = r.Ops[:0]
		next = state{}
		switch p := k.present(); {
		case cur.exists:
		case p.exists || p.ghost:
			a.res = record.TimedOut // expired: there or reclaimed, both are right
		default:
			a.res = record.NotFound
		}
	default:
		a.read = true
		r.Info1, r.Info2, r.TTL = record.Info1Read|record.Info1GetAll, 0, 0
		r.Ops = r.Ops[:0]
		next = cur
		if !cur.exists {
			a.res = record.NotFound
		}
	}
	a.want = next
	if !a.read {
		k.maybe = &a.want
	}
	w := m.workers[m.rnd.IntN(len(m.workers))]
	if a.read {
		w.Read(r)
	} else {
		w.Write(r)
	}
	if a.busy {
		m.parked++
	}
}

// finished compares an answer with the model.
func (m *model) finished(a *action) {
	r, k := &a.req, a.key
	m.done++
	a.busy, k.busy, k.maybe = false, false, nil
	switch {
	case r.Result == record.OutOfSpace || r.Result == record.DeviceOverload:
		if a.read {
			m.t.Errorf("read %x: %v", k.digest[:4], r.Result)
		}
		m.refused++
		return
	case r.Result == record.Unknown && m.faulty:
		m.unread++ // the old record could not be read: nothing was done
		return
	case r.Result == record.TooBig && !a.read:
		size := 0
		for _, b := range a.want.bins {
			size += len(b.value)
		}
		if size < rigMaxRecord/2 {
			m.t.Errorf("write of %d bytes: %v", size, r.Result)
		}
		return
	case a.res == record.TimedOut && (r.Result == record.OK || r.Result == record.NotFound):
		k.history = append(k.history, version{state{}, m.world.Now()})
		return
	case r.Result != a.res:
		m.t.Errorf("%x: read %v, info %x %x, %d ops: result %v, want %v; it is %v, at %d", k.digest[:4], a.read, r.Info2, r.Info3, len(r.Ops), r.Result, a.res, k.present(), r.Now.Seconds())
		return
	case r.Result != record.OK:
		return
	}
	got := state{exists: a.want.exists, gen: r.ReplyGeneration, void: r.ReplyVoidTime, bins: slices.Clone(a.want.bins)}
	if a.read {
		got.bins = nil
		for _, b := range r.Bins {
			got.bins = append(got.bins, bin{string(b.Name), string(b.Value.Bytes)})
		}
	}
	if !sameState(got, a.want) {
		m.t.Errorf("%x: answer %v, want %v", k.digest[:4], got, a.want)
	}
	if !a.read {
		k.history = append(k.history, version{a.want, m.world.Now()})
	}
}

// drain lets every request end.
func (m *model) drain() {
	m.t.Helper()
	for turn := 0; ; turn++ {
		busy := false
		for _, a := range m.actions {
			busy = busy || a.busy
		}
		if !busy {
			return
		}
		if turn > 100000 {
			m.t.Fatal("requests do not end")
		}
		m.turn(time.Millisecond)
	}
}

// verify reads every key and holds it to one of the states that it may have:
// those from the newest on that must have survived.
func (m *model) verify(what string, crashed bool) {
	m.t.Helper()
	for _, k := range m.keys {
		now := m.now() // reading takes time
		allowed := k.history[len(k.history)-1:]
		if crashed {
			allowed = m.survivors(k)
		}
		got, res := m.read(k)
		for try := 0; res == record.Unknown && m.faulty && try < 100; try++ {
			now = m.now()
			got, res = m.read(k) // the drive's faults pass
		}
		ok := false
		for _, v := range allowed {
			ok = ok || sameState(got, v.state.at(now))
			got.ghost = got.ghost || !got.exists && (v.exists || v.ghost)
		}
		if crashed && k.maybe != nil {
			ok = ok || sameState(got, k.maybe.at(now))
		}
		if !ok {
			m.t.Errorf("%s: %x is %v (%v), want one of %v, or %v in flight", what, k.digest[:4], got, res, allowed, k.maybe)
		}
		k.history, k.maybe, k.busy = []version{{got, m.world.Now()}}, nil, false
	}
}

// survivors are the versions that a crash may leave of a key: the present one
// if commits are durable, else all that may still have been on their way.
func (m *model) survivors(k *modelKey) []version {
	last := len(k.history) - 1
	if m.options.Storage.CommitToDevice {
		return k.history[last:]
	}
	// A record waits for flush-max, twice a tick of its loop, and its write.
	slack := rigFlushMax + time.Second
	for last > 0 && k.history[last].at+slack > m.world.Now() {
		last--
	}
	return k.history[last:]
}

func (m *model) read(k *modelKey) (state, record.Result) {
	m.t.Helper()
	var got state
	ended := false
	r := &engine.Request{Info1: record.Info1Read | record.Info1GetAll, Digest: k.digest, Now: m.now()}
	r.Done = func(r *engine.Request) {
		ended = true
		if r.Result != record.OK {
			return
		}
		got = state{exists: true, gen: r.ReplyGeneration, void: r.ReplyVoidTime}
		for _, b := range r.Bins {
			got.bins = append(got.bins, bin{string(b.Name), string(b.Value.Bytes)})
		}
	}
	m.workers[0].Read(r)
	for i := 0; !ended; i++ {
		if i > 100000 {
			m.t.Fatal("a read does not end")
		}
		if _, err := m.queues[0].Poll(time.Millisecond); err != nil {
			m.t.Fatal(err)
		}
	}
	return got, r.Result
}

// run does so many requests, with time passing in between.
func (m *model) run(requests int) {
	m.t.Helper()
	for end := m.done + requests; m.done < end && !m.t.Failed(); {
		for _, a := range m.actions {
			if !a.busy && m.rnd.IntN(2) == 0 {
				m.start(a)
			}
		}
		m.turn(time.Duration(m.rnd.IntN(3)) * 50 * time.Microsecond)
		if m.rnd.IntN(200) == 0 {
			m.world.Advance(time.Duration(m.rnd.IntN(3000)) * time.Millisecond)
			for range 20 { // the loops notice: what is old is flushed
				m.turn(time.Millisecond)
			}
		}
	}
}

// powerCut ends everything at once.
func (m *model) powerCut() {
	m.world.Crash()
	m.sup.Abandon()
	for _, w := range m.workers {
		w.Abandon()
	}
	if err := m.ns.Abandon(); err != nil {
		m.t.Error(err)
	}
	m.newActions() // those in flight never end
}

// TestSimulation runs a namespace on simulated devices against the model,
// through clean restarts and power cuts.
func TestSimulation(t *testing.T) {
	simulate(t, 5, func(*rand.Rand) sim.Faults {
		return sim.Faults{Torn: 0.5, Lost: 0.5, Reorder: 0.3, Short: 0.01, Again: 0.01}
	})
}

// TestSimulationFaults does the same on drives that fail reads and deliver
// rotten bits: no answer may be wrong, though it may be an error.
func TestSimulationFaults(t *testing.T) {
	simulate(t, 3, func(rnd *rand.Rand) sim.Faults {
		rate := func() float64 { return 0.02 * rnd.Float64() * float64(rnd.IntN(2)) }
		return sim.Faults{Torn: 0.5, Lost: 0.5, Reorder: 0.3, ReadError: rate(), ReadRot: rate(), MisdirectRead: rate()}
	})
}

func simulate(t *testing.T, rounds int, faults func(*rand.Rand) sim.Faults) {
	_, seed := newRand(t)
	if testing.Short() || assert.Slow {
		rounds = 2
	}
	var done, refused, parked, moved int
	for round := range rounds {
		f := faults(rand.New(rand.NewPCG(seed+uint64(round), 2)))
		g := newRig(t, seed+uint64(round), f)
		m := newModel(g, []int{50, 1500}[g.rnd.IntN(2)])
		m.faulty = f.ReadError+f.ReadRot+f.MisdirectRead > 0
		for range 3 {
			m.run(1000)
			if t.Failed() {
				break
			}
			for _, d := range g.ns.Store().Stats().Devices {
				moved += int(d.DefragReads)
			}
			if m.rnd.IntN(2) == 0 {
				m.powerCut()
				g.open()
				m.verify("after a power cut", true)
			} else {
				m.drain()
				m.verify("while running", false)
				g.close()
				g.open()
				m.verify("after a restart", false)
			}
		}
		if !t.Failed() {
			g.close()
		}
		if t.Failed() {
			t.Fatalf("round %d: replay with -seed %d", round, seed+uint64(round))
		}
		done, refused, parked = done+m.done, refused+m.refused, parked+m.parked
	}
	t.Logf("%d requests, %d of them refused, %d waited, %d wblocks defragged", done, refused, parked, moved)
	if rounds > 2 && parked < done/50 || refused > done/4 || rounds > 2 && moved == 0 {
		t.Errorf("%d of %d requests waited, %d were refused, %d wblocks defragged: the test does not test what it should",
			parked, done, refused, moved)
	}
}
