package bench

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ashlardb/ashlar/internal/report"
	"github.com/ashlardb/ashlar/internal/stat"
)

// Check is one rule applied to two runs.
type Check struct {
	Rule     stat.Rule
	Kind     string // of operation, empty for all together
	Interval stat.Interval
	Verdict  stat.Verdict
}

// Comparison is a base run against a new one.
type Comparison struct {
	Checks  []Check
	Invalid []string // why the runs cannot be compared
}

// Compare applies rules to two results. A rule may name a kind of operation in
// front of its metric, as in "read:p99>+10%".
func Compare(base, next *Result, rules []string, seed uint64) (*Comparison, error) {
	c := &Comparison{}
	for name, r := range map[string]*Result{"base": base, "new": next} {
		for _, why := range r.Invalid {
			c.Invalid = append(c.Invalid, name+": "+why)
		}
	}
	if base.Setup.Loop != next.Setup.Loop {
		c.Invalid = append(c.Invalid, fmt.Sprintf("the base is a run in a %s loop, the new one in a %s loop: their latencies mean different things", base.Setup.Loop, next.Setup.Loop))
	}
	if base.Setup.Workload != next.Setup.Workload || base.Setup.Object != next.Setup.Object {
		c.Invalid = append(c.Invalid, fmt.Sprintf("different workloads: %s of %s, and %s of %s", base.Setup.Workload, base.Setup.Object, next.Setup.Workload, next.Setup.Object))
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for _, text := range rules {
		kind, rest, ok := strings.Cut(text, ":")
		if !ok {
			kind, rest = "", text
		}
		rule, err := stat.ParseRule(rest)
		if err != nil {
			return nil, err
		}
		a, err := base.blocks(kind)
		if err != nil {
			return nil, err
		}
		b, err := next.blocks(kind)
		if err != nil {
			return nil, err
		}
		check := Check{Rule: rule, Kind: kind}
		check.Interval, err = stat.Ratio(a, b, rule.Metric, random)
		switch {
		case errors.Is(err, stat.ErrTooShort):
			c.Invalid = append(c.Invalid, err.Error())
			continue
		case err != nil:
			return nil, err
		}
		check.Verdict = rule.Judge(check.Interval)
		c.Checks = append(c.Checks, check)
	}
	return c, nil
}

// exit returns the error that the program ends with.
func (c *Comparison) exit() error {
	worse, unsure := 0, 0
	for _, check := range c.Checks {
		switch check.Verdict {
		case stat.Worse:
			worse++
		case stat.CannotTell:
			unsure++
		}
	}
	switch {
	case len(c.Invalid) > 0:
		return &exitError{ExitInvalid, errors.New("bench: the runs cannot be compared")}
	case worse > 0:
		return &exitError{ExitRegression, fmt.Errorf("bench: regression: %d of %d rules broken", worse, len(c.Checks))}
	case unsure > 0:
		return &exitError{ExitCannotTell, fmt.Errorf("bench: cannot tell: the noise is larger than the tolerance of %d of %d rules; measure longer", unsure, len(c.Checks))}
	}
	return nil
}

// WriteText writes the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, check := range c.Checks {
		name := check.Rule.String()
		if check.Kind != "" {
			name = check.Kind + ":" + name
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", name, check.Interval, check.Verdict)
	}
	for _, why := range c.Invalid {
		fmt.Fprintf(t, "INVALID: %s\n", why)
	}
	return t.Flush()
}

// WriteJUnit writes the comparison for CI servers.
func (c *Comparison) WriteJUnit(w io.Writer, at time.Time) error {
	var cases []report.Case
	for _, check := range c.Checks {
		item := report.Case{Name: strings.TrimPrefix(check.Kind+":"+check.Rule.String(), ":")}
		switch check.Verdict {
		case stat.Worse:
			item.Failure = "changed by " + check.Interval.String()
		case stat.CannotTell:
			item.Skipped = "cannot tell: changed by " + check.Interval.String()
		}
		cases = append(cases, item)
	}
	for _, why := range c.Invalid {
		cases = append(cases, report.Case{Name: "valid runs", Error: why})
	}
	return report.JUnit(w, "ashlar bench", at, cases)
}

// gateFlags are the options that compare and gate have in common.
type gateFlags struct {
	failIf []string
	junit  string
	seed   uint64
}

func (g *gateFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringSliceVar(&g.failIf, "fail-if", []string{"p99>+10%"}, "rules that must not be broken: [KIND:]METRIC>+N% or METRIC<-N%; metrics p50, p99, p99.9, mean, max, rate")
	p.StringVar(&g.junit, "junit", "", "write the checks in JUnit's format")
	p.Uint64Var(&g.seed, "stat-seed", 1, "of the bootstrap")
}

// finish writes a comparison and returns the error to end with.
func (g *gateFlags) finish(c *cobra.Command, cmp *Comparison) error {
	if err := cmp.WriteText(c.OutOrStdout()); err != nil {
		return err
	}
	if g.junit != "" {
		write := func(w io.Writer) error { return cmp.WriteJUnit(w, time.Now()) }
		if err := writeFile(g.junit, c.OutOrStdout(), write); err != nil {
			return &exitError{ExitUsage, err}
		}
	}
	return cmp.exit()
}

// compareCommand returns "ashlar bench compare".
func compareCommand() *cobra.Command {
	var g gateFlags
	c := &cobra.Command{
		Use:   "compare BASE.json NEW.json",
		Short: "Compare two results and fail on a regression",
		Long: `compare applies rules to two results of bench --json.

Each rule's metric is compared as a ratio with a 95 % interval, from drawing stretches of
seconds anew a thousand times. Exit codes: 0 no rule is broken, 1 regression, 2 the runs are
invalid or not comparable, 3 cannot tell (the noise is larger than the tolerance), 4 usage.`,
		Args:          cobra.ExactArgs(2),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			var results [2]*Result
			for i, name := range args {
				var err error
				if results[i], err = readFile(name); err != nil {
					return &exitError{ExitUsage, err}
				}
			}
			cmp, err := Compare(results[0], results[1], g.failIf, g.seed)
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			return g.finish(c, cmp)
		},
	}
	g.register(c)
	return c
}

// readFile reads a result file.
func readFile(name string) (r *Result, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if r, err = ReadResult(file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
