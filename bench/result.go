package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/internal/stat"
)

// Schema names the form of a Result in JSON. Fields may be added to it; a
// change of meaning makes a new number.
const Schema = "ashlar-bench/1"

// Result is what a run saw. All durations are in microseconds.
type Result struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Host    Host      `json:"host"`
	Setup   Setup     `json:"setup"`

	// Seconds is the length of the measurement, without the warm-up.
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted"`
	// Invalid says why the figures must not be used; empty when they can.
	Invalid []string `json:"invalid"`

	Operations []Operation       `json:"operations"`
	Answers    map[string]uint64 `json:"answers"` // by name of the result code
	Failures   Failures          `json:"failures"`
	Generator  Generator         `json:"generator"`
	// ServerCPUUs is the server's CPU time per operation, with --server-pid.
	ServerCPUUs *float64 `json:"server_cpu_us_per_op,omitempty"`
}

// Host is the machine the generator ran on.
type Host struct {
	Kernel    string `json:"kernel"`
	Processor string `json:"processor"`
	CPUs      int    `json:"cpus"`
}

// Setup is what was asked for.
type Setup struct {
	Hosts       []string `json:"hosts"`
	Nodes       int      `json:"nodes"`
	Namespaces  []string `json:"namespaces"`
	Sets        []string `json:"sets"`
	Workload    string   `json:"workload"`
	Object      string   `json:"object"`
	Keys        uint64   `json:"keys"`
	KeyDist     string   `json:"key_distribution"`
	Connections int      `json:"connections"`
	Loops       int      `json:"loops"`
	Queue       string   `json:"queue"`
	// Loop is "open" (latency from the moment an operation was due) or
	// "closed" (latency from sending: a server that stops is asked less).
	Loop    string `json:"loop"`
	Rate    string `json:"rate,omitempty"`
	Arrival string `json:"arrival,omitempty"`
	Seed    uint64 `json:"seed"`
}

// Operation is one kind of operation.
type Operation struct {
	Kind     string  `json:"kind"`
	Count    uint64  `json:"count"`
	Rate     float64 `json:"rate"` // a second
	Response Latency `json:"response"`
	Service  Latency `json:"service"`
	Seconds  []Block `json:"seconds"`

	whole *hist.Merged // response times, while the run is at hand
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

// Block is what ended in one second: the response times as an HdrHistogram in
// its V2 compressed form, base64.
type Block struct {
	Start    float64 `json:"start"` // seconds from the start of the measurement
	Length   float64 `json:"length"`
	Count    uint64  `json:"count"`
	Response string  `json:"response_hdr"`

	response, service *hist.Merged // while the run is at hand
}

// Failures are operations that got no answer.
type Failures struct {
	Connection  uint64 `json:"connection"`  // it broke
	NoAnswer    uint64 `json:"no_answer"`   // in time
	Unreachable uint64 `json:"unreachable"` // no node owns the partition, or it cannot be connected to
}

// Total returns all of them.
func (f Failures) Total() uint64 { return f.Connection + f.NoAnswer + f.Unreachable }

// Generator is how the generator itself did.
type Generator struct {
	CPUUs    float64 `json:"cpu_us_per_op"`
	Lateness Latency `json:"lateness"` // open loop: its own fault in sending late
	// LateShare is the part of the operations sent more than MaxLateness late.
	LateShare float64 `json:"late_share"`
	// Starved is the share of its time that the loop worst off waited for a
	// CPU, -1 where the kernel does not tell.
	Starved float64 `json:"starved_share"`
	// Asked and Delivered are operations a second, in an open loop.
	Asked     float64 `json:"asked_rate,omitempty"`
	Delivered float64 `json:"delivered_rate"`
}

// latencyOf describes a histogram.
func latencyOf(m *hist.Merged) Latency {
	if m.TotalCount() == 0 {
		return Latency{}
	}
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	return Latency{
		Min: us(m.Percentile(0)), Mean: meanOf(m),
		P50: us(m.Percentile(50)), P90: us(m.Percentile(90)), P99: us(m.Percentile(99)),
		P999: us(m.Percentile(99.9)), P9999: us(m.Percentile(99.99)), Max: us(m.Percentile(100)),
	}
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
		return nil, fmt.Errorf("bench: result file: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("bench: result file: schema %q, want %q", r.Schema, Schema)
	}
	return r, nil
}

// errNoSuchOperation says that a result has no such kind of operation.
var errNoSuchOperation = errors.New("no such operation in the result")

// blocks returns the seconds of one kind of operation for comparison, or of
// all kinds together when kind is empty.
func (r *Result) blocks(kind string) ([]stat.Block, error) {
	var out []stat.Block
	found := false
	for _, op := range r.Operations {
		if kind != "" && op.Kind != kind {
			continue
		}
		found = true
		for i, b := range op.Seconds {
			h, err := hdrhistogram.Decode([]byte(b.Response))
			if err != nil {
				return nil, fmt.Errorf("bench: result file: %s, second %d: %w", op.Kind, i, err)
			}
			s := stat.Block{Seconds: b.Length}
			for _, bar := range h.Distribution() {
				if bar.Count > 0 {
					s.Values, s.Counts = append(s.Values, bar.To), append(s.Counts, uint64(bar.Count))
				}
			}
			if i < len(out) {
				s = stat.Merge(out[i], s)
				out[i] = s
			} else {
				out = append(out, s)
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("bench: %q: %w", kind, errNoSuchOperation)
	}
	return out, nil
}
