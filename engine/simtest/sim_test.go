// Package simtest runs a whole namespace (package engine over engine/index and
// engine/storage) on the simulated machine of package ioring/sim, thousands of
// short lives in a test run, each wholly decided by a seed:
//
//	seed ─▶ plan ─▶ run: clients ─▶ workers ─▶ Namespace ─▶ sim.World
//	                 │      ▲                                   │
//	                 │      └── answers                         ├ faults
//	                 ▼            │                             └ power cuts
//	               model ◀────────┘
//	               every version of every key: what an answer may be, what a
//	               restart may find
//
// The model (model_test.go) is a list of versions a key. It holds the node to:
//
//   - An answer is that of the one version that the key has at that time, or
//     of one that a request in flight beside it makes. Values say in every
//     byte which write of which key they are.
//   - With commit-to-device no acknowledged write or delete is lost, whatever
//     the power does. Without it none that is older than flush-max-ms; with
//     disable-odsync that holds for the death of the process, and after a power
//     cut for what a clean stop has confirmed just before.
//   - What a restart has found and served stays.
//   - Rotten, stale, torn and misdirected data is never an answer. A record
//     may then be unreadable, or gone or older after a restart.
//   - Namespace.Check holds at every rest and after every restart.
//   - Once the faults are over and defrag has run, every key can be written.
//
// A run that fails is repeated with fewer steps and without classes of faults
// for as long as it still fails, and reported with the line that replays it
// and the end of its history.
package simtest

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring/sim"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "replay this seed instead of fresh ones")
	seedsFlag   = flag.Int("seeds", 0, "how many fresh seeds to run (default 400; 60 with -short or -race)")
	stepsFlag   = flag.Int("steps", 0, "with -seed: end the run after so many steps")
	withoutFlag = flag.String("without", "", "with -seed: classes of faults to leave out, comma separated")
	historyFlag = flag.Int("history", 80, "how many lines of a failing run's history to print")
)

// Default numbers of seeds of a test run.
const (
	defaultSeeds = 400
	shortSeeds   = 60
)

// maxFailures ends the search for more.
const maxFailures = 3

// variant is what is varied of a seed's plan.
type variant struct {
	seed    uint64
	steps   int // 0: as planned
	without []string
}

func (v variant) plan() *plan {
	p := newPlan(v.seed)
	if v.steps != 0 {
		p.steps = min(p.steps, v.steps)
	}
	for _, class := range v.without {
		p.without(class)
	}
	return p
}

func (v variant) String() string {
	s := fmt.Sprintf("go test ./engine/simtest -run '^TestSim$' -seed %d", v.seed)
	if v.steps != 0 {
		s += fmt.Sprintf(" -steps %d", v.steps)
	}
	if len(v.without) != 0 {
		s += " -without " + strings.Join(v.without, ",")
	}
	return s
}

// try runs a variant and returns the run and what was wrong with it.
func (v variant) try(keepLog bool) (*run, error) {
	r := newRun(v.plan(), keepLog)
	return r, r.execute()
}

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400) // much garbage, little live
	os.Exit(m.Run())
}

func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		v := variant{seed: *seedFlag, steps: *stepsFlag}
		if *withoutFlag != "" {
			v.without = strings.Split(*withoutFlag, ",")
		}
		r, err := v.try(true)
		t.Logf("plan: %v", r.plan)
		if err != nil {
			t.Fatalf("step %d: %v\n%s", r.step, err, r.tail(*historyFlag))
		}
		t.Logf("passed: %d restarts, answers %s", r.restarts, showResults(&r.results))
		return
	}
	seeds := *seedsFlag
	if seeds == 0 {
		seeds = defaultSeeds
		if testing.Short() || assert.Slow {
			seeds = shortSeeds
		}
	}
	base := rand.Uint64()
	t.Logf("%d seeds from %d", seeds, base)
	sum := search(t, base, seeds)
	t.Logf("%d restarts, devices beyond help in %d runs, answers %s", sum.restarts, sum.lost, showResults(&sum.results))
	t.Logf("storage: %+v", sum.did)
	if sum.lost*10 > seeds {
		t.Errorf("devices beyond help in %d of %d runs, want at most a tenth", sum.lost, seeds)
	}
	total := 0
	for _, n := range sum.results {
		total += n
	}
	if served := sum.results[record.OK]; served*4 < total {
		t.Errorf("%d of %d requests answered ok, want at least a quarter: the simulation tests next to nothing", served, total)
	}
}

