package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(v)
}

// stressRules ask only that a drive keeps up.
var stressRules = []Rule{}

// probeRun runs a preset at a rating on the devices of o.
func probeRun(ctx context.Context, o Options, p Preset, x float64, length time.Duration, stress bool) (*Result, error) {
	c, err := p.Config(x, o.Config.Devices...)
	if err != nil {
		return nil, err
	}
	c.Duration, c.FileSize, c.ExactBlocks = length, o.Config.FileSize, o.Config.ExactBlocks
	o.Config = c
	if stress {
		o.Rules = stressRules
	}
	o.Progress = nil
	return Run(ctx, o)
}

func rateCommand() *cobra.Command {
	var o Options
	var f loadFlags
	var yes bool
	s := Search{}
	c := &cobra.Command{
		Use:   "rate",
		Short: "Search the largest rating that drives pass",
		Long: `rate climbs from --start by --factor until the drives fail, then narrows down. After a
failure it rests until a low load has its old latency back. The rating is confirmed by a run
of --confirm and stressed by one of --stress at twice the rating.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.duration == 0 {
				f.duration = 5 * time.Minute
			}
			if err := errors.Join(f.fill(c, nil, &o, f.model()), s.validate()); err != nil {
				return usage(err)
			}
			p, _ := FindPreset(f.preset) // fill found it
			s.Length = f.duration
			ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
			defer cancel()
			if err := s.ask(c, &o, p, yes); err != nil {
				return usage(err)
			}
			var drives []Drive
			s.Sleep = func(d time.Duration) { sleep(ctx, d) }
			s.Probe = func(x float64, length time.Duration, stress bool) (Probe, error) {
				res, err := probeRun(ctx, o, p, x, length, stress)
				if err != nil {
					return Probe{}, err
				}
				drives = res.Devices
				return probeOf(res), nil
			}
			s.Note = func(p Probe) { fmt.Fprintln(c.ErrOrStderr(), p.line()) }
			r, err := s.Run()
			if err != nil {
				return usage(err)
			}
			r.Drives, r.Preset = drives, p.Name
			if f.out.json != "" {
				if err := writeFile(f.out.json, c.OutOrStdout(), func(w io.Writer) error { return writeJSON(w, r) }); err != nil {
					return usage(err)
				}
			}
			fmt.Fprintln(c.OutOrStdout(), r.line())
			return outcomeError(r.Outcome)
		},
	}
	f.register(c, &o, Storage)
	p := c.Flags()
	p.Float64Var(&s.Start, "start", 1, "first rating")
	p.Float64Var(&s.Max, "max", 1000, "largest rating tried")
	p.Float64Var(&s.Factor, "factor", 2, "of each step up")
	p.Float64Var(&s.Precision, "precision", 0.1, "ends when failure and pass are this close")
	p.DurationVar(&s.Confirm, "confirm-length", certificate, "of the run at the rating found (0: none)")
	p.DurationVar(&s.Stress, "stress-length", certificate, "of the run at twice the rating (0: none)")
	p.DurationVar(&s.Rest, "rest", time.Minute, "before each reference run after a failure")
	p.IntVar(&s.MaxRests, "max-rests", 60, "reference runs before the search goes on all the same")
	p.BoolVarP(&yes, "yes", "y", false, "do not ask before writing")
	return c
}

// model returns the model of the preset that was asked for.
func (f *loadFlags) model() Model {
	p, err := FindPreset(f.preset)
	if err != nil {
		return Storage // fill says what is wrong
	}
	return p.Model
}

func (s *Search) validate() error {
	var errs []error
	if !(s.Start > 0 && s.Start <= s.Max && s.Max <= maxRating) {
		errs = append(errs, fmt.Errorf("act: start %g and max %g: want above 0, in this order, at most %d", s.Start, s.Max, maxRating))
	}
	if !(s.Factor > 1 && s.Factor <= 10) || !(s.Precision >= 0.01 && s.Precision <= 1) {
		errs = append(errs, fmt.Errorf("act: factor %g, precision %g: want a factor above 1, at most 10, and a precision of 0.01 to 1", s.Factor, s.Precision))
	}
	if s.Confirm < 0 || s.Stress < 0 || s.Rest < 0 || s.MaxRests < 0 {
		errs = append(errs, errors.New("act: lengths and numbers of rests: want 0 or more"))
	}
	return errors.Join(errs...)
}

// ask says what the search may cost the drives and wants a yes.
func (s *Search) ask(c *cobra.Command, o *Options, p Preset, yes bool) error {
	if o.ReadOnly {
		return nil
	}
	at := func(x float64, d time.Duration) float64 {
		config, err := p.Config(min(x, maxRating), o.Config.Devices...)
		if err != nil {
			return 0
		}
		return config.WrittenPerDay() * d.Hours() / 24
	}
	var climb float64
	for x := s.Start; x <= s.Max; x *= s.Factor {
		climb += at(x, s.Length)
	}
	fmt.Fprintf(c.ErrOrStderr(), "at most %.4g TB are written while searching up to %gx; at a rating of 10x, confirming writes %.4g TB and the stress run %.4g TB\n", climb/1e12, s.Max, at(10, s.Confirm)/1e12, at(20, s.Stress)/1e12)
	if yes {
		return nil
	}
	fmt.Fprint(c.ErrOrStderr(), "go on? [y/N] ")
	var answer string
	if _, err := fmt.Fscanln(c.InOrStdin(), &answer); err != nil || !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return errors.New("act: rate: no yes: want an answer, or --yes")
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (p *Probe) line() string {
	text := fmt.Sprintf("%-9s %8gx %6.0f s  %-7s p50 %s p99 %s p99.9 %s, %.3f %% over 1 ms", p.What, p.X, p.Seconds, p.Outcome, micros(p.P50), micros(p.P99), micros(p.P999), p.Over1ms)
	return joinText(text, p.Reason)
}

func (r *Rating) line() string {
	text := fmt.Sprintf("%gx", r.X)
	switch {
	case r.Confirmed && r.Stressed:
		text += ", confirmed at full length and under twice the load"
	case r.Confirmed:
		text += ", confirmed at full length"
	default:
		text += ", not confirmed"
	}
	if !r.Rested {
		text += "; the drive did not come back to its reference latency after a failure"
	}
	return joinText(text, r.Why)
}

// curveFile is the JSON form of a curve.
type curveFile struct {
	Schema string  `json:"schema"`
	Preset string  `json:"preset"`
	Drives []Drive `json:"devices"`
	Points []Probe `json:"points"`
	Knee   float64 `json:"knee_x,omitempty"`
}

func curveCommand() *cobra.Command {
	var o Options
	var f loadFlags
	var xs []float64
	c := &cobra.Command{
		Use:   "curve",
		Short: "Measure latency at several ratings and find the knee",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.duration == 0 {
				f.duration = time.Minute
			}
			if err := f.fill(c, nil, &o, f.model()); err != nil {
				return usage(err)
			}
			p, _ := FindPreset(f.preset) // fill found it
			ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
			defer cancel()
			slices.Sort(xs)
			out := curveFile{Schema: "ashlar-act-curve/1", Preset: p.Name}
			worst := Pass
			for _, x := range xs {
				res, err := probeRun(ctx, o, p, x, f.duration, false)
				if err != nil {
					return usage(err)
				}
				point := probeOf(res)
				point.X, point.What, out.Drives = x, "curve", res.Devices
				out.Points = append(out.Points, point)
				fmt.Fprintln(c.OutOrStdout(), point.line())
				if point.Outcome >= Invalid { // a drive that fails is what a curve is for
					worst = max(worst, point.Outcome)
					break
				}
			}
			if i := knee(out.Points); i >= 0 {
				out.Knee = out.Points[i].X
				fmt.Fprintf(c.OutOrStdout(), "knee at %gx\n", out.Knee)
			}
			if f.out.json != "" {
				if err := writeFile(f.out.json, c.OutOrStdout(), func(w io.Writer) error { return writeJSON(w, out) }); err != nil {
					return usage(err)
				}
			}
			return outcomeError(worst)
		},
	}
	f.register(c, &o, Storage)
	c.Flags().Float64SliceVar(&xs, "points", []float64{1, 2, 4, 8, 16, 32, 64}, "ratings")
	return c
}

// readRating reads what rate --json wrote.
func readRating(name string) (*Rating, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("act: %w", err)
	}
	r := &Rating{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("act: rating file %s: %w", name, err)
	}
	if r.Schema != RatingSchema || !(r.X >= 0) || math.IsInf(r.X, 0) {
		return nil, fmt.Errorf("act: rating file %s: schema %q, rating %g: want %q and a rating", name, r.Schema, r.X, RatingSchema)
	}
	return r, nil
}
