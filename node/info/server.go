package info

import (
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/node/config"
	"github.com/ashlardb/ashlar/node/proto"
)

// Sources is what the answers are made of. Package node fills it in.
type Sources struct {
	NodeID     uint64
	ClusterKey uint64 // of this node's cluster of one; not 0
	Version    string // Ashlar's own, for "release"
	BuildSHA   string
	BuildTime  string

	Addresses Addresses
	Config    *config.Config

	// Namespaces are in the order of the configuration, at least one.
	Namespaces []Namespace

	// Counters returns structs whose fields carry `stat:"name"` tags with
	// names of "statistics": connections, requests, errors.
	Counters func() []any

	Levels  *Levels // levels of the log by context; nil makes one
	LogPath string  // of the log's sink 0; empty is stderr

	Log     *slog.Logger     // takes lines about changes; nil is slog.Default
	Now     func() time.Time // nil is time.Now
	Started time.Time        // when the node started; zero is New
	Root    fs.FS            // the root of the file system, for /proc and /sys; nil is the machine's
}

// Addresses are what clients and peers are told, each "host:port"; an IPv6
// host stands in brackets.
type Addresses struct {
	Service   []string // where the node can be reached: the access addresses
	Alternate []string
	Admin     []string
	Endpoints Endpoints
}

// Endpoints are the addresses the node listens on, for "endpoints". Hosts are
// without port.
type Endpoints struct {
	Service, Admin, Heartbeat, Fabric Endpoint
	Access, Alternate                 Endpoint
}

// Endpoint is one port and its hosts.
type Endpoint struct {
	Port  int
	Hosts []string
}

// Namespace is one namespace as the answers see it. Every func may be called
// from any goroutine.
type Namespace struct {
	Name string

	// Stats returns structs with `stat:"name"` tags. A field with the tag
	// value ",ours" behind its name is listed after the original's names.
	Stats func() []any

	// Devices returns the figures of each device, file or stripe, in the
	// order of the configuration; structs with tags as Stats, names without
	// the prefix.
	Devices func() []Device

	// Sets returns the sets in the order in which they came to be.
	Sets func() []Set

	// Histogram returns one of the histograms over the records ("ttl",
	// "object-size", "object-size-linear"), of a set if it is not empty. nil
	// while there is none.
	Histogram func(kind, set string) *Histogram

	// Latencies by the part of their name behind "{ns}-": read, write, …
	Latencies map[string]*hist.Log2

	// Record describes the record of a digest for debug-record, in the form
	// name=value;…; false when there is none. Nil: not available.
	Record func(keyd [20]byte) (string, bool)
}

// Device is one device, file or stripe.
type Device struct {
	Kind  string // "device", "file" or "stripe"
	Stats any
}

// Set is one set of a namespace.
type Set struct {
	Name       string
	Objects    int64
	Tombstones int64
	Bytes      int64 // of storage
}

// Histogram counts records by one of their measures.
type Histogram struct {
	Unit    string   // "seconds" or "bytes"
	Width   uint64   // of the whole range; 0: buckets are powers of two
	Buckets []uint64 // equal parts of the range, or bucket b is [2^b, 2^(b+1))
}

// Server answers info messages.
type Server struct {
	src     Sources
	config  *config.Config
	log     *slog.Logger
	proc    *procfs
	agents  agents
	latency *latencies

	infoHist *hist.Log2

	complete   atomic.Uint64 // commands answered
	deprecated atomic.Uint64

	mu       sync.Mutex
	nextTick time.Time
}

// New returns the server for what src holds.
func New(src Sources) *Server {
	if src.Now == nil {
		src.Now = time.Now
	}
	if src.Log == nil {
		src.Log = slog.Default()
	}
	if src.Started.IsZero() {
		src.Started = src.Now()
	}
	if src.Root == nil {
		src.Root = os.DirFS("/")
	}
	if src.Levels == nil {
		src.Levels = NewLevels()
	}
	s := &Server{src: src, config: src.Config, log: src.Log, proc: newProcfs(src.Root)}
	s.infoHist = hist.NewLog2("info", hist.Msec, 1)
	s.latency = newLatencies(src.Namespaces, s.infoHist)
	s.reportComputed()
	s.config.AddRule(s.histogramRule)
	s.config.AddRule(clusterRule)
	return s
}

