package bench

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/report"
)

// objective is a latency that must hold: "p99<1ms".
type objective struct {
	text  string
	pick  func(Latency) float64
	limit float64 // microseconds
}

// parseObjectives reads a list such as "p99<1ms,p99.9<4ms".
func parseObjectives(text string) ([]objective, error) {
	picks := map[string]func(Latency) float64{
		"mean": func(l Latency) float64 { return l.Mean }, "max": func(l Latency) float64 { return l.Max },
		"p50": func(l Latency) float64 { return l.P50 }, "p90": func(l Latency) float64 { return l.P90 },
		"p99": func(l Latency) float64 { return l.P99 }, "p99.9": func(l Latency) float64 { return l.P999 },
		"p99.99": func(l Latency) float64 { return l.P9999 },
	}
	var list []objective
	for part := range strings.SplitSeq(text, ",") {
		name, limit, ok := strings.Cut(strings.TrimSpace(part), "<")
		pick := picks[strings.TrimSpace(name)]
		d, err := time.ParseDuration(strings.TrimSpace(limit))
		if !ok || pick == nil || err != nil || d <= 0 {
			return nil, fmt.Errorf("objective %q: want a list of p50, p90, p99, p99.9, p99.99, mean or max with '<' and a duration, such as p99<1ms", part)
		}
		list = append(list, objective{text: strings.TrimSpace(part), pick: pick, limit: float64(d) / 1e3})
	}
	return list, nil
}

// broken returns the objectives that an operation's response times break.
func broken(list []objective, r *Result) []string {
	var out []string
	for _, op := range r.Operations {
		for _, o := range list {
			if got := o.pick(op.Response); op.Count > 0 && got >= o.limit {
				out = append(out, fmt.Sprintf("%s %s: %s", op.Kind, o.text, micros(got)))
			}
		}
	}
	return out
}

// Point is one rate of a sweep.
type Point struct {
	Rate   float64
	Result *Result
	Broken []string
}

// Holds reports whether the server kept up within the objectives.
func (p *Point) Holds() bool { return len(p.Broken) == 0 && len(p.Result.Invalid) == 0 }

// Sweep is a capacity curve.
type Sweep struct {
	Objectives string
	Points     []Point
	// Capacity is the highest rate that held, 0 if none did.
	Capacity float64
}

// sweepOptions says which rates are tried.
type sweepOptions struct {
	from, to, factor float64
	objectives       string
}

// runSweep raises the rate by a factor until the objectives break, then looks
// closer between the last rate that held and the first that did not.
func runSweep(ctx context.Context, o Options, s sweepOptions, each func(*Point)) (*Sweep, error) {
	const closer = 3 // halvings of the last step
	list, err := parseObjectives(s.objectives)
	if err != nil {
		return nil, err
	}
	if !(s.from > 0) || !(s.to >= s.from) || !(s.factor > 1) {
		return nil, fmt.Errorf("sweep from %g to %g by %g: want a first rate above 0, a last rate not below it and a factor above 1", s.from, s.to, s.factor)
	}
	out := &Sweep{Objectives: s.objectives}
	try := func(rate float64) (bool, error) {
		if o.Rate, err = ParseRate(strconv.FormatFloat(rate, 'f', 0, 64)); err != nil {
			return false, err
		}
		r, err := Run(ctx, o)
		if err != nil {
			return false, err
		}
		p := Point{Rate: rate, Result: r, Broken: broken(list, r)}
		out.Points = append(out.Points, p)
		each(&p)
		if p.Holds() && rate > out.Capacity {
			out.Capacity = rate
		}
		return p.Holds(), nil
	}
	rate, bad := s.from, 0.0
	for ; rate <= s.to && ctx.Err() == nil; rate *= s.factor {
		held, err := try(rate)
		if err != nil {
			return out, err
		}
		if !held {
			bad = rate
			break
		}
	}
	for range closer {
		if bad == 0 || out.Capacity == 0 || ctx.Err() != nil {
			break
		}
		middle := (out.Capacity + bad) / 2
		held, err := try(middle)
		if err != nil {
			return out, err
		}
		if !held {
			bad = middle
		}
	}
	return out, nil
}

