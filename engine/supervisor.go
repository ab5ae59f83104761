package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
)

// Supervisor does a namespace's background work on a thread and a queue of
// its own: defrag (defrag.go) and the reclaiming of expired records (nsup.go).
// Step is all there is to it: Supervise calls it by the clock, a simulator by
// hand. There is one Supervisor a namespace.
type Supervisor struct {
	ns     *Namespace
	q      ioring.Queue
	lane   *storage.Lane
	reader *epoch.Reader
	counts *counters
	id     int
	now    record.Time
	ticked record.Time

	defrag defrag
	nsup   nsup
}

const (
	// tickPeriod is how often the Supervisor's lane is ticked.
	tickPeriod record.Time = 100
	// idleWait is how long Supervise sleeps when there is nothing to do.
	idleWait = 100 * time.Millisecond
	// waitAfterStep bounds how long it waits for a victim to be read.
	waitAfterStep = 10 * time.Millisecond
)

// NewSupervisor makes the namespace's supervisor on the thread that owns q. A
// namespace in memory needs no queue.
func (ns *Namespace) NewSupervisor(q ioring.Queue) (*Supervisor, error) {
	s := &Supervisor{ns: ns, q: q, reader: ns.domain.Register()}
	lane, err := ns.store.NewLane(q, s.reader)
	if err != nil {
		ns.domain.Unregister(s.reader)
		return nil, fmt.Errorf("namespace %s: supervisor: %w", ns.name, err)
	}
	s.lane = lane
	s.counts, s.id = ns.addCounters()
	s.defrag.s, s.nsup.s = s, s
	s.nsup.next = ns.env.Now() + ns.nsupPeriod()
	return s, nil
}

// Step does a bounded piece of what is to be done, at most some hundred
// microseconds, and reports whether there was anything. Device reads that it
// starts are completed by its queue's Poll.
func (s *Supervisor) Step(now record.Time) (busy bool) {
	s.now = max(now, s.now)
	s.tick()
	moved := s.defrag.step()
	reaped := s.nsup.step()
	return moved || reaped
}

// tick ticks the lane if it is time.
func (s *Supervisor) tick() {
	if s.now >= s.ticked+tickPeriod {
		s.ticked = s.now
		s.lane.Tick(s.now)
	}
}

// Close gives up what is half done and flushes the rest.
func (s *Supervisor) Close() error {
	err := s.defrag.stop()
	err = errors.Join(err, s.lane.Close())
	s.ns.domain.Unregister(s.reader)
	return err
}

// Abandon gives back the supervisor's memory when its queue is dead.
func (s *Supervisor) Abandon() {
	s.lane.Abandon()
	s.ns.domain.Unregister(s.reader)
}

// Supervise runs a Supervisor until ctx ends. It takes the calling
// goroutine's thread for itself, and a queue of Env.NewQueue.
func (ns *Namespace) Supervise(ctx context.Context) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var q ioring.Queue
	if !ns.inMemory {
		if q, err = ns.env.NewQueue(); err != nil {
			return fmt.Errorf("namespace %s: supervisor's queue: %w", ns.name, err)
		}
		defer func() { err = errors.Join(err, q.Close()) }()
	}
	s, err := ns.NewSupervisor(q)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for ctx.Err() == nil {
		wait := idleWait
		switch busy := s.Step(ns.env.Now()); {
		case s.defrag.reading:
			wait = waitAfterStep
		case busy:
			wait = 0
		}
		if err := s.wait(ctx, wait); err != nil {
			return err
		}
		if s.defrag.takePause() {
			if err := s.pause(ctx, ns.store.Options().DefragSleep); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits for d, which an operator may have made long: it ends with ctx,
// and what defrag has moved is flushed on time.
func (s *Supervisor) pause(ctx context.Context, d time.Duration) error {
	for ; d > 0 && ctx.Err() == nil; d -= idleWait {
		if err := s.wait(ctx, min(d, idleWait)); err != nil {
			return err
		}
		s.now = max(s.ns.env.Now(), s.now)
		s.tick()
	}
	return nil
}

// wait lets device reads complete, or sleeps.
func (s *Supervisor) wait(ctx context.Context, d time.Duration) error {
	if s.q != nil {
		if _, err := s.q.Poll(d); err != nil {
			return fmt.Errorf("namespace %s: supervisor's queue: %w", s.ns.name, err)
		}
		return nil
	}
	if d == 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return nil
}