// summary adds up runs.
type summary struct {
	restarts, lost int
	results        [256]int
	did            work
}

// search runs seeds from base on and reports those that fail.
func search(t *testing.T, base uint64, seeds int) *summary {
	t.Helper()
	var (
		next     atomic.Int64
		failures atomic.Int64
		mu       sync.Mutex
		sum      summary
		wg       sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(seeds) || failures.Load() >= maxFailures {
					return
				}
				v := variant{seed: base + uint64(i)}
				r, err := v.try(false)
				if err != nil {
					failures.Add(1)
					t.Error(v.report(r, err))
				}
				mu.Lock()
				sum.restarts += r.restarts
				sum.did.add(&r.did)
				if r.lost {
					sum.lost++
				}
				for res, n := range r.results {
					sum.results[res] += n
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return &sum
}

// report shrinks a failing variant and describes it.
func (v variant) report(r *run, err error) string {
	v.steps = max(r.step, 1)
	for _, class := range classes {
		less := v
		less.without = append(append([]string(nil), v.without...), class)
		if r, err := less.try(false); err != nil {
			v = less
			v.steps = max(r.step, 1)
		}
	}
	again, shrunk := v.try(true)
	if shrunk == nil {
		return fmt.Sprintf("replay: %v\nfailed with %v\nand passed when it was repeated: something in the node is not decided by the seed", v, err)
	}
	return fmt.Sprintf("replay: %v\nplan: %v\nstep %d: %v\n%s", v, again.plan, again.step, shrunk, again.tail(*historyFlag))
}

// tail returns the last n lines of a run's history.
func (r *run) tail(n int) string {
	from := max(len(r.log)-n, 0)
	return strings.Join(r.log[from:], "\n")
}

func showResults(results *[256]int) string {
	var parts []string
	for res, n := range results {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%v %d", record.Result(res), n))
		}
	}
	return strings.Join(parts, ", ")
}

// TestEveryOperation takes a short run through a power cut at device operation
// i, and through a failure of operation i, for i = 1, 2, 3 and so on until a
// run has fewer operations.
func TestEveryOperation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     func(p *plan, i int)
		commit bool
	}{
		{"power cut, commit-to-device", func(p *plan, i int) { p.cutAt = i }, true},
		{"power cut", func(p *plan, i int) { p.cutAt = i }, false},
		{"failure, commit-to-device", func(p *plan, i int) { p.failAt = i }, true},
		{"failure", func(p *plan, i int) { p.failAt = i }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seed := *seedFlag
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("replay: go test ./engine/simtest -run '^TestEveryOperation$' -seed %d", seed)
			const most = 1000
			for i := 1; i <= most; i++ {
				p := newPlan(seed)
				p.calm()
				p.devices, p.wblocks, p.wblock, p.flushSize = 1, 16, 16<<10, 8<<10
				p.maxValue, p.steps = 1000, 60
				p.keys = min(p.keys, 10)
				p.commit, p.noODSync = tt.commit, false
				p.faults.Lost, p.faults.Torn = 0.5, 0.5
				tt.at(p, i)
				r := newRun(p, true)
				if err := r.execute(); err != nil {
					t.Fatalf("operation %d, step %d: %v\nplan: %v\n%s", i, r.step, err, p, r.tail(*historyFlag))
				}
				if r.world.Operations() < uint64(i) {
					return
				}
			}
			t.Errorf("a run has more than %d operations: too long for this test", most)
		})
	}
}

// TestOneHeaderCopy damages one of the two copies of a device's header: the
// other must do.
func TestOneHeaderCopy(t *testing.T) {
	const sector = 512
	for _, tt := range []struct {
		name   string
		damage func(w *sim.World, off int64)
	}{
		{"unreadable", func(w *sim.World, off int64) { w.Spoil("d0", off) }},
		{"rotten", func(w *sim.World, off int64) { w.Rot("d0", off+40, 4) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlan(1)
			p.calm()
			p.devices, p.steps = 1, 1
			r := newRun(p, false)
			if err := r.execute(); err != nil {
				t.Fatal(err)
			}
			content := r.world.Snapshot("d0")
			copies := 0
			for off := 0; off < p.wblock; off += sector {
				if !bytes.Equal(content[off:off+sector], make([]byte, sector)) {
					copies++
					r.world.Restore("d0", content)
					tt.damage(r.world, int64(off))
					n, err := openNode(r)
					if err != nil {
						t.Errorf("header copy at %d: %v", off, err)
						continue
					}
					r.world.Crash()
					n.abandon()
				}
			}
			if copies != 2 {
				t.Errorf("%d sectors of the first wblock are in use, want those of two header copies", copies)
			}
		})
	}
}