// WriteText writes the curve for people.
func (s *Sweep) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "asked\tdelivered\tp50\tp99\tp99.9\tmax\t\t")
	for _, p := range s.sorted() {
		l := p.worst()
		verdict := "holds"
		if !p.Holds() {
			verdict = strings.Join(append(p.Broken, p.Result.Invalid...), "; ")
		}
		fmt.Fprintf(t, "%.0f\t%.0f\t%s\t%s\t%s\t%s\t\t%s\n", p.Rate, p.Result.Generator.Delivered, micros(l.P50), micros(l.P99), micros(l.P999), micros(l.Max), verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\ncapacity within %s: %.0f op/s\n", s.Objectives, s.Capacity)
	return err
}

// sorted returns the points by rate.
func (s *Sweep) sorted() []Point {
	return slices.SortedFunc(slices.Values(s.Points), func(a, b Point) int { return cmp.Compare(a.Rate, b.Rate) })
}

// worst returns the response times of the kind of operation with the highest
// p99.
func (p *Point) worst() Latency {
	var l Latency
	for _, op := range p.Result.Operations {
		if op.Response.P99 >= l.P99 {
			l = op.Response
		}
	}
	return l
}

// WriteCSV writes the curve as a table.
func (s *Sweep) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	rows := [][]string{{"asked_rate", "delivered_rate", "p50_us", "p99_us", "p99.9_us", "max_us", "holds"}}
	for _, p := range s.sorted() {
		l := p.worst()
		rows = append(rows, []string{number(p.Rate), number(p.Result.Generator.Delivered), number(l.P50), number(l.P99), number(l.P999), number(l.Max), strconv.FormatBool(p.Holds())})
	}
	if err := c.WriteAll(rows); err != nil {
		return err
	}
	return c.Error()
}

// WriteHTML writes the curve as a page.
func (s *Sweep) WriteHTML(w io.Writer) error {
	series := []report.Series{{Name: "p50"}, {Name: "p99"}, {Name: "p99.9"}}
	table := &report.Table{Header: []string{"asked op/s", "delivered", "p50", "p99", "p99.9", "max", "holds"}}
	for _, p := range s.sorted() {
		l := p.worst()
		for i, us := range []float64{l.P50, l.P99, l.P999} {
			series[i].X, series[i].Y = append(series[i].X, p.Rate), append(series[i].Y, us/1e3)
		}
		table.Rows = append(table.Rows, []string{
			fmt.Sprintf("%.0f", p.Rate), fmt.Sprintf("%.0f", p.Result.Generator.Delivered),
			micros(l.P50), micros(l.P99), micros(l.P999), micros(l.Max), fmt.Sprint(p.Holds()),
		})
	}
	svg, err := report.Plot(report.Axes{Title: "Response time against rate", X: "operations a second", Y: "ms", LogY: true}, series...)
	if err != nil {
		return err
	}
	page := report.Page{
		Title: "Capacity", Lead: fmt.Sprintf("The server keeps %s up to %.0f operations a second.", s.Objectives, s.Capacity),
		Sections: []report.Section{{Heading: "Curve", Plots: []report.SVG{svg}, Table: table}},
	}
	return page.Write(w)
}

// sweepCommand returns "ashlar bench sweep".
func sweepCommand() *cobra.Command {
	var o Options
	var f flags
	var s sweepOptions
	var html, csvFile string
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Find the highest rate that keeps a latency objective",
		Long: `sweep runs the workload in an open loop at rising rates until the objective breaks,
looks closer between the last rate that held and the first that did not, and prints the curve.
It takes the options of bench. Exit codes: 0 some rate holds, 1 none does, 4 usage.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.fill(c, &o); err != nil {
				return &exitError{ExitUsage, err}
			}
			ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
			defer cancel()
			out, err := runSweep(ctx, o, s, func(p *Point) {
				fmt.Fprintf(c.ErrOrStderr(), "%8.0f op/s: p99 %s, holds %v\n", p.Rate, micros(p.worst().P99), p.Holds())
			})
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			if err := out.WriteText(c.OutOrStdout()); err != nil {
				return err
			}
			for _, file := range []struct {
				name  string
				write func(io.Writer) error
			}{{html, out.WriteHTML}, {csvFile, out.WriteCSV}} {
				if file.name != "" {
					if err := writeFile(file.name, c.OutOrStdout(), file.write); err != nil {
						return &exitError{ExitUsage, err}
					}
				}
			}
			if out.Capacity == 0 {
				return &exitError{ExitRegression, errors.New("bench: no rate of the sweep holds the objective")}
			}
			return nil
		},
	}
	f.register(c, &o)
	p := c.Flags()
	p.Float64Var(&s.from, "from", 1000, "first rate")
	p.Float64Var(&s.to, "to", 1e6, "last rate")
	p.Float64Var(&s.factor, "factor", 1.5, "from one rate to the next")
	p.StringVar(&s.objectives, "objective", "p99<1ms,p99.9<4ms", "response times that must hold")
	p.StringVar(&html, "html", "", "write the curve as a page")
	p.StringVar(&csvFile, "curve-csv", "", "write the curve as a table")
	return c
}
