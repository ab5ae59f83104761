package act

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// rig is a run on a simulated machine.
type rig struct {
	world *sim.World
	o     Options
	size  int64
	wrap  func(ioring.Queue) ioring.Queue
	each  func(now time.Duration) // after each turn
	names []string
	blank bool // leave the devices unprepared

	run *run
}

// fast is a drive with latencies of some hundred microseconds.
var fast = sim.Faults{
	ReadLatency:  sim.Range{Min: 80 * time.Microsecond, Max: 200 * time.Microsecond},
	WriteLatency: sim.Range{Min: 30 * time.Microsecond, Max: 100 * time.Microsecond},
	Reorder:      1,
}

func newRig(t *testing.T, f sim.Faults, x float64, duration time.Duration) *rig {
	r := &rig{world: sim.New(testSeed(t), f), size: 32 << 20, names: []string{"a"}}
	c, err := Presets[0].Config(x, "a")
	if err != nil {
		t.Fatal(err)
	}
	c.Duration = duration
	r.o.Config = c
	r.o.Seed = 7
	return r
}

// stamped returns the contents of a prepared device.
func stamped(size int64) []byte {
	image := make([]byte, size)
	l := label{end: size, at: time.Unix(1, 0)}
	l.encode(image)
	newFiller(100, 3).fill(image[labelSize:], labelSize, 1, newRNG(3, 3))
	return image
}

