package bench

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/internal/thread"
)

// Version is the program's version, for the result.
var Version = "unknown"

// second is how long a block of the result lasts.
const second = time.Second

// watch follows a run from outside its loops, and cuts it into seconds.
type watch struct {
	r     *run
	began time.Time

	started    time.Duration // of the measurement, on the run's clock
	last       time.Duration // end of the latest block
	baseline   snapshot
	previous   snapshot
	blocks     [nOpKinds][]Block
	serverCPU  time.Duration // at the start of the measurement
	serverErr  error
	nextReport time.Duration
}

// snapshot is the state of all counters at a moment.
type snapshot struct {
	response, service [nOpKinds]*hist.Merged
	lateness          *hist.Merged
	results           [256]uint64
	failures          Failures
	late              uint64
	cpu, starved      []int64 // by loop
}

func newWatch(r *run, began time.Time) *watch { return &watch{r: r, began: began} }

func (w *watch) snapshot() snapshot {
	r := w.r
	var s snapshot
	for _, k := range r.mix().kinds {
		s.response[k] = r.merged(func(rec *recorder) *hist.HDR { return rec.response[k] })
		s.service[k] = s.response[k]
		if r.o.Rate.Open() {
			s.service[k] = r.merged(func(rec *recorder) *hist.HDR { return rec.service[k] })
		}
	}
	s.lateness = r.merged(func(rec *recorder) *hist.HDR { return rec.lateness })
	for code := range s.results {
		s.results[code] = r.sum(func(l *loop) uint64 { return l.rec.results[code].Load() })
	}
	s.failures = Failures{
		Connection:  r.sum(func(l *loop) uint64 { return l.rec.broken.Load() }),
		NoAnswer:    r.sum(func(l *loop) uint64 { return l.rec.expired.Load() }),
		Unreachable: r.sum(func(l *loop) uint64 { return l.rec.homeless.Load() }),
	}
	s.late = r.sum(func(l *loop) uint64 { return l.rec.late.Load() })
	for _, l := range r.loops {
		s.cpu, s.starved = append(s.cpu, l.cpu.Load()), append(s.starved, l.starved.Load())
	}
	return s
}

// answers returns the operations that were answered, whatever the answer.
func (s *snapshot) answers() uint64 {
	var n uint64
	for _, count := range s.results {
		n += count
	}
	return n
}

// errors returns the operations that failed or were refused. A record that is
// not there, or that another client changed in between, is an answer.
func (s *snapshot) errors() uint64 {
	n := s.failures.Total()
	for code, count := range s.results {
		switch record.Result(code) {
		case record.OK, record.NotFound, record.GenerationMismatch:
		default:
			n += count
		}
	}
	return n
}

// follow waits until the run is over and cuts seconds meanwhile.
func (w *watch) follow(ctx context.Context) (interrupted bool, err error) {
	o := w.r.o
	if o.Warmup > 0 {
		interrupted, over := w.sleep(ctx, o.Warmup)
		w.start()
		if interrupted || over {
			return interrupted, nil
		}
	}
	for {
		wait := w.last + second - w.r.clock()
		if o.Duration > 0 {
			wait = min(wait, w.started+o.Duration-w.r.clock())
		}
		interrupted, over := w.sleep(ctx, wait)
		now := w.r.clock()
		ended := o.Duration > 0 && now >= w.started+o.Duration
		if ended || interrupted {
			w.r.stop.Store(true) // nothing new is sent while the last block is cut
		}
		if now-w.last >= second || ended || over || interrupted {
			w.cut(now)
			w.refreshMap()
			w.progress(now)
		}
		if failed := w.previous.errors(); o.MaxErrors > 0 && failed > o.MaxErrors {
			return true, nil
		}
		if interrupted || over || ended {
			return interrupted, nil
		}
	}
}

// sleep waits for d, a signal to stop, or the end of all loops.
func (w *watch) sleep(ctx context.Context, d time.Duration) (interrupted, over bool) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true, false
	case <-t.C:
		return false, false
	case <-w.r.over:
		return false, true
	}
}

// start begins the measurement.
func (w *watch) start() {
	w.baseline = w.snapshot()
	w.previous = w.baseline
	w.started = w.r.clock()
	w.last = w.started
	if pid := w.r.o.ServerPID; pid > 0 {
		w.serverCPU, w.serverErr = processCPU(pid)
	}
}

