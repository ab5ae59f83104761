package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/thread"
	"github.com/ashlardb/ashlar/node/proto"
)

// load returns options for a server, with limits that a busy test machine does
// not break.
func load(s *fakeServer, workload string) Options {
	return Options{
		Hosts: []string{s.l.Addr().String()}, Workload: workload, Keys: 500, Connections: 8, Object: "B64,I4",
		Timeout: 5 * time.Second, MaxLateness: 10 * time.Second, MaxStarved: 10, Seed: 1,
	}
}

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestInsertThenDelete: what arrives at the server is what was asked for, key
// by key, on both kinds of queue.
func TestInsertThenDelete(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		s := newFakeServer(t)
		o := load(s, "I")
		o.Fallback, o.Loops = fallback, 2
		r := mustRun(t, o)
		if len(r.Invalid) > 0 || r.Operations[0].Kind != "insert" || r.Operations[0].Count != 500 || r.Answers["ok"] != 500 {
			t.Errorf("insert: invalid %v, %d operations, answers %v; want 500 ok", r.Invalid, r.Operations[0].Count, r.Answers)
		}
		if len(s.records) != 500 {
			t.Errorf("the server has %d records, want 500", len(s.records))
		}
		for d, n := range s.stored {
			if n != 64+8 {
				t.Fatalf("record %x has %d bytes of values, want 72", d, n)
			}
		}
		o.Workload = "DB"
		r = mustRun(t, o)
		if r.Answers["ok"] != 500 || len(s.records) != 0 {
			t.Errorf("delete: answers %v, %d records left", r.Answers, len(s.records))
		}
	}
}

// TestSeveralSetsAndNamespaces: every key goes to every set of every namespace,
// once.
func TestSeveralSetsAndNamespaces(t *testing.T) {
	s := newFakeServer(t)
	o := load(s, "I")
	o.Namespaces, o.Sets, o.Keys, o.Loops = []string{"test", "other"}, []string{"a", "b", ""}, 101, 2
	r := mustRun(t, o)
	if r.Answers["ok"] != 6*101 || len(s.records) != 6*101 {
		t.Errorf("answers %v, %d records; want 606", r.Answers, len(s.records))
	}
	perNamespace := map[string]int{}
	for p := range s.records {
		perNamespace[p.namespace]++
	}
	if perNamespace["test"] != 303 || perNamespace["other"] != 303 {
		t.Errorf("records by namespace: %v, want 303 each", perNamespace)
	}
}

func TestOptionsFile(t *testing.T) {
	s := newFakeServer(t)
	name := filepath.Join(t.TempDir(), "load.yaml")
	run := func(text string, args ...string) (string, error) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Command()
		c.SetArgs(append(args, "--file", name, "-h", s.l.Addr().String(), "-q"))
		c.SetContext(context.Background())
		var out bytes.Buffer
		c.SetOut(&out)
		err := c.Execute()
		return out.String(), err
	}
	out, err := run("# a fill\nworkload: I\nkeys: 70\nnamespace: [test, other]\nset: [x]\nconnections: 2\n", "-k", "50")
	if err != nil && !strings.Contains(err.Error(), "invalid") || !strings.Contains(out, "ok 100;") {
		t.Errorf("error %v, report:\n%s\nwant 2 x 50 inserts: the command line goes before the file", err, out)
	}
	for text, want := range map[string]string{
		"fly: 1\nkeys: x\n": "line 1: unknown option \"fly\"", "keys: x\nfly: 1\n": "line 2", "- a\n": "mapping", "keys: {a: b}\n": "keys: want a value", "a: [": "yaml",
	} {
		_, err := run(text)
		var exit *exitError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &exit) || exit.ExitCode() != ExitUsage {
			t.Errorf("file %q: error %v, want one with %q and exit code %d", text, err, want, ExitUsage)
		}
	}
}

