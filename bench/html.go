package bench

import (
	"fmt"
	"io"
	"strings"

	"github.com/ashlardb/ashlar/internal/report"
)

// curvePercentiles are the points of a percentile curve.
var curvePercentiles = []float64{0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 99.95, 99.99, 99.999}

// WriteHTML writes the result as one page with plots. It needs a result that
// Run returned.
func (r *Result) WriteHTML(w io.Writer) error {
	s := &r.Setup
	page := report.Page{
		Title: "Load test of " + strings.Join(s.Hosts, ", "), Badge: "VALID", Good: true,
		Lead: fmt.Sprintf("%s, %d connections, %s loop, %.1f s, %.0f operations a second.", s.Workload, s.Connections, s.Loop, r.Seconds, r.Generator.Delivered),
	}
	if len(r.Invalid) > 0 {
		page.Badge, page.Good = "INVALID", false
		page.Sections = append(page.Sections, report.Section{Heading: "Why the figures must not be used", Text: r.Invalid})
	}
	table := &report.Table{Header: []string{"operation", "count", "op/s", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"}}
	row := func(name string, op *Operation, l Latency) {
		cells := []string{name, fmt.Sprint(op.Count), fmt.Sprintf("%.0f", op.Rate)}
		for _, us := range []float64{l.Mean, l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max} {
			cells = append(cells, micros(us))
		}
		table.Rows = append(table.Rows, cells)
	}
	for i := range r.Operations {
		op := &r.Operations[i]
		if s.Loop == "open" {
			row(op.Kind+" response", op, op.Response)
			row(op.Kind+" service", op, op.Service)
		} else {
			row(op.Kind, op, op.Response)
		}
	}
	text := "Each connection waits for its answer before it sends again: a server that stops is asked less, so the tail of such a run is shorter than what users of a steady load would see."
	if s.Loop == "open" {
		text = "Response time counts from the moment an operation was due, service time from the moment it was sent."
	}
	page.Sections = append(page.Sections, report.Section{Heading: "Latency", Text: []string{text}, Table: table})
	plots, err := r.plots()
	if err != nil {
		return err
	}
	page.Sections = append(page.Sections, report.Section{Heading: "Over time", Plots: plots}, r.conditions())
	return page.Write(w)
}

// plots draws latency over time, the percentile curve and the rate.
func (r *Result) plots() ([]report.SVG, error) {
	var over, curve, rate []report.Series
	for i := range r.Operations {
		op := &r.Operations[i]
		if op.Count == 0 {
			continue
		}
		p50, p99, perSecond := report.Series{Name: op.Kind + " p50"}, report.Series{Name: op.Kind + " p99"}, report.Series{Name: op.Kind}
		for j := range op.Seconds {
			b := &op.Seconds[j]
			l := latencyOf(b.response)
			for _, point := range []struct {
				s *report.Series
				y float64
			}{{&p50, l.P50 / 1e3}, {&p99, l.P99 / 1e3}, {&perSecond, float64(b.Count) / b.Length}} {
				point.s.X, point.s.Y = append(point.s.X, b.Start), append(point.s.Y, point.y)
			}
		}
		over, rate = append(over, p50, p99), append(rate, perSecond)
		c := report.Series{Name: op.Kind}
		for _, p := range curvePercentiles {
			c.X, c.Y = append(c.X, p), append(c.Y, float64(op.whole.Percentile(p))/1e6)
		}
		curve = append(curve, c)
	}
	if len(over) == 0 {
		return nil, nil // a run without an operation has nothing to draw
	}
	var plots []report.SVG
	for _, draw := range []func() (report.SVG, error){
		func() (report.SVG, error) {
			return report.Plot(report.Axes{Title: "Response time over time", X: "s", Y: "ms", LogY: true}, over...)
		},
		func() (report.SVG, error) {
			return report.Percentiles(report.Axes{Title: "Response time by percentile", X: "percentile", Y: "ms", LogY: true}, curve...)
		},
		func() (report.SVG, error) {
			return report.Plot(report.Axes{Title: "Operations a second", X: "s", Y: "op/s"}, rate...)
		},
	} {
		svg, err := draw()
		if err != nil {
			return nil, err
		}
		plots = append(plots, svg)
	}
	return plots, nil
}

// conditions tells what the figures were measured with.
func (r *Result) conditions() report.Section {
	g, s := &r.Generator, &r.Setup
	t := &report.Table{Header: []string{"condition", "value"}, Rows: [][]string{
		{"started", r.Started.Format("2006-01-02 15:04:05 UTC")},
		{"generator", fmt.Sprintf("%s, %d CPUs, Linux %s", r.Host.Processor, r.Host.CPUs, r.Host.Kernel)},
		{"queue", s.Queue}, {"seed", fmt.Sprint(s.Seed)}, {"object", s.Object}, {"keys", fmt.Sprintf("%d, %s", s.Keys, s.KeyDist)},
		{"generator CPU per operation", fmt.Sprintf("%.2f µs", g.CPUUs)},
		{"sent late by the generator itself (p99)", micros(g.Lateness.P99)},
		{"waited for a CPU", fmt.Sprintf("%.1f %%", 100*g.Starved)},
		{"operations without an answer", fmt.Sprint(r.Failures.Total())},
	}}
	if r.ServerCPUUs != nil {
		t.Rows = append(t.Rows, []string{"server CPU per operation", fmt.Sprintf("%.2f µs", *r.ServerCPUUs)})
	}
	return report.Section{Heading: "Conditions", Table: t}
}