// measure runs to the end and returns what the run saw.
func (r *rig) measure(t *testing.T) *Result {
	t.Helper()
	r.o.Config.Devices = r.names
	r.o.setDefaults()
	if err := r.o.validate(); err != nil {
		t.Fatal(err)
	}
	var targets []*target
	for i, name := range r.names {
		d := r.world.Device(name, r.size)
		var known *label
		if !r.blank {
			known = &label{end: d.Size}
			r.world.Restore(name, stamped(r.size))
		}
		target, err := newTarget(d, i, &r.o.Config, known)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	start := r.world.Now()
	r.run = newRun(r.o, targets, 1, func() time.Duration { return r.world.Now() - start })
	q := r.world.Queue()
	if r.wrap != nil {
		q = r.wrap(q)
	}
	l := r.run.loops[0]
	if err := l.open(q); err != nil {
		t.Fatal(err)
	}
	w := newWatch(r.run, "sim", time.Unix(1_800_000_000, 0))
	if err := w.startOutputs(); err != nil {
		t.Fatal(err)
	}
	for over := false; !over; {
		var err error
		if over, err = l.turn(); err != nil {
			t.Fatal(err)
		}
		now := r.run.clock()
		if r.each != nil {
			r.each(now)
		}
		for now >= w.last+time.Second && w.last+time.Second < r.run.stopAt() {
			w.cut(w.last + time.Second)
		}
	}
	l.pending.Store(int64(l.inFlight))
	w.finish(r.run.clock())
	res := w.result(nil)
	w.writeEnd(res.Reasons)
	if l.inFlight == 0 {
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
	}
	return res
}

func (r *Result) op(class Class, device string) *Operation {
	for i := range r.Operations {
		if op := &r.Operations[i]; op.Class == class && op.Device == device {
			return op
		}
	}
	return &Operation{}
}

func (r *Result) has(code string) bool {
	for _, reason := range r.Reasons {
		if reason.Code == code {
			return true
		}
	}
	return false
}

// server makes a device that does one operation after the other, each record
// in the same time: it has a limit.
type server struct {
	ioring.Queue
	w    *sim.World
	each time.Duration
	free time.Duration
}

func (s *server) Submit(o *ioring.Op) {
	if o.Kind == ioring.Nop {
		s.Queue.Submit(o)
		return
	}
	cost := s.each
	if len(o.Buf) > 8192 {
		cost *= 4
	}
	s.free = max(s.free, s.w.Now()) + cost
	wait := &ioring.Op{Kind: ioring.Timeout, Offset: int64(s.free - s.w.Now())}
	wait.Done = func(*ioring.Op) { s.Queue.Submit(o) }
	s.Queue.Submit(wait)
}

func limited(each time.Duration) func(w *sim.World) func(ioring.Queue) ioring.Queue {
	return func(w *sim.World) func(ioring.Queue) ioring.Queue {
		return func(q ioring.Queue) ioring.Queue { return &server{Queue: q, w: w, each: each} }
	}
}

var instant = sim.Faults{ReadLatency: sim.Range{Min: 1, Max: 1}, WriteLatency: sim.Range{Min: 1, Max: 1}, Reorder: 1}

func TestGoodDrivePasses(t *testing.T) {
	r := newRig(t, fast, 2, 20*time.Second)
	r.o.Config.TombRaider, r.o.Config.TombRaiderSleep = true, time.Millisecond
	res := r.measure(t)
	if res.Outcome != Pass {
		t.Fatalf("%v: %v", res.Outcome, res.Reasons)
	}
	reads := res.op(Read, "")
	if reads.Count != 80_000 {
		t.Errorf("%d reads, want 80000", reads.Count)
	}
	for class, want := range map[Class]uint64{LargeRead: 941, LargeWrite: 941} { // 2 x 23.529 x 20
		if n := res.op(class, "").Count; n < want-1 || n > want+1 {
			t.Errorf("%d %v, want %d", n, class, want)
		}
	}
	if n := res.op(TombRead, "").Count; n < 15_000 || n > 20_000 { // 1 ms pause and about 0.2 ms
		t.Errorf("%d tomb raider reads", n)
	}
	if reads.Service.P50 < 80 || reads.Service.P50 > 210 || reads.Blank != 0 {
		t.Errorf("p50 %v µs, %d not verified", reads.Service.P50, reads.Blank)
	}
}

func TestFreezeShowsInResponseTime(t *testing.T) {
	r := newRig(t, fast, 2, 30*time.Second)
	r.o.JudgeAll = true
	frozen := false
	r.each = func(now time.Duration) {
		if !frozen && now > 10*time.Second {
			frozen = true
			r.world.Stall("a", 5*time.Second)
		}
	}
	res := r.measure(t)
	reads := res.op(Read, "")
	if late := reads.Over[Response][0]; late < 19_000 || late > 21_000 {
		t.Errorf("%d late responses, want about 20000", late)
	}
	if slow := reads.Over[Service][0]; slow < defaultDepth || slow > 2*defaultDepth {
		t.Errorf("%d slow in service time, want about the depth, %d", slow, defaultDepth)
	}
	if reads.Count != 120_000 {
		t.Errorf("%d reads, want 120000", reads.Count)
	}
	if res.Outcome != Fail || res.has("late") { // the drive's fault, not the host's
		t.Errorf("%v: %v", res.Outcome, res.Reasons)
	}
}

// sleepy is a host that takes the CPU away: completions and what is due wait.
type sleepy struct {
	ioring.Queue
	w     *sim.World
	polls int
}

func (s *sleepy) Poll(d time.Duration) (int, error) {
	if s.polls++; s.polls%200 == 0 {
		s.w.Advance(30 * time.Millisecond)
	}
	return s.Queue.Poll(d)
}

func TestStarvedHostIsInvalid(t *testing.T) {
	r := newRig(t, fast, 2, 20*time.Second)
	r.wrap = func(q ioring.Queue) ioring.Queue { return &sleepy{Queue: q, w: r.world} }
	res := r.measure(t)
	if res.Outcome != Invalid || !res.has("late") {
		t.Errorf("%v: %v", res.Outcome, res.Reasons)
	}
}

func TestErrorsAreCountedAndDecide(t *testing.T) {
	r := newRig(t, fast, 2, 20*time.Second)
	r.o.JudgeAll = true
	r.world.Device("a", r.size)
	r.world.Fail("a", 16<<20, 17<<20, syscall.EIO)
	res := r.measure(t)
	reads := res.op(Read, "")
	if res.Outcome != Error || !res.has("io-error") || reads.Errors < 1000 {
		t.Errorf("%v, %d errors: %v", res.Outcome, reads.Errors, res.Reasons)
	}
	if reads.Count+reads.Errors != 80_000 {
		t.Errorf("%d good and %d failed, want 80000 together", reads.Count, reads.Errors)
	}
	if !strings.Contains(res.Reasons[0].Text, "EIO") {
		t.Errorf("reason %q", res.Reasons[0].Text)
	}
}

func TestWrongDataIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(r *rig)
	}{
		{"flipped bits on the medium", func(r *rig) { r.world.Rot("a", 20<<20+100, 2000) }},
		{"flipped bits in the transfer", func(r *rig) { r.world.SetFaults(withFaults(func(f *sim.Faults) { f.ReadRot = 1e-3 })) }},
		{"misdirected reads", func(r *rig) { r.world.SetFaults(withFaults(func(f *sim.Faults) { f.MisdirectRead = 1e-3 })) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, fast, 2, 20*time.Second)
			r.o.ReadOnly = true
			done := false
			r.each = func(now time.Duration) {
				if !done && now > time.Second {
					done = true
					c.damage(r)
				}
			}
			res := r.measure(t)
			if res.Outcome != Error || !res.has("wrong-data") {
				t.Errorf("%v: %v", res.Outcome, res.Reasons)
			}
		})
	}
}