// cut ends a block.
func (w *watch) cut(now time.Duration) {
	s := w.snapshot()
	for _, k := range w.r.mix().kinds {
		b := Block{
			Start: (w.last - w.started).Seconds(), Length: (now - w.last).Seconds(),
			response: s.response[k].Since(w.previous.response[k]),
			service:  s.service[k].Since(w.previous.service[k]),
		}
		b.Count = uint64(b.response.TotalCount())
		w.blocks[k] = append(w.blocks[k], b)
	}
	w.previous, w.last = s, now
}

// refreshMap follows changes of the partition map. A node that does not answer
// shows in the operations themselves.
func (w *watch) refreshMap() {
	for _, s := range w.r.spaces {
		if changed, _ := s.cluster.Refresh(); changed {
			w.r.takeMap(s)
		}
	}
}

// result describes the measurement.
func (w *watch) result(interrupted bool) *Result {
	r, o := w.r, w.r.o
	s := w.previous // as of the latest cut, so that all figures are of the same time
	seconds := (w.last - w.started).Seconds()
	res := &Result{
		Schema: Schema, Version: Version, Started: w.began.UTC(), Host: thisHost(),
		Seconds: seconds, Interrupted: interrupted, Invalid: []string{},
		Answers: map[string]uint64{},
		Setup: Setup{
			Hosts: o.seeds(), Nodes: len(r.nodes), Namespaces: o.Namespaces, Sets: o.Sets, Workload: o.Workload,
			Object: o.Object, Keys: o.Keys, KeyDist: o.KeyDist, Connections: o.Connections, Loops: o.Loops,
			Queue: r.queue, Loop: "closed", Seed: r.seed,
		},
	}
	if o.Rate.Open() {
		res.Setup.Loop, res.Setup.Rate, res.Setup.Arrival = "open", o.Rate.String(), o.Arrival.String()
	}
	var operations uint64
	for _, k := range r.mix().kinds {
		op := w.operation(k, &s, seconds)
		operations += op.Count
		res.Operations = append(res.Operations, op)
	}
	for code := range s.results {
		if n := s.results[code] - w.baseline.results[code]; n > 0 {
			res.Answers[record.Result(code).String()] = n
		}
	}
	res.Failures = Failures{
		Connection:  s.failures.Connection - w.baseline.failures.Connection,
		NoAnswer:    s.failures.NoAnswer - w.baseline.failures.NoAnswer,
		Unreachable: s.failures.Unreachable - w.baseline.failures.Unreachable,
	}
	w.generator(res, &s, operations)
	w.server(res, operations)
	w.judge(res, &s)
	return res
}

// operation describes one kind of operation.
func (w *watch) operation(k opKind, s *snapshot, seconds float64) Operation {
	response, service := s.response[k].Since(w.baseline.response[k]), s.service[k].Since(w.baseline.service[k])
	op := Operation{Kind: k.String(), Count: uint64(response.TotalCount()), Response: latencyOf(response), Service: latencyOf(service), Seconds: w.blocks[k], whole: response}
	if seconds > 0 {
		op.Rate = float64(op.Count) / seconds
	}
	for i := range op.Seconds {
		b := &op.Seconds[i]
		// A histogram that was just made cannot fail to be written.
		text, err := b.response.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err == nil {
			b.Response = string(text)
		}
	}
	return op
}

func (w *watch) generator(res *Result, s *snapshot, operations uint64) {
	o := w.r.o
	g := &res.Generator
	lateness := s.lateness.Since(w.baseline.lateness)
	g.Lateness = latencyOf(lateness)
	if sent := lateness.TotalCount(); sent > 0 {
		g.LateShare = float64(s.late-w.baseline.late) / float64(sent)
	}
	var cpu, starved int64
	for i := range s.cpu {
		cpu += s.cpu[i] - w.baseline.cpu[i]
		starved = max(starved, s.starved[i]-w.baseline.starved[i])
	}
	if operations > 0 {
		g.CPUUs = float64(cpu) / 1e3 / float64(operations)
	}
	g.Starved = -1
	if _, ok := thread.RunDelay(); ok && res.Seconds > 0 {
		g.Starved = float64(starved) / 1e9 / res.Seconds
	}
	if res.Seconds > 0 {
		g.Delivered = float64(operations) / res.Seconds
		if o.Rate.Open() {
			g.Asked = (o.Rate.Due(w.last) - o.Rate.Due(w.started)) / res.Seconds
		}
	}
}

