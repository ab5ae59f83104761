package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/node/client"
)

// gateOptions says which servers are compared.
type gateOptions struct {
	a, b     string // shell commands that run a server in the foreground
	rounds   int    // legs of each
	settle   time.Duration
	patience time.Duration // for a server to answer
	load     bool          // insert the keys before each leg
}

// runGate runs server A, then B, then A again and so on, each for one leg of
// the load, so that what changes on the machine meanwhile meets both.
func runGate(ctx context.Context, o Options, g gateOptions, say func(string, ...any)) (base, next *Result, err error) {
	legs := [2][]*Result{}
	for round := range g.rounds {
		for i, command := range []string{g.a, g.b} {
			r, err := runLeg(ctx, o, g, command)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", [2]string{"A", "B"}[i], err)
			}
			legs[i] = append(legs[i], r)
			say("%s %d/%d: %.0f op/s, p99 %s\n", [2]string{"A", "B"}[i], round+1, g.rounds, r.Generator.Delivered, micros((&Point{Result: r}).worst().P99))
		}
	}
	return joinLegs(legs[0]), joinLegs(legs[1]), nil
}

// runLeg starts a server, measures it and ends it.
func runLeg(ctx context.Context, o Options, g gateOptions, command string) (r *Result, err error) {
	server := exec.Command("/bin/sh", "-c", "exec "+command)
	server.Stdout, server.Stderr = os.Stderr, os.Stderr
	server.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The kernel ends the server with the thread that started it, and the
		// threads of the generator's loops come and go: it gets one of its own.
		runtime.LockOSThread()
		err := server.Start()
		started <- err
		if err == nil {
			ended <- server.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, endServer(server.Process.Pid, ended)) }()
	o.setDefaults()
	if err := awaitServer(ctx, o.seeds()[0], g.patience, ended); err != nil {
		return nil, err
	}
	if g.load {
		fill := o
		fill.Workload, fill.Rate, fill.Duration, fill.Warmup, fill.ServerPID = "I", Rate{}, 0, 0, 0
		if _, err := Run(ctx, fill); err != nil {
			return nil, err
		}
	}
	time.Sleep(g.settle)
	o.ServerPID = server.Process.Pid
	return Run(ctx, o)
}

// awaitServer waits until a node answers. To be connected is not enough: a
// connection to a local port that nobody listens on may be one to itself.
func awaitServer(ctx context.Context, address string, patience time.Duration, ended chan error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ask(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case e := <-ended:
			ended <- e
			return fmt.Errorf("the server ended before it listened on %s: %w", address, errors.Join(e, errEnded))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not listen on %s after %v: %w", address, patience, err)
		}
	}
}

// ask asks a node for its name.
func ask(ctx context.Context, address string) error {
	info, err := client.DialInfo(ctx, address, time.Second)
	if err != nil {
		return err
	}
	_, err = info.Ask("node")
	return errors.Join(err, info.Close())
}

var errEnded = errors.New("process over")

// endServer ends a server: first kindly, after ten seconds not.
func endServer(pid int, ended chan error) error {
	_ = unix.Kill(-pid, unix.SIGTERM) // gone already: then ended says so
	select {
	case <-ended:
		return nil
	case <-time.After(10 * time.Second):
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	<-ended
	return nil
}

// joinLegs makes one result of the legs of a server: their seconds behind one
// another.
func joinLegs(legs []*Result) *Result {
	r := *legs[0]
	r.Operations = append([]Operation(nil), r.Operations...)
	r.Invalid = append([]string(nil), r.Invalid...)
	for _, leg := range legs[1:] {
		r.Invalid = append(r.Invalid, leg.Invalid...)
		for i := range r.Operations {
			op := &r.Operations[i]
			for _, b := range leg.Operations[i].Seconds {
				b.Start += r.Seconds
				op.Seconds = append(op.Seconds, b)
			}
			op.Count += leg.Operations[i].Count
		}
		r.Seconds += leg.Seconds
	}
	for i := range r.Operations {
		op := &r.Operations[i]
		op.Rate = float64(op.Count) / r.Seconds
		op.Response, op.Service = Latency{}, Latency{} // of all legs together: from the seconds
		op.whole = (*hist.Merged)(nil)
	}
	return &r
}

// gateCommand returns "ashlar bench gate".
func gateCommand() *cobra.Command {
	var o Options
	var f flags
	var g gateOptions
	var rules gateFlags
	c := &cobra.Command{
		Use:   "gate --a 'COMMAND' --b 'COMMAND'",
		Short: "Run two servers in turn and fail if the second is worse",
		Long: `gate starts server A, loads it, ends it, does the same with B, and so on A-B-A-B, then
compares the two as "bench compare" does. The commands run a server in the foreground on the
address that --hosts and --port name. It takes the options of bench.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if strings.TrimSpace(g.a) == "" || strings.TrimSpace(g.b) == "" || g.rounds < 1 {
				return &exitError{ExitUsage, fmt.Errorf("gate: want --a and --b, and at least one round, have %q, %q and %d", g.a, g.b, g.rounds)}
			}
			if err := f.fill(c, &o); err != nil {
				return &exitError{ExitUsage, err}
			}
			ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
			defer cancel()
			base, next, err := runGate(ctx, o, g, func(format string, args ...any) { fmt.Fprintf(c.ErrOrStderr(), format, args...) })
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			cmp, err := Compare(base, next, rules.failIf, rules.seed)
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			return rules.finish(c, cmp)
		},
	}
	f.register(c, &o)
	rules.register(c)
	p := c.Flags()
	p.StringVar(&g.a, "a", "", "command of the base server")
	p.StringVar(&g.b, "b", "", "command of the new server")
	p.IntVar(&g.rounds, "rounds", 3, "legs of each server")
	p.DurationVar(&g.settle, "settle", time.Second, "pause before each leg")
	p.DurationVar(&g.patience, "patience", 30*time.Second, "for a server to listen")
	p.BoolVar(&g.load, "load", true, "insert the keys before each leg")
	return c
}
