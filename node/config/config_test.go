package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The options of a node as its packages would declare them.
type (
	testNode struct {
		Service    testService     `config:"service"`
		Network    testNetwork     `config:"network"`
		Logging    testLogging     `config:"logging"`
		Namespaces []testNamespace `config:"namespace"`
		Untagged   string
	}
	testService struct {
		ClusterName string        `config:"cluster-name"`
		NodeID      uint64        `config:"node-id"`
		Threads     int           `config:"service-threads"`
		Pin         testPin       `config:"auto-pin"`
		Max         time.Duration `config:"transaction-max-ms"`
		Ticker      time.Duration `config:"ticker-interval"`
		SQPoll      bool          `config:"sq-poll" dynamic:"true"`
		Spin        time.Duration `config:"spin-us" range:"0-1000" default:"50"`
		Fallback    string        `config:"ring" enum:"auto|epoll" default:"auto"`
	}
	testPin     string
	testNetwork struct {
		testListen
	}
	testListen struct {
		Address []string `config:"service.address"`
		Port    uint16   `config:"service.port"`
		Seeds   []string `config:"heartbeat.mesh-seed-address-port"`
	}
	testLogging struct {
		Console *testSink  `config:"console"`
		Files   []testSink `config:"file"`
	}
	testSink struct {
		Path    string   `config:",name"`
		Context []string `config:"context"`
	}
	testNamespace struct {
		Name       string      `config:",name"`
		DefaultTTL uint32      `config:"default-ttl"`
		Reductions bool        `config:"apply-ttl-reductions"`
		MaxRecord  int         `config:"max-record-size"`
		Engine     string      `config:"storage-engine"`
		Storage    testStorage `config:"-"`
		LWM        int8        `config:"defrag-lwm-pct"` // of the storage engine, side by side
		Geo        testGeo     `config:"geo2dsphere-within"`
		Sets       []testSet   `config:"set"`
		Extra      testExtra   `config:"extra"`
	}
	testStorage struct{ X int }
	testGeo     struct {
		MaxCells int `config:"max-cells"`
	}
	testSet struct {
		Name       string `config:",name"`
		DefaultTTL int64  `config:"default-ttl"`
		Count      uint64 `config:"stop-writes-count"`
	}
	testExtra struct {
		Depth int `config:"depth"`
	}
)

const full = `# a comment
service {
	cluster-name	c1   # behind
	node-id bb9
	service-threads 3
	auto-pin CPU
	transaction-max-ms 2K
	ticker-interval 1m
	sq-poll TRUE
	ring epoll
	run-as-daemon
	batch-max-requests 7
}
network {
	service {
		address any
		address 10.0.0.1
		port 3000
	}
	heartbeat {
		mode mesh
		mesh-seed-address-port 10.0.0.2 3002
		mesh-seed-address-port 10.0.0.3 3002
	}
}
logging {
	console {
		context any info
	}
	file /var/log/a.log {
		context any warning
		context info debug
	}
}
namespace test {
	default-ttl 2d
	apply-ttl-reductions false
	max-record-size 2M
	replication-factor 1
	storage-engine device {
		device /dev/a
		device /dev/c
		defrag-lwm-pct 40
	}
	geo2dsphere-within {
		max-cells 16
	}
	set users {
		default-ttl -1
		stop-writes-count 1M
	}
	extra {
		depth 3
	}
}
namespace mem {
	replication-factor 1
	storage-engine memory {
		data-size 1G
	}
}
`

