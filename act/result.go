package act

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ashlardb/ashlar/internal/hist"
)

// Schema names the form of a Result in JSON. Fields may be added to it; a
// change of meaning makes a new number.
const Schema = "ashlar-act/1"

// Result is what a run saw. Durations are in microseconds unless their name
// says otherwise.
type Result struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Host    Host      `json:"host"`
	Devices []Drive   `json:"devices"`
	Setup   Setup     `json:"setup"`

	Outcome Outcome  `json:"outcome"`
	Reasons []Reason `json:"reasons"`
	// Provisional says that the run was shorter than a certificate asks for.
	Provisional bool `json:"provisional"`
	// Seconds is how long operations were issued.
	Seconds float64 `json:"seconds"`

	Operations []Operation `json:"operations"`
	Rules      []Rule      `json:"rules"`
	Slices     []SliceSet  `json:"slices"`
	// WorstWindow is the worst stretch of a slice's length, wherever it begins,
	// of reads, by service and by response time.
	WorstWindow [2]Slice   `json:"worst_window"`
	Generator   Generator  `json:"generator"`
	Steady      Steady     `json:"steady_state"` // of reads
	Confidence  Confidence `json:"confidence"`   // of reads
	Timeline    []Series   `json:"timeline"`
}

// Host is the machine.
type Host struct {
	Kernel    string  `json:"kernel"`
	Processor string  `json:"processor"`
	CPUs      int     `json:"cpus"`
	Load      float64 `json:"load_average"`
	Governor  string  `json:"governor,omitempty"`
	Virtual   bool    `json:"virtual"`
}

// Setup is what was asked for.
type Setup struct {
	Model         string            `json:"model"`
	Config        map[string]string `json:"config"` // by ACT's keys
	Arrival       string            `json:"arrival"`
	Seed          uint64            `json:"seed"`
	Loops         int               `json:"loops"`
	Depth         int               `json:"depth"`
	LargeDepth    int               `json:"large_depth"`
	Engine        string            `json:"engine"`
	Verify        bool              `json:"verify"`
	ReadOnly      bool              `json:"read_only"`
	DurationSec   float64           `json:"duration_s"`
	SliceSec      float64           `json:"slice_s"`
	WrittenPerDay float64           `json:"written_per_day_bytes"`
}

// Operation is one class of operations on one device, or on all.
type Operation struct {
	Device    string                     `json:"device"` // empty: all
	Class     Class                      `json:"class"`
	Asked     float64                    `json:"asked_rate"`
	Delivered float64                    `json:"delivered_rate"`
	Count     uint64                     `json:"count"`
	Errors    uint64                     `json:"errors"`
	Wrong     uint64                     `json:"wrong_data"`
	Blank     uint64                     `json:"not_verified"`
	Over      [2][len(thresholds)]uint64 `json:"over"` // 1, 8, 64 ms by service and response time
	Service   Latency                    `json:"service"`
	Response  Latency                    `json:"response"`
}

// SliceSet is the slices of one class and clock.
type SliceSet struct {
	Class  Class   `json:"class"`
	Clock  Clock   `json:"clock"`
	Slices []Slice `json:"slices"`
}

// Generator is how the generator itself and its host did.
type Generator struct {
	CPUUs       float64 `json:"cpu_us_per_op"`
	Lateness    Latency `json:"lateness"`
	LateShare   float64 `json:"late_share"`
	Starved     float64 `json:"starved_share"` // of its time, the loop worst off
	Involuntary int64   `json:"involuntary_switches"`
	GCs         int64   `json:"gc_count"`
	GCPauseUs   float64 `json:"gc_pause_us"`
	Floor       Latency `json:"instrument_floor"` // NOPs through queue and clock
	Pending     int64   `json:"pending"`
}

// Series is a class over time.
type Series struct {
	Class  Class   `json:"class"`
	Blocks []Block `json:"blocks"`
}

// Block is what came back in a stretch of time; histograms in nanoseconds as
// HdrHistogram V2 compressed, base64.
type Block struct {
	Start    float64                    `json:"start"` // seconds
	Length   float64                    `json:"length"`
	Count    uint64                     `json:"count"`
	Errors   uint64                     `json:"errors"`
	Over     [2][len(thresholds)]uint64 `json:"over"`
	Service  string                     `json:"service_hdr"`
	Response string                     `json:"response_hdr"`
}