func withFaults(change func(*sim.Faults)) sim.Faults {
	f := fast
	change(&f)
	return f
}

func TestTwiceTheLimitFailsEarlyAndHalfPasses(t *testing.T) {
	// 150 µs a record and 600 µs a block: 1x takes 33 % of the drive's time.
	for _, c := range []struct {
		name string
		x    float64
		want Outcome
	}{{"half", 1.5, Pass}, {"twice", 6, Fail}} {
		t.Run(c.name, func(t *testing.T) {
			duration := 20 * time.Second
			if c.want == Fail {
				duration = 24 * time.Hour
			}
			r := newRig(t, instant, c.x, duration)
			r.wrap = limited(150 * time.Microsecond)(r.world)
			r.o.Depth = 64
			res := r.measure(t)
			if res.Outcome != c.want {
				t.Errorf("%v: %v", res.Outcome, res.Reasons)
			}
			if c.want == Fail && res.Seconds > 300 {
				t.Errorf("failed after %v s", res.Seconds)
			}
		})
	}
}

func TestDeviceThatNeverAnswers(t *testing.T) {
	r := newRig(t, fast, 1, 60*time.Second)
	r.each = func(now time.Duration) { r.world.Stall("a", time.Hour) }
	res := r.measure(t)
	if res.Outcome != Fail || !res.has("stuck") || res.Generator.Pending == 0 || res.Seconds > 15 {
		t.Errorf("%v after %v s, %d pending: %v", res.Outcome, res.Seconds, res.Generator.Pending, res.Reasons)
	}
}

func TestThreadsDoNotChangeLatency(t *testing.T) {
	p50 := func(threads int, a Arrival) float64 {
		r := newRig(t, instant, 2, 10*time.Second)
		r.o.Config.ServiceThreads, r.o.Arrival, r.o.JudgeAll = threads, a, true
		r.wrap = limited(50 * time.Microsecond)(r.world)
		return r.measure(t).op(Read, "").Service.P50
	}
	few, many := p50(2, Uniform), p50(160, Uniform)
	if many > 1.1*few || few > 1.1*many {
		t.Errorf("p50 %v µs with 2 threads, %v with 160", few, many)
	}
	if burst := p50(160, ACT6); burst < 10*few {
		t.Errorf("act6: p50 %v µs with 160 threads, want a burst's, %v with 2 even ones", burst, few)
	}
}

