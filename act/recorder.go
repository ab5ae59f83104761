package act

import (
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
)

// measured is what histograms can tell apart: 1 % from 1 µs to 10 minutes.
var measured = hist.Range{Lowest: time.Microsecond, Highest: 10 * time.Minute, Digits: 2}

// cell is what one loop measures of one class on one device. The loop writes,
// the watch reads at any time.
type cell struct {
	service, response *hist.HDR
	log2              *hist.Recorder
	over              [2][len(thresholds)]atomic.Uint64 // by clock
	issued            atomic.Uint64
	done              atomic.Uint64 // came back without an error
	errors            atomic.Uint64
	wrong             atomic.Uint64 // came back with data that was not written there
	blank             atomic.Uint64 // could not be verified: never stamped
	bytes             atomic.Uint64 // moved by them
	errno             atomic.Int32  // of the first error
	errorAt           atomic.Int64
	wrongAt           atomic.Int64
}

// completed counts an operation that came back well.
func (c *cell) completed(due, submitted, now time.Duration) {
	service, response := now-submitted, now-due
	c.done.Add(1)
	c.service.Record(service)
	c.response.Record(response)
	c.log2.Record(service)
	if response < thresholds[0] {
		return
	}
	for i, t := range thresholds {
		if service >= t {
			c.over[Service][i].Add(1)
		}
		if response >= t {
			c.over[Response][i].Add(1)
		}
	}
}

// failed counts an operation that came back with an error.
func (c *cell) failed(errno int32, offset int64) {
	if c.errors.Add(1) == 1 {
		c.errorAt.Store(offset)
		c.errno.Store(errno)
	}
}

// recorder is what one loop measures.
type recorder struct {
	cells    []*cell // by device, then class; nil where nothing goes
	lateness *hist.HDR
	late     atomic.Uint64 // operations submitted later than MaxLateness by the generator's fault
	issued   atomic.Uint64

	cpu         atomic.Int64 // ns of CPU time of the loop's thread
	starved     atomic.Int64 // ns that it waited for a CPU
	involuntary atomic.Int64 // times that it was taken off its CPU
}

func newRecorder(devices int) *recorder {
	return &recorder{cells: make([]*cell, devices*int(nClasses)), lateness: hist.NewHDR(measured)}
}

func (r *recorder) cell(device int, c Class) *cell { return r.cells[device*int(nClasses)+int(c)] }