func TestFill(t *testing.T) {
	var got testNode
	c, err := Parse(full, &got)
	if err != nil {
		t.Fatal(err)
	}
	want := testNode{
		Service: testService{
			ClusterName: "c1", NodeID: 0xbb9, Threads: 3, Pin: "cpu", Max: 2048 * time.Millisecond, Ticker: time.Minute,
			SQPoll: true, Spin: 50 * time.Microsecond, Fallback: "epoll",
		},
		Network: testNetwork{testListen{[]string{"any", "10.0.0.1"}, 3000, []string{"10.0.0.2 3002", "10.0.0.3 3002"}}},
		Logging: testLogging{
			Console: &testSink{Context: []string{"any info"}},
			Files:   []testSink{{"/var/log/a.log", []string{"any warning", "info debug"}}},
		},
		Namespaces: []testNamespace{
			{
				Name: "test", DefaultTTL: 2 * 86400, MaxRecord: 2 << 20, Engine: "device", LWM: 40, Geo: testGeo{16},
				Sets: []testSet{{"users", -1, 1 << 20}}, Extra: testExtra{3},
			},
			{Name: "mem", Reductions: true, MaxRecord: 1 << 20, Engine: "memory", LWM: 50, Geo: testGeo{12}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got  %+v\n want %+v", got, want)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %v", w)
	}
	for _, tt := range []struct{ context, ns, name, want string }{
		{"service", "", "node-id", "BB9"},
		{"service", "", "transaction-max-ms", "2048"},
		{"service", "", "batch-max-requests", "7"},
		{"service", "", "info-threads", "16"},
		{"service", "", "pidfile", "null"},
		{"service", "", "sq-poll", "true"},
		{"service", "", "spin-us", "50"},
		{"network", "", "service.port", "3000"},
		{"network", "", "heartbeat.mesh-seed-address-port", "10.0.0.2:3002"},
		{"namespace", "test", "storage-engine", "device"},
		{"namespace", "test", "storage-engine.device[0]", "/dev/a"},
		{"namespace", "test", "storage-engine.device[1]", "/dev/c"},
		{"namespace", "test", "storage-engine.defrag-lwm-pct", "40"},
		{"namespace", "test", "apply-ttl-reductions", "false"},
		{"namespace", "test", "extra.depth", "3"},
		{"namespace", "mem", "storage-engine.data-size", "1073741824"},
		{"namespace", "mem", "storage-engine.flush-size", ""}, // not of this engine
		{"namespace", "mem", "storage-engine.device[0]", ""},
	} {
		if got := c.Value(tt.context, tt.ns, tt.name); got != tt.want {
			t.Errorf("%s %s %s: %q, want %q", tt.context, tt.ns, tt.name, got, tt.want)
		}
	}
	idle := c.Idle()
	if !slices.Contains(idle, "service: batch-max-requests") || slices.Contains(idle, "service: node-id") {
		t.Errorf("idle %v: want the parameters no field takes", idle)
	}
}

// TestFilledValuesAreTheCallers changes settings and checks that the struct
// the caller holds does not move.
func TestFilledValuesAreTheCallers(t *testing.T) {
	var o testNode
	c, err := Parse(full, &o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set("namespace", "test", "", Given("default-ttl", "7")); err != nil {
		t.Fatal(err)
	}
	if o.Namespaces[0].DefaultTTL != 2*86400 {
		t.Error("a change reached through to the caller's struct")
	}
}

func TestNewKeepsWhatTheStructHolds(t *testing.T) {
	o := testNode{
		Service:    testService{ClusterName: "own", Max: 5 * time.Second},
		Namespaces: []testNamespace{{Name: "test", Engine: "device", DefaultTTL: 5}, {Name: "mem"}},
	}
	c, err := New(&o)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Namespaces(); !slices.Equal(got, []string{"test", "mem"}) {
		t.Errorf("namespaces %v", got)
	}
	for _, tt := range []struct{ context, ns, name, want string }{
		{"service", "", "cluster-name", "own"},
		{"service", "", "transaction-max-ms", "5000"},
		{"namespace", "test", "default-ttl", "5"},
		{"namespace", "test", "storage-engine", "device"},
		{"namespace", "mem", "storage-engine", "memory"},
		{"namespace", "mem", "max-record-size", "1048576"},
	} {
		if got := c.Value(tt.context, tt.ns, tt.name); got != tt.want {
			t.Errorf("%s %s %s: %q, want %q", tt.context, tt.ns, tt.name, got, tt.want)
		}
	}
	if o.Namespaces[1].MaxRecord != 1<<20 || o.Namespaces[1].Engine != "memory" {
		t.Errorf("defaults not filled: %+v", o.Namespaces[1])
	}
}

// lines puts a namespace's lines into a file; line 1 of them is line 5 of the
// file.
func inNamespace(lines string) string {
	return "service {\ncluster-name c\n}\nnamespace test {\n" + lines + "\n}\n"
}

func TestMistakes(t *testing.T) {
	inService := func(lines string) string {
		return "namespace n {\n}\nservice {\ncluster-name c\n" + lines + "\n}\n"
	}
	for _, tt := range []struct {
		name, text string
		want       []string // each mistake, in order
	}{
		{"nothing", "", []string{"service: cluster-name is missing", "no namespace"}},
		{"unknown parameter", inService("no-such 1"), []string{`line 5: unknown parameter "no-such" in service`}},
		{"parameter of another block", inService("defrag-lwm-pct 5"), []string{"line 5: unknown parameter \"defrag-lwm-pct\" in service (it belongs in namespace storage-engine)"}},
		{"unknown block", inService("thing {\nx 1\ny {\n}\n}"), []string{`line 5: unknown block "thing" in service`}},
		{"value missing", inService("service-threads"), []string{"line 5: service-threads: want a value (integer)"}},
		{"not a number", inService("service-threads few"), []string{"line 5: service-threads few: is not a number"}},
		{"out of range", inService("service-threads 5000\nservice-threads 0"), []string{"line 5: service-threads 5000: want 1 to 4096", "line 6: service-threads 0: want 1 to 4096"}},
		{"too large", inService("proto-fd-max 99999999999999999999"), []string{"line 5: proto-fd-max 99999999999999999999: is too large"}},
		{"factor too large", inService("proto-fd-max 99999999P"), []string{"line 5: proto-fd-max 99999999P: is too large"}},
		{"bad suffix", inService("proto-fd-max 15Q"), []string{`line 5: proto-fd-max 15Q: has the unknown suffix "Q"`}},
		{"two suffixes", inService("proto-fd-max 1MB"), []string{`proto-fd-max 1MB: is not a number`}},
		{"time suffix on a number", inService("proto-fd-max 15h"), []string{`line 5: proto-fd-max 15h`}},
		{"number only with -1", inService("service-threads -1"), []string{"line 5: service-threads -1: is not a number"}},
		{"boolean", inService("sq-poll yes"), []string{"line 5: sq-poll yes: want true or false"}},
		{"word", inService("auto-pin maybe"), []string{"line 5: auto-pin maybe: want one of none, cpu, numa, adq"}},
		{"hex", inService("node-id 0\nnode-id XYZ\nnode-id 11112222333344445"), []string{"line 5: node-id 0", "line 6: node-id XYZ", "line 7: node-id 1111"}},
		{"extension out of range", inService("spin-us 2000"), []string{"line 5: spin-us 2000: want 0 to 1000"}},
		{"privileged port", "service {\ncluster-name c\n}\nnetwork {\nservice {\nport 80\n}\n}\nnamespace n {\n}\n", []string{"line 6: port 80: want 1024 to 65535"}},
		{"not closed", "service {\ncluster-name c\n}\nnamespace test {\n", []string{"line 4: namespace test is not closed"}},
		{"closed twice", inNamespace("}"), []string{"line 6: a } without an open block"}},
		{"brace in a line", inService("service-threads 3 }"), []string{`line 5: "}" in the middle of a line`}},
		{"brace alone", inService("{"), []string{"line 5: a { without a name"}},
		{"too many words", inService("address 1 2 3 4"), []string{"line 5: address has 4 values", "line 5: unknown parameter"}},
		{"too long a line", inService("pidfile " + strings.Repeat("x", 1030)), []string{"line 5: the line has 1038 bytes: want at most 1024"}},
		{"zero byte", inService("pidfile a\x00b"), []string{"line 5: the line holds a zero byte"}},
		{"too deep", inNamespace(strings.Repeat("extra {\n", 8) + strings.Repeat("}\n", 8)), []string{"unknown block", "nested deeper than 8"}},
		{"namespace twice", inNamespace("}\nnamespace test {"), []string{"line 6: namespace test is there already, in line 4"}},
		{"namespace without a name", "service {\ncluster-name c\n}\nnamespace {\nno-such 1\n}\n", []string{"no namespace", `line 4: namespace name ""`, "line 5: unknown parameter"}},
		{"namespace name too long", inNamespace("}\nnamespace " + strings.Repeat("n", 32) + " {"), []string{"line 6: namespace name"}},
		{"set name too long", inNamespace("set " + strings.Repeat("s", 64) + " {\n}"), []string{"line 5: set name"}},
		{"storage twice", inNamespace("storage-engine memory {\ndata-size 1G\n}\nstorage-engine device {\n}"), []string{"line 8: storage-engine is there already, in line 5"}},
		{"unknown storage", inNamespace("storage-engine disk {\nfilesize 1\n}"), []string{`line 5: storage-engine "disk": want one of memory, device, pmem`, "line 6: filesize 1"}},
		{"storage we have not", inNamespace("storage-engine pmem {\n}"), []string{"line 5: storage-engine pmem is not available"}},
		{"parameter of the other storage", inNamespace("storage-engine memory {\npost-write-cache 1M\ndata-size 1G\n}"), []string{"line 6: post-write-cache: not with storage-engine memory"}},
		{"time to live", inNamespace("default-ttl 11y\ndefault-ttl 4000d"), []string{"line 5: default-ttl 11y", "line 6: default-ttl 4000d: want 0 to 315360000"}},
		{"paid edition", inNamespace("strong-consistency true\nrack-id 3"), []string{"line 5: strong-consistency true is not available", "line 6: rack-id 3 is not available"}},
		{"encryption", inNamespace("storage-engine device {\nencryption-key-file /k\ndevice /a\n}"), []string{"line 6: encryption-key-file /k is not available"}},
		{"security", inNamespace("}\nsecurity {\nldap {\n}\n}\nxdr {"), []string{"line 6: security: users and roles are not available", "line 10: xdr: shipping"}},
		{"tls", "service {\ncluster-name c\n}\nnetwork {\ntls a {\ncert-file x\n}\n}\nnamespace n {\n}\n", []string{"line 5: tls: TLS is not available"}},
		{"gone", inNamespace("stop-writes-pct 50\nsingle-bin true"), []string{"line 5: stop-writes-pct is obsolete: use stop-writes-sys-memory-pct", "line 6: single-bin is obsolete: records"}},
		{"only at run time", inNamespace("force-long-queries true"), []string{"line 5: unknown parameter"}},
		{"cluster name", "service {\ncluster-name " + strings.Repeat("c", 64) + "\n}\nnamespace n {\n}\n", []string{"service: cluster-name is missing", "line 2: cluster-name"}},
		{"memory without a size", inNamespace("storage-engine memory {\n}"), []string{"line 5: storage-engine memory: data-size is missing"}},
		{"memory with a file", inNamespace("storage-engine memory {\nfile /a\nfilesize 1G\n}"), []string{"line 6: storage-engine memory with a file or device behind it is not available"}},
		{"nowhere to store", inNamespace("storage-engine device {\n}"), []string{"line 5: storage-engine device: want a line device or file"}},
		{"devices and files", inNamespace("storage-engine device {\ndevice /a\nfile /b\nfilesize 1G\n}"), []string{"line 7: storage-engine device: want devices or files, not both"}},
		{"file without a size", inNamespace("storage-engine device {\nfile /b\n}"), []string{"line 6: storage-engine device: a file needs filesize"}},
		{"shadow", inNamespace("storage-engine device {\ndevice /a /b\n}"), []string{"line 6: /a /b: shadow devices are not available"}},
		{"two promises", inNamespace("storage-engine device {\ndevice /a\ncommit-to-device true\ndisable-odsync true\n}"), []string{"line 8: commit-to-device and disable-odsync exclude"}},
		{"field too narrow", inNamespace("storage-engine device {\ndevice /a\n}\ndefrag-lwm-pct 1"), []string{"line 8: unknown parameter \"defrag-lwm-pct\" in namespace (it belongs in namespace storage-engine)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text, &testNode{})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v: want mistakes", err)
			}
			for i, m := range e.Mistakes {
				if i >= len(tt.want) || !strings.Contains(m.String(), tt.want[i]) {
					t.Errorf("mistake %d: %s", i, m)
				}
			}
			if len(e.Mistakes) != len(tt.want) {
				t.Errorf("%d mistakes, want %d: %q\n%v", len(e.Mistakes), len(tt.want), tt.want, e)
			}
		})
	}
}

