package simtest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// action is one kind of step of a run.
type action int

const (
	actWrite action = iota
	actRead
	actBurst   // writes of many keys at once
	actPoll    // one worker polls without waiting
	actPass    // time passes
	actSleep   // much time passes
	actTick    // one worker ticks early
	actDefrag  // some steps of defrag and nsup
	actExpire  // a round of nsup
	actCheck   // everything comes to rest, invariants and all keys are checked
	actCrash   // power cut
	actKill    // the process dies, the machine does not
	actClean   // clean stop
	actCutSoon // power cut at a coming device operation, wherever that is
	nActions
)

// actionWeights are how often each action is drawn, before the plan varies it.
var actionWeights = [nActions]int{
	actWrite: 400, actRead: 200, actBurst: 60, actPoll: 200, actPass: 150, actSleep: 8, actTick: 30, actDefrag: 60,
	actExpire: 8, actCheck: 6, actCrash: 8, actKill: 4, actClean: 4, actCutSoon: 6,
}

// Times of a run.
const (
	turn      = time.Millisecond      // longest that a worker is not polled
	tickEvery = 20 * time.Millisecond // longest between two ticks of a worker
	// flushSlack is how long after a tick a flush may take on devices that
	// do not dawdle.
	flushSlack = 30 * time.Millisecond
	// restTurns bounds the wait for requests to finish, in turns: over a
	// minute, longer than all stalls of a run together.
	restTurns = 100_000
)

// startTime is the time at which every World begins: about 2026.
const startTime record.Time = 533_000_000_000

// nsupRound is how many steps a whole round of nsup takes at least: one a
// partition.
const nsupRound = record.Partitions + 8

// fencedSteps is how many steps a node with a fenced device goes on, on
// average.
const fencedSteps = 20

// callsPerWorker is how many requests a worker has in flight at most.
const callsPerWorker = 6

// run is one simulated life of a namespace, from one seed.
type run struct {
	plan  *plan
	rand  *rand.Rand
	world *sim.World
	node  *node
	keys  []*key
	step  int

	ticked   time.Duration // when all workers ticked last
	down     bool          // the power is off
	restarts int
	lost     bool // the devices were beyond help
	did      work
	results  [256]int // answers by result
	// writeErrors is how many writes had failed when the node started.
	writeErrors int

	keepLog bool
	log     []string // what happened, if keepLog
}

// work is what the storage of a run did, to see what the runs reach.
type work struct {
	writes, partialWrites              uint64 // of wblocks
	defragReads, defragWrites          uint64 // of wblocks
	readErrors, checksumErrors, fenced uint64
	expired, tombstones, unreadable    uint64 // records
}

// collect adds the figures of the running node to what the run did.
func (r *run) collect() {
	s := r.node.ns.Stats()
	d := &r.did
	d.expired += uint64(s.ExpiredObjects)
	d.tombstones += uint64(s.Tombstones)
	d.unreadable += s.UnreadableRecords
	for _, ds := range r.node.ns.Store().Stats().Devices {
		d.writes += ds.Writes
		d.partialWrites += ds.PartialWrites
		d.defragReads += ds.DefragReads
		d.defragWrites += ds.DefragWrites
		d.readErrors += ds.ReadErrors
		d.checksumErrors += ds.ChecksumErrors
		if ds.Fenced {
			d.fenced++
		}
	}
}

func (w *work) add(o *work) {
	w.writes += o.writes
	w.partialWrites += o.partialWrites
	w.defragReads += o.defragReads
	w.defragWrites += o.defragWrites
	w.readErrors += o.readErrors
	w.checksumErrors += o.checksumErrors
	w.fenced += o.fenced
	w.expired += o.expired
	w.tombstones += o.tombstones
	w.unreadable += o.unreadable
}

// beyondHelp is what boot panics with when the devices have lost what a start
// needs. Then the run is over, and nothing is wrong.
type beyondHelp struct{}

// failure is what failf panics with.
type failure struct{ fact string }

func (f failure) Error() string { return f.fact }

func (r *run) failf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func (r *run) logf(format string, args ...any) {
	if r.keepLog {
		r.log = append(r.log, fmt.Sprintf("%5d %12v  ", r.step, r.world.Now())+fmt.Sprintf(format, args...))
	}
}

