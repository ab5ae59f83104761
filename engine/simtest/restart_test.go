package simtest

import (
	"slices"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// bootTries is how often a node is started that power cuts and failing
// devices keep from coming up; the last tries are without faults.
const bootTries = 8

// boot starts the node on the devices as they are. It reports whether the
// power was cut on the way.
func (r *run) boot() (cut bool) {
	defer r.world.SetFaults(r.plan.faults)
	for try := range bootTries {
		if r.plan.weight[actCutSoon] > 0 && r.rand.IntN(4) == 0 {
			r.world.CutAfter(1 + r.rand.IntN(100))
		}
		if r.plan.fails() || try > bootTries/2 {
			r.world.SetFaults(sim.Faults{})
			r.world.CutAfter(0)
		}
		n, err := openNode(r)
		if err == nil {
			r.node, r.down, r.ticked, r.writeErrors = n, false, r.world.Now(), r.world.Counts().WriteErrors
			return cut
		}
		r.logf("start failed: %v", err)
		if r.plan.corrupts() && try == bootTries-1 {
			panic(beyondHelp{}) // the only copies of a header, say
		}
		if try == bootTries-1 || !r.world.PowerCut() && !r.plan.errs() {
			r.failf("start %d: %v", r.restarts, err)
		}
		r.world.Crash()
		cut = true
	}
	panic("unreachable")
}

// restart ends the node in the way of an action, starts it again and checks
// what it still knows.
func (r *run) restart(how action) {
	r.restarts++
	r.collect()
	clean := how == actClean && r.stop()
	r.logf("restart %d: %s, clean %v", r.restarts, [...]string{actCrash: "power cut", actKill: "kill", actClean: "stop"}[how], clean)
	end := r.world.Now()
	if how == actKill && !r.down {
		r.world.Kill()
	} else {
		how = actCrash
		r.world.Crash()
	}
	r.node.abandon()
	r.forget(how, clean, end)
	if r.boot() && r.plan.noODSync {
		r.forgetAll()
	}
	if r.rand.IntN(2) == 0 {
		if r.checkNamespace(); r.down {
			return
		}
	}
	for _, k := range r.keys {
		if r.recall(k); r.down {
			return // all stays possible until the next start
		}
	}
}

// forget turns what the model knows into what a restart may find.
func (r *run) forget(how action, clean bool, end time.Duration) {
	survives := r.survival(clean, end)
	for _, k := range r.keys {
		if k.writing != nil && k.writing.next != nil {
			k.add(k.writing.next) // nobody knows
		}
		k.restart(k.log[k.survivor(survives):])
	}
	if r.plan.corrupts() || r.plan.noODSync && how == actCrash && !clean {
		r.forgetAll()
	}
}

// forgetAll allows a restart to find any version that a key ever had, or none.
// That is the case when devices corrupt, and after a power cut with
// disable-odsync: what has replaced a version, or what defrag has moved, may be
// lost while the wblock that it left is in use again.
func (r *run) forgetAll() {
	for _, k := range r.keys {
		k.restart(append(slices.Clone(k.history), &version{absent: true}))
	}
}

// survival says which acknowledged versions must survive.
func (r *run) survival(clean bool, end time.Duration) func(v *version) bool {
	ticks := make([][]time.Duration, len(r.node.workers))
	for i, w := range r.node.workers {
		ticks[i] = w.ticks
	}
	if r.node.failed > 0 {
		end = min(end, r.node.failed)
	}
	return func(v *version) bool {
		if clean || r.plan.commit {
			return true
		}
		if r.plan.dawdles() {
			return false // nobody knows how long its flush has taken
		}
		due := v.ackedAt + r.plan.flushMax
		return slices.ContainsFunc(ticks[v.worker], func(t time.Duration) bool { return t >= due && t+flushSlack <= end })
	}
}

// recall reads a key after a restart and makes what it holds the model's one
// truth.
func (r *run) recall(k *key) {
	c, ok := r.call(k, command{kind: readAll})
	if !ok || c.req.Result == record.Unknown && r.mayFail() {
		return // the power is off again, or the device: all stays possible
	}
	// The read has narrowed the versions down to those that answer like it.
	found := *k.log[k.now[len(k.now)-1]]
	found.gen, found.anyGen = c.req.ReplyGeneration, false
	if c.req.Result == record.NotFound {
		remains := slices.ContainsFunc(k.now, func(i int) bool { return !k.log[i].absent || k.log[i].expired })
		found = version{absent: true, expired: remains}
	}
	k.restart([]*version{&found})
}

// stop ends the node in order. It reports whether that was confirmed.
func (r *run) stop() bool {
	if !r.rest() {
		return false
	}
	err := r.node.close()
	if err == nil {
		return true
	}
	if !r.world.PowerCut() && !r.plan.errs() {
		r.failf("clean stop: %v", err)
	}
	r.logf("clean stop: %v", err)
	return false
}