func TestMistakesAreLimited(t *testing.T) {
	_, err := Parse(inNamespace(strings.Repeat("no-such 1\n", 1000)), &testNode{})
	var e *Error
	if !errors.As(err, &e) || len(e.Mistakes) != maxFound+1 {
		t.Fatalf("%v", err)
	}
	if _, err := Parse(strings.Repeat("#\n", MaxFile), &testNode{}); err == nil {
		t.Error("a file above the limit was accepted")
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, lines string
		want        []string
	}{
		{"none", "default-ttl 5", nil},
		{"set again", "default-ttl 5\ndefault-ttl 6", []string{"line 6: default-ttl again: it was set in line 5"}},
		{"mapped", "storage-engine device {\nwrite-block-size 128K\ndevice /a\n}", []string{"line 6: write-block-size is obsolete: taken as flush-size"}},
		{"mapped into a block", "high-water-disk-pct 60", []string{"line 5: high-water-disk-pct is obsolete: taken as storage-engine.evict-used-pct", "line 5: evict-used-pct is accepted and has no effect"}},
		{"idle", "memory-size 4G", []string{"line 5: memory-size is obsolete and without effect"}},
		{"harmless value", "single-bin false", []string{"line 5: single-bin is obsolete and without effect"}},
		{"paid edition, idle", "tomb-raider-period 5", []string{"line 5: tomb-raider-period is accepted and without effect"}},
		{"paid edition, default", "rack-id 0", nil},
		{"protects data", "stop-writes-sys-memory-pct 50\nmigrate-order 3", []string{"line 5: stop-writes-sys-memory-pct is accepted and has no effect"}},
		{"copies", "replication-factor 2\n", nil},
		{"more copies", "replication-factor 3\n", []string{"line 5: replication-factor is accepted and has no effect"}},
		{"one copy", "replication-factor 1", nil},
		{"shmem", "index-type shmem", []string{"line 5: index-type shmem: the index is built anew"}},
		{"second value", "default-ttl 5 6", []string{`line 5: default-ttl takes one value: "6" is not read`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(inNamespace(tt.lines), &testNode{})
			if err != nil {
				t.Fatal(err)
			}
			got := c.Warnings()
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.Contains(got[i].String(), tt.want[i]) {
					t.Errorf("%s, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestMappedValueArrives(t *testing.T) {
	c, err := Parse(inNamespace("high-water-disk-pct 60\nstorage-engine device {\nwrite-block-size 128K\ndevice /a\n}"), &testNode{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Value("namespace", "test", "storage-engine.flush-size"); got != "131072" {
		t.Errorf("flush-size %s, want 131072", got)
	}
	if got := c.Value("namespace", "test", "storage-engine.evict-used-pct"); got != "60" {
		t.Errorf("evict-used-pct %s, want 60", got)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.conf")
	if _, err := Load(path, &testNode{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("x y\nz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, &testNode{})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[2], "config: "+path+": line 1: unknown parameter") {
		t.Errorf("error:\n%v", err)
	}
}

func TestSet(t *testing.T) {
	for _, tt := range []struct {
		name, context, ns, set, key, value string
		list, want                         string // get-config name, its value then; "" list: refused
	}{
		{"number", "service", "", "", "batch-max-requests", "9", "batch-max-requests", "9"},
		{"nothing is 0", "service", "", "", "batch-max-requests", "", "batch-max-requests", "0"},
		{"-1 is the largest", "service", "", "", "batch-max-requests", "-1", "batch-max-requests", "4294967295"},
		{"-1 out of range", "service", "", "", "query-threads-limit", "-1", "", ""},
		{"not a number", "service", "", "", "batch-max-requests", "x", "", ""},
		{"duration", "service", "", "", "transaction-max-ms", "3000", "transaction-max-ms", "3000"},
		{"time", "namespace", "test", "", "default-ttl", "2D", "default-ttl", "172800"},
		{"bad suffix", "namespace", "test", "", "default-ttl", "10x", "", ""},
		{"size", "namespace", "test", "", "max-record-size", "4M", "max-record-size", "4194304"},
		{"boolean", "namespace", "test", "", "apply-ttl-reductions", "true", "apply-ttl-reductions", "true"},
		{"boolean in capitals", "namespace", "test", "", "apply-ttl-reductions", "TRUE", "", ""},
		{"word", "namespace", "test", "", "conflict-resolution-policy", "last-update-time", "conflict-resolution-policy", "last-update-time"},
		{"storage by its plain name", "namespace", "test", "", "defrag-lwm-pct", "60", "storage-engine.defrag-lwm-pct", "60"},
		{"storage by its long name", "namespace", "test", "", "storage-engine.defrag-lwm-pct", "60", "", ""},
		{"geo by its dashed name", "namespace", "test", "", "geo2dsphere-within-max-cells", "20", "geo2dsphere-within.max-cells", "20"},
		{"geo by its dotted name", "namespace", "test", "", "geo2dsphere-within.max-cells", "20", "", ""},
		{"of the other storage", "namespace", "mem", "", "post-write-cache", "1M", "", ""},
		{"network", "network", "", "", "heartbeat.interval", "200", "heartbeat.interval", "200"},
		{"static", "service", "", "", "node-id", "A", "", ""},
		{"paid edition", "namespace", "test", "", "rack-id", "1", "", ""},
		{"unknown", "service", "", "", "no-such", "1", "", ""},
		{"extension", "service", "", "", "sq-poll", "false", "sq-poll", "false"},
		{"static extension", "service", "", "", "ring", "auto", "", ""},
		{"a field it does not fit", "namespace", "test", "", "defrag-lwm-pct", "200", "", ""},
		{"unknown namespace", "namespace", "none", "", "default-ttl", "1", "", ""},
		{"unknown context", "logging", "", "", "default-ttl", "1", "", ""},
		{"set name too long", "namespace", "test", strings.Repeat("s", 64), "default-ttl", "1", "", ""},
		{"set with a parameter of namespaces", "namespace", "test", "users", "max-record-size", "1M", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(full, &testNode{})
			if err != nil {
				t.Fatal(err)
			}
			before, _ := c.List(tt.context, tt.ns)
			ch, err := c.Set(tt.context, tt.ns, tt.set, Given(tt.key, tt.value))
			after, _ := c.List(tt.context, tt.ns)
			if tt.list == "" {
				if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrContext) || !slices.Equal(before, after) {
					t.Errorf("error %v: want a refusal that changes nothing", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Value(tt.context, tt.ns, tt.list); got != tt.want || ch.To != tt.want {
				t.Errorf("%s is %q and the change %+v, want %q", tt.list, got, ch, tt.want)
			}
		})
	}
}

// TestSetTakesTheFirstOfTheTable sends two settings at once.
func TestSetTakesTheFirstOfTheTable(t *testing.T) {
	c, err := Parse(full, &testNode{})
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{"migrate-threads": "3", "batch-max-requests": "70"}
	ch, err := c.Set("service", "", "", func(name string) (string, bool) { v, ok := given[name]; return v, ok })
	if err != nil || ch.Name != "batch-max-requests" || c.Value("service", "", "migrate-threads") != "1" {
		t.Errorf("%+v, %v", ch, err)
	}
}

// TestBind follows a change to its owner, who may refuse it.
func TestBind(t *testing.T) {
	c, err := Parse(full, &testNode{})
	if err != nil {
		t.Fatal(err)
	}
	var got []testNamespace
	refuse := errors.New("not now")
	var answer error
	if err := Bind(c, "namespace", "test", func(o testNamespace) error { got = append(got, o); return answer }); err != nil {
		t.Fatal(err)
	}
	if err := Bind(c, "namespace", "test", func(testService) error { return nil }); err == nil {
		t.Error("bound a struct that does not hold the context")
	}
	if err := Bind(c, "namespace", "none", func(testNamespace) error { return nil }); !errors.Is(err, ErrContext) {
		t.Errorf("bound a namespace that is not there: %v", err)
	}
	ch, err := c.Set("namespace", "test", "", Given("defrag-lwm-pct", "70"))
	if err != nil || ch.Idle || len(got) != 1 || got[0].LWM != 70 || got[0].Name != "test" {
		t.Fatalf("%+v, %v: applied %+v", ch, err, got)
	}
	answer = refuse
	if _, err := c.Set("namespace", "test", "", Given("defrag-lwm-pct", "80")); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "not now") {
		t.Errorf("refused by the owner: %v", err)
	}
	if v := c.Value("namespace", "test", "storage-engine.defrag-lwm-pct"); v != "70" {
		t.Errorf("after a refusal %s, want 70", v)
	}
	if _, err := c.Set("namespace", "test", "fresh", Given("default-ttl", "9")); err == nil || slices.Contains(c.Sets("test"), "fresh") {
		t.Errorf("refused set: %v, sets %v", err, c.Sets("test"))
	}
	answer = nil
	if _, err := c.Set("namespace", "test", "fresh", Given("default-ttl", "-1")); err != nil {
		t.Fatal(err)
	}
	last := got[len(got)-1]
	if want := []testSet{{"users", -1, 1 << 20}, {"fresh", -1, 0}}; !slices.Equal(last.Sets, want) {
		t.Errorf("sets applied %+v, want %+v", last.Sets, want)
	}
	if _, err := c.Set("namespace", "test", "users", Given("stop-writes-count", "5")); err != nil {
		t.Fatal(err)
	}
	if last := got[len(got)-1]; last.Sets[0].Count != 5 || last.Sets[1].DefaultTTL != -1 {
		t.Errorf("sets applied %+v", last.Sets)
	}
	want := []Pair{{"default-read-touch-ttl-pct", "0"}, {"default-ttl", "-1"}, {"disable-eviction", "false"}, {"enable-index", "false"}, {"stop-writes-count", "0"}, {"stop-writes-size", "0"}}
	if got := c.ListSet("test", "fresh"); !slices.Equal(got, want) {
		t.Errorf("settings of the set %v, want %v", got, want)
	}
}

func TestEffective(t *testing.T) {
	c, err := Parse(full, &testNode{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Effective(c, "service", "", testService{ClusterName: "c1", Threads: 8}); err != nil {
		t.Fatal(err)
	}
	if got := c.Value("service", "", "service-threads"); got != "8" {
		t.Errorf("service-threads %s, want the 8 that run", got)
	}
	if got := c.Value("service", "", "transaction-max-ms"); got != "0" {
		t.Errorf("transaction-max-ms %s, want the 0 that runs", got)
	}
	// What no tag names travels along, and sets stay where they are.
	running := testNamespace{Name: "test", Storage: testStorage{7}, Sets: []testSet{{Name: "users", Count: 9}, {Name: "late"}}}
	if err := Effective(c, "namespace", "test", running); err != nil {
		t.Fatal(err)
	}
	var got testNamespace
	if err := Bind(c, "namespace", "test", func(o testNamespace) error { got = o; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set("namespace", "test", "late", Given("default-ttl", "3")); err != nil {
		t.Fatal(err)
	}
	if want := []testSet{{"users", 0, 9}, {"late", 3, 0}}; got.Storage.X != 7 || !slices.Equal(got.Sets, want) || running.Sets[1].DefaultTTL != 0 {
		t.Errorf("applied %+v, want sets %+v", got, want)
	}
	if err := Effective(c, "service", "", 5); err == nil {
		t.Error("took an int for the service's options")
	}
	if err := c.Report("service", "", "node-id-interface", "eth0"); err != nil || c.Value("service", "", "node-id-interface") != "eth0" {
		t.Errorf("report: %v", err)
	}
	if err := c.Report("service", "", "no-such", "1"); err == nil {
		t.Error("reported an unknown parameter")
	}
}

func TestRules(t *testing.T) {
	c, err := Parse(full, &testNode{})
	if err != nil {
		t.Fatal(err)
	}
	c.AddRule(func(ch Change, value func(context, namespace, name string) string) error {
		if ch.Name == "migrate-threads" && value("namespace", "test", "default-ttl") == "172800" {
			return fmt.Errorf("from %s to %s", ch.From, ch.To)
		}
		return nil
	})
	if _, err := c.Set("service", "", "", Given("migrate-threads", "2")); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "from 1 to 2") {
		t.Errorf("rule: %v", err)
	}
}

// TestTable checks what the compiler cannot: every default obeys its own
// range, names are unique, obsolete names have a target and are not current.
func TestTable(t *testing.T) {
	root := newTable()
	var visit func(b *block)
	n := 0
	visit = func(b *block) {
		names := map[string]bool{}
		for _, p := range b.params {
			n++
			if names[p.name] {
				t.Errorf("%s %s stands twice", b.path(" "), p.name)
			}
			names[p.name] = true
			zero := p.def == "0" && p.kind.number() // off, or computed
			if p.def != "" && !zero {
				if got, err := p.parse(p.def, false); err != nil || got != p.def {
					t.Errorf("%s %s: default %q reads as %q, %v", b.path(" "), p.name, p.def, got, err)
				}
			}
			if p.flags&dyn != 0 && p.flags&(ee|eeIdle|ours) != 0 {
				t.Errorf("%s %s: dynamic and of the paid edition", b.path(" "), p.name)
			}
		}
		for _, sub := range b.blocks {
			visit(sub)
		}
	}
	visit(root)
	if n < 230 {
		t.Errorf("%d parameters: the table is not what it was", n)
	}
	for path, names := range obsolete {
		b := root
		for part := range strings.SplitSeq(path, ".") {
			if b = b.sub(part); b == nil {
				t.Fatalf("obsolete names for %s, which is no block", path)
			}
		}
		for name, was := range names {
			if p := b.param(name); p != nil {
				t.Errorf("%s %s is obsolete and current", path, name)
			}
			if was.target != "" {
				if p, _ := newSection(b, "").resolve(was.target); p == nil {
					t.Errorf("%s %s is taken as %s, which is no parameter", path, name, was.target)
				}
			}
		}
	}
}

func ExampleParse() {
	type options struct {
		Service struct {
			Threads int `config:"service-threads"`
		} `config:"service"`
	}
	var o options
	_, err := Parse("service {\n    service-threads 4K\n    color blue\n}\n", &o)
	fmt.Println(err)
	// Output:
	// config: service: cluster-name is missing: every node of a cluster needs the same name
	// config: no namespace: want at least one
	// config: line 3: unknown parameter "color" in service
}

// FuzzParse reads arbitrary files: whatever they hold, every mistake has a
// line of the file, and a file without mistakes reads back as it was listed.
func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add("service {\ncluster-name c\n}\nnamespace n {\n}\n")
	f.Add("}\n{\nservice\n#\nnamespace a {\nset b {\nstorage-engine device {\n")
	f.Add("service { }\nnamespace test {\nstorage-engine memory\ndata-size 512M\n}\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var o testNode
		c, err := Parse(text, &o)
		lines := strings.Count(text, "\n") + 1
		var e *Error
		if errors.As(err, &e) {
			for _, m := range e.Mistakes {
				if m.Line < 0 || m.Line > lines {
					t.Errorf("mistake in line %d of %d: %s", m.Line, lines, m.Text)
				}
			}
			return
		}
		if len(o.Namespaces) != len(c.Namespaces()) {
			t.Errorf("%d namespaces filled, %d known", len(o.Namespaces), len(c.Namespaces()))
		}
		for _, ns := range c.Namespaces() {
			if _, err := c.List("namespace", ns); err != nil {
				t.Error(err)
			}
			if _, err := c.Set("namespace", ns, "", Given("default-ttl", text)); err != nil && !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
		}
	})
}
