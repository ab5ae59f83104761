package node

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/node/config"
	"github.com/ashlardb/ashlar/node/info"
)

// lines is where a node under test logs to.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// small is a node on a free port with a little file and a memory namespace.
func small(t *testing.T, dir string) (Options, *config.Config) {
	t.Helper()
	o := DefaultOptions()
	o.DataDir = dir
	o.Network.Service.Port = 0
	o.Service.Threads = 2
	o.Namespaces[0].Storage.Filesize = 256 << 20
	c, err := config.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	return o, c
}

// TestStartAndStop starts a node twice on the same directory and looks at
// what it says.
func TestStartAndStop(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		o, c := small(t, dir)
		var log lines
		n, err := Start(o, c, Build{Version: "1.2.3"}, &log)
		if err != nil {
			t.Fatalf("%v; log:\n%s", err, &log)
		}
		answer, err := askInfo(n.Addrs()[0].String(), []string{"build", "namespaces", "get-config:context=service"}, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"build\t8.1.2.0\n", "namespaces\ttest;mem\n", "service-threads=2", "cluster-name=ashlar"} {
			if !strings.Contains(string(answer), want) {
				t.Errorf("round %d: no %q in the answers %q", round, want, answer)
			}
		}
		if err := n.Stop(); err != nil {
			t.Errorf("round %d: %v; log:\n%s", round, err, &log)
		}
		for _, want := range []string{
			"version=1.2.3", "addresses=127.0.0.1:", "loops=2", "cpus=any", "queue=",
			"name=test storage-engine=device", "name=mem storage-engine=memory", filepath.Join(dir, "test.dat"), "block=", "direct=", "numa-node=",
			"soon there will be cake!", "stopping", "clean shutdown",
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("round %d: no %q in the log:\n%s", round, want, &log)
			}
		}
		if round == 1 && !strings.Contains(log.String(), "clean=true") {
			t.Errorf("the devices were not marked as cleanly closed; log:\n%s", &log)
		}
	}
}

