package service

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/proto"
	"github.com/ashlardb/ashlar/node/txn"
)

const (
	// busyTick is how often the engine gets its Tick while it may have
	// something to flush.
	busyTick = 10 * time.Millisecond
	// idleTick is how long a loop sleeps when nothing is due, and how often
	// it looks for connections to reap.
	idleTick = time.Second
	// turnLimit bounds how many waiting writes one turn starts.
	turnLimit = 64
	// maxSmall bounds the cache of small buffers in front of the arena.
	maxSmall = 256
	// keepOps and maxOps bound the operation slices kept for reuse: the
	// capacity of one, and of all. A parked request keeps its slice, so that
	// as many are wanted as requests wait for devices.
	keepOps = 4096
	maxOps  = 256 << 10
)

// loop is one service loop. Only its thread touches it, the inbox and the
// counters apart.
type loop struct {
	s    *Service
	id   int
	cpu  int // where it is pinned, -1 for nowhere
	node int // NUMA node of its memory, -1 for any

	q        ioring.Queue
	arena    *ioring.Arena
	inbox    *txn.Inbox
	worker   *txn.Worker
	counters counters

	msg    proto.Message // scratch: decoded and handed on within one call
	small  [][]byte      // free buffers of smallBuffer bytes
	ops    [][]record.Op // free operation slices, of nOps operations in all
	nOps   int
	conns  *conn // open ones, linked both ways
	nConns int
	free   *conn // closed ones, for reuse

	now   txn.Moment // valid while fresh
	fresh bool

	lastTick, lastReap int64 // Moment.Mono
	stopping           bool
	stop               txn.Task
}

// start makes the loop's queue, memory and worker, on the loop's own thread,
// where it stays.
func (l *loop) start() (err error) {
	runtime.LockOSThread() // for good: the ring belongs to this thread
	if l.cpu >= 0 {
		if err := numa.Pin(l.cpu); err != nil {
			return err
		}
	}
	o := l.s.opts.Ring
	o.Node, o.Log = l.node, l.s.log
	if l.q, err = ioring.New(o); err != nil {
		return err
	}
	l.inbox = txn.NewInbox(l.q.Wake)
	arena := ioring.ArenaOptions{}
	if l.node >= 0 {
		arena.Bind = func(mem []byte) error { return numa.Bind(mem, l.node) }
	}
	if l.arena, err = ioring.NewArena(l.s.opts.LoopMemory, arena); err != nil {
		return errors.Join(err, l.q.Close())
	}
	if l.worker, err = l.s.shared.NewWorker(l.q, l.inbox, l.clock); err != nil {
		return errors.Join(err, l.q.Close(), l.arena.Close())
	}
	l.stop.Run = l.beginStop
	return nil
}

// run serves until the loop is stopped and nothing is on its way, then
// flushes and releases what start made.
func (l *loop) run() error {
	for more := false; !l.done(); {
		wait := l.wait()
		if more {
			wait = 0
		}
		l.fresh = false
		if _, err := l.q.Poll(wait); err != nil {
			return fmt.Errorf("service: loop %d: %w", l.id, err)
		}
		l.inbox.Drain()
		more = l.worker.Run(turnLimit) || !l.inbox.Empty()
		l.tick()
	}
	for _, b := range l.small {
		l.arena.Put(b)
	}
	return errors.Join(l.worker.Close(), l.q.Close(), l.arena.Close())
}

// clock returns the time of this turn: one look a turn is precise enough for
// what is counted in milliseconds.
func (l *loop) clock() txn.Moment {
	if !l.fresh {
		now := time.Now()
		l.now = txn.Moment{
			Mono: int64(now.Sub(l.s.epoch)),
			Wall: record.Time(now.UnixMilli() - record.EpochUnix*1000),
		}
		l.fresh = true
	}
	return l.now
}

// wait returns how long the loop may sleep: until the next tick.
func (l *loop) wait() time.Duration {
	if !l.inbox.Empty() {
		return 0
	}
	return time.Duration(max(0, l.due()-l.clock().Mono))
}

// due returns when the next tick is, by Moment.Mono: soon after a write, late
// when the engine can have nothing to do.
func (l *loop) due() int64 { return l.lastTick + int64(l.period(l.clock().Mono)) }

// tick lets the engine do what is due, and looks for connections to reap.
func (l *loop) tick() {
	now := l.clock().Mono
	if now < l.due() {
		return
	}
	l.lastTick = now
	l.worker.Tick()
	if now-l.lastReap >= int64(idleTick) {
		l.lastReap = now
		l.reap(now)
	}
}