func TestMixedWorkload(t *testing.T) {
	s := newFakeServer(t)
	mustRun(t, load(s, "I"))
	o := load(s, "read=0.4,rmw=0.3,touch=0.1,exists=0.1,replace=0.1")
	o.Duration, o.Warmup, o.SendKey, o.KeyType = 2200*time.Millisecond, 200*time.Millisecond, true, IntegerKeys
	o.StartKey = 0
	before := s.seen.Load()
	r := mustRun(t, o)
	if len(r.Operations) != 5 || len(r.Invalid) > 0 {
		t.Fatalf("operations %d, invalid %v", len(r.Operations), r.Invalid)
	}
	var total uint64
	for _, op := range r.Operations {
		total += op.Count
		if op.Count == 0 || op.Response.P50 <= 0 || op.Response.Max < op.Response.P99 || len(op.Seconds) < 2 {
			t.Errorf("%s: count %d, response %+v, %d seconds", op.Kind, op.Count, op.Response, len(op.Seconds))
		}
		var sum uint64
		for _, b := range op.Seconds {
			sum += b.Count
		}
		if sum != op.Count {
			t.Errorf("%s: the seconds hold %d operations, the whole %d", op.Kind, sum, op.Count)
		}
	}
	if sent := s.seen.Load() - before; sent < total {
		t.Errorf("%d operations counted, the server saw %d messages", total, sent)
	}
	if r.Answers["not found"] > 0 {
		t.Errorf("answers %v: every key exists", r.Answers)
	}
}

// TestFreezeShows: a server that stops for 200 ms every 5 s makes the slowest
// 4 % of the operations that are due late; an open loop counts them all, a
// closed one counts a few and says that it is one.
func TestFreezeShows(t *testing.T) {
	s := newFakeServer(t)
	s.freeze = every(5*time.Second, 200*time.Millisecond)
	o := load(s, "RU,100")
	o.Connections, o.Duration = 64, 5500*time.Millisecond
	var err error
	if o.Rate, err = ParseRate("10000"); err != nil {
		t.Fatal(err)
	}
	open := mustRun(t, o)
	if got := open.Operations[0].Response.P99; got < 100_000 {
		t.Errorf("open loop: p99 %.0f µs, want at least 100 ms", got)
	}
	if open.Setup.Loop != "open" || open.Operations[0].Service.P99 > open.Operations[0].Response.P99 {
		t.Errorf("loop %q, service p99 %.0f above response p99 %.0f", open.Setup.Loop, open.Operations[0].Service.P99, open.Operations[0].Response.P99)
	}
	o.Rate = Rate{}
	closed := mustRun(t, o)
	var text bytes.Buffer
	if err := closed.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if closed.Setup.Loop != "closed" || !strings.Contains(text.String(), "closed loop") || !strings.Contains(text.String(), "asked less") {
		t.Errorf("a closed loop's report does not say what it is:\n%s", &text)
	}
}

// TestStarvedGeneratorIsInvalid pins the generator to a CPU that others burn.
func TestStarvedGeneratorIsInvalid(t *testing.T) {
	if _, ok := thread.RunDelay(); !ok {
		t.Skip("this kernel does not count the time that threads wait for a CPU")
	}
	cpus, err := numa.Affinity()
	if err != nil {
		t.Fatal(err)
	}
	cpu := cpus[len(cpus)-1]
	var stop atomic.Bool
	defer stop.Store(true)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			if numa.Pin(cpu) != nil {
				return
			}
			for !stop.Load() {
			}
		}()
	}
	s := newFakeServer(t)
	o := load(s, "RU,100")
	o.CPUs, o.Duration, o.MaxLateness, o.MaxStarved = []int{cpu}, 2*time.Second, 0, 0
	if o.Rate, err = ParseRate("5000"); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, o)
	if len(r.Invalid) == 0 {
		t.Errorf("starved %.0f %%, late %.1f %%: valid", 100*r.Generator.Starved, 100*r.Generator.LateShare)
	}
}

