package act

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/ioring"
)

// collectAt is the growth of the heap, in percent, at which a collection
// starts while a run goes on.
const collectAt = 1000

// Run loads devices and says how they did. ctx ends a run early, which makes
// it INVALID; an error means that there was no run.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("act: %w", err)
	}
	list, err := openAll(o.Config.Devices, access{write: !o.ReadOnly, confirm: o.Confirm, overwrite: o.Overwrite, fileSize: o.Config.FileSize})
	if err != nil {
		return nil, err
	}
	stuck := false
	defer func() {
		if !stuck { // what does not answer cannot be closed either
			err = errors.Join(err, closeAll(list))
		}
	}()
	var targets []*target
	for i, each := range list {
		if each.fresh {
			if err := prepareOpened(ctx, each, 1, &o, o.Progress); err != nil {
				return nil, err
			}
		}
		t, err := newTarget(each.dev, i, &o.Config, each.label)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	// What the watch allocates in a day is little, and a collection's pauses
	// are host interference.
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	cpus, loops := o.placement(targets)
	start := time.Now()
	r := newRun(o, targets, loops, func() time.Duration { return time.Since(start) })
	r.look = lookAtThread
	r.firstSequence = uint64(start.UnixNano())
	queue, err := r.start(cpus, func() (ioring.Queue, error) {
		return ioring.New(ioring.Options{Node: targets[0].dev.Node, Fallback: o.Sync, IOPoll: o.IOPoll, Limit: 1 << 15, Log: o.Log})
	})
	if err != nil {
		return nil, err
	}
	for _, each := range list {
		each.drive.Before = each.drive.counters()
	}
	start = time.Now() // the loops look at the clock again when they begin
	w := newWatch(r, queue, start)
	if err := w.startOutputs(); err != nil {
		r.stopNs.Store(0)
		close(r.begin)
		return nil, errors.Join(err, r.wait())
	}
	close(r.begin)
	w.follow(ctx)
	err = r.wait()
	end := r.clock()
	drives := make([]Drive, len(list))
	for i, each := range list {
		each.drive.After = each.drive.counters()
		drives[i] = each.drive
	}
	w.finish(end)
	w.surroundings(drives)
	res := w.result(drives)
	w.writeEnd(res.Reasons)
	stuck = res.Generator.Pending > 0
	return res, errors.Join(err, w.outputs)
}

// placement returns the CPUs for loops and how many loops there are.
func (o *Options) placement(targets []*target) (cpus []int, loops int) {
	allowed, err := numa.Affinity()
	if err != nil {
		allowed = nil
	}
	cpus = o.CPUs
	if len(cpus) == 0 {
		cpus = near(targets, allowed)
	}
	loops = o.Loops
	if loops == 0 {
		rates := o.Config.Rates()
		sum := rates.Reads.Float() + rates.Writes.Float() + rates.LargeReads.Float() + rates.LargeWrites.Float()
		loops = max(1, min(int(math.Ceil(sum/loopRate)), len(cpus)))
	}
	return cpus, loops
}

// near returns the allowed CPUs of the devices' NUMA nodes, or all of them
// where no node is known.
func near(targets []*target, allowed []int) (cpus []int) {
	topology, err := numa.Read(os.DirFS("/sys"))
	if err != nil {
		return allowed
	}
	wanted := map[int]bool{}
	for _, t := range targets {
		wanted[t.dev.Node] = true
	}
	for _, cpu := range allowed {
		if wanted[topology.NodeOf(cpu)] {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) == 0 {
		return allowed
	}
	return cpus
}
