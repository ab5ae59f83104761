package act

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ashlardb/ashlar/internal/hist"
)

// counters are what is counted exactly of one class, since the start.
type counters struct {
	issued, done, errors, wrong, blank uint64
	over                               [2][len(thresholds)]uint64 // by clock
}

func (c *counters) add(o *counters) {
	c.issued += o.issued
	c.done += o.done
	c.errors += o.errors
	c.wrong += o.wrong
	c.blank += o.blank
	for k := range c.over {
		for i := range c.over[k] {
			c.over[k][i] += o.over[k][i]
		}
	}
}

// since returns what was counted after before.
func (c *counters) since(before *counters) counters {
	d := counters{issued: c.issued - before.issued, done: c.done - before.done, errors: c.errors - before.errors, wrong: c.wrong - before.wrong, blank: c.blank - before.blank}
	for k := range c.over {
		for i := range c.over[k] {
			d.over[k][i] = c.over[k][i] - before.over[k][i]
		}
	}
	return d
}

// state is all of a class, on one device or on all, at one moment.
type state struct {
	counters
	service, response *hist.Merged
}

// watch looks at a run once a second and judges it.
type watch struct {
	r     *run
	began time.Time
	queue string

	last     time.Duration // of the latest cut
	before   [nClasses]*state
	now      [nClasses]*state
	timeline [nClasses]timeline
	slices   [nClasses][2][]Slice // whole ones, by clock
	base     [nClasses]counters   // at the start of the current slice
	from     time.Duration        // start of the current slice
	history  []moment             // of the judged class, for sliding slices
	reported time.Duration        // up to which the ACT-format log goes
	hlog     *hist.Log
	gc       debug.GCStats
	outputs  error // the first that could not be written
	nextLine time.Duration
	around   []Reason // what was found out about host and devices besides
}

// moment is the state of the judged class at a cut.
type moment struct {
	at time.Duration
	counters
}

func newWatch(r *run, queue string, began time.Time) *watch {
	w := &watch{r: r, queue: queue, began: began}
	debug.ReadGCStats(&w.gc)
	for c := range nClasses {
		w.now[c] = w.state(c, -1)
		w.before[c] = w.now[c]
	}
	w.history = append(w.history, moment{})
	return w
}

// state adds up what the loops have measured of a class, on one device or, for
// -1, on all. It is nil where nothing goes.
func (w *watch) state(class Class, device int) *state {
	s := &state{}
	var service, response []*hist.HDR
	for _, l := range w.r.loops {
		for d := range w.r.targets {
			c := l.rec.cell(d, class)
			if c == nil || device >= 0 && d != device {
				continue
			}
			one := counters{issued: c.issued.Load(), done: c.done.Load(), errors: c.errors.Load(), wrong: c.wrong.Load(), blank: c.blank.Load()}
			for k := range c.over {
				for i := range c.over[k] {
					one.over[k][i] = c.over[k][i].Load()
				}
			}
			s.add(&one)
			service, response = append(service, c.service), append(response, c.response)
		}
	}
	if service == nil {
		return nil
	}
	s.service, s.response = hist.Merge(service...), hist.Merge(response...)
	return s
}

// follow cuts seconds until the run is over. It sleeps by the real clock.
func (w *watch) follow(ctx context.Context) {
	for {
		next := min(w.last+time.Second, w.r.stopAt())
		t := time.NewTimer(max(next-w.r.clock(), 0))
		select {
		case <-ctx.Done():
			t.Stop()
			w.r.stopFor(stopUser, 0, nil, 0)
			w.cut(w.r.clock())
			return
		case <-t.C:
		}
		now := w.r.clock()
		if w.r.stopped(now) {
			return
		}
		if now >= w.last+time.Second {
			w.cut(now)
		}
	}
}

// cut ends a second.
func (w *watch) cut(now time.Duration) {
	if now <= w.last {
		return
	}
	for c := range nClasses {
		if w.now[c] == nil {
			continue
		}
		w.before[c] = w.now[c]
		w.now[c] = w.state(c, -1)
		w.timeline[c].add(w.last, now, w.now[c])
	}
	w.writeSecond(now)
	if w.r.asked[Read].Num > 0 {
		w.history = append(w.history, moment{now, w.now[Read].counters})
	}
	w.last = now
	for now >= w.from+w.r.o.Slice {
		w.endSlice()
	}
	for w.r.o.Config.ReportInterval > 0 && now >= w.reported+w.r.o.Config.ReportInterval {
		w.reported += w.r.o.Config.ReportInterval
		w.writeReport(w.reported)
	}
	w.progress(now)
	if !w.r.o.JudgeAll {
		if outcome, _ := w.judge(false); outcome != Pass {
			w.r.stopFor(stopVerdict, 0, nil, 0)
		}
	}
}