// TestServerTooSlowIsInvalid: a rate that the server does not keep up with.
func TestServerTooSlowIsInvalid(t *testing.T) {
	s := newFakeServer(t)
	s.freeze = func() { time.Sleep(5 * time.Millisecond) }
	o := load(s, "RU,100")
	o.Connections, o.Duration = 2, 1500*time.Millisecond
	var err error
	if o.Rate, err = ParseRate("5000"); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, o)
	if len(r.Invalid) == 0 || !strings.Contains(r.Invalid[0], "does not keep up") {
		t.Errorf("invalid %q, want a word on the rate", r.Invalid)
	}
	// What waited for a free connection is the server's doing, not ours.
	if r.Operations[0].Response.P50 < 100_000 {
		t.Errorf("response p50 %.0f µs of a server at a tenth of the rate", r.Operations[0].Response.P50)
	}
}

func TestServerGoneMidRun(t *testing.T) {
	s := newFakeServer(t)
	o := load(s, "RU,100")
	o.Duration, o.Timeout = 2*time.Second, 200*time.Millisecond
	go func() {
		time.Sleep(500 * time.Millisecond)
		s.close()
	}()
	r := mustRun(t, o)
	if len(r.Invalid) == 0 || r.Failures.Connection == 0 || r.Failures.Unreachable == 0 {
		t.Errorf("invalid %v, failures %+v; want broken connections and an unreachable node", r.Invalid, r.Failures)
	}
	o = load(newFakeServer(t), "RU,100")
	o.Duration, o.MaxErrors = 20*time.Second, 5
	s2 := newFakeServer(t)
	o.Hosts = []string{s2.l.Addr().String()}
	s2.result = func(*proto.Message) (record.Result, bool) { return record.DeviceOverload, true }
	began := time.Now()
	r = mustRun(t, o)
	if time.Since(began) > 15*time.Second || !r.Interrupted || r.Answers["device overload"] == 0 {
		t.Errorf("--max-errors: ended after %v, interrupted %v, answers %v", time.Since(began), r.Interrupted, r.Answers)
	}
}

// TestReconnects: connections that break are counted and made anew.
func TestReconnects(t *testing.T) {
	s := newFakeServer(t)
	mustRun(t, load(s, "I"))
	o := load(s, "RU,100")
	o.Duration = 2 * time.Second
	go func() {
		time.Sleep(300 * time.Millisecond)
		s.hangUp()
	}()
	r := mustRun(t, o)
	last := r.Operations[0].Seconds[len(r.Operations[0].Seconds)-1]
	if r.Failures.Connection == 0 || last.Count == 0 {
		t.Errorf("%d broken operations, %d operations in the last second; want some of both", r.Failures.Connection, last.Count)
	}
}

// TestSilentServer: no answer in time is an error of its own kind.
func TestSilentServer(t *testing.T) {
	s := newFakeServer(t)
	s.freeze = func() { time.Sleep(10 * time.Second) }
	o := load(s, "RU,100")
	o.Duration, o.Timeout = 700*time.Millisecond, 100*time.Millisecond
	r := mustRun(t, o)
	if r.Failures.NoAnswer == 0 || len(r.Invalid) == 0 {
		t.Errorf("failures %+v, invalid %v", r.Failures, r.Invalid)
	}
}