// TestSetConfigReachesItsOwner changes settings by info and looks at what runs.
func TestSetConfigReachesItsOwner(t *testing.T) {
	o, c := small(t, t.TempDir())
	var log lines
	n, err := Start(o, c, Build{}, &log)
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{
		"set-config:context=namespace;id=mem;default-ttl=77",
		"set-config:context=service;transaction-max-ms=250",
		"set-config:context=service;proto-fd-max=1025",
	} {
		answer, err := askInfo(n.Addrs()[0].String(), []string{cmd}, 10*time.Second)
		if err != nil || !strings.HasSuffix(string(answer), "\tok\n") {
			t.Errorf("%s: %q, %v", cmd, answer, err)
		}
	}
	answer, err := askInfo(n.Addrs()[0].String(), []string{"set-config:context=service;service-threads=7"}, 10*time.Second)
	if err != nil || !strings.Contains(string(answer), "ERROR") {
		t.Errorf("service-threads while the node runs: %q, %v, want an error", answer, err)
	}
	if got := n.namespaces[1].Options().DefaultTTL; got != 77 {
		t.Errorf("default-ttl of mem is %d, want 77", got)
	}
	if got := n.namespaces[0].Options().DefaultTTL; got != 0 {
		t.Errorf("default-ttl of test is %d, want 0", got)
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
}

// TestStartFails: a start that cannot succeed leaves nothing behind, and says
// why.
func TestStartFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(o *Options, dir string)
		want   string
	}{
		{"a file that is a directory", func(o *Options, dir string) { o.Namespaces[0].Storage.Files = []string{dir} }, "test"},
		{"a device that is not there", func(o *Options, dir string) {
			o.Namespaces[0].Storage.Files, o.Namespaces[0].Storage.Devices = nil, []string{filepath.Join(dir, "none")}
		}, "none"},
		{"no device", func(o *Options, _ string) { o.Namespaces[0].Storage.Files = nil }, "device"},
		{"a file given twice", func(o *Options, _ string) {
			o.Namespaces[1].Storage = o.Namespaces[0].Storage
			o.Namespaces[1].Storage.Files = append([]string(nil), o.Namespaces[0].Storage.Files...)
		}, "namespace mem"},
		{"an address of another machine", func(o *Options, _ string) { o.Network.Service.Addresses = []string{"192.0.2.1"} }, "192.0.2.1"},
		{"a bad node-id", func(o *Options, _ string) { o.Service.NodeID = "xyz" }, "xyz"},
		{"a bad auto-pin", func(o *Options, _ string) { o.Service.AutoPin = "often" }, "often"},
		{"a bad log level", func(o *Options, _ string) { o.Logging.Console = &ConsoleLog{Contexts: []string{"any loud"}} }, "any loud"},
		{"no namespace", func(o *Options, _ string) { o.Namespaces = nil }, "no namespace"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o, c := small(t, dir)
			tt.change(&o, dir)
			n, err := Start(o, c, Build{}, &lines{})
			if err == nil {
				n.Stop() //nolint:errcheck // the test has failed
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q: want one that says %q", err, tt.want)
			}
			// The same directory serves a good node at once.
			o, c = small(t, dir)
			if n, err = Start(o, c, Build{}, &lines{}); err != nil {
				t.Fatalf("afterwards: %v", err)
			}
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.conf")
	bad := filepath.Join(dir, "bad.conf")
	write(t, good, `service {
	cluster-name c
	service-threads 3
}
network {
	service {
		address 10.0.0.1
		port 4000
	}
}
namespace one {
	storage-engine device {
		file one.dat
		filesize 256M
		direct-files true
	}
}
`)
	write(t, bad, "service {\n\tcluster-name c\n\tno-such-thing 1\n}\nnamespace one {\n\tstorage-engine memory {\n\t\tdata-size much\n\t}\n}\n")
	for _, tt := range []struct {
		name string
		args []string
		want string // part of the error, empty for none
		look func(o Options) string
	}{
		{"nothing", nil, "", func(o Options) string {
			return fmt.Sprintf("%v %d %s %s %s=[127.0.0.1] 3000 test mem data",
				o.Network.Service.Addresses, o.Network.Service.Port, o.Namespaces[0].Name, o.Namespaces[1].Name, o.DataDir)
		}},
		{"a file", []string{"--config-file", good}, "", func(o Options) string {
			return fmt.Sprint(o.Network.Service.Addresses, o.Network.Service.Port, o.Service.Threads, len(o.Namespaces)) + "=[10.0.0.1] 4000 3 1"
		}},
		{"flags before the file", []string{"--config-file", good, "--listen", "127.0.0.1:5000", "--listen", "[::1]:5000", "--service-threads", "1"}, "", func(o Options) string {
			return fmt.Sprint(o.Network.Service.Addresses, o.Network.Service.Port, o.Service.Threads) + "=[127.0.0.1 ::1] 5000 1"
		}},
		{"data-dir", []string{"--config-file", good, "--data-dir", "/d"}, "", func(o Options) string {
			o.setDefaults()
			return fmt.Sprint(o.Namespaces[0].Storage.Files) + "=[/d/one.dat]"
		}},
		{"force-init twice", []string{"--force-init", "/dev/a", "--force-init", "/dev/a"}, "", func(o Options) string {
			return fmt.Sprint(o.ForceInit) + "=[/dev/a]"
		}},
		{"force-init once", []string{"--force-init", "/dev/a"}, "name it twice", nil},
		{"force-init of two", []string{"--force-init", "/dev/a,/dev/b"}, "name it twice", nil},
		{"listen without a port", []string{"--listen", "127.0.0.1"}, "want host:port", nil},
		{"listen with a bad port", []string{"--listen", "127.0.0.1:70000"}, "0 to 65535", nil},
		{"listen on two ports", []string{"--listen", "127.0.0.1:1,127.0.0.1:2"}, "one port", nil},
		{"no such file", []string{"--config-file", filepath.Join(dir, "none")}, "none", nil},
		{"a bad file, first mistake", []string{"--config-file", bad}, "no-such-thing", nil},
		{"a bad file, second mistake", []string{"--config-file", bad}, "data-size", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f flags
			fs := pflag.NewFlagSet("node", pflag.ContinueOnError)
			f.define(fs)
			if err := fs.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			got, _, err := f.load(&lines{})
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("error %v: want one that says %q", err, tt.want)
			case tt.look != nil:
				if is, want, _ := strings.Cut(tt.look(got), "="); is != want {
					t.Errorf("got %q, want %q", is, want)
				}
			}
		})
	}
}

