package simtest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ashlardb/ashlar/ioring/sim"
)

// plan is what a seed draws before a run begins: the machine, the namespace
// on it, the load and the rates of faults. Every rate may be zero, so that
// each fault is also met alone.
type plan struct {
	seed  uint64
	steps int

	devices, block  int
	wblock, wblocks int // size of a wblock; wblocks of a device
	workers         int
	supervised      int // steps of the supervisor a turn

	commit, noODSync bool
	flushMax         time.Duration
	flushSize        int64
	cache            int64 // post-write-cache
	lwm              int   // defrag-lwm-pct

	keys     int
	skew     float64 // 1: all keys alike; more: some are hot, others grow old
	maxValue int     // bytes of the largest value
	churn    bool    // values are large: wblocks are filled, emptied and reused
	burst    int     // writes of a burst
	ttl      bool    // some writes have a time to live

	faults sim.Faults
	weight [nActions]int

	// cutAt and failAt are device operations, counted from 1: the one that
	// cuts the power, and the one that fails with EIO. 0: none.
	cutAt, failAt int
}

// calm takes everything out of the plan that ends a life of the node, and all
// faults: what cutAt or failAt do happens alone.
func (p *plan) calm() {
	for _, class := range classes {
		p.without(class)
	}
	for _, a := range []action{actCrash, actKill, actClean, actCutSoon} {
		p.weight[a] = 0
	}
}

// Classes of faults; a run can leave some out to see which one matters.
const (
	classCrash   = "crash"   // power cuts lose and tear
	classTiming  = "timing"  // reordering, slow, short and interrupted operations, stalls
	classErrors  = "errors"  // reads and writes that fail
	classCorrupt = "corrupt" // rot, misdirected and dropped operations, bad sectors
)

var classes = []string{classCrash, classTiming, classErrors, classCorrupt}

// newPlan draws the plan of a seed.
func newPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 0x91a4))
	p := &plan{
		seed:       seed,
		steps:      20 + r.IntN(pick(r, 100, 400)),
		devices:    pick(r, 1, 1, 2, 3),
		block:      pick(r, 512, 4096),
		wblock:     pick(r, 16<<10, 16<<10, 32<<10, 64<<10),
		wblocks:    16 + r.IntN(20),
		workers:    1 + r.IntN(3),
		supervised: pick(r, 0, 1, 4),
		commit:     r.IntN(2) == 0,
		lwm:        30 + r.IntN(50),
		keys:       1 + r.IntN(pick(r, 3, 10, 60)),
		skew:       pick(r, 1.0, 1.0, 3.0),
		ttl:        r.IntN(2) == 0,
	}
	p.noODSync = !p.commit && r.IntN(4) == 0
	p.flushMax = pick[time.Duration](r, 5, 50, 250, 1000) * time.Millisecond
	p.flushSize = pick(r, 4<<10, 8<<10, int64(p.wblock))
	p.cache = pick(r, 0, 0, 2*int64(p.wblock), 1<<20)
	p.churn = r.IntN(2) == 0
	p.maxValue = 200
	if p.churn {
		// Of two bins, and no more than a quarter of the smallest device.
		p.maxValue = min(p.wblock/3, p.wblock*p.wblocks/4/p.keys/2)
		p.steps *= 3
		p.burst = pick(r, 16, 16, 150)
	}
	p.drawFaults(r)
	p.drawWeights(r)
	return p
}

// drawFaults draws one class of faults in most runs and several in some.
func (p *plan) drawFaults(r *rand.Rand) {
	several := r.IntN(4) == 0
	chosen := classes[r.IntN(len(classes))]
	has := func(class string) bool { return class == chosen || several && r.IntN(2) == 0 }
	f := &p.faults
	if has(classCrash) {
		f.Lost, f.Torn = share(r), share(r)
	}
	if has(classTiming) {
		f.Reorder, f.Slow = share(r), rate(r, 0.05)
		f.Stall, f.StallTime = rate(r, 0.005), 200*time.Millisecond
		f.Short, f.Again = rate(r, 0.2), rate(r, 0.1)
	}
	if has(classErrors) {
		f.ReadError, f.WriteError, f.SyncError = rate(r, 0.05), rate(r, 0.01), rate(r, 0.2)
	}
	if has(classCorrupt) {
		f.Rot, f.ReadRot, f.Latent = rate(r, 0.05), rate(r, 0.05), rate(r, 0.02)
		f.MisdirectRead, f.MisdirectWrite, f.Dropped = rate(r, 0.05), rate(r, 0.02), rate(r, 0.02)
	}
}

// without takes a class of faults out of the plan.
func (p *plan) without(class string) {
	f := &p.faults
	switch class {
	case classCrash:
		f.Lost, f.Torn = 0, 0
	case classTiming:
		f.Reorder, f.Slow, f.Stall, f.Short, f.Again = 0, 0, 0, 0, 0
	case classErrors:
		f.ReadError, f.WriteError, f.SyncError = 0, 0, 0
	case classCorrupt:
		f.Rot, f.ReadRot, f.Latent = 0, 0, 0
		f.MisdirectRead, f.MisdirectWrite, f.Dropped = 0, 0, 0
	}
}

func (p *plan) drawWeights(r *rand.Rand) {
	for a := range p.weight {
		p.weight[a] = actionWeights[a]
		switch r.IntN(6) {
		case 0:
			p.weight[a] /= 4
		case 1:
			p.weight[a] *= 3
		}
	}
	if p.churn {
		for _, a := range []action{actCrash, actKill, actClean, actCutSoon, actCheck, actExpire} {
			p.weight[a] /= 3 // long lives
		}
	} else {
		p.weight[actBurst] = 0
	}
}

// fails reports whether faults of class errors are drawn.
func (p *plan) fails() bool {
	return p.faults.ReadError+p.faults.WriteError+p.faults.SyncError > 0
}

// errs reports whether operations may fail in this run.
func (p *plan) errs() bool { return p.failAt > 0 || p.fails() || p.corrupts() }

// corrupts reports whether what was written may be gone or changed, so that
// only wrong answers are mistakes and missing ones are not.
func (p *plan) corrupts() bool {
	f := &p.faults
	return f.Rot+f.ReadRot+f.Latent+f.MisdirectRead+f.MisdirectWrite+f.Dropped > 0
}

// dawdles reports whether a flush may take any time.
func (p *plan) dawdles() bool { return p.faults.Slow+p.faults.Stall > 0 }

func (p *plan) String() string {
	mode := "no commit"
	if p.commit {
		mode = "commit-to-device"
	} else if p.noODSync {
		mode = "disable-odsync"
	}
	return fmt.Sprintf("%d steps, %d workers, %d devices of %d wblocks of %d KiB (block %d), %s, flush-max %v, "+
		"flush-size %d, post-write-cache %d, lwm %d, %d keys with bins up to %d B, ttl %v, faults %+v",
		p.steps, p.workers, p.devices, p.wblocks, p.wblock>>10, p.block, mode, p.flushMax,
		p.flushSize, p.cache, p.lwm, p.keys, p.maxValue, p.ttl, p.faults)
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// rate draws a rate up to most, zero in half of the cases.
func rate(r *rand.Rand, most float64) float64 {
	if r.IntN(2) == 0 {
		return 0
	}
	return r.Float64() * most
}

// share draws a rate that is often 0 or 1.
func share(r *rand.Rand) float64 {
	switch r.IntN(4) {
	case 0:
		return 0
	case 1:
		return 1
	}
	return r.Float64()
}