// endSlice closes the current slice of all classes.
func (w *watch) endSlice() {
	end := w.from + w.r.o.Slice
	for c := range nClasses {
		if w.now[c] == nil {
			continue
		}
		d := w.now[c].since(&w.base[c])
		w.base[c] = w.now[c].counters
		for _, clock := range []Clock{Service, Response} {
			s := Slice{Number: len(w.slices[c][clock]) + 1, Start: w.from.Seconds(), End: end.Seconds(), Total: d.done, Over: d.over[clock]}
			s.judge(w.r.o.Rules, c, clock)
			w.slices[c][clock] = append(w.slices[c][clock], s)
		}
	}
	w.from = end
}

// finish takes the last figures after the loops have ended at end, the
// operations included that came back after the last was issued.
func (w *watch) finish(end time.Duration) {
	for c := range nClasses {
		if w.now[c] != nil {
			w.before[c], w.now[c] = w.now[c], w.state(c, -1)
			w.timeline[c].add(w.last, end, w.now[c])
			w.timeline[c].flush()
		}
	}
	if w.r.asked[Read].Num > 0 {
		w.history = append(w.history, moment{end, w.now[Read].counters})
	}
	if end >= w.r.o.Config.Duration {
		for w.from+w.r.o.Slice <= w.r.o.Config.Duration {
			w.endSlice()
		}
	}
	w.last = max(w.last, end)
	for i := w.r.o.Config.ReportInterval; i > 0 && end >= w.r.o.Config.Duration && w.reported < w.r.o.Config.Duration; {
		w.reported += i
		w.writeReport(w.reported)
	}
}

func (w *watch) note(err error) {
	if err != nil && w.outputs == nil {
		w.outputs = err
	}
}

// maxBlocks is how many blocks a timeline has at most. When it is full, two
// and two are joined.
const maxBlocks = 512

// timeline keeps histograms of a class over time.
type timeline struct {
	blocks []timeBlock
	length int // seconds of a block

	from  time.Duration // of the open block
	open  int           // seconds in it
	last  time.Duration
	base  *state // at from
	state *state // at last
}

// timeBlock is what came back in one stretch of time.
type timeBlock struct {
	start, end time.Duration
	counters
	service, response *hdrhistogram.Histogram
}

// add takes the state at the end of a second.
func (t *timeline) add(from, to time.Duration, s *state) {
	if t.open == 0 {
		t.from = from
	}
	t.last, t.state = to, s
	t.length = max(t.length, 1)
	if t.open++; t.open >= t.length {
		t.flush()
	}
}

// flush closes the open block.
func (t *timeline) flush() {
	if t.open == 0 {
		return
	}
	base := t.base
	b := timeBlock{start: t.from, end: t.last, service: t.state.service.Histogram, response: t.state.response.Histogram, counters: t.state.counters}
	if base != nil {
		b.counters = t.state.since(&base.counters)
		b.service, b.response = t.state.service.Since(base.service).Histogram, t.state.response.Since(base.response).Histogram
	}
	t.base, t.open = t.state, 0
	t.blocks = append(t.blocks, b)
	if len(t.blocks) == maxBlocks {
		t.halve()
	}
}

// halve joins blocks two by two.
func (t *timeline) halve() {
	for i := range maxBlocks / 2 {
		a, b := t.blocks[2*i], t.blocks[2*i+1]
		a.end = b.end
		a.add(&b.counters)
		a.service, a.response = joined(a.service, b.service), joined(a.response, b.response)
		t.blocks[i] = a
	}
	clear(t.blocks[maxBlocks/2:])
	t.blocks = t.blocks[:maxBlocks/2]
	t.length *= 2
}

// joined returns the sum of two histograms of the same range.
func joined(a, b *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	sum := hdrhistogram.Import(a.Export())
	sum.Merge(b)
	return sum
}

// startOutputs writes the heads of the files that grow during a run.
func (w *watch) startOutputs() error {
	if w.r.o.HLog != nil {
		var err error
		if w.hlog, err = hist.NewLog(w.r.o.HLog, w.began, fmt.Sprintf("ashlar act, %s, seed %d, response times", w.r.o.Config.Model, w.r.o.Seed)); err != nil {
			return fmt.Errorf("act: hlog: %w", err)
		}
	}
	w.writeHeader()
	return w.outputs
}
