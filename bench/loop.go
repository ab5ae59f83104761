package bench

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
)

const (
	// idleWait bounds a loop's wait when nothing is due: how fast it notices
	// that the run is over.
	idleWait = 50 * time.Millisecond
	// redialAfter is the pause before a connection that failed is tried again.
	redialAfter = 100 * time.Millisecond
	// sweepEvery is how often a loop looks for operations without an answer.
	sweepEvery = 20 * time.Millisecond
)

// slot is the place of one operation in flight, with a connection to every
// node. Invariant: a slot is in loop.idle, in loop.resting, or busy.
type slot struct {
	conns []*conn // by node
	freed time.Duration

	kind      opKind
	due, sent time.Duration
	deadline  time.Duration
	second    bool // of a read-modify-write: the write is out
	busy      bool
	failed    bool // the answer will not come: the connection is being closed
	target    int
	key       [64]byte // of the operation, for a second half
	keySize   int
	digest    record.Digest
}

// loop is one thread of the generator.
type loop struct {
	run   *run
	index int
	q     ioring.Queue
	arena *ioring.Arena
	r     *rng
	rec   *recorder
	sched *schedule // nil in a closed loop

	targets []target
	slots   []*slot
	idle    []*slot
	pending int           // slots with an operation out
	next    time.Duration // when the next operation is due
	left    uint64        // operations still to start, for a run that ends by itself
	resting []*slot       // could not be used: no connection
	now     time.Duration // of the latest look at the clock: one a batch of completions
	stale   bool          // now is from before the current batch
	swept   time.Duration

	mu     sync.Mutex
	dialed []dialed // by other goroutines, for this loop

	ended   chan error
	cpu     atomic.Int64 // ns of CPU time of the thread, as last looked at
	starved atomic.Int64 // ns that the thread waited for a CPU
}

// target is one set that operations go to.
type target struct {
	space    *space
	keys     *keySource
	requests *requests
}

// dialed is the outcome of a connection attempt.
type dialed struct {
	c   *conn
	fd  int
	err error
}

// main runs the loop until the run is over and its operations have come back.
func (l *loop) main(cpu int) (err error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if cpu >= 0 {
		if err := numa.Pin(cpu); err != nil {
			return err
		}
	}
	// The default slack of 50 µs would show up in every short wait.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if err := l.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.lookAtThread()
	l.run.ready <- nil
	<-l.run.begin
	for {
		l.now = l.run.clock()
		l.takeDialed()
		l.wakeResting()
		l.issue()
		if l.now-l.swept >= sweepEvery {
			l.sweep()
		}
		if l.over() {
			return nil
		}
		l.stale = true
		if _, err := l.q.Poll(l.wait()); err != nil {
			return fmt.Errorf("bench: loop %d: %w", l.index, err)
		}
	}
}

// open makes queue, buffers and connections.
func (l *loop) open() error {
	o := l.run.o
	out := 0
	for i := range l.targets {
		out = max(out, l.targets[i].requests.longest)
	}
	nodes := len(l.run.nodes)
	each := roundUp(out) + roundUp(recvSize)
	var err error
	if l.arena, err = ioring.NewArena(len(l.slots)*nodes*each+1<<20, ioring.ArenaOptions{}); err != nil {
		return err
	}
	if l.q, err = ioring.New(ioring.Options{Node: -1, Fallback: o.Fallback, Limit: max(256, 2*nodes*len(l.slots)+64), Log: l.run.log}); err != nil {
		return errors.Join(err, l.arena.Close())
	}
	for _, s := range l.slots {
		for node := range nodes {
			c := &conn{slot: s, node: node, fd: -1}
			c.out, c.in = l.arena.Get(max(out, 1))[:out], l.arena.Get(recvSize)[:recvSize]
			c.send = ioring.Op{Kind: ioring.Send, Flags: ioring.WaitAll, Done: func(*ioring.Op) { l.sent(c) }}
			c.recv = ioring.Op{Kind: ioring.Recv, Done: func(*ioring.Op) { l.received(c) }}
			s.conns = append(s.conns, c)
			fd, err := dial(l.run.nodes[node], o.Timeout)
			if err != nil {
				return errors.Join(fmt.Errorf("bench: %w", err), l.close())
			}
			c.open(fd)
		}
		l.idle = append(l.idle, s)
	}
	return nil
}

