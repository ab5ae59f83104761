package crash

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v8"
	"golang.org/x/sys/unix"
)

var (
	nodeFlag   = flag.String("node", "", "ashlar binary to test instead of a fresh build")
	roundsFlag = flag.Int("rounds", 10, "kills of each kind")
	seedFlag   = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")
)

var ashlar string // path of the binary

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withBinary(m.Run))
}

func withBinary(run func() int) int {
	if ashlar = *nodeFlag; ashlar != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "ashlar-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ashlar = filepath.Join(dir, "ashlar")
	if out, err := exec.Command("go", "build", "-o", ashlar, "../..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return run()
}

// process is a running node.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  string // path
	host string
	port int
}

// settings are what a test varies of the node's configuration.
type settings struct {
	commit   bool
	flushMax time.Duration
}

// configure writes a configuration with namespace test on a file in dir.
func configure(t *testing.T, dir string, s settings) string {
	t.Helper()
	path := filepath.Join(dir, "ashlar.conf")
	text := fmt.Sprintf(`# of a test
service {
	cluster-name crash
}
network {
	service {
		address 127.0.0.1
		port 3000
	}
}
namespace test {
	replication-factor 1
	nsup-period 120
	storage-engine device {
		file %s
		filesize 256M
		direct-files true
		commit-to-device %v
		flush-max-ms %d
	}
}
`, filepath.Join(dir, "test.dat"), s.commit, s.flushMax.Milliseconds())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dataDir returns a directory beside the test: a temporary directory may be
// memory, where nothing survives anything.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(".", "data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// start starts a node and waits until it serves.
func start(t *testing.T, conf string) *process {
	t.Helper()
	p := &process{t: t, log: conf + ".log"}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(ashlar, "node", "--config-file", conf, "--listen", "127.0.0.1:0", "--service-threads", "2")
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.kill()
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ready := strings.CutPrefix(strings.TrimSpace(line), "ashlar: ready on ")
	if !ready {
		p.cmd.Wait() //nolint:errcheck // its log says more
		t.Fatalf("the node says %q, %v; its log:\n%s", line, err, p.lastLog())
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("ready line %q: %v", line, err)
	}
	p.host = host
	if p.port, err = strconv.Atoi(port); err != nil {
		t.Fatalf("ready line %q: %v", line, err)
	}
	return p
}

func (p *process) lastLog() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// kill ends the node as a crash does.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // Wait tells
	p.cmd.Wait()         //nolint:errcheck // killed is what it is to be
}

// stop ends the node in order.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("after SIGTERM: %v; log:\n%s", err, p.lastLog())
	}
}

// connect returns a client that asks once and waits long: what fails is
// reported, not repeated.
func (p *process) connect() *as.Client {
	p.t.Helper()
	policy := as.NewClientPolicy()
	policy.Timeout = 20 * time.Second
	client, err := as.NewClientWithPolicy(policy, p.host, p.port)
	if err != nil {
		p.t.Fatalf("connect: %v; log:\n%s", err, p.lastLog())
	}
	p.t.Cleanup(client.Close)
	client.DefaultPolicy.TotalTimeout = 20 * time.Second
	client.DefaultPolicy.SocketTimeout = 20 * time.Second
	client.DefaultPolicy.MaxRetries = 0
	client.DefaultWritePolicy.TotalTimeout = 20 * time.Second
	client.DefaultWritePolicy.SocketTimeout = 20 * time.Second
	client.DefaultWritePolicy.MaxRetries = 0
	return client
}

func key(t *testing.T, name string) *as.Key {
	t.Helper()
	k, err := as.NewKey("test", "crash", name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
