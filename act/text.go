package act

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ashlardb/ashlar/internal/report"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", r.Outcome, r.provisionalText())
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "  %s: %s\n", reason.Outcome, reason.Text)
	}
	for _, d := range r.Devices {
		fmt.Fprintf(&b, "%s\n", d.line())
	}
	fmt.Fprintf(&b, "%s, %s arrivals, seed %d, %.0f s of %.0f, engine: %s\n\n", r.Setup.Model, r.Setup.Arrival, r.Setup.Seed, r.Seconds, r.Setup.DurationSec, r.Setup.Engine)
	header, rows := r.table()
	writeColumns(&b, header, rows)
	b.WriteByte('\n')
	header, rows = r.sliceTable(Read)
	writeColumns(&b, header, rows)
	fmt.Fprintf(&b, "\nsteady state: %s\n", r.Steady.text())
	g := &r.Generator
	fmt.Fprintf(&b, "generator: %.2f µs CPU an operation, late p99 %s, %.3f %% late, waited for a CPU %.1f %%, %d involuntary switches, %d collections (%s), NOP p50 %s p99.9 %s\n",
		g.CPUUs, micros(g.Lateness.P99), 100*g.LateShare, 100*g.Starved, g.Involuntary, g.GCs, micros(g.GCPauseUs), micros(g.Floor.P50), micros(g.Floor.P999))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) provisionalText() string {
	if r.Outcome == Pass && r.Provisional {
		return fmt.Sprintf(" (provisional: %.0f s; with 95 %% confidence at most %.1f %% of the time is over the limits; a certificate takes 24 h, and the same at twice the rating)", r.Seconds, 100*r.Confidence.BadShareMost)
	}
	return ""
}

// line describes a drive in one line.
func (d *Drive) line() string {
	parts := []string{d.Path}
	for _, each := range []struct{ name, value string }{{"model", d.Model}, {"serial", d.Serial}, {"firmware", d.Firmware}, {"scheduler", d.Scheduler}, {"cache", d.WriteCache}, {"link", d.Link}, {"prepared", d.Label}} {
		if each.value != "" {
			parts = append(parts, each.name+" "+each.value)
		}
	}
	parts = append(parts, fmt.Sprintf("%.1f GB, blocks of %d", float64(d.Size)/1e9, d.Sector))
	if !d.Direct {
		parts = append(parts, "THROUGH THE PAGE CACHE")
	}
	return strings.Join(parts, ", ")
}

// table returns the figures of all operations.
func (r *Result) table() (header []string, rows [][]string) {
	header = []string{"operation", "asked/s", "done/s", "count", "errors", "p50", "p99", "p99.9", "max", ">=1ms", ">=8ms", ">=64ms"}
	for i := range r.Operations {
		op := &r.Operations[i]
		name := op.Class.String()
		if op.Device != "" {
			name = op.Device + " " + name
		}
		for _, clock := range []Clock{Service, Response} {
			l := op.Service
			if clock == Response {
				l = op.Response
			}
			row := []string{name + " " + clock.String(), fmt.Sprintf("%.1f", op.Asked), fmt.Sprintf("%.1f", op.Delivered), fmt.Sprint(op.Count), fmt.Sprint(op.Errors + op.Wrong)}
			for _, us := range []float64{l.P50, l.P99, l.P999, l.Max} {
				row = append(row, micros(us))
			}
			for _, n := range op.Over[clock] {
				row = append(row, fmt.Sprintf("%.4f %%", percent(n, op.Count)))
			}
			rows = append(rows, row)
		}
	}
	return header, rows
}