// roundUp returns what an arena takes for n bytes: a power of two from 4 KiB.
func roundUp(n int) int {
	size := 4 << 10
	for size < n {
		size *= 2
	}
	return size
}

// close ends the connections and gives everything back.
func (l *loop) close() error {
	var errs []error
	if l.q != nil {
		errs = append(errs, l.q.Close()) // runs the Dones of what is in flight
	}
	for _, s := range l.slots {
		for _, c := range s.conns {
			if c.fd >= 0 {
				errs = append(errs, unix.Close(c.fd))
				c.fd = -1
			}
			l.arena.Put(c.out)
			l.arena.Put(c.in)
		}
	}
	return errors.Join(append(errs, l.arena.Close())...)
}

// over reports whether the loop has nothing left to do.
func (l *loop) over() bool {
	if l.pending > 0 {
		return false
	}
	return l.run.stop.Load() || l.run.mix().once && l.left == 0
}

// wait returns how long the loop may sleep.
func (l *loop) wait() time.Duration {
	wait := time.Duration(idleWait)
	if len(l.resting) > 0 {
		wait = restFor
	}
	if l.sched != nil && len(l.idle) > 0 && !l.run.stop.Load() {
		wait = min(wait, max(l.next-l.run.clock(), 0))
	}
	return wait
}

// issue starts what is due, as far as there are free slots.
func (l *loop) issue() {
	for len(l.idle) > 0 && !l.run.stop.Load() && (!l.run.mix().once || l.left > 0) {
		due := l.now
		if l.sched != nil {
			if l.next > l.now {
				return
			}
			due = l.next
			l.next = l.sched.due(l.r)
		}
		s := l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
		l.left--
		l.begin(s, due)
	}
}

// begin starts an operation in a free slot.
func (l *loop) begin(s *slot, due time.Duration) {
	s.kind = l.run.mix().pick(l.r)
	s.target = 0
	switch n := len(l.targets); {
	case n == 1:
	case l.run.mix().once: // in turn, so that each gets every key
		s.target = int(l.left % uint64(n))
	default:
		s.target = int(l.r.Uint32n(uint32(n)))
	}
	t := &l.targets[s.target]
	key, digest := t.keys.next(l.r)
	s.due, s.sent, s.second, s.failed = due, l.now, false, false
	s.deadline = l.now + l.run.o.Timeout
	if s.kind == opRMW { // the key is needed once more
		s.keySize, s.digest = copy(s.key[:], key), *digest
	}
	if l.sched != nil {
		// Late through the generator's own fault is only what the slot was
		// free for: with all slots taken it was the server that kept us.
		late := l.now - max(due, s.freed)
		l.rec.lateness.Record(late)
		if late > l.run.o.MaxLateness {
			l.rec.late.Add(1)
		}
	}
	list := t.requests.byKind[s.kind]
	request := &list[0]
	if len(list) > 1 {
		request = &list[l.r.Uint32n(uint32(len(list)))]
	}
	c := l.connFor(s, digest)
	if c == nil {
		l.rec.homeless.Add(1)
		l.resting = append(l.resting, s)
		return
	}
	s.busy = true
	l.pending++
	c.start(l.q, request.put(c.out[:cap(c.out)], key, digest))
}

// connFor returns the slot's connection to the node that owns a digest, nil if
// there is none.
func (l *loop) connFor(s *slot, digest *record.Digest) *conn {
	node := l.targets[s.target].space.owner(digest.Partition())
	if node < 0 || !s.conns[node].ready() {
		return nil
	}
	return s.conns[node]
}

// sent is the Done of a send. Its failure ends the connection; the reply's
// receive then comes back too.
func (l *loop) sent(c *conn) {
	if c.send.Result != int32(len(c.send.Buf)) {
		l.hangUp(c)
	}
	l.settle(c)
}

// received is the Done of a receive.
func (l *loop) received(c *conn) {
	n := int(c.recv.Result)
	switch {
	case c.closing:
	case n == -int(unix.EINTR) || n == -int(unix.EAGAIN):
		l.q.Submit(&c.recv)
		return
	case n <= 0:
		l.hangUp(c)
	default:
		done, err := c.received(n)
		if err != nil {
			l.hangUp(c)
			break
		}
		if !done {
			l.q.Submit(&c.recv)
			return
		}
		if !c.send.InFlight() {
			l.answered(c)
			return
		}
		// The answer overtook its send's completion, which is about to come.
	}
	l.settle(c)
}