// reportComputed puts into get-config what no file says: the number of batch
// threads that the original would take, and the stripes of namespaces in
// memory.
func (s *Server) reportComputed() {
	if s.config.Value("service", "", "batch-index-threads") == "0" {
		if err := s.config.Report("service", "", "batch-index-threads", strconv.Itoa(min(runtime.NumCPU(), 256))); err != nil {
			s.log.Warn("cannot report a setting", "error", err)
		}
	}
	for i := range s.src.Namespaces {
		ns := &s.src.Namespaces[i]
		if ns.Devices == nil {
			continue
		}
		var stripes []string
		for i, d := range ns.Devices() {
			if d.Kind == "stripe" {
				stripes = append(stripes, "stripe-"+strconv.Itoa(i))
			}
		}
		if len(stripes) == 0 {
			continue
		}
		if err := s.config.Report("namespace", ns.Name, "storage-engine.stripe", stripes...); err != nil {
			s.log.Warn("cannot list the stripes of a namespace", "namespace", ns.Name, "error", err)
		}
	}
}

// Conn is what the server keeps for one connection. The zero Conn is a new
// connection to the service port.
type Conn struct {
	Admin bool // came in through the admin port
	agent string
}

// maxReply bounds the answer to one message, in bytes: a message of 128 MiB
// could ask for the statistics ten million times. The answer that passes the
// bound is the last one.
const maxReply = 16 << 20

// Answer appends the reply's body to dst: the answers to the commands in
// text, which is the body of an info message. It keeps nothing of text.
func (s *Server) Answer(dst []byte, c *Conn, text []byte) []byte {
	start := s.src.Now()
	if len(text) == 0 {
		s.deprecated.Add(1)
		for _, name := range proto.SummaryCommands {
			dst = s.answerOne(dst, c, []byte(name))
		}
	}
	for before := len(dst); ; {
		cmd, rest, ok := proto.NextCommand(text)
		if !ok || len(dst)-before > maxReply {
			break // the client sees fewer answers than commands
		}
		dst, text = s.answerOne(dst, c, cmd), rest
	}
	if s.enabled("service", "", "enable-hist-info") {
		s.recordInfo(s.src.Now().Sub(start))
	}
	return dst
}

// recordInfo counts one info message; several goroutines may answer at once.
func (s *Server) recordInfo(d time.Duration) {
	s.mu.Lock()
	s.infoHist.Recorder(0).Record(d)
	s.mu.Unlock()
}

func (s *Server) answerOne(dst []byte, c *Conn, cmd []byte) []byte {
	s.complete.Add(1)
	r := parseRequest(string(cmd))
	r.conn = c
	dst = append(append(dst, cmd...), '\t')
	return append(s.run(dst, r), '\n')
}

// run appends the value of one command.
func (s *Server) run(dst []byte, r *request) []byte {
	cmd, ok := commands[r.name]
	switch {
	case !ok:
		return append(dst, "ERROR:4:unrecognized command"...)
	case cmd.enterprise:
		return append(dst, "ERROR:25:enterprise only"...)
	}
	if cmd.deprecated {
		s.deprecated.Add(1)
	}
	return cmd.answer(s, dst, r)
}

// Close forgets a connection that has ended.
func (s *Server) Close(c *Conn) { s.agents.leave(c) }

// Tick cuts the slices of the histograms when a ticker-interval is over and
// measures CPU use. Package node calls it about once a second.
func (s *Server) Tick() {
	now := s.src.Now()
	s.proc.sample(now)
	s.agents.publish()
	s.mu.Lock()
	due := !now.Before(s.nextTick)
	if due {
		s.nextTick = now.Add(s.tickerInterval())
	}
	s.mu.Unlock()
	if due {
		s.latency.tick(now)
	}
}

func (s *Server) tickerInterval() time.Duration {
	d, err := time.ParseDuration(s.config.Value("service", "", "ticker-interval") + "s")
	if err != nil || d <= 0 {
		return 10 * time.Second
	}
	return d
}

// enabled tells whether a boolean setting is true.
func (s *Server) enabled(context, namespace, name string) bool {
	return s.config.Value(context, namespace, name) == "true"
}

// namespace returns the namespace of that name, or nil.
func (s *Server) namespace(name string) *Namespace {
	for i := range s.src.Namespaces {
		if s.src.Namespaces[i].Name == name {
			return &s.src.Namespaces[i]
		}
	}
	return nil
}
