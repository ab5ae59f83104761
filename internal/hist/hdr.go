package hist

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ashlardb/ashlar/internal/assert"
)

// Range is what an HDR can tell apart. All HDRs that are merged have the same.
type Range struct {
	// Lowest duration that differs from none; at least 1 ns. What is shorter
	// counts as shorter.
	Lowest time.Duration
	// Highest duration. What is longer counts as Highest and as Clamped.
	Highest time.Duration
	// Digits that are significant, 1 to 5: with 3 a value is known to 0.1 %.
	Digits int
}

// DefaultRange tells 100 ns from nothing and 1 hour from 59 minutes 57 s, in
// about 300 KiB a recorder.
var DefaultRange = Range{Lowest: 100, Highest: time.Hour, Digits: 3}

// HDR records latencies with a fixed number of significant digits. One
// goroutine records, any may take a Snapshot at any moment.
//
// The place of a count is that of the HdrHistogram format: a value's bucket
// is the power of two it lies in, its sub-bucket the leading bits behind.
type HDR struct {
	r      Range
	counts []atomic.Int64

	clamped atomic.Int64
	max     atomic.Int64 // exact, as counts only know the bucket

	unit    int // trailing bits that Lowest makes irrelevant
	half    int // log2 of half the sub-buckets
	mask    uint64
	highest uint64
}

// NewHDR returns an empty recorder. It panics on a Range that no HdrHistogram
// can have, which is a bug of the caller.
func NewHDR(r Range) *HDR {
	assert.That(r.Lowest >= 1 && r.Highest > 2*r.Lowest, "an HDR's range holds at least two values")
	assert.That(r.Digits >= 1 && r.Digits <= 5, "an HDR has 1 to 5 significant digits")
	h := &HDR{r: r, highest: uint64(r.Highest)}
	h.unit = bits.Len64(uint64(r.Lowest)) - 1
	// Twice 10^Digits values in a row must be told apart: the next power of two.
	h.half = int(math.Ceil(math.Log2(2*math.Pow10(r.Digits)))) - 1
	h.mask = (1<<(h.half+1) - 1) << h.unit
	h.counts = make([]atomic.Int64, len(hdrhistogram.New(int64(r.Lowest), int64(r.Highest), r.Digits).Export().Counts))
	return h
}

// Record counts one duration. A negative one counts as none.
func (h *HDR) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN counts one duration n times.
func (h *HDR) RecordN(d time.Duration, n int64) {
	v := uint64(max(d, 0))
	if v > uint64(h.max.Load()) {
		h.max.Store(int64(v))
	}
	if v > h.highest {
		v = h.highest
		h.clamped.Add(n)
	}
	h.counts[h.index(v)].Add(n)
}

// index returns the place of a value's count.
func (h *HDR) index(v uint64) int {
	bucket := bits.Len64(v|h.mask) - h.unit - (h.half + 1)
	sub := int(v >> (bucket + h.unit))
	return (bucket+1)<<h.half + sub - 1<<h.half
}

// Clamped returns how many durations were above the range.
func (h *HDR) Clamped() int64 { return h.clamped.Load() }

// Max returns the longest duration recorded, exactly.
func (h *HDR) Max() time.Duration { return time.Duration(h.max.Load()) }

// Reset forgets everything. Only the goroutine that records may call it.
func (h *HDR) Reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
	h.clamped.Store(0)
	h.max.Store(0)
}

// Merged is what one or several HDRs held at a moment.
type Merged struct {
	*hdrhistogram.Histogram
	Clamped int64         // durations above the range
	Longest time.Duration // exactly
	counts  []int64
	r       Range
}

// Merge adds up what the recorders hold now. They all have the same Range; there is at least one.
func Merge(hs ...*HDR) *Merged {
	assert.That(len(hs) > 0, "there is an HDR to merge")
	m := &Merged{r: hs[0].r, counts: make([]int64, len(hs[0].counts))}
	for _, h := range hs {
		assert.That(h.r == m.r, "merged HDRs have one range")
		for i := range h.counts {
			m.counts[i] += h.counts[i].Load()
		}
		m.Clamped += h.Clamped()
		m.Longest = max(m.Longest, h.Max())
	}
	m.build()
	return m
}

func (m *Merged) build() {
	m.Histogram = hdrhistogram.Import(&hdrhistogram.Snapshot{
		LowestTrackableValue:  int64(m.r.Lowest),
		HighestTrackableValue: int64(m.r.Highest),
		SignificantFigures:    int64(m.r.Digits),
		Counts:                m.counts,
	})
}

// Since returns what was recorded after before, an earlier Merge of the same
// recorders. Longest is then what the counts say.
func (m *Merged) Since(before *Merged) *Merged {
	assert.That(m.r == before.r, "compared HDRs have one range")
	d := &Merged{r: m.r, Clamped: m.Clamped - before.Clamped, counts: make([]int64, len(m.counts))}
	for i := range m.counts {
		d.counts[i] = m.counts[i] - before.counts[i]
	}
	d.build()
	d.Longest = time.Duration(d.Max())
	return d
}

// Percentile returns the duration that p percent of the operations did not
// exceed, 0 when there were none.
func (m *Merged) Percentile(p float64) time.Duration {
	return time.Duration(m.ValueAtPercentile(p))
}

// Log writes interval histograms in the .hlog form that HdrHistogram's tools
// read.
type Log struct {
	w *hdrhistogram.HistogramLogWriter
}

// NewLog starts a log at the given moment. comment is any number of lines.
func NewLog(w io.Writer, start time.Time, comment string) (*Log, error) {
	l := &Log{hdrhistogram.NewHistogramLogWriter(w)}
	steps := []func() error{l.w.OutputLogFormatVersion}
	for line := range strings.Lines(comment) {
		steps = append(steps, func() error { return l.w.OutputComment(" " + strings.TrimSpace(line)) })
	}
	ms := start.UnixMilli()
	steps = append(steps,
		func() error { return l.w.OutputStartTime(ms) },
		func() error { return l.w.OutputBaseTime(ms / 1000 * 1000) },
		l.w.OutputLegend)
	l.w.SetBaseTime(ms / 1000 * 1000) // whole seconds are what the line above can say
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("hist: log: %w", err)
		}
	}
	return l, nil
}

// Interval adds what was recorded from start to end. tag names the series in a
// log of several; it holds no comma, space or line end. "" is the only series.
func (l *Log) Interval(tag string, start, end time.Time, m *Merged) error {
	if strings.ContainsAny(tag, ", \r\n") {
		return fmt.Errorf("hist: log: tag %q: want one without comma, space and line end", tag)
	}
	m.SetTag(tag)
	m.SetStartTimeMs(start.UnixMilli())
	m.SetEndTimeMs(end.UnixMilli())
	if err := l.w.OutputIntervalHistogram(m.Histogram); err != nil {
		return fmt.Errorf("hist: log: %w", err)
	}
	return nil
}
