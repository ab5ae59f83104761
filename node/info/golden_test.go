package info

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/node/config"
)

// transcript is the original's answers: see its first lines for the form.
const transcript = "../../testbed/vectors/info-transcripts.txt"

// exchange is one command of the transcript and its answer.
type exchange struct {
	line    int
	section string
	ask     string   // the command, or with body the message's whole text
	label   string   // in brackets before the command
	answer  string   // "" for (empty)
	pairs   []string // an answer shown one pair a line
	parted  string   // what parted the pairs
	body    bool     // ask and answer are whole bodies
}

func readTranscript(t *testing.T) []exchange {
	t.Helper()
	f, err := os.Open(transcript)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []exchange
	section, n := "", 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		n++
		text := lines.Text()
		switch {
		case strings.HasPrefix(text, "## "):
			section = text[3:]
		case strings.HasPrefix(text, "? "):
			all = append(all, parseAsk(n, section, text[2:]))
		case strings.HasPrefix(text, "= ") && len(all) > 0:
			parseAnswer(t, &all[len(all)-1], text[2:])
		case strings.HasPrefix(text, "  ") && section != "" && len(all) > 0:
			e := &all[len(all)-1]
			e.pairs = append(e.pairs, text[2:])
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

var bodyAsk = regexp.MustCompile(`^\((.*)\) body (.*)$`)

func parseAsk(n int, section, text string) exchange {
	e := exchange{line: n, section: section, ask: text}
	if m := bodyAsk.FindStringSubmatch(text); m != nil {
		e.label, e.body = m[1], true
		e.ask = unquote(m[2])
	} else if strings.HasPrefix(text, "(") {
		e.label, e.ask = text, ""
	}
	return e
}

func parseAnswer(t *testing.T, e *exchange, text string) {
	t.Helper()
	switch {
	case text == "(empty)":
	case strings.HasPrefix(text, "| "):
		e.parted = text[2:]
	case strings.HasPrefix(text, "body "):
		e.answer = unquote(text[5:])
	case strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`):
		e.body, e.answer = true, unquote(text)
		if e.label == "" {
			e.ask += "\n"
		}
	default:
		e.answer = text
	}
}

func unquote(s string) string {
	if v, err := strconv.Unquote(s); err == nil {
		return v
	}
	return s
}

// conf is the configuration the transcript was recorded with.
const conf = `
service {
	cluster-name peers
	node-id BB9A5
	pidfile /x/run/asd.pid
	proto-fd-max 10000
	service-threads 10
	batch-index-threads 2
	work-directory /x/work
}
network {
	service { 
		address 127.0.0.1
		access-address 127.0.0.1
		port 4000
	}
	admin {
		address 127.0.0.1
		port 4003
	}
	heartbeat {
		mode mesh
		address 127.0.0.1
		port 4002
		interval 150
		timeout 10
		mtu 65536
	}
	fabric {
		address 127.0.0.1
		port 4001
	}
}
namespace test {
	allow-ttl-without-nsup true
	nsup-period 120
	replication-factor 1
	storage-engine device {
		file /x/data/test.dat
		filesize 1G
	}
}
namespace bar {
	allow-ttl-without-nsup true
	nsup-period 120
	replication-factor 1
	storage-engine memory {
		data-size 1G
	}
}
`

const local = "127.0.0.1"

// machineFiles is a machine as the transcript's looked.
var machineFiles = fstest.MapFS{
	"etc/os-release":              {Data: []byte("ID=debian\nVERSION_ID=\"12\"\n")},
	"proc/sys/vm/max_map_count":   {Data: []byte("65530\n")},
	"proc/sys/vm/min_free_kbytes": {Data: []byte("67584\n")},
	"proc/sys/vm/swappiness":      {Data: []byte("60\n")},
	"proc/meminfo":                {Data: []byte("MemTotal: 24000000 kB\nMemAvailable: 20250176 kB\n")},
	"proc/self/mountinfo":         {Data: []byte("22 1 8:1 / / rw - ext4 /dev/root rw\n")},
}

// state is what the fake namespaces hold, moved on by the test.
type state struct {
	now       time.Time
	section   string
	latencies map[string]*hist.Log2
	sets      map[string][]Set
	histogram func(ns, kind, set string) *Histogram
}

// newGolden returns a server with the transcript's configuration over fake
// namespaces.
func newGolden(t *testing.T, st *state) *Server {
	t.Helper()
	var options struct{}
	cfg, err := config.Parse(conf, &options)
	if err != nil {
		t.Fatal(err)
	}
	st.now = time.Unix(1_800_000_000, 0)
	st.latencies = map[string]*hist.Log2{}
	ns := func(name string, devices []Device) Namespace {
		latencies := map[string]*hist.Log2{}
		for _, kind := range []string{"read", "write"} {
			latencies[kind] = hist.NewLog2("{"+name+"}-"+kind, hist.Msec, 1)
			st.latencies[name+"-"+kind] = latencies[kind]
		}
		return Namespace{
			Latencies: latencies,
			Name:      name,
			Devices:   func() []Device { return devices },
			Sets:      func() []Set { return st.sets[name] },
			Stats: func() []any {
				n := int64(0)
				for _, s := range st.sets[name] {
					n += s.Objects
				}
				return []any{struct {
					Objects int64 `stat:"objects"`
				}{n}}
			},
			Histogram: func(kind, set string) *Histogram {
				if st.histogram == nil {
					return nil
				}
				return st.histogram(name, kind, set)
			},
		}
	}
	e := func(port int) Endpoint { return Endpoint{port, []string{local}} }
	return New(Sources{
		NodeID: 0xBB9A5, ClusterKey: 0xFF42F56BC64B, Version: "0.1.0", BuildSHA: "abc", BuildTime: "now",
		Config: cfg,
		Addresses: Addresses{Service: []string{local + ":4000"}, Admin: []string{"10.0.0.1:4003"}, Endpoints: Endpoints{
			Service: e(4000), Access: e(4000), Alternate: Endpoint{Port: 4000}, Admin: e(4003), Heartbeat: e(4002), Fabric: e(4001),
		}},
		Namespaces: []Namespace{
			ns("test", []Device{{Kind: "file"}}),
			ns("bar", make8("stripe")),
		},
		LogPath: "/x/log/asd.log",
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:     func() time.Time { return st.now },
		Root:    machineFiles,
	})
}

func make8(kind string) []Device {
	devices := make([]Device, 8)
	for i := range devices {
		devices[i].Kind = kind
	}
	return devices
}

// difference is a deliberate difference to the original, with what we answer.
type difference struct {
	ours   string // exactly, or what ours begins with if it ends in …
	reason string
}

// differences lists every answer that deliberately is not the original's, by
// command.
var differences = map[string]difference{
	"edition":              {Edition, "our own name"},
	"version":              {Edition + " build 8.1.2.0", "our own name"},
	"release":              {"edition=Ashlar Community Edition;version=8.1.2.0;os=debian12;arch=…", "our own name, our own version besides"},
	"endpoints":            {"service.port=4000;service.addresses=127.0.0.1;…", "the address of the machine is not masked in the transcript"},
	"thread-traces":        {"goroutine profile: total …", "the stacks are ours"},
	"rack-ids":             {"test:0;bar:0", "racks are for everyone: a client that reads by rack needs an answer"},
	"racks":                {"ns=test:rack_0=BB9A5;ns=bar:rack_0=BB9A5;", "racks are for everyone"},
	"racks:":               {"ns=test:rack_0=BB9A5;ns=bar:rack_0=BB9A5;", "racks are for everyone"},
	"racks/":               {"ns=test:rack_0=BB9A5;ns=bar:rack_0=BB9A5;", "racks are for everyone"},
	"racks:namespace=test": {"rack_0=BB9A5", "racks are for everyone"},
}

// placeDifferences are differences of one place of the transcript: section,
// bar, command.
var placeDifferences = map[string]difference{
	"Missing, empty, unknown and too long parameters|udf-get:filename=": {"error=invalid_filename", "the original's process aborts"},
	"Eviction and metadata modules|smd-show:module=evict":               {"<empty>", "nothing is evicted, so no depth is kept"},
	"Eviction and metadata modules|smd-info":                            {"smd:n_pending_sets=0,n_events=0,n_nodes=1,…", "all tables are empty"},
	"set-config: service|get-config:context=service":                    {"advertise-ipv6=true;auto-pin=none;…", "the original forgets the change of advertise-ipv6"},
	"set-config: namespace and set|sets/test/plain":                     {"objects=200:tombstones=0:data_used_bytes=36032:truncate_lut=0:sindexes=0:index_populating=false:truncating=false:default-read-touch-ttl-pct=0:default-ttl=0:disable-eviction=false:enable-index=false:stop-writes-count=0:stop-writes-size=0;", "no secondary indexes yet"},
}

// unmeasured are histograms of the steps of a transaction and of messages between
// nodes: nobody fills them yet, so they show no data.
var unmeasured = regexp.MustCompile(`benchmarks-|\{bar\}-proxy`)

// sectionDifferences lists the parts of the transcript that need a feature of
// the original that is not here yet. Each command must still be known.
var sectionDifferences = map[string]string{
	"Loaded: a record's debug view":                   "describes the original's index entry and storage",
	"Secondary indexes: creation in every form":       "no secondary indexes yet",
	"Secondary indexes: creation refused or repeated": "no secondary indexes yet",
	"Secondary indexes: lists and statistics":         "no secondary indexes yet",
	"Secondary indexes: deletion":                     "no secondary indexes yet",
	"UDF modules":                                     "no modules yet",
	"Queries: active, done, aborted":                  "no queries yet",
	"Queries: done, of every kind (1003 basic, 1004 background ops, 1005 background UDF, 1006 aggregation that failed, 1007 by index)": "no queries yet",
	"Truncation": "no truncation yet",
}

// namesOnly are lists of figures: names and order count, values do not.
var namesOnly = regexp.MustCompile(`^(statistics|namespace)\b`)

// mask turns an expected answer into a pattern: what the recording masked
// matches anything, the end of a cut answer too.
func mask(answer string) *regexp.Regexp {
	cut := cutAnswer.ReplaceAllString(answer, "")
	p := regexp.QuoteMeta(cut)
	for _, m := range []string{"node", "path", "time", "key", "host"} {
		p = strings.ReplaceAll(p, "<"+m+">", "[^;,]*?")
	}
	p = "^" + p
	if cut == answer {
		p += "$"
	}
	return regexp.MustCompile("(?s)" + p)
}

var cutAnswer = regexp.MustCompile(`(/?\.\.\.|;) \((\d+ bytes in all|first lines of .*)\)$`)

// answer asks one command on a new connection unless c is given.
func answer(s *Server, c *Conn, ask string) string {
	if c == nil {
		c = &Conn{}
	}
	body := string(s.Answer(nil, c, []byte(ask+"\n")))
	echo, value, _ := strings.Cut(strings.TrimSuffix(body, "\n"), "\t")
	if echo != ask {
		return "ECHO " + echo
	}
	return value
}

// TestTranscript asks every command of the transcript, in its order, and
// compares with the original's answers.
func TestTranscript(t *testing.T) {
	st := &state{}
	s := newGolden(t, st)
	counted := map[string]int{}
	for _, e := range readTranscript(t) {
		st.move(s, e.section)
		counted[checkExchange(t, s, e)]++
	}
	t.Logf("exchanges: %v", counted)
	if counted["same"] < 600 {
		t.Errorf("only %d answers were compared as a whole: the transcript is not what it was", counted["same"])
	}
}

// checkExchange returns how the exchange was compared.
func checkExchange(t *testing.T, s *Server, e exchange) string {
	t.Helper()
	if reason, ok := sectionDifferences[e.section]; ok {
		if got := answer(s, nil, e.ask); strings.Contains(got, "unrecognized") {
			t.Errorf("line %d: %s: %q (%s)", e.line, e.ask, got, reason)
		}
		return "known"
	}
	c := &Conn{Admin: e.section == "Admin port"}
	if strings.HasPrefix(e.section, "latencies: after 22 s") && unmeasured.MatchString(e.ask) && strings.HasPrefix(e.ask, "latencies") {
		if got, want := answer(s, c, e.ask), dataless(e.answer); got != want {
			t.Errorf("line %d: %s\n got  %s\n want %s", e.line, e.ask, got, want)
		}
		return "different"
	}
	d, ok := differences[e.ask]
	if !ok {
		d, ok = placeDifferences[e.section+"|"+e.ask]
	}
	if ok {
		got := answer(s, c, e.ask)
		begin, open := strings.CutSuffix(d.ours, "…")
		if got != d.ours && !(open && strings.HasPrefix(got, begin)) {
			t.Errorf("line %d: %s\n got  %.300s\n want %s (%s)", e.line, e.ask, got, d.ours, d.reason)
		}
		return "different"
	}
	if e.body || e.label != "" {
		return "elsewhere" // TestBodies, TestUserAgents
	}
	got := answer(s, c, e.ask)
	want := e.answer
	if e.parted != "" {
		want = strings.Join(e.pairs, e.parted)
	}
	if namesOnly.MatchString(e.ask) && strings.Contains(want, "=") && want != "type=unknown" {
		if got, want := names(got), names(want); !strings.HasPrefix(got, want) {
			t.Errorf("line %d: %s: names differ from %s", e.line, e.ask, firstDifference(got, want))
		}
		return "names"
	}
	if !mask(want).MatchString(got) {
		t.Errorf("line %d (%s): %s\n got  %.2000s\n want %.2000s", e.line, e.section, e.ask, got, want)
	}
	return "same"
}

// dataless takes the figures out of a latencies answer.
func dataless(answer string) string {
	return regexp.MustCompile(`:[^;]*`).ReplaceAllString(answer, ":")
}

// names keeps the names of a list of pairs. A cut list ends in a whole name.
func names(list string) string {
	cut := cutAnswer.ReplaceAllString(list, "")
	parts := strings.Split(cut, ";")
	if cut != list {
		parts = parts[:len(parts)-1]
	}
	for i, p := range parts {
		parts[i], _, _ = strings.Cut(p, "=")
	}
	return strings.Join(parts, ";")
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, ";"), strings.Split(want, ";")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			have := "nothing"
			if i < len(g) {
				have = g[i]
			}
			return fmt.Sprintf("%d: got %s, want %s", i, have, w[i])
		}
	}
	return "nowhere"
}

// move brings the fake namespaces to the state of a section of the transcript.
func (st *state) move(s *Server, section string) {
	if section == st.section {
		return
	}
	st.section = section
	switch {
	case strings.HasPrefix(section, "latencies: after 11 s"):
		s.Tick()
		st.record("test-write", 596, 0)
		st.record("bar-write", 1, 0)
		st.latencies["bar-write"].Tick(st.now) // its one write lies in the slice before
		st.tick(s)
	case strings.HasPrefix(section, "latencies: after 22 s"):
		st.record("test-read", 1, 0)
		st.tick(s)
		st.record("bar-read", 4192, 0)
		st.record("bar-write", 4188, 0)
		st.record("bar-write", 4, time.Millisecond)
		st.tick(s)
	}
	if strings.HasPrefix(section, "Loaded") && st.sets == nil {
		st.sets = map[string][]Set{
			"test": {{"plain", 200, 0, 36032}, {"hour", 50, 0, 8800}, {"day", 50, 0, 8800}},
			"bar":  {{"mem", 100, 0, 17600}, {"memttl", 30, 0, 5600}},
		}
	}
	if section == "Loaded: histograms (after the expiry thread ran)" {
		st.histogram = loadedHistogram
	}
}

func (st *state) record(name string, n int, d time.Duration) {
	for range n {
		st.latencies[name].Recorder(0).Record(d)
	}
}

// tick lets a slice of 10 s pass.
func (st *state) tick(s *Server) {
	st.now = st.now.Add(10 * time.Second)
	s.Tick()
}

// loadedHistogram is what the records of the loaded state amount to.
func loadedHistogram(ns, kind, set string) *Histogram {
	ttl := map[string][2]int{"test": {86400, 200}, "bar": {600, 100}}[ns]
	n := map[string]uint64{"test": 300, "bar": 130, "day": 50, "hour": 50, "plain": 200}
	total := n[ns]
	if set != "" {
		total = n[set]
	}
	switch kind {
	case "object-size":
		return &Histogram{Unit: "bytes", Buckets: []uint64{7: total}}
	case "object-size-linear":
		b := make([]uint64, 1024)
		b[0] = total
		return &Histogram{Unit: "bytes", Width: 1 << 20, Buckets: b}
	}
	b := make([]uint64, 100)
	put := func(name string, i int, n uint64) {
		if set == "" || set == name {
			b[i] = n
		}
	}
	if ns == "bar" {
		put("mem", 0, 100)
		put("memttl", 99, 30)
	} else {
		put("plain", 0, 200)
		put("hour", 4, 50)
		put("day", 99, 50)
	}
	return &Histogram{Unit: "seconds", Width: uint64(ttl[0]), Buckets: b}
}

// TestBodies sends the transcript's whole message bodies: line ends, empty lines,
// control characters, the empty message.
func TestBodies(t *testing.T) {
	s := newGolden(t, &state{})
	n := 0
	for _, e := range readTranscript(t) {
		if e.section != "Form of the request" {
			continue
		}
		n++
		got := string(s.Answer(nil, &Conn{}, []byte(e.ask)))
		if e.ask == "" { // the empty message: the transcript has only the names
			got = echoes(got)
		}
		want := strings.ReplaceAll(e.answer, "Aerospike Community Edition", Edition)
		if !mask(want).MatchString(got) {
			t.Errorf("line %d: %s %q\n got  %q\n want %q", e.line, e.label, e.ask, got, want)
		}
	}
	if n < 15 {
		t.Errorf("%d bodies: the transcript is not what it was", n)
	}
}

// echoes keeps the echoed names of a body.
func echoes(body string) string {
	var names []string
	for line := range strings.Lines(body) {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// TestUserAgents follows the transcript's two connections.
func TestUserAgents(t *testing.T) {
	s := newGolden(t, &state{})
	first, second := &Conn{}, &Conn{}
	for _, e := range readTranscript(t) {
		if !strings.HasPrefix(e.section, "user-agent-set") {
			continue
		}
		ask, c := e.ask, first
		if strings.HasPrefix(e.label, "(another connection)") {
			ask, c = "user-agent-set:value=MSxnby04LjUuMCx0ZXN0ZXI=\n", second
		}
		if got := string(s.Answer(nil, c, []byte(ask))); got != e.answer {
			t.Errorf("line %d: %q\n got  %q\n want %q", e.line, ask, got, e.answer)
		}
		if c == second {
			s.Tick() // the 12 s that passed
		}
	}
	s.Close(first)
	s.Close(second)
	s.Tick()
	if got := answer(s, nil, "user-agents"); got != "" {
		t.Errorf("user-agents after both connections ended: %q", got)
	}
}
