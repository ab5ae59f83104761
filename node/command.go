package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/node/config"
	"github.com/ashlardb/ashlar/node/service"
)

// flags are the command line of "ashlar node". What is set here goes before
// the configuration file.
type flags struct {
	configFile  string
	checkConfig bool
	listen      []string
	dataDir     string
	threads     int
	autoPin     string
	forceInit   []string
}

// Command returns "ashlar node".
func Command(b Build) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a database node",
		Long: `Run a database node until SIGTERM or SIGINT.

Without a configuration file the node serves 127.0.0.1:3000 with two namespaces:
test on a file of 1 GiB under ./data, and mem in memory.

SIGHUP opens the log file anew, SIGUSR2 writes all stacks to the log.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if f.checkConfig {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "configuration is good")
				return err
			}
			return run(cmd.Context(), o, c, b, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.define(cmd.Flags())
	return cmd
}

func (f *flags) define(fs *pflag.FlagSet) {
	fs.StringVar(&f.configFile, "config-file", "", "configuration file, in the grammar of aerospike.conf")
	fs.BoolVar(&f.checkConfig, "check-config", false, "report every mistake of the configuration and exit")
	fs.StringSliceVar(&f.listen, "listen", nil, "address to serve, host:port; repeatable")
	fs.StringVar(&f.dataDir, "data-dir", "", `directory of files that are named without one (default "data")`)
	fs.IntVar(&f.threads, "service-threads", 0, "number of service loops (default: most of the CPUs)")
	fs.StringVar(&f.autoPin, "auto-pin", "", "pin the loops: none, cpu or numa")
	fs.StringSliceVar(&f.forceInit, "force-init", nil, "take a device over whatever it holds; name it twice")
	fs.Bool("foreground", true, "stay in the foreground, as always")
}

// load makes the options of file and flags.
func (f *flags) load(warnings io.Writer) (Options, *config.Config, error) {
	o := DefaultOptions()
	load := config.New
	if f.configFile != "" {
		o = BaseOptions()
		load = func(into any) (*config.Config, error) { return config.Load(f.configFile, into) }
	}
	c, err := load(&o)
	if c != nil {
		for _, w := range c.Warnings() {
			fmt.Fprintf(warnings, "config: %s\n", w) //nolint:errcheck // a terminal that is gone
		}
	}
	if err == nil {
		err = f.override(&o)
	}
	if err == nil {
		err = o.validate()
	}
	return o, c, err
}

// override puts the flags that are set over the options.
func (f *flags) override(o *Options) error {
	if len(f.listen) > 0 {
		var hosts []string
		for _, a := range f.listen {
			host, portText, err := net.SplitHostPort(a)
			if err != nil {
				return fmt.Errorf("--listen %q: want host:port", a)
			}
			port, err := strconv.Atoi(portText)
			if err != nil || port < 0 || port > 65535 {
				return fmt.Errorf("--listen %q: port: want 0 to 65535", a)
			}
			if len(hosts) > 0 && port != o.Network.Service.Port {
				return fmt.Errorf("--listen %q: want one port for all addresses", a)
			}
			hosts = append(hosts, host)
			o.Network.Service.Port = port
		}
		o.Network.Service.Addresses = hosts
	}
	if f.dataDir != "" {
		o.DataDir = f.dataDir
	}
	if f.threads != 0 {
		o.Service.Threads = f.threads
	}
	if f.autoPin != "" {
		o.Service.AutoPin = service.Pin(f.autoPin)
	}
	named := map[string]int{}
	for _, path := range f.forceInit {
		if named[path]++; named[path] == 2 {
			o.ForceInit = append(o.ForceInit, path)
		}
	}
	if len(named) > len(o.ForceInit) {
		return errors.New("--force-init destroys what is on a device: name it twice")
	}
	return nil
}

// run serves until a signal, ctx's end or a failure.
func run(ctx context.Context, o Options, c *config.Config, b Build, out, console io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	others := make(chan os.Signal, 1)
	signal.Notify(others, unix.SIGHUP, unix.SIGUSR2)
	defer signal.Stop(others)

	n, err := startUnless(ctx, o, c, b, console)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "ashlar: ready on %s\n", addrText(n.Addrs())); err != nil {
		return errors.Join(err, n.Stop())
	}
	for {
		select {
		case <-ctx.Done():
			return n.Stop()
		case err := <-n.Failed():
			return errors.Join(err, n.Stop())
		case sig := <-others:
			if sig == unix.SIGUSR2 {
				n.dumpStacks()
			} else if err := n.ReopenLog(); err != nil {
				n.log.Error("cannot open the log anew", "error", err)
			}
		}
	}
}

// startUnless is Start, given up when ctx ends first: a cold start takes as
// long as the devices are large, changes nothing on them, and can end with the
// process.
func startUnless(ctx context.Context, o Options, c *config.Config, b Build, console io.Writer) (*Node, error) {
	type result struct {
		n   *Node
		err error
	}
	started := make(chan result, 1)
	go func() {
		n, err := Start(o, c, b, console)
		started <- result{n, err}
	}()
	select {
	case r := <-started:
		return r.n, r.err
	case <-ctx.Done():
		return nil, errors.New("node: stopped by a signal while it was starting")
	}
}
