package act

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/ioring"
)

const (
	// idleWait bounds a loop's wait when nothing is due: how fast it notices
	// that the run is over.
	idleWait = 20 * time.Millisecond
	// sweepEvery is how often a loop looks at its thread and for operations
	// that do not come back.
	sweepEvery = 200 * time.Millisecond
	// floorNops is how many NOPs measure the instrument itself.
	floorNops = 500

	never = time.Duration(math.MaxInt64)
)

// slot is the place of one operation in flight.
type slot struct {
	op     ioring.Op
	loop   *loop
	pool   *pool
	stream *stream
	mem    []byte // all of the buffer

	due, submitted time.Duration
	busy           bool
}

// pool holds the slots of one class on one device.
type pool struct {
	target *target
	class  Class
	cell   *cell
	slots  []slot
	idle   []*slot
	// freed is when a slot came back to a pool without any: what was due
	// before had to wait for the device, not for the generator.
	freed time.Duration
}

// stream is one sequence of operations.
type stream struct {
	class  Class
	pools  []*pool   // one, or one of each device to draw from
	held   *pool     // drawn for the next operation
	sched  *schedule // nil: the next is due a pause after the last came back
	r      *rng
	next   time.Duration
	pause  time.Duration
	at     uint64 // tomb raider: next block
	places *rng
}

// loop is one thread of the engine.
type loop struct {
	run     *run
	index   int
	q       ioring.Queue
	arena   *ioring.Arena
	rec     *recorder
	pools   []*pool
	streams []*stream
	plans   []plan
	floor   *hist.HDR // latency of NOPs

	now      time.Duration // of the latest look at the clock: one a batch of completions
	stale    bool          // now is from before the current batch
	swept    time.Duration
	inFlight int
	sequence uint64
	pending  atomic.Int64 // in flight when the loop gave up

	cpuBefore, starvedBefore, involuntaryBefore int64 // when the run began

	ended chan error
}

// plan is a stream before its loop has started.
type plan struct {
	class   Class
	targets []*target
	rate    Rate // zero: closed
	part    int
	parts   int
	depth   int
	stream  uint64 // number, for its draws
}

// main runs the loop on a thread of its own until the run is over and its
// operations have come back.
func (l *loop) main(cpu int, open func() (ioring.Queue, error)) (err error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if cpu >= 0 {
		if err := numa.Pin(cpu); err != nil {
			return fmt.Errorf("act: loop %d: pin to CPU %d: %w", l.index, cpu, err)
		}
	}
	// The default slack of 50 µs would show up in every short wait.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	q, err := open()
	if err != nil {
		return fmt.Errorf("act: loop %d: %w", l.index, err)
	}
	if err := l.open(q); err != nil {
		return err
	}
	if err := l.measureFloor(); err != nil {
		return errors.Join(err, l.close())
	}
	l.look()
	l.run.baseline(l)
	l.run.ready <- ioring.Describe(q)
	<-l.run.begin
	for {
		over, err := l.turn()
		if err != nil {
			l.run.stopFor(stopVerdict, 0, nil, 0) // the other loops end too
			return errors.Join(fmt.Errorf("act: loop %d: %w", l.index, err), l.close())
		}
		if over {
			l.look()
			if l.inFlight > 0 {
				l.pending.Store(int64(l.inFlight))
				return nil // the queue cannot be closed before the device answers
			}
			return l.close()
		}
	}
}

// open makes buffers and streams on a queue.
func (l *loop) open(q ioring.Queue) error {
	l.q = q
	need := 1 << 20
	for _, p := range l.plans {
		for _, t := range p.targets {
			need += p.depth * pow2(l.run.bufferSize(t, p.class))
		}
	}
	var err error
	if l.arena, err = ioring.NewArena(2*need, ioring.ArenaOptions{}); err != nil {
		return errors.Join(fmt.Errorf("act: loop %d: %w", l.index, err), q.Close())
	}
	if err := q.Register(l.arena); err != nil {
		return errors.Join(fmt.Errorf("act: loop %d: %w", l.index, err), l.close())
	}
	files := map[*target]ioring.File{}
	for _, p := range l.plans {
		if err := l.openStream(p, files); err != nil {
			return errors.Join(fmt.Errorf("act: loop %d: %w", l.index, err), l.close())
		}
	}
	return nil
}

