package simtest

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/ioring"
)

// node is the process: an open namespace, its workers and its background work.
type node struct {
	ns      *engine.Namespace
	workers []*worker
	// supervisor does defrag and nsup on bgQueue, stepped by the run.
	supervisor *engine.Supervisor
	bgQueue    ioring.Queue
	// failed is when the first write failed, 0 if none has: later
	// acknowledgements without a commit promise nothing.
	failed time.Duration
	closed bool
}

// worker is one service loop.
type worker struct {
	*engine.Worker
	number int
	q      ioring.Queue
	calls  []*call
	ticks  []time.Duration // when it ticked
}

func (w *worker) String() string { return fmt.Sprintf("worker %d", w.number) }

// openNode starts the process on the devices of r's World.
func openNode(r *run) (*node, error) {
	p := r.plan
	env := engine.Env{
		NewQueue: func() (ioring.Queue, error) { return r.world.Queue(), nil },
		Now:      r.clock,
		// Enough for any plan, and little to map and unmap for each life.
		IndexMemory: 64 << 20,
		Log:         r.logger(),
	}
	for i := range p.devices {
		env.Devices = append(env.Devices, r.world.DeviceBlock(fmt.Sprintf("d%d", i), p.deviceSize(), p.block))
	}
	ns, err := engine.Open(p.options(), env)
	if err != nil {
		return nil, err
	}
	n := &node{ns: ns}
	for i := range p.workers {
		w := &worker{number: i, q: r.world.Queue()}
		if w.Worker, err = ns.NewWorker(w.q); err != nil {
			return nil, err
		}
		for range callsPerWorker {
			w.calls = append(w.calls, newCall(r, w))
		}
		n.workers = append(n.workers, w)
	}
	n.bgQueue = r.world.Queue()
	if n.supervisor, err = ns.NewSupervisor(n.bgQueue); err != nil {
		return nil, err
	}
	return n, nil
}

// options returns the namespace's settings.
func (p *plan) options() engine.Options {
	o := engine.DefaultOptions()
	o.Name = "sim"
	o.PartitionTreeSprigs = 16
	o.StopWritesSysMemoryPct = 0
	o.MaxRecordSize = p.wblock
	o.NsupPeriod = 1
	s := &o.Storage
	s.Type = engine.StorageDevice
	s.WblockSize = p.wblock
	s.FlushSize = p.flushSize
	s.FlushMax = p.flushMax
	s.PostWriteCache = p.cache
	s.MaxWriteCache = 16 * int64(p.wblock)
	s.ReadBuffers = 8 * p.wblock
	s.DefragLWM = p.lwm
	s.DefragSleep = 0
	s.CommitToDevice = p.commit
	s.DisableODSync = p.noODSync
	s.StopWritesAvailPct = 0
	s.StopWritesUsedPct = 0
	s.Seed = p.seed | 1
	return o
}

// deviceSize is the size of each device in bytes: one wblock more than the
// plan says, for the header.
func (p *plan) deviceSize() int64 { return int64(p.wblocks+1) * int64(p.wblock) }

func (r *run) logger() *slog.Logger {
	if r.keepLog {
		return slog.New(slog.NewTextHandler(r, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// close stops the process in order. On an error the rest is left as it is:
// abandon follows.
func (n *node) close() error {
	for _, w := range n.workers {
		if err := errors.Join(w.Close(), w.q.Close()); err != nil {
			return err
		}
	}
	if err := errors.Join(n.supervisor.Close(), n.bgQueue.Close()); err != nil {
		return err
	}
	n.closed = true
	return n.ns.Close()
}

// abandon gives back the memory of a process that has died: its queues are
// dead.
func (n *node) abandon() {
	if n == nil || n.closed {
		return
	}
	n.closed = true
	for _, w := range n.workers {
		w.Abandon()
	}
	n.supervisor.Abandon()
	n.ns.Abandon()
}

// free returns a call that is not in flight, nil if there is none.
func (w *worker) free() *call {
	for _, c := range w.calls {
		if !c.busy {
			return c
		}
	}
	return nil
}

// busy reports whether a call is in flight.
func (w *worker) busy() bool {
	for _, c := range w.calls {
		if c.busy {
			return true
		}
	}
	return false
}

func (n *node) inFlight() string {
	var parts []string
	for _, w := range n.workers {
		for _, c := range w.calls {
			if c.busy {
				parts = append(parts, fmt.Sprintf("%v of key %d on %v", c.cmd.kind, c.key.number, w))
			}
		}
	}
	return strings.Join(parts, ", ")
}