// answered ends the operation of a complete reply, or starts its second half.
func (l *loop) answered(c *conn) {
	s := c.slot
	l.look()
	if s.kind == opRMW && !s.second && (c.result() == uint8(record.OK) || c.result() == uint8(record.NotFound)) {
		l.secondHalf(s, c)
		return
	}
	l.rec.answered(s.kind, c.result(), s.due, s.sent, l.now)
	l.finish(s)
}

// secondHalf sends the write of a read-modify-write: it holds only if nobody
// else has written since the read.
func (l *loop) secondHalf(s *slot, c *conn) {
	s.second = true
	t := &l.targets[s.target]
	request := &t.requests.rmw[l.r.Uint32n(uint32(len(t.requests.rmw)))]
	generation := c.generation()
	if c.result() == uint8(record.NotFound) {
		generation = 0
	}
	msg := request.put(c.out[:cap(c.out)], s.key[:s.keySize], &s.digest)
	setGeneration(msg, generation)
	c.start(l.q, msg)
}

// finish frees the slot of an operation that has ended.
func (l *loop) finish(s *slot) {
	l.look()
	s.busy = false
	s.freed = l.now
	l.pending--
	l.idle = append(l.idle, s)
}

// look reads the clock once for all completions that were collected together.
func (l *loop) look() {
	if l.stale {
		l.now, l.stale = l.run.clock(), false
	}
}

// restFor is how long a slot that found no connection stays out of use, so
// that a server that is gone does not make the loop spin.
const restFor = 10 * time.Millisecond

// wakeResting gives slots back that have rested.
func (l *loop) wakeResting() {
	for len(l.resting) > 0 && l.now-l.resting[0].sent >= restFor {
		s := l.resting[0]
		s.freed = l.now
		l.idle = append(l.idle, s)
		l.resting = l.resting[:copy(l.resting, l.resting[1:])]
	}
}

// hangUp ends a connection: its operations come back from the queue first.
func (l *loop) hangUp(c *conn) {
	if c.closing || c.fd < 0 {
		return
	}
	c.closing = true
	l.q.Cancel(&c.send)
	l.q.Cancel(&c.recv)
}

// settle goes on with a connection when the queue holds nothing of it: a
// complete reply is counted, a closing connection is closed and dialled again.
func (l *loop) settle(c *conn) {
	if c.busy() {
		return
	}
	s := c.slot
	if !c.closing {
		if c.total > 0 && c.got == c.total {
			l.answered(c)
		}
		return
	}
	_ = unix.Close(c.fd) // the peer is gone or late; there is nobody to tell
	c.fd = -1
	if s.busy {
		if !s.failed {
			l.rec.broken.Add(1)
		}
		l.finish(s)
	}
	l.redial(c, 0)
}

// sweep ends the connections whose operation got no answer in time.
func (l *loop) sweep() {
	l.swept = l.now
	for _, s := range l.slots {
		if !s.busy || s.failed || l.now < s.deadline {
			continue
		}
		for _, c := range s.conns {
			if c.busy() {
				s.failed = true
				l.rec.expired.Add(1)
				l.hangUp(c)
			}
		}
	}
	l.lookAtThread()
}

// redial connects c again, on a goroutine of its own, after a pause.
func (l *loop) redial(c *conn, after time.Duration) {
	if c.dialing || l.run.stop.Load() {
		return
	}
	c.dialing = true
	address, timeout := l.run.nodes[c.node], l.run.o.Timeout
	go func() {
		time.Sleep(after)
		fd, err := dial(address, timeout)
		l.mu.Lock()
		l.dialed = append(l.dialed, dialed{c, fd, err})
		l.mu.Unlock()
	}()
}

// takeDialed takes over what other goroutines have connected.
func (l *loop) takeDialed() {
	if !l.mu.TryLock() {
		return
	}
	list := l.dialed
	l.dialed = nil
	l.mu.Unlock()
	for _, d := range list {
		d.c.dialing = false
		if d.err != nil {
			l.redial(d.c, redialAfter)
			continue
		}
		d.c.open(d.fd)
	}
}