func (w *watch) server(res *Result, operations uint64) {
	if w.r.o.ServerPID == 0 || operations == 0 {
		return
	}
	now, err := processCPU(w.r.o.ServerPID)
	if err == nil && w.serverErr == nil {
		us := float64(now-w.serverCPU) / 1e3 / float64(operations)
		res.ServerCPUUs = &us
	}
}

// Limits beyond which a run says nothing about the server.
const (
	maxLateShare  = 0.01 // of the operations sent late by the generator
	minDelivered  = 0.99 // of the rate that was asked for, unless the server kept all connections busy
	maxErrorShare = 0.01 // of the operations failed or refused
)

// judge says why a result is not valid.
func (w *watch) judge(res *Result, s *snapshot) {
	o, g := w.r.o, &res.Generator
	fail := func(format string, args ...any) { res.Invalid = append(res.Invalid, fmt.Sprintf(format, args...)) }
	total := s.answers() - w.baseline.answers() + res.Failures.Total()
	if total == 0 {
		fail("no operation ended in the measurement")
		return
	}
	if g.LateShare > maxLateShare {
		fail("the generator was late: %.1f %% of the operations were sent more than %v after they were due, through no fault of the server", 100*g.LateShare, o.MaxLateness)
	}
	if g.Starved > o.MaxStarved {
		fail("the generator was starved: a loop waited for a CPU for %.1f %% of the time (limit %.0f %%)", 100*g.Starved, 100*o.MaxStarved)
	}
	failed := s.errors() - w.baseline.errors()
	if float64(failed) > maxErrorShare*float64(total) {
		fail("%d of %d operations failed or were refused", failed, total)
	}
	if o.MaxErrors > 0 && failed > o.MaxErrors {
		fail("more than %d errors", o.MaxErrors)
	}
	if g.Asked > 0 && g.Delivered < minDelivered*g.Asked {
		fail("%.0f operations a second were asked for and %.0f delivered: the server does not keep up with this rate and %d connections", g.Asked, g.Delivered, o.Connections)
	}
}

// progress shows the latest second.
func (w *watch) progress(now time.Duration) {
	o := w.r.o
	if o.Progress == nil || !o.Live && now < w.nextReport {
		return
	}
	w.nextReport = now + o.Every - second/10
	var count uint64
	var length float64
	var parts []string
	for _, k := range w.r.mix().kinds {
		b := w.blocks[k][len(w.blocks[k])-1]
		count += b.Count
		length = b.Length
		if b.Count > 0 {
			l := latencyOf(b.response)
			parts = append(parts, fmt.Sprintf("%s p50 %s p99 %s p99.9 %s", k, micros(l.P50), micros(l.P99), micros(l.P999)))
		}
	}
	left := ""
	if o.Duration > 0 {
		left = fmt.Sprintf("  %v left", max(w.started+o.Duration-now, 0).Round(time.Second))
	}
	line := fmt.Sprintf("%7.0f op/s  %s  errors %d%s", float64(count)/length, strings.Join(parts, "  "), w.previous.errors(), left)
	if o.Live {
		fmt.Fprintf(o.Progress, "\r%s\x1b[K", line)
		return
	}
	fmt.Fprintln(o.Progress, line)
}

// micros writes microseconds in the unit that suits them.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2fs", us/1e6)
	case us >= 1e4:
		return fmt.Sprintf("%.1fms", us/1e3)
	case us >= 1e3:
		return fmt.Sprintf("%.2fms", us/1e3)
	}
	return fmt.Sprintf("%.0fµs", us)
}

// meanOf returns a histogram's mean in microseconds.
func meanOf(m *hist.Merged) float64 {
	var sum, n float64
	for _, bar := range m.Distribution() {
		if bar.Count > 0 {
			sum += float64(bar.Count) * float64(bar.From+bar.To) / 2
			n += float64(bar.Count)
		}
	}
	if n == 0 {
		return 0
	}
	return math.Round(sum/n) / 1e3
}

// thisHost describes the machine.
func thisHost() Host {
	h := Host{CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				h.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	return h
}