// Write takes the World's log.
func (r *run) Write(p []byte) (int, error) {
	r.logf("    %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

func (r *run) count(res record.Result) { r.results[res]++ }

// clock returns the node's time.
func (r *run) clock() record.Time { return startTime + record.Time(r.world.Now()/time.Millisecond) }

// mayFail reports whether an operation may be answered with Unknown: some
// operation has failed or lied.
func (r *run) mayFail() bool {
	c := r.world.Counts()
	return c.ReadErrors+c.WriteErrors+c.SyncErrors+c.Latent+c.Rot+c.ReadRot+c.MisdirectedReads+c.MisdirectedWrites+c.Dropped > 0
}

// newRun makes the machine and the keys of a plan. Nothing runs yet.
func newRun(p *plan, keepLog bool) *run {
	r := &run{plan: p, rand: rand.New(rand.NewPCG(p.seed, 0x4d0d)), world: sim.New(p.seed, p.faults), keepLog: keepLog}
	if keepLog {
		r.world.Log = r
	}
	for i := range p.keys {
		k := &key{number: i, set: pick(r.rand, "", "alpha", "beta")}
		for j := range k.digest {
			k.digest[j] = byte(r.rand.Uint32())
		}
		if r.rand.IntN(2) == 0 {
			k.user = fmt.Appendf(nil, "\x03key-%d", i) // particle type string
		}
		k.restart([]*version{{absent: true}})
		r.keys = append(r.keys, k)
	}
	return r
}

// execute runs the plan to its end. The error is the first thing found wrong.
func (r *run) execute() (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case beyondHelp:
			r.lost = true
		case failure:
			err = p
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err == nil && !r.lost { // else a panic may have left it locked
			r.world.Crash()
			r.node.abandon()
		}
	}()
	r.world.CutAfter(r.plan.cutAt)
	if r.plan.failAt > 0 {
		r.world.FailOp(r.plan.failAt, syscall.EIO)
	}
	r.boot()
	for r.step = 1; r.step <= r.plan.steps; r.step++ {
		r.act(r.draw())
		for r.down {
			r.restart(actCrash)
		}
		if r.node.failed > 0 && r.rand.IntN(fencedSteps) == 0 {
			r.restart(actKill) // the operator gives the device another chance
		}
	}
	r.finish()
	return nil
}

// draw picks the next action.
func (r *run) draw() action {
	sum := 0
	for _, w := range r.plan.weight {
		sum += w
	}
	n := r.rand.IntN(sum)
	for a, w := range r.plan.weight {
		if n -= w; n < 0 {
			return action(a)
		}
	}
	panic("unreachable")
}

func (r *run) act(a action) {
	switch a {
	case actWrite:
		r.request(true)
	case actRead:
		r.request(false)
	case actBurst:
		for i := range r.plan.burst {
			if r.request(true); i%8 == 7 && !r.down {
				r.turn()
			}
		}
	case actPoll:
		r.poll(pick(r.rand, r.node.workers...), 0)
	case actPass:
		r.pass(time.Duration(r.rand.Int64N(pick(r.rand, int64(turn), int64(10*turn), int64(200*turn)))))
	case actSleep:
		r.pass(time.Duration(r.rand.Int64N(int64(3 * time.Second))))
	case actTick:
		r.tick(pick(r.rand, r.node.workers...))
	case actDefrag:
		r.supervise(1 + r.rand.IntN(40))
	case actExpire:
		r.supervise(nsupRound)
	case actCheck:
		r.check()
	case actCrash, actKill, actClean:
		r.restart(a)
	case actCutSoon:
		r.world.CutAfter(1 + r.rand.IntN(20))
	}
}

// request starts a command on a drawn worker and key, if they are free.
func (r *run) request(write bool) {
	x := math.Pow(r.rand.Float64(), r.plan.skew)
	w, k := pick(r.rand, r.node.workers...), r.keys[int(x*float64(len(r.keys)))]
	if write && k.writing != nil {
		return // node/txn would queue it
	}
	if c := w.free(); c != nil {
		c.start(k, r.drawCommand(k, write))
	}
}

func (r *run) poll(w *worker, wait time.Duration) { r.pollQueue(w.q, wait) }

// pollQueue lets the owner of a queue poll once.
func (r *run) pollQueue(q ioring.Queue, wait time.Duration) {
	if r.down {
		return
	}
	now := r.world.Now()
	_, err := q.Poll(wait)
	if r.node.failed == 0 && r.world.Counts().WriteErrors > r.writeErrors {
		r.node.failed = now
	}
	if err != nil {
		if !errors.Is(err, sim.ErrPowerCut) {
			r.failf("poll: %v", err)
		}
		r.down = true
	}
}

// pass lets d pass while every worker turns and ticks as a service loop does.
func (r *run) pass(d time.Duration) {
	for end := r.world.Now() + d; r.world.Now() < end && !r.down; {
		r.turn()
	}
}

// turn lets every worker poll within one turn of time.
func (r *run) turn() {
	workers := r.node.workers
	for i := range workers {
		r.poll(workers[(i+r.step)%len(workers)], turn/time.Duration(len(workers)))
	}
	for range r.plan.supervised {
		r.node.supervisor.Step(r.clock())
		r.pollQueue(r.node.bgQueue, 0)
	}
	if r.world.Now()-r.ticked >= tickEvery && !r.down {
		for _, w := range workers {
			r.tick(w)
		}
		r.ticked = r.world.Now()
	}
}

func (r *run) tick(w *worker) {
	w.Tick(r.clock())
	w.ticks = append(w.ticks, r.world.Now())
}

// supervise takes steps of defrag and nsup, with time for their reads.
func (r *run) supervise(steps int) {
	for range steps {
		if r.down || !r.node.supervisor.Step(r.clock()) {
			return
		}
		r.pollQueue(r.node.bgQueue, pick(r.rand, 0, 0, 0, turn/4))
	}
}

// makeRoom runs defrag until it finds nothing to do for a while.
func (r *run) makeRoom() {
	for idle := 0; idle < 100; {
		if r.node.supervisor.Step(r.clock()) {
			idle = 0
		}
		idle++
		r.pollQueue(r.node.bgQueue, turn)
		r.turn()
	}
}

// rest lets time pass until no request is in flight. It reports whether that
// came to be: not when the power went off.
func (r *run) rest() bool {
	for range restTurns {
		if r.down {
			return false
		}
		if !slices.ContainsFunc(r.node.workers, (*worker).busy) {
			return true
		}
		r.turn()
	}
	r.failf("requests still in flight at rest: %s", r.node.inFlight())
	return false
}

// call runs one command to its end and reports whether it ended. The node is
// at rest.
func (r *run) call(k *key, cmd command) (*call, bool) {
	c := pick(r.rand, r.node.workers...).free()
	c.start(k, cmd)
	return c, r.rest()
}

// check brings the node to rest and checks all that must hold then.
func (r *run) check() {
	if !r.rest() {
		return
	}
	r.checkNamespace()
	for _, k := range r.keys {
		if _, ok := r.call(k, command{kind: readAll}); !ok {
			return
		}
	}
}

// checkNamespace runs Namespace.Check, with operations that do not fail.
func (r *run) checkNamespace() {
	r.world.SetFaults(sim.Faults{})
	defer r.world.SetFaults(r.plan.faults)
	before := r.world.Counts().ReadErrors
	err := r.node.ns.Check()
	lossy := r.plan.corrupts() || r.world.Counts().ReadErrors > before
	switch {
	case err == nil:
		return
	case r.world.PowerCut():
		r.down = true
		return
	}
	for line := range strings.Lines(err.Error()) {
		switch {
		case lossy && (strings.Contains(line, "cannot be read") || strings.Contains(line, "more faults")):
			continue // what the device has lost
		case r.world.Counts().WriteErrors > 0 && strings.Contains(line, "a write had failed"):
			continue // a fenced device
		}
		r.failf("Namespace.Check after restart %d: %v", r.restarts, err)
	}
}

// finish brings a run to its end: everything is checked; once the faults are
// over and defrag has run, every key can be written; all of it is there after
// a clean restart.
func (r *run) finish() {
	if r.world.CutAfter(0); r.world.PowerCut() {
		r.restart(actCrash)
	}
	r.check()
	if !r.plan.errs() { // else a device may be fenced
		r.plan.faults = sim.Faults{}
		r.world.SetFaults(r.plan.faults)
		r.makeRoom()
		for _, k := range r.keys {
			c, _ := r.call(k, command{kind: replace, ops: r.blobOp(k)})
			if c.req.Result != record.OK {
				r.failf("key %d: a small write to a healthy node with room was answered %v", k.number, c.req.Result)
			}
		}
	}
	r.restart(actClean)
	r.checkNamespace()
}

func (r *run) blobOp(k *key) []record.Op {
	return []record.Op{{Code: record.OpWrite, Type: record.Blob, Name: []byte("v"), Value: blob(k.number, 100, k.stamp())}}
}
