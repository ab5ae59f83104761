package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/arch/hash"
	"github.com/ashlardb/ashlar/node/config"
	"github.com/ashlardb/ashlar/node/info"
	"github.com/ashlardb/ashlar/node/service"
	"github.com/ashlardb/ashlar/node/txn"
)

// Build says what binary this is; main sets it.
type Build struct {
	Version string // of Ashlar
	SHA     string // of the source
	Time    string
}

// Node is a running node.
type Node struct {
	opts    Options
	log     *slog.Logger
	sink    *logSink
	started time.Time

	namespaces []*namespace
	shared     *txn.Shared
	service    *service.Service
	info       *info.Server

	background context.CancelFunc
	tickers    sync.WaitGroup
}

// gcPercent lets the small Go heap of a node double twice before it is
// collected: records, index and buffers lie outside of it.
const gcPercent = 400

// Start starts a node. c holds the settings that o was filled from. It
// returns when clients are served; what was started is stopped again on an
// error. The log goes where the options say, console being the standard error
// output.
func Start(o Options, c *config.Config, b Build, console io.Writer) (n *Node, err error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	n = &Node{opts: o, started: time.Now()}
	levels := info.NewLevels()
	if n.sink, err = openLog(&o.Logging, levels, console); err != nil {
		return nil, err
	}
	n.log = slog.New(levels.Handler("as", n.sink.handler()))
	defer func() {
		if err != nil {
			err = errors.Join(err, n.release())
		}
	}()
	n.log.Info("ashlar starts", "kernels", hash.Impl(), "version", b.Version, "protocol", info.Build, "cluster-name", o.Service.ClusterName, "pid", os.Getpid())
	id, err := nodeID(&o.Service, o.Network.Fabric.Port)
	if err != nil {
		return n, err
	}
	n.tuneRuntime()
	if n.shared, err = txn.NewShared(o.Service.TxnOptions, o.Service.Threads, n.logger(levels, "tsvc")); err != nil {
		return n, err
	}
	if err = n.openNamespaces(n.logger(levels, "namespace")); err != nil {
		return n, err
	}
	// The info server answers from the service, and the service asks the info
	// server: what it looks at is there before the first question.
	n.service, err = service.New(o.Service.LoopOptions, n.shared, service.Info{
		Answer: func(dst []byte, conn *info.Conn, text []byte) []byte { return n.info.Answer(dst, conn, text) },
		Close:  func(conn *info.Conn) { n.info.Close(conn) },
	}, n.logger(levels, "service"))
	if err != nil {
		return n, err
	}
	if err = n.service.Bind(); err != nil {
		return n, err
	}
	src, err := n.sources(id, c, b, levels)
	if err != nil {
		return n, err
	}
	n.info = info.New(src)
	if err = n.bindConfig(c); err != nil {
		return n, err
	}
	n.startBackground()
	n.service.Accept()
	n.logReady(id)
	return n, nil
}

func (n *Node) logger(levels *info.Levels, context string) *slog.Logger {
	return slog.New(levels.Handler(context, n.sink.handler()))
}

// tuneRuntime gives the loops, which are threads that sleep in the kernel,
// room beside what runs on the Go scheduler: with fewer Ps than busy threads a
// loop wakes up to 20 ms late.
func (n *Node) tuneRuntime() {
	background := len(n.opts.Namespaces)
	runtime.GOMAXPROCS(n.opts.Service.Threads + background + 2)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// openNamespaces opens all namespaces at once: a cold start waits for devices.
func (n *Node) openNamespaces(log *slog.Logger) error {
	opened := make([]*namespace, len(n.opts.Namespaces))
	errs := make([]error, len(n.opts.Namespaces))
	var wg sync.WaitGroup
	for i := range n.opts.Namespaces {
		wg.Go(func() { opened[i], errs[i] = openNamespace(n.opts.Namespaces[i], log) })
	}
	wg.Wait()
	for _, ns := range opened {
		if ns != nil {
			n.namespaces = append(n.namespaces, ns)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, ns := range n.namespaces {
		var err error
		if ns.txn, err = n.shared.AddNamespace(ns.Namespace); err != nil {
			return err
		}
	}
	return nil
}

// startBackground starts what runs beside the loops.
func (n *Node) startBackground() {
	for _, ns := range n.namespaces {
		ns.startBackground(n.log)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.background = cancel
	n.tickers.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				n.tick()
			}
		}
	})
}