func (l *loop) openStream(p plan, files map[*target]ioring.File) error {
	s := &stream{class: p.class, r: newRNG(l.run.o.Seed, 2*p.stream), places: newRNG(l.run.o.Seed, 2*p.stream+1)}
	for _, t := range p.targets {
		file, ok := files[t]
		if !ok {
			var err error
			if file, err = l.q.Attach(t.dev); err != nil {
				return err
			}
			files[t] = file
		}
		size := l.run.bufferSize(t, p.class)
		pool := &pool{target: t, class: p.class, cell: l.rec.cell(t.index, p.class), slots: make([]slot, p.depth)}
		for i := range pool.slots {
			o := &pool.slots[i]
			mem := l.arena.Get(size)
			if mem == nil {
				return fmt.Errorf("no memory for %d operations of %d bytes", p.depth, size)
			}
			*o = slot{loop: l, pool: pool, mem: mem[:size]}
			o.op = ioring.Op{File: file, Done: o.done}
			pool.idle = append(pool.idle, o)
		}
		s.pools = append(s.pools, pool)
		l.pools = append(l.pools, pool)
	}
	if !p.rate.Zero() {
		s.sched = newSchedule(p.rate, l.run.o.Arrival, p.part, p.parts, l.run.threads(p.class), s.r)
		s.next = s.sched.advance(s.r)
	} else {
		s.pause = l.run.o.Config.TombRaiderSleep
	}
	l.streams = append(l.streams, s)
	return nil
}

func pow2(n int) int {
	size := 4096
	for size < n {
		size *= 2
	}
	return size
}

// close gives everything back.
func (l *loop) close() error {
	err := l.q.Close() // runs the Dones of what is in flight
	for _, p := range l.pools {
		for i := range p.slots {
			if p.slots[i].mem != nil {
				l.arena.Put(p.slots[i].mem)
			}
		}
	}
	return errors.Join(err, l.arena.Close())
}

// measureFloor records what the instrument takes by itself: NOPs, one after
// the other, through queue and clock.
func (l *loop) measureFloor() error {
	var op ioring.Op
	done := false
	op.Done = func(*ioring.Op) { done = true }
	for range floorNops {
		done = false
		start := l.run.clock()
		l.q.Submit(&op)
		for !done {
			if _, err := l.q.Poll(time.Millisecond); err != nil {
				return fmt.Errorf("act: loop %d: %w", l.index, err)
			}
		}
		l.floor.Record(l.run.clock() - start)
	}
	return nil
}

// turn does what is due and waits for what comes next. It returns true when
// the loop has nothing left to do.
func (l *loop) turn() (over bool, err error) {
	l.now = l.run.clock()
	next := l.issue()
	if l.now-l.swept >= sweepEvery {
		l.sweep()
	}
	if l.over() {
		return true, nil
	}
	wait := time.Duration(idleWait)
	if next < never {
		wait = min(wait, max(next-l.run.clock(), 0))
	}
	l.stale = true
	_, err = l.q.Poll(wait)
	return false, err
}

// over reports whether the loop has nothing left to do, or waits in vain.
func (l *loop) over() bool {
	if !l.run.stopped(l.now) {
		return false
	}
	return l.inFlight == 0 || l.now > l.run.stopAt()+l.run.patience()
}

// issue starts what is due, as far as there are free slots, and returns when
// the next operation is due: never while all wait for slots.
func (l *loop) issue() time.Duration {
	next := never
	end := min(l.run.o.Config.Duration, l.run.stopAt())
	for _, s := range l.streams {
		for s.next <= l.now && s.next < end {
			p := s.pool()
			if len(p.idle) == 0 {
				if lag := l.now - s.next; l.run.lagging(lag) {
					l.run.stopFor(stopLag, s.class, p.target, lag)
				}
				break
			}
			s.held = nil
			l.begin(s, p)
		}
		if s.next > l.now && s.next < end {
			next = min(next, s.next)
		}
	}
	return next
}