// TestServedStays kills the process while a write is in flight to a device
// that loses all that is in its cache. If the restarted node finds the write
// and serves it, a power cut must not take it away any more.
func TestServedStays(t *testing.T) {
	found := 0
	for seed := range uint64(20) {
		p := newPlan(seed + 1)
		p.calm()
		p.commit, p.noODSync, p.workers = true, false, 1
		p.faults.Lost = 1
		r := newRun(p, true)
		defer func() {
			if err := recover(); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, r.tail(*historyFlag))
			}
		}()
		r.boot()
		k, w := r.keys[0], r.node.workers[0]
		w.free().start(k, command{kind: replace, ops: r.blobOp(k)})
		r.poll(w, 0) // the turn ends: the write goes to the device
		r.restart(actKill)
		if !k.sure().absent {
			found++
		}
		r.restart(actCrash) // its recall holds the node to what it has served
		r.world.Crash()
		r.node.abandon()
	}
	if found == 0 {
		t.Error("no write in flight outlived its process: nothing was tested")
	}
}

// TestExpiredStaysGone lets a record expire that has an older copy without a
// void-time, and goes on writing until the wblock of the newer copy is in use
// again: at the next start the older one must not come back.
func TestExpiredStaysGone(t *testing.T) {
	for seed := range uint64(5) {
		p := newPlan(seed + 1)
		p.calm()
		p.devices, p.wblocks, p.wblock, p.workers, p.keys = 1, 16, 16<<10, 2, 4
		p.flushSize, p.cache, p.lwm, p.supervised = 4<<10, 0, 30, 4
		p.commit, p.noODSync = true, false
		r := newRun(p, true)
		defer func() {
			if err := recover(); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, r.tail(*historyFlag))
			}
		}()
		r.boot()
		write := func(worker, key, size int, ttl uint32) {
			k := r.keys[key]
			value := record.Op{Code: record.OpWrite, Type: record.Blob, Name: []byte("v"), Value: blob(k.number, size, k.stamp())}
			r.node.workers[worker].free().start(k, command{kind: replace, ttl: ttl, ops: []record.Op{value}})
			r.rest()
		}
		write(0, 0, 100, record.TTLNever) // the older copy, among records that
		write(0, 1, 5000, record.TTLNever)
		write(0, 2, 5000, record.TTLNever) // keep its wblock in use
		write(1, 0, 100, 1)                // the newer copy, in another wblock
		r.pass(6 * time.Second)            // two rounds of nsup
		if r.collect(); r.did.expired != 1 {
			t.Fatalf("seed %d: %d records are reclaimed, want 1", seed, r.did.expired)
		}
		for range 100 { // twice around the device
			write(r.rand.IntN(2), 3, 5000, record.TTLNever)
			r.pass(20 * time.Millisecond)
		}
		r.restart(actCrash) // its recall finds the key absent, or fails
		r.world.Crash()
		r.node.abandon()
	}
}

// TestDeterminism runs seeds twice: the same operations must reach the devices
// at the same times with the same bytes, or no failure could be replayed.
func TestDeterminism(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(10) {
		v := variant{seed: base + i}
		first, err := v.try(false)
		second, again := v.try(false)
		if err != nil || again != nil {
			t.Fatalf("%v: %v, %v", v, err, again)
		}
		if first.world.Trace() != second.world.Trace() {
			t.Errorf("%v: two runs differ: traces %#x and %#x", v, first.world.Trace(), second.world.Trace())
		}
	}
}

// TestNoticesLyingDevices proves that the model can see a loss: on devices
// that confirm a durable write and do not make it durable, runs must fail.
func TestNoticesLyingDevices(t *testing.T) {
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	noticed := 0
	const runs = 60
	for i := range uint64(runs) {
		p := newPlan(base + i)
		for _, class := range classes {
			p.without(class)
		}
		p.commit, p.noODSync = true, false
		p.faults.LyingSync, p.faults.Lost = 1, 1
		if newRun(p, false).execute() != nil {
			noticed++
		}
	}
	if noticed < runs/2 {
		t.Errorf("%d of %d runs on lying devices failed, want at least half", noticed, runs)
	}
}