// tick is done once a second.
func (n *Node) tick() {
	n.info.Tick()
	pct, err := systemMemoryPct()
	if err != nil {
		n.log.Debug("cannot tell how much memory is in use", "error", err)
		return
	}
	for _, ns := range n.namespaces {
		ns.SetSystemMemory(pct)
	}
}

// logReady writes what the node runs on.
func (n *Node) logReady(id uint64) {
	n.log.Info("service", "addresses", addrText(n.service.Addrs()), "node-id", fmt.Sprintf("%X", id),
		"loops", n.service.Threads(), "cpus", cpuText(n.service.CPUs()), "gomaxprocs", runtime.GOMAXPROCS(0))
	n.log.Info("ring", "queue", n.service.Describe())
	for _, ns := range n.namespaces {
		o := ns.Options()
		n.log.Info("namespace", "name", o.Name, "storage-engine", o.Storage.Type, "objects", ns.Stats().Objects,
			"commit-to-device", o.Storage.CommitToDevice, "flush-max-ms", o.Storage.FlushMax.Milliseconds())
		for _, d := range ns.devices {
			n.log.Info("device", "namespace", o.Name, "path", d.Path, "bytes", d.Size, "block", d.Block,
				"direct", d.Direct, "space", d.Space.String(), "in-place", d.Sync, "numa-node", d.Node)
		}
	}
	n.log.Info("service ready: soon there will be cake!", "after", time.Since(n.started).Round(time.Millisecond).String())
}

func addrText(addrs []netip.AddrPort) string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

func cpuText(cpus []int) string {
	var words []string
	for _, cpu := range cpus {
		if cpu < 0 {
			return "any"
		}
		words = append(words, fmt.Sprint(cpu))
	}
	return strings.Join(words, " ")
}

// Addrs returns the addresses that clients are served on.
func (n *Node) Addrs() []netip.AddrPort { return n.service.Addrs() }

// Failed delivers an error after which the node cannot serve on.
func (n *Node) Failed() <-chan error { return n.service.Failed() }

// ReopenLog opens the log's file anew, after it was moved away.
func (n *Node) ReopenLog() error { return n.sink.Reopen() }

// Stop ends the node as the package comment says. It returns the first thing
// that went wrong; everything is stopped all the same.
func (n *Node) Stop() error {
	n.log.Info("stopping")
	return n.release()
}

func (n *Node) release() error {
	var errs []error
	if n.service != nil {
		errs = append(errs, n.service.Close())
	}
	if n.background != nil {
		n.background()
		n.tickers.Wait()
	}
	for _, ns := range n.namespaces {
		errs = append(errs, ns.close())
	}
	err := errors.Join(errs...)
	if err != nil {
		n.log.Error("stopped", "error", err)
	} else {
		n.log.Info("finished clean shutdown - exiting")
	}
	return errors.Join(err, n.sink.Close())
}

// systemMemoryPct returns how much of the machine's memory is in use.
func systemMemoryPct() (int, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var total, available uint64
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "MemTotal: %d", &total); err == nil {
			continue
		}
		if _, err := fmt.Sscanf(line, "MemAvailable: %d", &available); err == nil {
			break
		}
	}
	if total == 0 || available > total {
		return 0, errors.New("/proc/meminfo does not say")
	}
	return int(100 - 100*available/total), nil
}

// dumpStacks writes what every goroutine is doing to the log.
func (n *Node) dumpStacks() {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	n.log.Info("stacks", "pid", unix.Getpid(), "text", string(buf))
}
