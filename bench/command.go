package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Exit codes of the commands.
const (
	ExitRegression = 1
	ExitInvalid    = 2
	ExitCannotTell = 3
	ExitUsage      = 4
)

// exitError is an error with the code that the program ends with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// ExitCode returns the code that the program ends with.
func (e *exitError) ExitCode() int { return e.code }

// errInvalid says that a run's figures must not be used.
var errInvalid = errors.New("bench: the run is invalid")

// Command returns "ashlar bench".
func Command() *cobra.Command {
	var o Options
	var f flags
	c := &cobra.Command{
		Use:   "bench",
		Short: "Load a server and report its latency",
		Long: `bench loads a server that speaks the client protocol and reports latency.

With --rate (or -g) the loop is open: operations are due at their moments whatever the
server does, and latency counts from there. Without, each connection sends its next
operation when the last is answered (a closed loop).

Exit codes: 0 the run is good, 2 it is invalid (the reasons are printed), 4 bad usage or
no server to measure.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.fill(c, &o); err != nil {
				return &exitError{ExitUsage, err}
			}
			return f.run(c, o)
		},
	}
	f.register(c, &o)
	c.AddCommand(compareCommand(), sweepCommand(), gateCommand())
	for _, each := range append(c.Commands(), c) {
		each.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{ExitUsage, err} })
	}
	return c
}

// flags are options that need reading before they are Options.
type flags struct {
	hosts, namespaces, sets []string
	keyType                 string
	rate, arrival           string
	throughput              float64
	seconds                 int
	timeoutMs               int
	json, hlog, csv, html   string
	file                    string
	quiet                   bool
}

// register declares the flags. One-letter names are those of asbench.
func (f *flags) register(c *cobra.Command, o *Options) {
	p := c.Flags()
	p.BoolP("help", "", false, "help for bench") // -h is the hosts
	p.StringSliceVarP(&f.hosts, "hosts", "h", []string{"127.0.0.1"}, "seed hosts, host or host:port")
	p.IntVarP(&o.Port, "port", "p", 3000, "port of hosts without one")
	p.StringSliceVarP(&f.namespaces, "namespace", "n", []string{"test"}, "namespaces that the operations are spread over")
	p.StringSliceVarP(&f.sets, "set", "s", []string{"testset"}, "sets that the keys are spread over")
	p.Uint64VarP(&o.Keys, "keys", "k", 1_000_000, "number of keys")
	p.Uint64VarP(&o.StartKey, "start-key", "K", 1, "first key")
	p.StringVar(&f.keyType, "key-type", "integer", "integer, string or blob")
	p.StringVar(&o.KeyDist, "key-dist", "uniform", "uniform, sequential, zipfian[:THETA], latest[:THETA], hot:SHARE:PART")
	p.StringVarP(&o.Bin, "bin-name", "b", "testbin", "name of the first bin")
	p.StringVarP(&o.Object, "object-spec", "o", "I4", "value of each bin: I4, S100, B256, D, b, lists [..], maps {k:v}, N* for more")
	p.StringVarP(&o.Workload, "workload", "w", "RU,50", "I | RU,READ% | RR,READ% | RUD,READ%,UPDATE% | DB | read=0.9,update=0.1")
	p.Float64Var(&o.Compress, "random-share", 1, "share of strings and blobs that does not compress, 0 to 1")
	p.IntVarP(&o.Connections, "connections", "z", 16, "operations in flight at the most, each on a connection of its own")
	p.IntVar(&o.Loops, "loops", 1, "threads of the generator")
	p.IntSliceVar(&o.CPUs, "cpus", nil, "CPUs to pin the loops to")
	p.StringVar(&f.rate, "rate", "", "open loop: 5000 | 1000..20000/60s | 1000/10s,2000/10s,4000 operations a second")
	p.Float64VarP(&f.throughput, "throughput", "g", 0, "the same as --rate with one number")
	p.StringVar(&f.arrival, "arrival", "constant", "constant or poisson")
	p.DurationVar(&o.Duration, "duration", 0, "length of the measurement")
	p.IntVarP(&f.seconds, "duration-seconds", "t", 0, "the same in seconds (default 10 for workloads that do not end by themselves)")
	p.DurationVar(&o.Warmup, "warmup", 0, "load before the measurement")
	p.IntVarP(&f.timeoutMs, "timeout", "T", 1000, "of an operation, in ms")
	p.Uint64Var(&o.MaxErrors, "max-errors", 0, "end the run after more errors (0: never)")
	p.DurationVar(&o.MaxLateness, "max-lateness", 2*time.Millisecond, "by which the generator itself may be late")
	p.Float64Var(&o.MaxStarved, "max-starved", 0.05, "share of its time that a loop may wait for a CPU")
	p.Int64VarP(&o.TTL, "ttl", "e", 0, "of writes in seconds; 0 default, -1 never, -2 unchanged")
	p.BoolVar(&o.SendKey, "send-key", false, "store keys with their records")
	p.BoolVarP(&o.DurableDelete, "durable-delete", "D", false, "ask for durable deletes")
	p.IntVar(&o.ServerPID, "server-pid", 0, "local server process whose CPU is counted")
	p.Uint64Var(&o.Seed, "seed", 0, "of everything drawn by chance (0: a fresh one, which is printed)")
	p.BoolVar(&o.Fallback, "no-io-uring", false, "use epoll")
	p.StringVar(&f.json, "json", "", "write the result as JSON to this file (- for standard output)")
	p.StringVar(&f.hlog, "hlog", "", "write the response times as an HdrHistogram log")
	p.StringVar(&f.csv, "csv", "", "write rate and percentiles of each second")
	p.StringVar(&f.html, "report", "", "write the report as one HTML page")
	p.StringVar(&f.file, "file", "", "read options that are not given here from a YAML file: long names and values")
	p.BoolVarP(&f.quiet, "quiet", "q", false, "no progress lines")
}

// fill turns flags into Options.
func (f *flags) fill(c *cobra.Command, o *Options) error {
	if f.file != "" {
		if err := readOptions(c.Flags(), f.file); err != nil {
			return err
		}
	}
	o.Hosts, o.Namespaces, o.Sets = f.hosts, f.namespaces, f.sets
	var errs []error
	switch f.keyType {
	case "integer":
		o.KeyType = IntegerKeys
	case "string":
		o.KeyType = StringKeys
	case "blob":
		o.KeyType = BlobKeys
	default:
		errs = append(errs, fmt.Errorf("key type %q: want integer, string or blob", f.keyType))
	}
	if f.throughput != 0 {
		if f.rate != "" {
			errs = append(errs, errors.New("--rate and -g are the same: want one of them"))
		}
		f.rate = fmt.Sprint(f.throughput)
	}
	var err error
	o.Rate, err = ParseRate(f.rate)
	errs = append(errs, err)
	o.Arrival, err = ParseArrival(f.arrival)
	errs = append(errs, err)
	o.Timeout = time.Duration(f.timeoutMs) * time.Millisecond
	if f.seconds != 0 {
		if o.Duration != 0 {
			errs = append(errs, errors.New("--duration and -t are the same: want one of them"))
		}
		o.Duration = time.Duration(f.seconds) * time.Second
	}
	if once := strings.HasPrefix(o.Workload, "I") || strings.HasPrefix(o.Workload, "DB"); o.Duration == 0 && !once {
		o.Duration = 10 * time.Second
	}
	return errors.Join(errs...)
}

// run measures and writes what was asked for.
func (f *flags) run(c *cobra.Command, o Options) error {
	ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
	defer cancel()
	if !f.quiet {
		o.Progress = c.ErrOrStderr()
		file, ok := o.Progress.(*os.File)
		o.Live = ok && term.IsTerminal(int(file.Fd()))
	}
	res, err := Run(ctx, o)
	if o.Live {
		fmt.Fprintln(o.Progress)
	}
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	if err := f.write(c.OutOrStdout(), res); err != nil {
		return &exitError{ExitUsage, err}
	}
	if len(res.Invalid) > 0 {
		return &exitError{ExitInvalid, errInvalid}
	}
	return nil
}

// write writes the report and the files.
func (f *flags) write(out io.Writer, res *Result) error {
	if f.json != "-" {
		if err := res.WriteText(out); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{{f.json, res.Write}, {f.hlog, res.WriteHlog}, {f.csv, res.WriteCSV}, {f.html, res.WriteHTML}} {
		if file.name == "" {
			continue
		}
		if err := writeFile(file.name, out, file.write); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes to a file, or to out for "-".
func writeFile(name string, out io.Writer, write func(io.Writer) error) (err error) {
	if name == "-" {
		return write(out)
	}
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return write(file)
}