func TestCommitWritesGoEverywhere(t *testing.T) {
	r := newRig(t, fast, 1, 5*time.Second)
	r.o.Config.CommitToDevice = true
	r.o.Config.RecordBytesMax = 20_000
	places, sizes := map[int64]bool{}, map[int]bool{}
	r.wrap = func(q ioring.Queue) ioring.Queue {
		return &spy{Queue: q, submit: func(o *ioring.Op) {
			if o.Kind == ioring.Write && len(o.Buf) < 128<<10 {
				places[o.Offset], sizes[len(o.Buf)] = true, true
				if o.Flags&ioring.DSync == 0 {
					t.Error("a commit without DSync")
				}
			}
		}}
	}
	res := r.measure(t)
	if n := res.op(Write, "").Count; n != 5000 {
		t.Errorf("%d commits, want 5000", n)
	}
	if len(places) < 1000 || places[0] || len(sizes) != 5 { // 4 to 20 KiB
		t.Errorf("%d places, %d sizes; at 0: %v", len(places), len(sizes), places[0])
	}
	if res.Outcome != Pass {
		t.Error(res.Reasons)
	}
}

func TestAllPresetsPassOnAGoodDrive(t *testing.T) {
	for _, p := range Presets {
		t.Run(p.Name, func(t *testing.T) {
			r := newRig(t, fast, 1, 3*time.Second)
			c, err := p.Config(1, "a")
			if err != nil {
				t.Fatal(err)
			}
			c.Duration, c.CompressPct = 3*time.Second, 50
			r.o.Config, r.size = c, 128<<20
			if res := r.measure(t); res.Outcome != Pass {
				t.Errorf("%v: %v", res.Outcome, res.Reasons)
			}
		})
	}
}

func TestSameSeedSameOperations(t *testing.T) {
	trace := func() uint64 {
		r := newRig(t, fast, 1, time.Second)
		r.world = sim.New(1, fast)
		r.o.Arrival = Poisson
		r.measure(t)
		return r.world.Trace()
	}
	if a, b := trace(), trace(); a != b {
		t.Errorf("traces %x and %x of the same seed", a, b)
	}
}

type spy struct {
	ioring.Queue
	submit func(o *ioring.Op)
}

func (s *spy) Submit(o *ioring.Op) { s.submit(o); s.Queue.Submit(o) }

func TestIndexDeliversItsRateOnEachDevice(t *testing.T) {
	r := newRig(t, fast, 1, 10*time.Second)
	c, _ := Presets[3].Config(1, "a", "b")
	c.Duration = 10 * time.Second
	r.o.Config, r.names = c, []string{"a", "b"}
	res := r.measure(t)
	for _, name := range r.names {
		if n := res.op(Read, "sim/"+name).Count; n != 50_000 {
			t.Errorf("%s: %d reads, want 50000", name, n)
		}
		if n := res.op(Write, "sim/"+name).Count; n != 20_000 {
			t.Errorf("%s: %d writes, want 20000", name, n)
		}
	}
	if res.Outcome != Pass {
		t.Error(res.Reasons)
	}
}

func TestSlowWriterOfManyIsFound(t *testing.T) {
	r := newRig(t, fast, 1, 10*time.Second)
	r.names, r.o.JudgeAll = []string{"a", "b"}, true
	r.each = func(time.Duration) {
		if int(r.world.Now()/time.Second)%2 == 1 {
			r.world.Stall("b", 50*time.Millisecond)
		}
	}
	res := r.measure(t)
	a, b := res.op(LargeWrite, "sim/a"), res.op(LargeWrite, "sim/b")
	if a.Count == 0 || b.Service.P99 < 10*a.Service.P99 {
		t.Errorf("a p99 %v, b p99 %v", a.Service.P99, b.Service.P99)
	}
}

func TestBlockLogReusesBlocks(t *testing.T) {
	r := newRNG(testSeed(t), 0)
	const n, pieces = 64, 8
	b := newBlockLog(n, pieces)
	var last uint64
	for i := range 100_000 {
		w := b.write(r)
		if i%pieces != 0 && w != last+1 {
			t.Fatalf("write %d: piece %d after %d, want one after the other", i, w, last)
		}
		last = w
		if p := b.read(r); p >= n*pieces {
			t.Fatalf("piece %d", p)
		}
		if got := b.nFree + len(b.used); got < n-2 || got > n {
			t.Fatalf("after %d: %d blocks free or used, want %d less those at hand", i, got, n)
		}
	}
}

