package act

import (
	"fmt"
	"io"
	"math"
	"sort"

	"github.com/ashlardb/ashlar/internal/report"
)

// curvePercentiles are the points of a percentile curve.
var curvePercentiles = []float64{0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 99.95, 99.99, 99.999}

// WriteHTML writes the result as one page with plots.
func (r *Result) WriteHTML(w io.Writer) error {
	page := report.Page{
		Title: "Certification of " + r.deviceNames(), Badge: r.Outcome.String(), Good: r.Outcome == Pass,
		Lead: fmt.Sprintf("%s load, %s arrivals, %.0f s%s.", r.Setup.Model, r.Setup.Arrival, r.Seconds, r.provisionalText()),
	}
	if len(r.Reasons) > 0 {
		s := report.Section{Heading: "Reasons"}
		for _, reason := range r.Reasons {
			s.Text = append(s.Text, fmt.Sprintf("%s: %s", reason.Outcome, reason.Text))
		}
		page.Sections = append(page.Sections, s)
	}
	header, rows := r.table()
	page.Sections = append(page.Sections, report.Section{Heading: "Latency", Text: []string{"Service time counts from submission, as ACT counts; response time from the moment an operation was due."}, Table: &report.Table{Header: header, Rows: rows}})
	header, rows = r.sliceTable(Read)
	slices := report.Section{Heading: "Slices against limits", Table: &report.Table{Header: header, Rows: rows}}
	over := report.Section{Heading: "Over time"}
	if err := r.draw(&slices, &over); err != nil {
		return err
	}
	page.Sections = append(page.Sections, slices, over, r.identity(), r.configuration())
	return page.Write(w)
}

func (r *Result) deviceNames() string {
	names := ""
	for i, d := range r.Devices {
		if i > 0 {
			names += ", "
		}
		names += d.Path
	}
	if names == "" {
		names = r.Setup.Config["device-names"]
	}
	return names
}