// pool returns where the next operation goes.
func (s *stream) pool() *pool {
	if s.held == nil {
		s.held = s.pools[0]
		if len(s.pools) > 1 {
			s.held = s.pools[s.places.below(uint64(len(s.pools)))]
		}
	}
	return s.held
}

// begin starts an operation.
func (l *loop) begin(s *stream, p *pool) {
	o := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	o.stream, o.due, o.busy = s, s.next, true
	if s.sched != nil {
		s.next = s.sched.advance(s.r)
	} else {
		s.next = never // until it has come back
	}
	l.place(o, s, p.target)
	if p.class.writes() {
		l.sequence++
		l.run.filler.fill(o.op.Buf, o.op.Offset, l.run.firstSequence+l.sequence*uint64(len(l.run.loops))+uint64(l.index), s.places)
	}
	o.submitted = l.now
	if p.class.large() {
		o.submitted = l.run.clock() // filling a block takes its time
	}
	late := o.submitted - max(o.due, p.freed)
	l.rec.lateness.Record(late)
	l.rec.issued.Add(1)
	if late > l.run.o.MaxLateness {
		l.rec.late.Add(1)
	}
	p.cell.issued.Add(1)
	l.inFlight++
	l.q.Submit(&o.op)
}

// place says what the operation does and where.
func (l *loop) place(o *slot, s *stream, t *target) {
	o.op.Kind, o.op.Flags = ioring.Read, 0
	size := int(t.large)
	switch s.class {
	case Read, Write:
		align := int64(0)
		if l.run.o.Config.Model == Index {
			align = indexPage
		}
		o.op.Offset, size = t.recordPlace(s.places, align)
	case LargeRead, LargeWrite:
		o.op.Offset = t.blockPlace(s.places, s.class == LargeWrite)
	case TombRead:
		o.op.Offset = t.base + int64(s.at)*t.large
		if s.at++; s.at == t.nBlocks {
			s.at = 0
		}
	}
	o.op.Buf = o.mem[:size]
	if s.class.writes() {
		o.op.Kind = ioring.Write
		if !l.run.o.Config.DisableODSync {
			o.op.Flags = ioring.DSync
		}
	}
}

// done takes an operation that has come back.
func (o *slot) done(*ioring.Op) {
	l, p := o.loop, o.pool
	if l.stale {
		l.now = l.run.clock()
		l.stale = false
	}
	switch {
	case int(o.op.Result) != len(o.op.Buf):
		p.cell.failed(o.op.Result, o.op.Offset)
	default:
		p.cell.completed(o.due, o.submitted, l.now)
		p.cell.bytes.Add(uint64(len(o.op.Buf)))
		if !p.class.writes() && l.run.o.Verify {
			o.verify()
		}
	}
	if len(p.idle) == 0 {
		p.freed = l.now
	}
	o.busy = false
	p.idle = append(p.idle, o)
	l.inFlight--
	if s := o.stream; s.sched == nil {
		s.next = l.now + s.pause
	}
}

func (o *slot) verify() {
	p := o.pool
	switch verify(o.op.Buf, o.op.Offset) {
	case checkWrong:
		p.wrong(o.op.Offset)
	case checkBlank:
		if p.target.known {
			p.wrong(o.op.Offset)
		} else {
			p.cell.blank.Add(1)
		}
	}
}

func (p *pool) wrong(offset int64) {
	if p.cell.wrong.Add(1) == 1 {
		p.cell.wrongAt.Store(offset)
	}
}

// sweep looks at the thread, and for operations that do not come back.
func (l *loop) sweep() {
	l.swept = l.now
	l.look()
	for _, p := range l.pools {
		for i := range p.slots {
			o := &p.slots[i]
			if age := l.now - o.submitted; o.busy && l.run.lagging(age) {
				l.run.stopFor(stopStuck, p.class, p.target, age)
			}
		}
	}
}

func (l *loop) look() {
	if l.run.look != nil {
		l.run.look(l.rec)
	}
}
