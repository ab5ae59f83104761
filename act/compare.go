package act

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ashlardb/ashlar/internal/stat"
)

// defaultCompareRules fail a comparison.
var defaultCompareRules = []string{"p50>+10%", "p99>+10%", "p99.9>+25%", "rate<-1%"}

// CompareLine is one metric of a comparison.
type CompareLine struct {
	Rule     string  `json:"rule"`
	Base     float64 `json:"base"` // µs, or operations a second
	New      float64 `json:"new"`
	Low      float64 `json:"ratio_low"` // 95 % interval
	Ratio    float64 `json:"ratio"`
	High     float64 `json:"ratio_high"`
	Verdict  string  `json:"verdict"`
	Smallest float64 `json:"smallest_detectable"` // change, as a share, that these runs could tell from none
}

// Comparison is two runs side by side.
type Comparison struct {
	Class Class         `json:"class"`
	Clock Clock         `json:"clock"`
	Lines []CompareLine `json:"lines"`
	// Invalid says why the runs can't be compared.
	Invalid []string `json:"invalid"`
}

// blocks returns a class's stretches of time for comparison.
func (r *Result) blocks(class Class, clock Clock) ([]stat.Block, error) {
	for _, t := range r.Timeline {
		if t.Class != class {
			continue
		}
		var out []stat.Block
		for _, b := range t.Blocks {
			text := b.Service
			if clock == Response {
				text = b.Response
			}
			h, err := decode(text)
			if err != nil {
				return nil, err
			}
			s := stat.Block{Seconds: b.Length}
			for _, bar := range h.Distribution() {
				if bar.Count > 0 {
					s.Values, s.Counts = append(s.Values, bar.To), append(s.Counts, uint64(bar.Count))
				}
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, fmt.Errorf("act: the result has no %s", class)
}

// Compare holds a new run against a base.
func Compare(base, next *Result, class Class, clock Clock, rules []string, seed uint64) (*Comparison, error) {
	c := &Comparison{Class: class, Clock: clock, Invalid: []string{}}
	for _, each := range []struct {
		name string
		r    *Result
	}{{"base", base}, {"new", next}} {
		if each.r.Outcome == Invalid || each.r.Outcome == Error {
			c.Invalid = append(c.Invalid, fmt.Sprintf("the %s run is %s", each.name, each.r.Outcome))
		}
	}
	if a, b := base.Setup.Model, next.Setup.Model; a != b {
		c.Invalid = append(c.Invalid, fmt.Sprintf("the base is a run of act %s, the other of act %s", a, b))
	}
	for _, name := range []string{"read-reqs-per-sec", "write-reqs-per-sec", "record-bytes", "large-block-op-kbytes"} {
		if a, b := base.Setup.Config[name], next.Setup.Config[name]; a != b {
			c.Invalid = append(c.Invalid, fmt.Sprintf("%s is %s in the base and %s in the other", name, a, b))
		}
	}
	a, err1 := base.blocks(class, clock)
	b, err2 := next.blocks(class, clock)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	for i, text := range rules {
		rule, err := stat.ParseRule(text)
		if err != nil {
			return nil, fmt.Errorf("act: %w", err)
		}
		interval, err := stat.Ratio(a, b, rule.Metric, rand.New(rand.NewPCG(seed, uint64(i))))
		if err != nil {
			return nil, fmt.Errorf("act: %w", err)
		}
		unit := 1e3 // values are in ns
		if rule.Metric.Name == "rate" {
			unit = 1
		}
		c.Lines = append(c.Lines, CompareLine{
			Rule: text, Base: rule.Metric.Of(a) / unit, New: rule.Metric.Of(b) / unit, Low: interval.Low, Ratio: interval.Mid, High: interval.High,
			Verdict: rule.Judge(interval).String(), Smallest: (interval.High - interval.Low) / 2,
		})
	}
	return c, nil
}

// exit returns the program's error for the comparison.
func (c *Comparison) exit() error {
	if len(c.Invalid) > 0 {
		return &exitError{2, errors.New("act: the runs can't be compared: " + strings.Join(c.Invalid, "; "))}
	}
	worst := 0
	for _, l := range c.Lines {
		switch l.Verdict {
		case stat.Worse.String():
			worst = 1
		case stat.CannotTell.String():
			if worst == 0 {
				worst = 3
			}
		}
	}
	switch worst {
	case 1:
		return &exitError{1, errors.New("act: the new run is worse")}
	case 3:
		return &exitError{3, errors.New("act: can't tell: the noise is larger than the tolerance")}
	}
	return nil
}

// WriteText writes the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s time\n", c.Class, c.Clock)
	header := []string{"rule", "base", "new", "change", "95 % interval", "detectable", "verdict"}
	var rows [][]string
	for _, l := range c.Lines {
		rows = append(rows, []string{l.Rule, fmt.Sprintf("%.1f", l.Base), fmt.Sprintf("%.1f", l.New), change(l.Ratio), change(l.Low) + " to " + change(l.High), fmt.Sprintf("%.1f %%", 100*l.Smallest), l.Verdict})
	}
	writeColumns(&b, header, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

func change(ratio float64) string { return fmt.Sprintf("%+.1f %%", 100*(ratio-1)) }

func compareCommand() *cobra.Command {
	var rules []string
	var class, clock, asJSON string
	var seed uint64
	c := &cobra.Command{
		Use:   "compare BASE NEW",
		Short: "Compare two result files and fail on a regression",
		Long: `compare applies rules to two results of --json. Each metric is compared as a ratio
with a 95 % interval from drawing stretches of time anew. Two runs of the same drive show
what change could be told from noise.

Exit codes: 0 no rule is broken, 1 regression, 2 not comparable, 3 can't tell, 4 usage.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			base, err1 := readResultFile(args[0])
			next, err2 := readResultFile(args[1])
			if err := errors.Join(err1, err2); err != nil {
				return usage(err)
			}
			var cl Class
			var ck Clock
			if err := errors.Join(cl.UnmarshalText([]byte(class)), ck.UnmarshalText([]byte(clock))); err != nil {
				return usage(err)
			}
			cmp, err := Compare(base, next, cl, ck, rules, seed)
			if err != nil {
				return usage(err)
			}
			if err := cmp.WriteText(c.OutOrStdout()); err != nil {
				return usage(err)
			}
			if asJSON != "" {
				if err := writeFile(asJSON, c.OutOrStdout(), func(w io.Writer) error { return writeJSON(w, cmp) }); err != nil {
					return usage(err)
				}
			}
			return cmp.exit()
		},
	}
	p := c.Flags()
	p.StringSliceVar(&rules, "fail-if", defaultCompareRules, "rules, such as p99>+10% or rate<-1%")
	p.StringVar(&class, "class", Read.String(), "which operations")
	p.StringVar(&clock, "clock", Response.String(), "service or response")
	p.Uint64Var(&seed, "seed", 1, "of the drawing")
	p.StringVar(&asJSON, "json", "", "write the comparison as JSON")
	return c
}
