// Package testnode runs the real binary for tests that talk to it from
// outside.
//
//	test ─▶ Start ─▶ go build . ─▶ ashlar node --config-file … --listen 127.0.0.1:0
//	                                  │ "ashlar: ready on ADDRESS"
//	        Node.Address ◀────────────┘
//
// Each node has a directory, a configuration and a port of its own and is
// ended when its test is. Its log is shown when the test fails.
package testnode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Limits of waiting for a process.
const (
	startLimit = time.Minute
	stopLimit  = 30 * time.Second
)

// Memory is a configuration of one namespace in memory, test.
const Memory = `
namespace test {
	replication-factor 1
	nsup-period 120
	storage-engine memory {
		data-size 1G
	}
}
`

// Device is a configuration of one namespace on a file, test. DIR is the
// node's directory.
const Device = `
namespace test {
	replication-factor 1
	nsup-period 120
	storage-engine device {
		file DIR/test.dat
		filesize 1G
		direct-files true
	}
}
`

// Node is a running node.
type Node struct {
	Host string
	Port string

	cmd  *exec.Cmd
	log  lockedBuffer
	done chan error
}

// Address returns host:port.
func (n *Node) Address() string { return n.Host + ":" + n.Port }

// lockedBuffer takes a process's output while a test may read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var (
	buildOnce sync.Once
	binary    string
	errBuild  error
)

// Root returns the directory of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Binary builds ashlar, once a test binary, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "ashlar-bin-")
		if err != nil {
			errBuild = err
			return
		}
		binary = filepath.Join(dir, "ashlar")
		cmd := exec.Command("go", "build", "-o", binary, ".")
		cmd.Dir = Root()
		out, err := cmd.CombinedOutput()
		if err != nil {
			errBuild = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return binary
}

// CleanUp removes what Binary has built. TestMain calls it at the end.
func CleanUp() {
	if binary != "" {
		_ = os.RemoveAll(filepath.Dir(binary)) // a left-over in the temporary directory
	}
}

// Start starts a node with these namespaces (Memory, Device or the like) and
// waits until it serves.
func Start(t testing.TB, namespaces string) *Node {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "ashlar.conf")
	text := "service {\n\tcluster-name test\n}\nnetwork {\n\tservice {\n\t\taddress 127.0.0.1\n\t\tport 3000\n\t}\n}\n" +
		strings.ReplaceAll(namespaces, "DIR", dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &Node{done: make(chan error, 1)}
	n.cmd = exec.Command(Binary(t), "node", "--config-file", conf, "--listen", "127.0.0.1:0", "--data-dir", dir)
	n.cmd.Dir = dir
	n.cmd.Stderr = &n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(t) })
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, address, ok := strings.Cut(lines.Text(), "ready on "); ok {
				select {
				case ready <- address:
				default:
				}
			}
		}
		n.done <- n.cmd.Wait()
	}()
	select {
	case address := <-ready:
		i := strings.LastIndexByte(address, ':')
		if i < 0 {
			t.Fatalf("the node is ready on %q: want host:port", address)
		}
		n.Host, n.Port = address[:i], address[i+1:]
	case err := <-n.done:
		n.done <- err
		t.Fatalf("the node ended at start: %v\n%s", err, n.log.String())
	case <-time.After(startLimit):
		t.Fatalf("the node does not serve after %v:\n%s", startLimit, n.log.String())
	}
	return n
}

// Alive returns an error when the node has ended.
func (n *Node) Alive() error {
	select {
	case err := <-n.done:
		n.done <- err
		return fmt.Errorf("the node has ended: %w", errors.Join(errors.New("process over"), err))
	default:
		return nil
	}
}

// end stops the node as an operator does and reports what went wrong.
func (n *Node) end(t testing.TB) {
	if err := n.Alive(); err != nil {
		t.Errorf("%v\n%s", err, tail(n.log.String()))
		return
	}
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop the node: %v", err)
	}
	select {
	case err := <-n.done:
		if err != nil {
			t.Errorf("the node ended with %v", err)
		}
	case <-time.After(stopLimit):
		t.Errorf("the node does not end within %v", stopLimit)
		_ = n.cmd.Process.Kill() // reported already
	}
	if t.Failed() {
		t.Logf("log of the node:\n%s", tail(n.log.String()))
	}
}

const tailSize = 16 << 10 // bytes

func tail(s string) string { return s[max(0, len(s)-tailSize):] }