func TestBadUse(t *testing.T) {
	s := newFakeServer(t)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"--fly"}, "fly"},
		{"bad spec", []string{"-o", "X5"}, `"X5"`},
		{"bad workload", []string{"-w", "RU,500"}, "RU,500"},
		{"bad rate", []string{"--rate", "fast"}, "fast"},
		{"two rates", []string{"--rate", "5", "-g", "5"}, "-g"},
		{"wrong namespace", []string{"-h", s.l.Addr().String(), "-n", "nope"}, "nope"},
		{"nobody there", []string{"-h", "127.0.0.1:1"}, "127.0.0.1:1"},
		{"no connections", []string{"-z", "0", "-h", s.l.Addr().String(), "-t", "1", "--loops", "3", "-z", "2"}, "loops 3"},
		{"long bin", []string{"-b", "a-name-of-sixteen", "-o", "I"}, "a-name-of-sixteen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Command()
			c.SetArgs(tt.args)
			c.SetContext(context.Background())
			var out bytes.Buffer
			c.SetOut(&out)
			c.SetErr(&out)
			err := c.Execute()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			var exit *exitError
			if !errors.As(err, &exit) || exit.ExitCode() != ExitUsage {
				t.Errorf("error %v does not end the program with %d", err, ExitUsage)
			}
		})
	}
}

// TestOutputs re-reads every file with a reader that is not ours.
func TestOutputs(t *testing.T) {
	s := newFakeServer(t)
	dir := t.TempDir()
	name := func(f string) string { return filepath.Join(dir, f) }
	c := Command()
	c.SetArgs([]string{"-h", s.l.Addr().String(), "-w", "RU,50", "-t", "2", "-k", "100", "-g", "2000", "--max-lateness", "10s", "--max-starved", "100", "-q",
		"--json", name("r.json"), "--hlog", name("r.hlog"), "--csv", name("r.csv"), "--report", name("r.html")})
	c.SetContext(context.Background())
	var out bytes.Buffer
	c.SetOut(&out)
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	var r Result
	text, err := os.ReadFile(name("r.json"))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || r.Schema != Schema {
		t.Fatalf("JSON: schema %q, error %v", r.Schema, err)
	}
	counts := map[string]int64{}
	for _, op := range r.Operations {
		counts[op.Kind] = int64(op.Count)
	}

	hlog, err := os.Open(name("r.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	defer hlog.Close()
	reader := hdrhistogram.NewHistogramLogReader(hlog)
	read := map[string]int64{}
	for {
		h, err := reader.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		read[h.Tag()] += h.TotalCount()
	}
	if len(read) != 2 || read["read"] != counts["read"] || read["update"] != counts["update"] {
		t.Errorf(".hlog holds %v, the JSON %v", read, counts)
	}

	file, err := os.Open(name("r.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 5 {
		t.Errorf("CSV: %d rows, error %v", len(rows), err)
	}

	html, err := os.ReadFile(name("r.html"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(html), "<svg"); n != 3 {
		t.Errorf("HTML holds %d plots, want 3", n)
	}
	if chromium, err := exec.LookPath("chromium"); err == nil {
		dom, err := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
			"--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+name("r.html")).Output()
		if err != nil || strings.Count(string(dom), "<svg") != 3 {
			t.Errorf("chromium: error %v, %d plots in the page", err, strings.Count(string(dom), "<svg"))
		}
	}
}

func TestCompareCommand(t *testing.T) {
	s := newFakeServer(t)
	o := load(s, "RU,100")
	o.Duration = 10 * time.Second
	if testing.Short() {
		t.Skip("runs for twenty seconds")
	}
	base := mustRun(t, o)
	s.freeze = func() { time.Sleep(2 * time.Millisecond) }
	next := mustRun(t, o)
	cmp, err := Compare(base, next, []string{"p50>+10%", "read:mean>+5%"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	err = cmp.exit()
	if code := err.(*exitError).ExitCode(); code != ExitRegression {
		t.Errorf("2 ms more for each answer: %v (%v), want a regression", err, cmp)
	}
	if _, err := Compare(base, next, []string{"update:p50>+10%"}, 1); err == nil || !strings.Contains(err.Error(), "update") {
		t.Errorf("a rule on an operation that did not run: error %v", err)
	}
	next.Setup.Workload = "RU,50"
	if cmp, err = Compare(base, next, nil, 1); err != nil || cmp.exit().(*exitError).ExitCode() != ExitInvalid {
		t.Errorf("different workloads: %v, %v; want invalid", cmp, err)
	}
}