// TestCheckConfig runs the command as an operator does.
func TestCheckConfig(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "a.conf")
	run := func(text string) (string, error) {
		write(t, conf, text)
		cmd := Command(Build{})
		var out bytes.Buffer
		cmd.SetArgs([]string{"--check-config", "--config-file", conf})
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage = true
		err := cmd.ExecuteContext(context.Background())
		return out.String(), err
	}
	good := "service {\n\tcluster-name c\n}\nnamespace a {\n\tstorage-engine memory {\n\t\tdata-size 1G\n\t}\n}\n"
	if out, err := run(good); err != nil || !strings.Contains(out, "configuration is good") {
		t.Errorf("a good file: %q, %v", out, err)
	}
	_, err := run(strings.Replace(good, "cluster-name c", "cluster-name c\n\tproto-fd-max few", 1))
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("a mistake in line 3: %v", err)
	}
}

func TestNodeID(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"A1", 0xa1, true},
		{"bb9020011ac4202", 0xbb9020011ac4202, true},
		{"FFFFFFFFFFFFFFFF", 1<<64 - 1, true},
		{"0", 0, false},
		{"xyz", 0, false},
		{"10000000000000000", 0, false},
	} {
		got, err := nodeID(&ServiceOptions{NodeID: tt.in}, 3001)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("node-id %q: %X, %v, want %X", tt.in, got, err, tt.want)
		}
	}
	id, err := nodeID(&ServiceOptions{}, 3001)
	if err != nil || id>>48 != 3001 {
		t.Errorf("of the machine: %X, %v, want the fabric port in front", id, err)
	}
	if _, err := nodeID(&ServiceOptions{NodeIDInterface: "none0"}, 3001); err == nil {
		t.Error("an interface that is not there: no error")
	}
}

func TestAddresses(t *testing.T) {
	local := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3000"), netip.MustParseAddrPort("[::1]:3000")}
	for _, tt := range []struct {
		name      string
		o         AddressOptions
		service   string
		alternate string
	}{
		{"what is listened on", AddressOptions{Port: 3000}, "[127.0.0.1:3000 [::1]:3000]", "[]"},
		{"access addresses", AddressOptions{Port: 3000, Access: []string{"1.2.3.4"}}, "[1.2.3.4:3000]", "[]"},
		{"access port", AddressOptions{Port: 3000, Access: []string{"1.2.3.4"}, AccessPort: 5}, "[1.2.3.4:5]", "[]"},
		{"alternate", AddressOptions{Port: 3000, Alternate: []string{"h"}, AlternatePort: 9}, "[127.0.0.1:3000 [::1]:3000]", "[h:9]"},
	} {
		a, err := addresses(&tt.o, local)
		if err != nil || fmt.Sprint(a.Service) != tt.service || fmt.Sprint(a.Alternate) != tt.alternate {
			t.Errorf("%s: %v and %v, %v, want %s and %s", tt.name, a.Service, a.Alternate, err, tt.service, tt.alternate)
		}
	}
	hosts, err := reachable([]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:3000")})
	if err != nil || len(hosts) == 0 {
		t.Fatalf("every address: %v, %v", hosts, err)
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err != nil || ip.IsUnspecified() || ip.IsLoopback() && len(hosts) > 1 {
			t.Errorf("every address includes %q", h)
		}
	}
}

// TestLogIsOpenedAnew: the usual way to rotate a log.
func TestLogIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.log")
	s, err := openLog(&LoggingOptions{Files: []FileLog{{Path: path, Contexts: []string{"any info"}}}}, info.NewLevels(), nil)
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		t.Helper()
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	say("two\n")
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	say("three\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	o := DefaultOptions()
	o.setDefaults()
	if err := o.validate(); err != nil {
		t.Error(err)
	}
	test, mem := o.Namespaces[0], o.Namespaces[1]
	if test.Storage.Type != engine.StorageDevice || !test.Storage.DirectFiles || test.Storage.Filesize != 1<<30 || test.NsupPeriod != 120 {
		t.Errorf("namespace test: %+v", test)
	}
	if mem.Storage.Type != engine.StorageMemory || mem.Storage.DataSize != 1<<30 {
		t.Errorf("namespace mem: %+v", mem)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
