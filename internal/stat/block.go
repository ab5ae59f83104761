package stat

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Block is what a run did in one stretch of time.
type Block struct {
	Seconds float64  // length of the stretch
	Values  []int64  // distinct values, ascending, in any unit (usually ns)
	Counts  []uint64 // how often each was seen
}

// Count returns the number of operations in the block.
func (b *Block) Count() uint64 {
	var n uint64
	for _, c := range b.Counts {
		n += c
	}
	return n
}

// Metric is a figure of a run.
type Metric struct {
	Name     string
	quantile float64 // 0 to 1, for kind quantile
	kind     metricKind
}

type metricKind uint8

const (
	quantile metricKind = iota
	mean
	maximum
	rate
)

// ParseMetric reads a metric's name: mean, max, rate, or a percentile such as
// p50, p99 or p99.9.
func ParseMetric(name string) (Metric, error) {
	switch name {
	case "mean":
		return Metric{Name: name, kind: mean}, nil
	case "max":
		return Metric{Name: name, kind: maximum}, nil
	case "rate":
		return Metric{Name: name, kind: rate}, nil
	}
	if digits, ok := strings.CutPrefix(name, "p"); ok {
		if q, err := strconv.ParseFloat(digits, 64); err == nil && q > 0 && q < 100 {
			return Metric{Name: name, kind: quantile, quantile: q / 100}, nil
		}
	}
	return Metric{}, fmt.Errorf("metric %q: want mean, max, rate, or a percentile above p0 and below p100 such as p99.9", name)
}

// HigherIsBetter reports whether a larger figure is the better one.
func (m Metric) HigherIsBetter() bool { return m.kind == rate }

// Of returns the metric over all blocks together, 0 when they are empty.
func (m Metric) Of(blocks []Block) float64 {
	t := newTable(blocks)
	return m.of(t, t.all())
}

// of returns the metric over the blocks of t, each as often as times says.
func (m Metric) of(t *table, times []int) float64 {
	switch m.kind {
	case mean:
		return t.mean(times)
	case maximum:
		return t.maximum(times)
	case rate:
		return t.rate(times)
	}
	return t.quantile(times, m.quantile)
}

// table holds the blocks of a run over the union of their values, so that
// drawing blocks again and again costs additions only.
type table struct {
	seconds []float64
	values  []int64
	counts  [][]cell // by block
	sum     []uint64 // scratch, by value
}

// cell is one value of one block.
type cell struct {
	value int // index into values
	count uint64
}

func newTable(blocks []Block) *table {
	t := &table{seconds: make([]float64, len(blocks)), counts: make([][]cell, len(blocks))}
	for i := range blocks {
		t.seconds[i] = blocks[i].Seconds
		t.values = append(t.values, blocks[i].Values...)
	}
	slices.Sort(t.values)
	t.values = slices.Compact(t.values)
	for i := range blocks {
		t.counts[i] = make([]cell, len(blocks[i].Values))
		for j, v := range blocks[i].Values {
			at, _ := slices.BinarySearch(t.values, v)
			t.counts[i][j] = cell{at, blocks[i].Counts[j]}
		}
	}
	t.sum = make([]uint64, len(t.values))
	return t
}

// all draws every block once.
func (t *table) all() []int {
	times := make([]int, len(t.counts))
	for i := range times {
		times[i] = 1
	}
	return times
}

// add sums the drawn blocks into t.sum and returns the number of operations.
func (t *table) add(times []int) (total uint64) {
	clear(t.sum)
	for i, n := range times {
		if n == 0 {
			continue
		}
		for _, c := range t.counts[i] {
			t.sum[c.value] += c.count * uint64(n)
			total += c.count * uint64(n)
		}
	}
	return total
}

// quantile returns the smallest value that at least the share q of the drawn
// operations do not exceed.
func (t *table) quantile(times []int, q float64) float64 {
	total := t.add(times)
	rank := max(uint64(math.Ceil(q*float64(total))), 1)
	var seen uint64
	for i, n := range t.sum {
		if seen += n; n > 0 && seen >= rank {
			return float64(t.values[i])
		}
	}
	return 0
}

func (t *table) maximum(times []int) float64 {
	t.add(times)
	for i := len(t.sum) - 1; i >= 0; i-- {
		if t.sum[i] > 0 {
			return float64(t.values[i])
		}
	}
	return 0
}

func (t *table) mean(times []int) float64 {
	total := t.add(times)
	if total == 0 {
		return 0
	}
	var sum float64
	for i, n := range t.sum {
		sum += float64(n) * float64(t.values[i])
	}
	return sum / float64(total)
}

func (t *table) rate(times []int) float64 {
	var seconds float64
	for i, n := range times {
		seconds += t.seconds[i] * float64(n)
	}
	if seconds == 0 {
		return 0
	}
	return float64(t.add(times)) / seconds
}

// check refuses blocks that are not what Block says.
func check(run string, blocks []Block) error {
	var errs []error
	for i := range blocks {
		b := &blocks[i]
		if len(b.Values) != len(b.Counts) {
			errs = append(errs, fmt.Errorf("stat: %s: block %d has %d values and %d counts", run, i, len(b.Values), len(b.Counts)))
		}
		if !slices.IsSorted(b.Values) {
			errs = append(errs, fmt.Errorf("stat: %s: block %d: values are not ascending", run, i))
		}
	}
	return errors.Join(errs...)
}

// Merge returns what both blocks did in the same stretch of time.
func Merge(a, b Block) Block {
	m := Block{Seconds: max(a.Seconds, b.Seconds)}
	i, j := 0, 0
	for i < len(a.Values) || j < len(b.Values) {
		switch {
		case j == len(b.Values) || i < len(a.Values) && a.Values[i] < b.Values[j]:
			m.Values, m.Counts = append(m.Values, a.Values[i]), append(m.Counts, a.Counts[i])
			i++
		case i == len(a.Values) || b.Values[j] < a.Values[i]:
			m.Values, m.Counts = append(m.Values, b.Values[j]), append(m.Counts, b.Counts[j])
			j++
		default:
			m.Values, m.Counts = append(m.Values, a.Values[i]), append(m.Counts, a.Counts[i]+b.Counts[j])
			i, j = i+1, j+1
		}
	}
	return m
}
