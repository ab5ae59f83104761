package act

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ExitUsage is the exit code for bad usage and for what safety refuses.
// Outcomes have the codes 0 (PASS), 1 (FAIL), 2 (INVALID) and 3 (ERROR).
const ExitUsage = 4

// exitError is an error with the code that the program ends with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// ExitCode returns the code that the program ends with.
func (e *exitError) ExitCode() int { return e.code }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{ExitUsage, err}
}

// outcomeError returns the error that ends the program with an outcome's code.
func outcomeError(o Outcome) error {
	if o == Pass {
		return nil
	}
	return &exitError{int(o), fmt.Errorf("act: %s", o)}
}

// Command returns "ashlar act".
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "act",
		Short: "Certify drives for this kind of database",
		Long: `act loads drives as the database would and says whether they are good enough, by
the rule of ACT: in every hour fewer than 5 % of the reads take 1 ms or longer, 1 % 8 ms,
0.1 % 64 ms.

Exit codes: 0 PASS, 1 FAIL (the drive), 2 INVALID (the host could not tell), 3 ERROR (I/O
errors or wrong data), 4 bad usage or refused for safety.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(prepCommand(), loadCommand(Storage), loadCommand(Index), rateCommand(), curveCommand(), reportCommand(), compareCommand(), verdictCommand())
	for _, each := range append(c.Commands(), c) {
		asUsage(each)
	}
	return c
}

// asUsage gives mistakes in a command line their exit code.
func asUsage(c *cobra.Command) {
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, list []string) error { return usage(args(c, list)) }
	}
}

// loadFlags say what load to make, and on what.
type loadFlags struct {
	devices  []string
	preset   string
	x        float64
	duration time.Duration
	fileSize int64
	arrival  string
	quiet    bool
	out      outputs
}

func (f *loadFlags) register(c *cobra.Command, o *Options, m Model) {
	p := c.Flags()
	preset := "act-classic"
	if m == Index {
		preset = "all-flash-index"
	}
	p.StringSliceVar(&f.devices, "device", nil, "devices or files, in place of a configuration file")
	p.StringSliceVar(&o.Confirm, "confirm", nil, "devices a second time, by serial (or the name that a refusal says), to allow writing to them")
	p.StringVar(&f.preset, "preset", preset, "act-classic, aerospike-8, commit or all-flash-index")
	p.Float64Var(&f.x, "x", 1, "rating: times 2000 reads and 1000 writes a second and device")
	p.DurationVar(&f.duration, "duration", 0, "length of the run (default 24h, or what the configuration file says)")
	p.Int64Var(&f.fileSize, "file-size-mbytes", 0, "the devices are files, made with this size if absent")
	p.StringVar(&f.arrival, "arrival", "uniform", "uniform, poisson, act5 or act6")
	p.Uint64Var(&o.Seed, "seed", 0, "of everything drawn by chance (0: a fresh one, which is printed)")
	p.IntVar(&o.Loops, "loops", 0, "threads of the generator (0: by the rate)")
	p.IntSliceVar(&o.CPUs, "cpus", nil, "CPUs to pin the loops to (default: near the devices)")
	p.IntVar(&o.Depth, "depth", defaultDepth, "most record operations in flight on one device")
	p.IntVar(&o.LargeDepth, "large-depth", defaultLargeDepth, "most block operations in flight on one device, of each kind")
	p.DurationVar(&o.Slice, "slice", DefaultSlice, "what the limits apply to")
	p.DurationVar(&o.MaxLateness, "max-lateness", defaultLateness, "by which the generator itself may be late")
	p.Float64Var(&o.MaxStarved, "max-starved", defaultStarved, "share of the time that a loop may wait for a CPU")
	p.BoolVar(&o.JudgeAll, "no-early-end", false, "run to the end though the outcome is clear before")
	p.BoolVar(&o.ReadOnly, "read-only", false, "leave out all writes")
	p.BoolVar(&o.NoVerify, "no-verify", false, "do not check what is read")
	p.BoolVar(&o.Overwrite, "overwrite-signature", false, "allow to overwrite a file system or other known contents")
	p.BoolVar(&o.Sync, "sync-engine", false, "pread and pwrite on threads in place of io_uring")
	p.BoolVar(&o.IOPoll, "iopoll", false, "poll the device for completions")
	p.BoolVar(&o.Config.ExactBlocks, "exact-block-rate", false, "count records per block with their fraction, where ACT rounds down")
	p.StringVar(&f.out.actLog, "act-log", "", "write a log in ACT's format (- for standard output)")
	p.StringVar(&f.out.json, "json", "", "write the result as JSON")
	p.StringVar(&f.out.jsonl, "jsonl", "", "write a line each second, while the run goes on")
	p.StringVar(&f.out.hlog, "hlog", "", "write response times as an HdrHistogram log")
	p.StringVar(&f.out.csv, "csv", "", "write rates and latencies over time")
	p.StringVar(&f.out.markdown, "markdown", "", "write a summary as Markdown")
	p.StringVar(&f.out.junit, "junit", "", "write checks for a CI server")
	p.StringVar(&f.out.html, "report", "", "write the report as one HTML page")
	p.BoolVarP(&f.quiet, "quiet", "q", false, "no progress lines")
}

// fill turns flags and a configuration file into Options.
func (f *loadFlags) fill(c *cobra.Command, args []string, o *Options, m Model) error {
	var err error
	if o.Arrival, err = ParseArrival(f.arrival); err != nil {
		return err
	}
	exact := o.Config.ExactBlocks
	if len(args) == 1 {
		if len(f.devices) > 0 || c.Flags().Changed("preset") || c.Flags().Changed("x") {
			return errors.New("act: a configuration file and --device, --preset or --x: want one or the other")
		}
		file, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("act: %w", err)
		}
		config, warnings, err := ParseConfig(file, m)
		for _, w := range warnings {
			fmt.Fprintf(c.ErrOrStderr(), "warning: %s: %s\n", args[0], w)
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		o.Config = config
	} else {
		preset, err := FindPreset(f.preset)
		if err != nil {
			return err
		}
		if preset.Model != m {
			return fmt.Errorf("act: preset %s is for act %s", preset.Name, preset.Model)
		}
		if o.Config, err = preset.Config(f.x, f.devices...); err != nil {
			return err
		}
		o.Config.Duration = certificate
	}
	o.Config.ExactBlocks = exact
	if f.duration > 0 {
		o.Config.Duration = f.duration
	}
	if f.fileSize > 0 {
		o.Config.FileSize = f.fileSize << 20
	}
	if !f.quiet {
		o.Progress = c.ErrOrStderr()
		file, ok := o.Progress.(*os.File)
		o.Live = ok && term.IsTerminal(int(file.Fd()))
	}
	return nil
}

func loadCommand(m Model) *cobra.Command {
	var o Options
	var f loadFlags
	what := "data devices"
	if m == Index {
		what = "devices of a primary index"
	}
	c := &cobra.Command{
		Use:   m.String() + " [CONFIG]",
		Short: "Load " + what + " and judge them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.fill(c, args, &o, m); err != nil {
				return usage(err)
			}
			res, err := f.run(c, o)
			if err != nil {
				return usage(err)
			}
			return outcomeError(res.Outcome)
		},
	}
	f.register(c, &o, m)
	return c
}

// run measures and writes what was asked for.
func (f *loadFlags) run(c *cobra.Command, o Options) (*Result, error) {
	ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
	defer cancel()
	closeFiles, err := f.out.open(&o, c.OutOrStdout())
	if err != nil {
		return nil, err
	}
	if o.Progress != nil && !o.ReadOnly {
		sayEndurance(o.Progress, &o.Config)
	}
	res, err := Run(ctx, o)
	if o.Live {
		fmt.Fprintln(o.Progress)
	}
	err = errors.Join(err, closeFiles())
	if res == nil {
		return nil, err
	}
	return res, errors.Join(err, f.out.write(res, c.OutOrStdout()))
}

// sayEndurance tells what a run costs the drives before it begins.
func sayEndurance(w io.Writer, c *Config) {
	bytes := c.WrittenPerDay() * c.Duration.Hours() / 24
	fmt.Fprintf(w, "writes %.4g GB in %v to %d devices", bytes/1e9, c.Duration, len(c.Devices))
	var size int64
	for _, path := range c.Devices {
		if n, ok := sizeOf(path); ok {
			size += n
		}
	}
	if size > 0 {
		fmt.Fprintf(w, ", %.3g times their capacity", bytes/float64(size))
	}
	fmt.Fprintln(w)
}

// sizeOf returns the size of a device or file.
func sizeOf(path string) (int64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	n, err := f.Seek(0, io.SeekEnd)
	return n, f.Close() == nil && err == nil
}

func prepCommand() *cobra.Command {
	var o Options
	var passes int
	var size int64
	var compress int
	var quiet bool
	c := &cobra.Command{
		Use:   "prep DEVICE...",
		Short: "Write a device in full, so that a test finds it used and can check what it reads",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if passes < 1 || passes > 100 || compress < 0 || compress > 100 || size < 0 {
				return usage(fmt.Errorf("act: %d passes, compress-pct %d, %d MB: want 1 to 100 passes, 0 to 100 %%, a size of 0 or more", passes, compress, size))
			}
			o.Config = DefaultConfig(Storage)
			o.Config.Duration = time.Second
			o.Config.CompressPct = compress
			o.setDefaults()
			ctx, cancel := signal.NotifyContext(c.Context(), unix.SIGINT, unix.SIGTERM)
			defer cancel()
			list, err := openAll(args, access{write: true, prepare: true, confirm: o.Confirm, overwrite: o.Overwrite, fileSize: size << 20})
			if err != nil {
				return usage(err)
			}
			var progress io.Writer
			if !quiet {
				progress = c.ErrOrStderr()
			}
			var errs []error
			for _, each := range list {
				if err := prepareOpened(ctx, each, passes, &o, progress); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "%s is prepared: %d bytes written %d times, seed %d\n", each.drive.Path, each.drive.Size, passes, o.Seed)
			}
			if err := errors.Join(append(errs, closeAll(list))...); err != nil {
				return &exitError{int(Error), err}
			}
			return nil
		},
	}
	p := c.Flags()
	p.StringSliceVar(&o.Confirm, "confirm", nil, "devices a second time, by serial (or the name that a refusal says)")
	p.BoolVar(&o.Overwrite, "overwrite-signature", false, "allow to overwrite a file system or other known contents")
	p.IntVar(&passes, "passes", 2, "times that all is written")
	p.Int64Var(&size, "file-size-mbytes", 0, "make a file of this size if it is absent")
	p.IntVar(&compress, "compress-pct", 100, "share of the data that does not compress")
	p.Uint64Var(&o.Seed, "seed", 0, "of the data (0: a fresh one)")
	p.BoolVar(&o.Sync, "sync-engine", false, "pread and pwrite on threads in place of io_uring")
	p.BoolVarP(&quiet, "quiet", "q", false, "no progress lines")
	return c
}

func verdictCommand() *cobra.Command {
	var histogram string
	var slice time.Duration
	c := &cobra.Command{
		Use:   "verdict LOG",
		Short: "Judge a log in ACT's format, ours or the original's",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return usage(fmt.Errorf("act: %w", err))
			}
			l, err := ParseLog(file)
			if err := errors.Join(err, file.Close()); err != nil {
				return usage(fmt.Errorf("%s: %w", args[0], err))
			}
			v, err := JudgeLog(l, histogram, slice, DefaultRules())
			if err != nil {
				return usage(err)
			}
			if err := v.WriteText(c.OutOrStdout()); err != nil {
				return usage(err)
			}
			return outcomeError(v.Outcome)
		},
	}
	c.Flags().StringVar(&histogram, "histogram", "reads", "which is judged")
	c.Flags().DurationVar(&slice, "slice", DefaultSlice, "what the limits apply to")
	return c
}

func reportCommand() *cobra.Command {
	var out outputs
	c := &cobra.Command{
		Use:   "report RESULT",
		Short: "Write other forms of a result file",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := readResultFile(args[0])
			if err != nil {
				return usage(err)
			}
			return usage(out.write(r, c.OutOrStdout()))
		},
	}
	p := c.Flags()
	p.StringVar(&out.html, "report", "", "write the report as one HTML page")
	p.StringVar(&out.csv, "csv", "", "write rates and latencies over time")
	p.StringVar(&out.markdown, "markdown", "", "write a summary as Markdown")
	p.StringVar(&out.junit, "junit", "", "write checks for a CI server")
	return c
}

func readResultFile(name string) (*Result, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("act: %w", err)
	}
	r, err := ReadResult(file)
	return r, errors.Join(err, file.Close())
}
