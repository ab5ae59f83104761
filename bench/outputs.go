package bench

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
)

// WriteHlog writes the response times of each second and kind of operation as
// an HdrHistogram log, in nanoseconds, the kind as the tag. It needs a result
// that Run returned.
func (r *Result) WriteHlog(w io.Writer) error {
	start := r.Started
	log, err := hist.NewLog(w, start, "ashlar bench "+r.Version+", response times in ns")
	if err != nil {
		return err
	}
	for i := range r.longest() {
		for _, op := range r.Operations {
			if i >= len(op.Seconds) {
				continue
			}
			b := &op.Seconds[i]
			from := start.Add(time.Duration(b.Start * 1e9))
			if err := log.Interval(op.Kind, from, from.Add(time.Duration(b.Length*1e9)), b.response); err != nil {
				return err
			}
		}
	}
	return nil
}

// longest returns the number of blocks of the operation with the most.
func (r *Result) longest() int {
	n := 0
	for _, op := range r.Operations {
		n = max(n, len(op.Seconds))
	}
	return n
}

// WriteCSV writes rate and percentiles of each second and kind of operation,
// in microseconds. It needs a result that Run returned.
func (r *Result) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"second", "operation", "count", "rate", "response_p50_us", "response_p90_us", "response_p99_us", "response_p99.9_us", "response_max_us", "service_p50_us", "service_p99_us", "service_max_us"}}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	for i := range r.longest() {
		for _, op := range r.Operations {
			if i >= len(op.Seconds) {
				continue
			}
			b := &op.Seconds[i]
			resp, serv := latencyOf(b.response), latencyOf(b.service)
			rows = append(rows, []string{
				number(b.Start), op.Kind, strconv.FormatUint(b.Count, 10), number(float64(b.Count) / b.Length),
				number(resp.P50), number(resp.P90), number(resp.P99), number(resp.P999), number(resp.Max),
				number(serv.P50), number(serv.P99), number(serv.Max),
			})
		}
	}
	if err := c.WriteAll(rows); err != nil {
		return err
	}
	return c.Error()
}