// sliceTable returns the slices of a class against the limits.
func (r *Result) sliceTable(class Class) (header []string, rows [][]string) {
	header = []string{"slice", "operations", ">=1ms", ">=8ms", ">=64ms", "within limits"}
	for _, set := range r.Slices {
		if set.Class != class {
			continue
		}
		for _, s := range set.Slices {
			row := []string{fmt.Sprintf("%s %d", set.Clock, s.Number), fmt.Sprint(s.Total)}
			for _, n := range s.Over {
				row = append(row, fmt.Sprintf("%.4f %%", percent(n, s.Total)))
			}
			rows = append(rows, append(row, yesNo(s.OK)))
		}
	}
	return header, rows
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// writeColumns writes a table, the first column to the left.
func writeColumns(b *strings.Builder, header []string, rows [][]string) {
	width := make([]int, len(header))
	all := append([][]string{header}, rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, row := range all {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				b.WriteString(cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
}

// WriteMarkdown writes the result for a page of a forge.
func (r *Result) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s%s\n\n", r.Outcome, r.provisionalText())
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "* **%s** %s\n", reason.Outcome, reason.Text)
	}
	for _, d := range r.Devices {
		fmt.Fprintf(&b, "* `%s`\n", d.line())
	}
	for _, table := range []func() ([]string, [][]string){r.table, func() ([]string, [][]string) { return r.sliceTable(Read) }} {
		header, rows := table()
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
		for _, row := range rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCSV writes rate and latency of each class over time.
func (r *Result) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"start_s", "length_s", "class", "count", "errors", "rate", "service_p50_us", "service_p99_us", "service_p99.9_us", "response_p50_us", "response_p99_us", "response_p99.9_us", "service_over_1ms", "service_over_8ms", "service_over_64ms", "response_over_1ms", "response_over_8ms", "response_over_64ms"}); err != nil {
		return err
	}
	f := func(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
	for _, series := range r.Timeline {
		for i := range series.Blocks {
			b := &series.Blocks[i]
			row := []string{f(b.Start), f(b.Length), series.Class.String(), fmt.Sprint(b.Count), fmt.Sprint(b.Errors), f(float64(b.Count) / max(b.Length, 1e-9))}
			for _, text := range []string{b.Service, b.Response} {
				h, err := decode(text)
				if err != nil {
					return err
				}
				for _, q := range []float64{50, 99, 99.9} {
					row = append(row, f(float64(h.ValueAtQuantile(q))/1e3))
				}
			}
			for _, clock := range b.Over {
				for _, n := range clock {
					row = append(row, fmt.Sprint(n))
				}
			}
			if err := c.Write(row); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// decode reads a block's histogram.
func decode(text string) (*hdrhistogram.Histogram, error) {
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("act: result file: histogram: %w", err)
	}
	return h, nil
}

// checks are the cases of a JUnit file, by the codes of their reasons.
var checks = []struct {
	name  string
	codes []string
}{
	{"no I/O errors", []string{"io-error"}},
	{"no wrong data", []string{"wrong-data"}},
	{"latency within the limits in every slice", []string{"slow"}},
	{"asked rate was delivered", []string{"rate", "lag", "stuck"}},
	{"host and generator able to tell", []string{"late", "starved", "foreign-io", "page-cache"}},
	{"run complete", []string{"interrupted", "nothing"}},
}

// WriteJUnit writes the checks for a CI server.
func (r *Result) WriteJUnit(w io.Writer) error {
	var cases []report.Case
	for _, check := range checks {
		c := report.Case{Name: check.name, Seconds: r.Seconds}
		for _, code := range check.codes {
			for _, reason := range r.Reasons {
				if reason.Code != code {
					continue
				}
				if reason.Outcome == Fail {
					c.Failure = joinText(c.Failure, reason.Text)
				} else {
					c.Error = joinText(c.Error, reason.Text)
				}
			}
		}
		cases = append(cases, c)
	}
	return report.JUnit(w, "ashlar act "+r.Setup.Model, r.Started, cases)
}

func joinText(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// text says what came of the search for a steady state.
func (s *Steady) text() string {
	switch {
	case s.Round > 0:
		return fmt.Sprintf("reached with round %d of %d (%.3g s each)", s.Round, s.Rounds, s.Seconds)
	case s.Rounds < steadyWindow:
		return fmt.Sprintf("not known from %d rounds, of which it takes %d", s.Rounds, steadyWindow)
	}
	return fmt.Sprintf("not reached in %d rounds of %.3g s", s.Rounds, s.Seconds)
}
