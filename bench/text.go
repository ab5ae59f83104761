package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	s := &r.Setup
	fmt.Fprintf(&b, "%s loop, %s, %d connections, %d loop(s), %d node(s), seed %d\n", s.Loop, s.Workload, s.Connections, s.Loops, s.Nodes, s.Seed)
	if s.Loop == "open" {
		fmt.Fprintf(&b, "rate %s, %s arrivals: response time counts from the moment an operation was due, service time from sending\n", s.Rate, s.Arrival)
	} else {
		b.WriteString("each connection waits for its answer: a server that stops is asked less, and the pause counts once a connection\n")
	}
	fmt.Fprintf(&b, "%.1f s measured, %.0f op/s\n\n", r.Seconds, r.Generator.Delivered)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcount\top/s\tmin\tmean\tp50\tp90\tp99\tp99.9\tp99.99\tmax\t")
	for _, op := range r.Operations {
		if s.Loop == "open" {
			r.row(t, op.Kind+" response", op, op.Response)
			r.row(t, op.Kind+" service", op, op.Service)
		} else {
			r.row(t, op.Kind, op, op.Response)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	b.WriteString("\n")
	r.writeAnswers(&b)
	g := &r.Generator
	fmt.Fprintf(&b, "generator: %.2f µs CPU per operation", g.CPUUs)
	if r.ServerCPUUs != nil {
		fmt.Fprintf(&b, ", server: %.2f", *r.ServerCPUUs)
	}
	if s.Loop == "open" {
		fmt.Fprintf(&b, "; sent late by itself: p99 %s, max %s", micros(g.Lateness.P99), micros(g.Lateness.Max))
	}
	if g.Starved >= 0 {
		fmt.Fprintf(&b, "; waited for a CPU %.1f %% of the time", 100*g.Starved)
	}
	b.WriteString("\n")
	for _, reason := range r.Invalid {
		fmt.Fprintf(&b, "INVALID: %s\n", reason)
	}
	if r.Interrupted {
		b.WriteString("the run was cut short\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) row(w io.Writer, name string, op Operation, l Latency) {
	fmt.Fprintf(w, "%s\t%d\t%.0f\t", name, op.Count, op.Rate)
	for _, us := range []float64{l.Min, l.Mean, l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max} {
		fmt.Fprintf(w, "%s\t", micros(us))
	}
	fmt.Fprintln(w)
}

// writeAnswers lists the answers by result, the most frequent first, and the
// operations without one.
func (r *Result) writeAnswers(b *strings.Builder) {
	names := make([]string, 0, len(r.Answers))
	for name := range r.Answers {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		if r.Answers[x] != r.Answers[y] {
			return int(min(max(int64(r.Answers[y])-int64(r.Answers[x]), -1), 1))
		}
		return strings.Compare(x, y)
	})
	b.WriteString("answers:")
	for _, name := range names {
		fmt.Fprintf(b, " %s %d", name, r.Answers[name])
	}
	f := r.Failures
	fmt.Fprintf(b, "; without an answer: %d (connection broke %d, none in time %d, node unreachable %d)\n", f.Total(), f.Connection, f.NoAnswer, f.Unreachable)
}