// period returns the time between ticks.
func (l *loop) period(now int64) time.Duration {
	if wrote := l.worker.LastWrite(); wrote != 0 && now-wrote <= 2*int64(l.s.opts.FlushMax)+int64(idleTick) {
		return busyTick
	}
	return idleTick
}

// accept takes over a socket that the acceptor has dealt to this loop.
func (l *loop) accept(fd int) {
	full := l.nConns >= l.s.opts.loopConns()
	if l.stopping || full {
		if full {
			l.s.refused.Add(1)
			l.s.tooMany.log(l.s, l.clock(), fmt.Errorf("%d are open on loop %d, which has %d operations", l.nConns, l.id, l.s.opts.Ring.Limit))
		}
		unix.Close(fd) //nolint:errcheck // nothing was sent
		l.s.release(l)
		return
	}
	c := l.free
	if c == nil {
		c = newConn(l)
	} else {
		l.free = c.next
	}
	c.prev, c.next = nil, l.conns
	if l.conns != nil {
		l.conns.prev = c
	}
	l.conns = c
	l.nConns++
	c.open(fd)
}

// release takes back a connection that has ended.
func (l *loop) release(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.conns = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, l.free
	l.free = c
	l.nConns--
	l.s.release(l)
}

// Limits of patience with a client that does not do its part.
const (
	// stallMax is how long a send, or a message that has taken more than the
	// usual buffer, may be without progress.
	stallMax = int64(60 * time.Second)
	// stallBytes is how many bytes of a reply buy a second more, because a
	// send tells of no progress before its end.
	stallBytes = 16 << 10
	// stallStop is how long a send may be without its end while the node
	// stops.
	stallStop = int64(5 * time.Second)
)

// reap closes connections that are idle for longer than proto-fd-idle-ms, and
// those that hold memory without progress.
func (l *loop) reap(now int64) {
	idleMax := l.s.fdIdle.Load()
	for c, next := l.conns, (*conn)(nil); c != nil; c = next {
		next = c.next
		idle := now - c.lastUsed
		var late bool
		switch {
		case c.closing || c.busy:
		case c.send.InFlight() && l.stopping:
			late = idle > stallStop
		case c.send.InFlight():
			late = idle > stallMax+int64(c.outLen/stallBytes)*int64(time.Second)
		default:
			late = idleMax > 0 && idle > idleMax || len(c.in) > keepBuffer && idle > stallMax
		}
		if late {
			inc(&l.counters.reaped)
			c.close()
		}
	}
}

// beginStop ends every connection as soon as its request, if one is on its
// way, has been answered.
func (l *loop) beginStop() {
	l.stopping = true
	for c, next := l.conns, (*conn)(nil); c != nil; c = next {
		next = c.next
		if c.busy || c.send.InFlight() {
			c.eof, c.fill = true, c.at // answer, send, close
			continue
		}
		c.close()
	}
}

func (l *loop) done() bool {
	return l.stopping && l.nConns == 0 && l.worker.Idle() && l.inbox.Empty()
}

// get returns a buffer of at least n bytes, in its full size, or nil at the
// limit.
func (l *loop) get(n int) []byte {
	if n <= smallBuffer && len(l.small) > 0 {
		b := l.small[len(l.small)-1]
		l.small = l.small[:len(l.small)-1]
		return b
	}
	if n > l.arena.Size() {
		return nil
	}
	b := l.arena.Get(n)
	return b[:cap(b)]
}

// put takes back what get returned, or its start.
func (l *loop) put(b []byte) {
	b = b[:cap(b)]
	if len(b) == smallBuffer && len(l.small) < maxSmall {
		l.small = append(l.small, b)
		return
	}
	l.arena.Put(b)
}

// keep returns the size of buffer that a connection may keep between
// messages: the usual one, or the smallest while memory is short.
func (l *loop) keep() int {
	if l.arena.InUse() > l.arena.Size()/2 {
		return smallBuffer
	}
	return keepBuffer
}

// takeOps lends a slice for a message's operations.
func (l *loop) takeOps() []record.Op {
	if len(l.ops) == 0 {
		return make([]record.Op, 0, 8)
	}
	ops := l.ops[len(l.ops)-1]
	l.ops = l.ops[:len(l.ops)-1]
	l.nOps -= cap(ops)
	return ops
}

// giveOps takes it back, unless it has grown beyond what is worth keeping.
func (l *loop) giveOps(ops []record.Op) {
	if n := cap(ops); n <= keepOps && l.nOps+n <= maxOps {
		l.ops = append(l.ops, ops[:0])
		l.nOps += n
	}
}