func TestLoopDoesNotAllocate(t *testing.T) {
	// Against a queue that answers at once: sim itself allocates.
	r := newRig(t, fast, 30, time.Hour)
	r.o.Config.Devices = r.names
	r.o.setDefaults()
	d := r.world.Device("a", r.size)
	one, err := newTarget(d, 0, &r.o.Config, nil)
	if err != nil {
		t.Fatal(err)
	}
	var now time.Duration
	run := newRun(r.o, []*target{one}, 1, func() time.Duration { return now })
	l := run.loops[0]
	if err := l.open(&echo{Queue: r.world.Queue()}); err != nil {
		t.Fatal(err)
	}
	turn := func() {
		now += 50 * time.Microsecond
		if over, err := l.turn(); over || err != nil {
			t.Fatal(over, err)
		}
	}
	for range 1000 {
		turn()
	}
	if n := testing.AllocsPerRun(5000, turn); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
	if l.rec.cell(0, Read).done.Load() < 10_000 || l.rec.cell(0, LargeWrite).done.Load() < 100 {
		t.Error("the loop did nothing")
	}
}

// echo answers each operation in the next Poll.
type echo struct {
	ioring.Queue
	ops []*ioring.Op
}

func (e *echo) Submit(o *ioring.Op) { e.ops = append(e.ops, o) }

func (e *echo) Poll(time.Duration) (int, error) {
	n := len(e.ops)
	for _, o := range e.ops {
		o.Result = int32(len(o.Buf))
		o.Done(o)
	}
	e.ops = e.ops[:0]
	return n, nil
}

func TestOwnLogPassesTheReader(t *testing.T) {
	for _, micro := range []bool{false, true} {
		r := newRig(t, fast, 1, 12*time.Second)
		var text, jsonl, hlog bytes.Buffer
		r.o.ACTLog, r.o.JSONL, r.o.HLog = &text, &jsonl, &hlog
		r.o.Config.Microseconds = micro
		r.names = []string{"a", "b"}
		res := r.measure(t)
		l, err := ParseLog(&text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := JudgeLog(l, "reads", 4*time.Second, DefaultRules())
		if err != nil || v.Outcome != Pass || len(v.Slices) != 3 {
			t.Errorf("%v %v %d slices: %q", v.Outcome, err, len(v.Slices), v.Reasons)
		}
		var sum uint64
		for _, s := range v.Slices {
			sum += s.Total
		}
		if reads := res.op(Read, "").Count; sum != reads {
			t.Errorf("%d reads in the log, %d in the result", sum, reads)
		}
		if want := "reads sim/a-reads sim/b-reads large-block-reads sim/a-large-block-reads sim/b-large-block-reads large-block-writes sim/a-large-block-writes sim/b-large-block-writes"; strings.Join(l.Histograms, " ") != want {
			t.Errorf("histograms %q", l.Histograms)
		}
		if n := bytes.Count(jsonl.Bytes(), []byte("\n")); n < 11 || n > 12 {
			t.Errorf("%d lines of JSONL", n)
		}
		if !bytes.Contains(hlog.Bytes(), []byte("Tag=large-block-writes,")) {
			t.Error("no large-block writes in the hlog")
		}
	}
}

func TestTimelineKeepsEverything(t *testing.T) {
	var tl timeline
	h := hist.NewHDR(measured)
	s := func(n uint64) *state {
		m := hist.Merge(h)
		return &state{counters: counters{done: n}, service: m, response: m}
	}
	total := uint64(0)
	for i := range 3000 {
		h.RecordN(time.Millisecond, 3)
		total += 3
		tl.add(time.Duration(i)*time.Second, time.Duration(i+1)*time.Second, s(total))
	}
	tl.flush()
	var sum uint64
	var records int64
	at := time.Duration(0)
	for _, b := range tl.blocks {
		if b.start != at {
			t.Fatalf("a block starts at %v, want %v", b.start, at)
		}
		at = b.end
		sum += b.done
		records += b.response.TotalCount()
	}
	if sum != total || records != int64(total) || at != 3000*time.Second || len(tl.blocks) > maxBlocks {
		t.Errorf("%d counted, %d recorded, want %d; up to %v in %d blocks", sum, records, total, at, len(tl.blocks))
	}
}