// draw adds the plots.
func (r *Result) draw(slices, over *report.Section) error {
	var latency, curve, rate []report.Series
	for _, t := range r.Timeline {
		p50, p99, p999 := report.Series{Name: t.Class.String() + " p50"}, report.Series{Name: t.Class.String() + " p99"}, report.Series{Name: t.Class.String() + " p99.9"}
		perSecond := report.Series{Name: t.Class.String()}
		for i := range t.Blocks {
			b := &t.Blocks[i]
			if b.Count == 0 || b.Length <= 0 {
				continue
			}
			h, err := decode(b.Response)
			if err != nil {
				return err
			}
			for _, s := range []struct {
				s *report.Series
				y float64
			}{{&p50, ms(h.ValueAtQuantile(50))}, {&p99, ms(h.ValueAtQuantile(99))}, {&p999, ms(h.ValueAtQuantile(99.9))}, {&perSecond, float64(b.Count) / b.Length}} {
				s.s.X, s.s.Y = append(s.s.X, b.Start), append(s.s.Y, s.y)
			}
		}
		if len(p50.X) == 0 {
			continue
		}
		if t.Class == Read || len(latency) == 0 {
			latency = append(latency, p50, p99, p999)
		}
		rate = append(rate, perSecond)
		c, err := t.curve()
		if err != nil {
			return err
		}
		curve = append(curve, c)
	}
	if len(rate) == 0 {
		return nil // nothing came back: nothing to draw
	}
	if err := r.drawSlices(slices); err != nil {
		return err
	}
	limits := make([]report.Limit, len(thresholds))
	for i, t := range thresholds {
		limits[i] = report.Limit{Name: t.String(), Y: float64(t) / 1e6}
	}
	for _, plot := range []func() (report.SVG, error){
		r.heat,
		func() (report.SVG, error) {
			return report.Plot(report.Axes{Title: "Response time over time", X: "s", Y: "ms", LogY: true, Limits: limits}, latency...)
		},
		func() (report.SVG, error) {
			return report.Percentiles(report.Axes{Title: "Response time by percentile", X: "percentile", Y: "ms", LogY: true, Limits: limits}, curve...)
		},
		func() (report.SVG, error) {
			return report.Plot(report.Axes{Title: "Operations a second", X: "s", Y: "op/s"}, rate...)
		},
	} {
		svg, err := plot()
		if err != nil {
			return err
		}
		over.Plots = append(over.Plots, svg)
	}
	return nil
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// curve returns a class's response times by percentile, over all blocks.
func (t *Series) curve() (report.Series, error) {
	s := report.Series{Name: t.Class.String()}
	whole, err := decode(t.Blocks[0].Response)
	if err != nil {
		return s, err
	}
	for _, b := range t.Blocks[1:] {
		h, err := decode(b.Response)
		if err != nil {
			return s, err
		}
		whole.Merge(h)
	}
	for _, p := range curvePercentiles {
		s.X, s.Y = append(s.X, p), append(s.Y, ms(whole.ValueAtQuantile(p)))
	}
	return s, nil
}

// drawSlices plots the share over each threshold against its limit.
func (r *Result) drawSlices(section *report.Section) error {
	for i, t := range thresholds {
		limit := float64(perMilles[i]) / 10
		var lines []report.Series
		for _, set := range r.Slices {
			if set.Class != Read || len(set.Slices) == 0 {
				continue
			}
			s := report.Series{Name: set.Clock.String()}
			for _, slice := range set.Slices {
				s.X, s.Y = append(s.X, slice.Start, slice.End), append(s.Y, percent(slice.Over[i], slice.Total), percent(slice.Over[i], slice.Total))
			}
			lines = append(lines, s)
		}
		if len(lines) == 0 {
			return nil
		}
		svg, err := report.Plot(report.Axes{Title: fmt.Sprintf("Reads of %v or more in each slice", t), X: "s", Y: "%", Limits: []report.Limit{{Name: fmt.Sprintf("limit %g %%", limit), Y: limit}}}, lines...)
		if err != nil {
			return err
		}
		section.Plots = append(section.Plots, svg)
	}
	return nil
}

// heat draws how many operations of the judged class took how long, and when.
// Rows are quarters of powers of two, columns are of even length: the blocks of
// a timeline are, but for the last, which is left out when it is shorter.
func (r *Result) heat() (report.SVG, error) {
	blocks := r.Timeline[0].Blocks
	if n := len(blocks); n > 1 && math.Abs(blocks[n-1].Length-blocks[0].Length) > 0.1*blocks[0].Length {
		blocks = blocks[:n-1]
	}
	columns := make([]map[int]float64, len(blocks))
	rows := map[int]bool{}
	for i := range blocks {
		h, err := decode(blocks[i].Response)
		if err != nil {
			return "", err
		}
		columns[i] = map[int]float64{}
		for _, bar := range h.Distribution() {
			if bar.Count > 0 {
				row := int(math.Floor(4 * math.Log2(math.Max(float64(bar.To), 1000)/1000)))
				columns[i][row] += float64(bar.Count)
				rows[row] = true
			}
		}
	}
	keys := make([]int, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	if len(keys) == 0 {
		return "", report.ErrNoData
	}
	heat := report.Heat{}
	for k := keys[0]; k <= keys[len(keys)-1]; k++ {
		heat.Y = append(heat.Y, math.Exp2(float64(k)/4)) // µs
	}
	for i := range blocks {
		heat.X = append(heat.X, float64(i)*blocks[0].Length)
		column := make([]float64, len(heat.Y))
		for k, n := range columns[i] {
			column[k-keys[0]] = n
		}
		heat.Counts = append(heat.Counts, column)
	}
	return report.HeatMap(report.Axes{Title: "Response times of " + r.Timeline[0].Class.String(), X: "s", Y: "response time"}, heat, micros)
}

// identity tells what was measured, and with what.
func (r *Result) identity() report.Section {
	g := &r.Generator
	t := &report.Table{Header: []string{"what", "value"}}
	add := func(name, value string) { t.Rows = append(t.Rows, []string{name, value}) }
	for _, d := range r.Devices {
		add("device", d.line())
		if d.Before != nil && d.After != nil {
			add(d.Path+" read, written, temperature", fmt.Sprintf("%.1f MB, %.1f MB, %.0f to %.0f °C", float64(d.After.ReadBytes-d.Before.ReadBytes)/1e6, float64(d.After.WrittenBytes-d.Before.WrittenBytes)/1e6, d.Before.Temperature, d.After.Temperature))
		}
	}
	add("started", r.Started.Format("2006-01-02 15:04:05 UTC"))
	add("host", fmt.Sprintf("%s, %d CPUs, Linux %s, load %.1f, governor %q, virtual: %s", r.Host.Processor, r.Host.CPUs, r.Host.Kernel, r.Host.Load, r.Host.Governor, yesNo(r.Host.Virtual)))
	add("engine", fmt.Sprintf("%s, %d loops", r.Setup.Engine, r.Setup.Loops))
	add("seed", fmt.Sprint(r.Setup.Seed))
	add("steady state", r.Steady.text())
	add("CPU an operation", fmt.Sprintf("%.2f µs", g.CPUUs))
	add("generator late, p50 p99 max", fmt.Sprintf("%s %s %s", micros(g.Lateness.P50), micros(g.Lateness.P99), micros(g.Lateness.Max)))
	add("waited for a CPU", fmt.Sprintf("%.2f %%, %d involuntary switches", 100*g.Starved, g.Involuntary))
	add("garbage collection", fmt.Sprintf("%d collections, %s paused", g.GCs, micros(g.GCPauseUs)))
	add("instrument floor (NOP), p50 p99.9", fmt.Sprintf("%s %s", micros(g.Floor.P50), micros(g.Floor.P999)))
	return report.Section{Heading: "Identity and conditions", Table: t}
}

func (r *Result) configuration() report.Section {
	t := &report.Table{Header: []string{"setting", "value"}}
	for _, name := range keyOrder {
		if v, ok := r.Setup.Config[name]; ok {
			t.Rows = append(t.Rows, []string{name, v})
		}
	}
	return report.Section{Heading: "Configuration", Table: t}
}
