package info

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ashlardb/ashlar/node/proto"
)

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct {
		name, text, command, params string
	}{
		{"bare", "node", "node", ""},
		{"colon", "get-config:context=service", "get-config", "context=service"},
		{"slash", "sets/test/users", "sets", "test/users"},
		{"slash, then colon", "namespace/a:b", "namespace", "a:b"},
		{"semicolon", "build;", "build", ""},
		{"empty", "", "", ""},
		{"31 bytes", strings.Repeat("n", 31), strings.Repeat("n", 31), ""},
		{"32 bytes", strings.Repeat("n", 32), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := parseRequest(tt.text); r.name != tt.command || r.params != tt.params {
				t.Errorf("%q: name %q, params %q: want %q, %q", tt.text, r.name, r.params, tt.command, tt.params)
			}
		})
	}
}

func TestValue(t *testing.T) {
	for _, tt := range []struct {
		name, params, key, want string
		ok                      bool
	}{
		{"only", "a=1", "a", "1", true},
		{"first counts", "a=1;a=2", "a", "1", true},
		{"trailing semicolon", "b=2;a=1;", "a", "1", true},
		{"equals in the value", "a=b=c", "a", "b=c", true},
		{"empty value", "a=;b=1", "a", "", true},
		{"no equals", "a;b=1", "a", "", false},
		{"part of a name", "ab=1", "a", "", false},
		{"none", "", "a", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := parseRequest("x:" + tt.params).value(tt.key); got != tt.want || ok != tt.ok {
				t.Errorf("%q in %q: %q, %v: want %q, %v", tt.key, tt.params, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestHelpIsHonest checks that every command the node lists, and every one a
// client may ask without being asked, is known.
func TestHelpIsHonest(t *testing.T) {
	names := append(strings.Split(helpNames, ";"), proto.SummaryCommands...)
	for _, name := range names {
		if _, ok := commands[name]; !ok {
			t.Errorf("%s is listed and unknown", name)
		}
	}
	for name, c := range commands {
		if (c.answer == nil) == !c.enterprise || len(name) > maxName {
			t.Errorf("%s: no answer, or too long a name", name)
		}
	}
}

// TestPartitionMap decodes the map as a client does.
func TestPartitionMap(t *testing.T) {
	s := newGolden(t, &state{})
	got := answer(s, nil, "replicas")
	for i, ns := range strings.Split(got, ";") {
		name := s.src.Namespaces[i].Name
		want := name + ":0,1,"
		bits, ok := strings.CutPrefix(ns, want)
		if !ok || len(bits) != 684 || strings.TrimRight(bits, "/") != "" && bits != allPartitions {
			t.Errorf("%.40s…, %d bytes of map: want %s and 684 bytes", ns, len(bits), want)
		}
	}
}

// stats of a namespace with names the original does not know.
type ownStats struct {
	Objects int64   `stat:"objects"`
	Pct     float64 `stat:"cache_read_pct"`
	Ratio   float64 `stat:"data_compression_ratio,3"`
	Stop    bool    `stat:"stop_writes"`
	Corrupt uint64  `stat:"corrupt_records"`
	Untold  string
}

func TestStatisticsOfOurOwnComeLast(t *testing.T) {
	s := newGolden(t, &state{})
	ns := &s.src.Namespaces[0]
	ns.Stats = func() []any { return []any{&ownStats{5, 66.6, 1.5, true, 3, "x"}, nil, 7} }
	got := answer(s, nil, "namespace/test")
	figures, _, _ := strings.Cut(got, ";active-rack=")
	if !strings.HasSuffix(figures, ";ttl_reductions_applied=0;corrupt_records=3") {
		t.Errorf("figures end in %s", figures[max(0, len(figures)-80):])
	}
	for _, want := range []string{";objects=5;", ";master_objects=5;", ";cache_read_pct=67;", ";data_compression_ratio=1.500;", ";stop_writes=true;"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if got := answer(s, nil, "objects"); got != "5" {
		t.Errorf("objects: %s, want 5", got)
	}
}

func TestConfiguredSetsAreListed(t *testing.T) {
	s := newGolden(t, &state{sets: map[string][]Set{"test": {{"a", 1, 2, 3}}}})
	if got := answer(s, nil, "set-config:context=namespace;namespace=test;set=b;stop-writes-count=9"); got != "ok" {
		t.Fatal(got)
	}
	got := answer(s, nil, "sets/test")
	if !strings.HasPrefix(got, "ns=test:set=a:objects=1:tombstones=2:data_used_bytes=3:") ||
		!strings.Contains(got, ";ns=test:set=b:objects=0:") || !strings.HasSuffix(got, "stop-writes-count=9:stop-writes-size=0;") {
		t.Errorf("sets: %s", got)
	}
}

func TestInfoHistogram(t *testing.T) {
	st := &state{}
	s := newGolden(t, st)
	s.Tick()
	if got := answer(s, nil, "set-config:context=service;enable-hist-info=true"); got != "ok" {
		t.Fatal(got)
	}
	answer(s, nil, "node")
	st.now = st.now.Add(10 * time.Second)
	s.Tick()
	if got := answer(s, nil, "latencies:hist=info"); !strings.HasPrefix(got, "info:msec,0.2,") {
		t.Errorf("two messages in ten seconds: %s", got)
	}
}

func TestTickFollowsTheInterval(t *testing.T) {
	st := &state{}
	s := newGolden(t, st)
	s.Tick()
	st.record("test-read", 10, 0)
	for range 9 {
		st.now = st.now.Add(time.Second)
		s.Tick()
	}
	if got := answer(s, nil, "latencies:hist={test}-read"); got != "{test}-read:" {
		t.Errorf("after 9 of 10 s: %s", got)
	}
	st.now = st.now.Add(time.Second)
	s.Tick()
	if got := answer(s, nil, "latencies:hist={test}-read"); !strings.HasPrefix(got, "{test}-read:msec,1.0,0.00,") {
		t.Errorf("after 10 s: %s", got)
	}
}

func TestLevels(t *testing.T) {
	var b strings.Builder
	l := NewLevels()
	text := slog.NewTextHandler(&b, &slog.HandlerOptions{Level: LevelDetail})
	log := slog.New(l.Handler("storage", text)).With("device", "a").WithGroup("g")
	other := slog.New(l.Handler("no-such-context", text))
	log.Debug("hidden")
	if !l.Set("storage", "debug") || l.Set("storage", "loud") || l.Set("none", "info") {
		t.Error("Set takes what it should not")
	}
	log.Debug("shown")
	other.Debug("hidden too")
	l.Set("any", "CRITICAL")
	log.Error("hidden at last")
	if got := b.String(); !strings.Contains(got, "shown device=a") || strings.Contains(got, "hidden") {
		t.Errorf("log:\n%s", got)
	}
	for _, level := range []string{"CRITICAL", "WARNING", "INFO", "DEBUG", "DETAIL"} {
		if l.Set("info", level); l.name(34) != level && logContexts[34] == "info" {
			t.Errorf("set %s, shown %s", level, l.name(34))
		}
	}
}

// machine returns a machine at two moments, as /proc shows them.
func TestProc(t *testing.T) {
	files := fstest.MapFS{
		"proc/stat":                 {Data: []byte("cpu  100 0 50 1000 0 0 0 0 0 0\n")},
		"proc/self/stat":            {Data: []byte("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 30 20 0 0 20 0 1 0\n")},
		"proc/self/status":          {Data: []byte("Name:\tx\nThreads:\t12\n")},
		"proc/meminfo":              {Data: []byte("MemTotal: 1000 kB\nMemAvailable: 250 kB\nAnonHugePages: 64 kB\n")},
		"proc/sys/vm/swappiness":    {Data: []byte("10\n")},
		"proc/self/mountinfo":       {Data: []byte("1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 8:2 / /data rw - xfs /dev/nvme0n1 rw\nbroken\n")},
		"data/x":                    {Data: []byte("x")},
		"datafile":                  {Data: []byte("x")},
		"proc/sys/vm/max_map_count": {Data: []byte("rubbish\n")},
	}
	p := newProcfs(files)
	at := time.Unix(100, 0)
	p.sample(at)
	files["proc/stat"] = &fstest.MapFile{Data: []byte("cpu  300 0 150 1500 0 0 0 0 0 0\n")}
	files["proc/self/stat"] = &fstest.MapFile{Data: []byte("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 80 70 0 0 20 0 1 0\n")}
	p.sample(at.Add(2 * time.Second))
	v := newValues()
	p.put(v)
	for name, want := range map[string]string{
		"system_user_cpu_pct": "100", "system_kernel_cpu_pct": "50", "system_total_cpu_pct": "150", "process_cpu_pct": "50",
		"system_free_mem_pct": "25", "system_free_mem_kbytes": "250", "system_thp_mem_kbytes": "64", "threads_joinable": "12",
	} {
		if got := v.by[name]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := p.failedPractices(); len(got) != 1 || got[0] != "swappiness" {
		t.Errorf("practices failed: %v, want swappiness", got)
	}
	for path, want := range map[string]string{"/data/x": "/dev/nvme0n1", "/datafile": "/dev/root", "/": "/dev/root", "/none": ""} {
		if got, ok := p.deviceOf(path); got != want || ok != (want != "") {
			t.Errorf("device of %s: %q, want %q", path, got, want)
		}
	}
	empty := newValues()
	none := newProcfs(fstest.MapFS{})
	none.sample(at)
	none.put(empty)
	if got := empty.by["system_free_mem_pct"]; got != "0" {
		t.Errorf("without /proc: %s, want 0", got)
	}
}

// TestManyAsk has goroutines ask, change and tick at once; the race detector
// is the judge.
func TestManyAsk(t *testing.T) {
	st := &state{}
	s := newGolden(t, st)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			c := &Conn{}
			for n := range 20 {
				for _, ask := range []string{
					"statistics", "namespace/test", "sets", "get-config", "latencies:", "log/0", "user-agents",
					fmt.Sprintf("user-agent-set:value=%s", []string{"YQ==", "Yg=="}[n%2]),
					fmt.Sprintf("set-config:context=namespace;namespace=test;set=s%d;default-ttl=%d", i, n),
					"set-config:context=service;enable-hist-info=true", "log-set:id=0;info=debug",
				} {
					answer(s, c, ask)
				}
				s.Close(c)
			}
		})
	}
	for range 20 {
		s.Tick()
	}
	group.Wait()
}

// FuzzAnswer sends arbitrary bodies. Whatever they hold: one line comes back
// for each command, with its text, and no value breaks the frame.
func FuzzAnswer(f *testing.F) {
	for name := range commands {
		if name != "partition-info" && name != "thread-traces" {
			f.Add([]byte(name + "\n"))
		}
	}
	for _, text := range []string{
		"", "\n", "a", "sets/test/x\nnode\n", "set-config:context=namespace;namespace=test;set=x;default-ttl=1h\n",
		"histogram:namespace=test;type=ttl;set=\n", "latencies:hist={test}-read\n", "log/0/any/x\n", "truncate:namespace=a;set=b;lut=-1\n",
		"debug-record:namespace=test;keyd=8B32514C7510AFCB7662223D55E7F4480B65BCF2\n", "edition\x00x\n", "physical-devices:path=../..//\n",
	} {
		f.Add([]byte(text))
	}
	st := &state{}
	var once sync.Once
	var s *Server
	f.Fuzz(func(t *testing.T, text []byte) {
		once.Do(func() { s = newGolden(t, st) })
		if len(text) == 0 || strings.Contains(string(text), "thread-traces") {
			return // values of many lines
		}
		got := s.Answer(nil, &Conn{}, text)
		rest := text
		for {
			cmd, more, ok := proto.NextCommand(rest)
			if !ok {
				break
			}
			rest = more
			echo := append(append([]byte(nil), cmd...), '\t')
			if !strings.HasPrefix(string(got), string(echo)) {
				t.Fatalf("%q: the answer does not begin with %q: %.200q", text, echo, got)
			}
			_, after, ok := strings.Cut(string(got[len(echo):]), "\n")
			if !ok {
				t.Fatalf("%q: no line end behind the value", text)
			}
			got = []byte(after)
		}
		if len(got) != 0 {
			t.Fatalf("%q: %q is left of the answer", text, got)
		}
	})
}

// TestAnswerIsBounded: a message that asks the same thing very often does not
// make the node hold all the answers at once.
func TestAnswerIsBounded(t *testing.T) {
	s := newGolden(t, &state{})
	text := []byte(strings.Repeat("statistics\n", 50_000))
	one := len(s.Answer(nil, nil, []byte("statistics\n")))
	got := s.Answer([]byte("head"), nil, text)
	if len(got) > maxReply+2*one || len(got) < maxReply {
		t.Errorf("an answer of %d bytes, want it to end behind %d", len(got), maxReply)
	}
	if !strings.HasSuffix(string(got), "\n") {
		t.Error("the last answer is cut")
	}
}