// Latency is a distribution in microseconds.
type Latency struct {
	Min   float64 `json:"min"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	P9999 float64 `json:"p99.99"`
	Max   float64 `json:"max"`
}

func latencyOf(m *hist.Merged) Latency {
	if m.TotalCount() == 0 {
		return Latency{}
	}
	us := func(p float64) float64 { return float64(m.Percentile(p)) / 1e3 }
	return Latency{us(0), meanOf(m.Histogram), us(50), us(90), us(99), us(99.9), us(99.99), float64(m.Longest) / 1e3}
}

// meanOf returns a histogram's mean in microseconds.
func meanOf(h *hdrhistogram.Histogram) float64 {
	var sum, n float64
	for _, bar := range h.Distribution() {
		sum += float64(bar.Count) * float64(bar.From+bar.To) / 2
		n += float64(bar.Count)
	}
	if n == 0 {
		return 0
	}
	return math.Round(sum/n) / 1e3
}

func sqrt(x float64) float64 { return math.Sqrt(x) }

func btof(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// result describes the run after finish.
func (w *watch) result(drives []Drive) *Result {
	r, o := w.r, &w.r.o
	c := &o.Config
	res := &Result{
		Schema: Schema, Version: Version, Started: w.began.UTC(), Host: thisHost(), Devices: drives,
		Seconds: min(r.stopAt(), c.Duration).Seconds(), Rules: o.Rules, Provisional: c.Duration < certificate,
		Setup: Setup{
			Model: c.Model.String(), Config: c.settings(), Arrival: o.Arrival.String(), Seed: o.Seed, Loops: len(r.loops), Depth: o.Depth,
			LargeDepth: o.LargeDepth, Engine: w.queue, Verify: o.Verify, ReadOnly: o.ReadOnly,
			DurationSec: c.Duration.Seconds(), SliceSec: o.Slice.Seconds(), WrittenPerDay: c.WrittenPerDay(),
		},
	}
	if o.ReadOnly {
		res.Setup.WrittenPerDay = 0
	}
	res.Outcome, res.Reasons = w.judge(true)
	if res.Reasons == nil {
		res.Reasons = []Reason{}
	}
	for class := range nClasses {
		if w.now[class] == nil {
			continue
		}
		res.Operations = append(res.Operations, w.operation(class, -1, res.Seconds))
		for d := range r.targets {
			if len(r.targets) > 1 {
				res.Operations = append(res.Operations, w.operation(class, d, res.Seconds))
			}
		}
		for _, clock := range []Clock{Service, Response} {
			res.Slices = append(res.Slices, SliceSet{class, clock, w.slices[class][clock]})
		}
		res.Timeline = append(res.Timeline, Series{class, w.timeline[class].encode()})
	}
	for _, clock := range []Clock{Service, Response} {
		res.WorstWindow[clock] = w.worstWindow(clock)
	}
	res.Steady = steadiness(w.timeline[Read].blocks)
	res.Confidence = confidence(w.timeline[Read].blocks, o.Rules)
	w.generator(res)
	return res
}

// certificate is how long a run must be for a certificate.
const certificate = 24 * time.Hour

func (w *watch) operation(class Class, device int, seconds float64) Operation {
	s := w.now[class]
	op := Operation{Class: class, Asked: w.r.asked[class].Float()}
	if device >= 0 {
		s = w.state(class, device)
		op.Device = w.r.targets[device].name
		op.Asked /= float64(len(w.r.targets))
	}
	op.Count, op.Errors, op.Wrong, op.Blank, op.Over = s.done, s.errors, s.wrong, s.blank, s.over
	op.Service, op.Response = latencyOf(s.service), latencyOf(s.response)
	if seconds > 0 {
		op.Delivered = float64(op.Count) / seconds
	}
	return op
}

// worstWindow returns the stretch of a slice's length with the largest share
// of what a rule allows, wherever it begins.
func (w *watch) worstWindow(clock Clock) Slice {
	var worst Slice
	badness := -1.0
	from := 0
	for to := range w.history {
		end := w.history[to]
		for from+1 < to && end.at-w.history[from+1].at >= w.r.o.Slice {
			from++
		}
		if end.at-w.history[from].at < w.r.o.Slice {
			continue
		}
		d := end.since(&w.history[from].counters)
		s := Slice{Start: w.history[from].at.Seconds(), End: end.at.Seconds(), Total: d.done, Over: d.over[clock]}
		s.judge(w.r.o.Rules, Read, clock)
		for i, n := range s.Over {
			if b := percent(n, s.Total) * 10 / float64(perMilles[i]); b > badness {
				badness, worst = b, s
			}
		}
	}
	return worst
}

func (w *watch) generator(res *Result) {
	g := &res.Generator
	var late, floor []*hist.HDR
	var cpu, starved int64
	var issued, slow uint64
	for _, l := range w.r.loops {
		late, floor = append(late, l.rec.lateness), append(floor, l.floor)
		cpu += l.rec.cpu.Load() - l.cpuBefore
		starved = max(starved, l.rec.starved.Load()-l.starvedBefore)
		g.Involuntary += l.rec.involuntary.Load() - l.involuntaryBefore
		g.Pending += l.pending.Load()
		issued += l.rec.issued.Load()
		slow += l.rec.late.Load()
	}
	g.Lateness, g.Floor = latencyOf(hist.Merge(late...)), latencyOf(hist.Merge(floor...))
	if issued > 0 {
		g.CPUUs = float64(cpu) / 1e3 / float64(issued)
		g.LateShare = float64(slow) / float64(issued)
	}
	if w.last > 0 {
		g.Starved = float64(starved) / float64(w.last)
	}
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	g.GCs, g.GCPauseUs = gc.NumGC-w.gc.NumGC, float64(gc.PauseTotal-w.gc.PauseTotal)/1e3
}

// encode returns the blocks as they stand in a Result.
func (t *timeline) encode() []Block {
	out := make([]Block, 0, len(t.blocks))
	for _, b := range t.blocks {
		e := Block{Start: b.start.Seconds(), Length: (b.end - b.start).Seconds(), Count: b.done, Errors: b.errors, Over: b.over}
		// A histogram that was just made cannot fail to be written.
		service, err1 := b.service.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		response, err2 := b.response.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err1 == nil && err2 == nil {
			e.Service, e.Response = string(service), string(response)
		}
		out = append(out, e)
	}
	return out
}

// settings returns the configuration by ACT's keys.
func (c *Config) settings() map[string]string {
	m := map[string]string{}
	for _, name := range keyOrder {
		if k := keys[name]; c.knows(k) {
			m[name] = k.show(c)
		}
	}
	return m
}

func (c *Config) knows(k key) bool {
	return !(c.Model == Index && !k.index || c.Model == Storage && k.only)
}

// Write writes the result as JSON.
func (r *Result) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// ReadResult reads what Write wrote.
func ReadResult(in io.Reader) (*Result, error) {
	r := &Result{}
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, fmt.Errorf("act: result file: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("act: result file: schema %q, want %q", r.Schema, Schema)
	}
	return r, nil
}
