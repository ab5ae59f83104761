package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/node/client"
	"github.com/ashlardb/ashlar/testbed/testnode"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testnode.CleanUp()
	os.Exit(code)
}

// result is the part of the JSON that the test looks at.
type result struct {
	Schema     string
	Operations []struct {
		Kind  string
		Count int
	}
	Answers  map[string]int
	Failures map[string]int
	Invalid  []string
}

// load runs the generator and reads its JSON.
func load(t *testing.T, n *testnode.Node, args ...string) result {
	t.Helper()
	name := filepath.Join(t.TempDir(), "result.json")
	args = append([]string{"bench", "-h", n.Host + ":" + n.Port, "-k", "3000", "-z", "8", "-q", "--max-starved", "100", "--max-lateness", "10s", "-T", "10000", "--json", name}, args...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, testnode.Binary(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("ashlar %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// counters reads figures of the namespace from the node.
func counters(t *testing.T, n *testnode.Node, names ...string) map[string]int {
	t.Helper()
	info, err := client.DialInfo(context.Background(), n.Host+":"+n.Port, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer info.Close()
	answers, err := info.Ask("namespace/test")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for pair := range strings.SplitSeq(answers[0], ";") {
		name, value, _ := strings.Cut(pair, "=")
		for _, want := range names {
			if name == want {
				if out[name], err = strconv.Atoi(value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return out
}

// TestAgainstNode: the node has counted every operation that the generator
// reports, and the records are there.
func TestAgainstNode(t *testing.T) {
	for _, storage := range []struct{ name, config string }{{"memory", testnode.Memory}, {"device", testnode.Device}} {
		t.Run(storage.name, func(t *testing.T) {
			n := testnode.Start(t, storage.config)
			r := load(t, n, "-w", "I", "-o", "B256,I4,[3*S5],{2*S4:D}")
			if len(r.Invalid) > 0 || r.Answers["ok"] != 3000 {
				t.Fatalf("insert: invalid %v, answers %v, want 3000 ok", r.Invalid, r.Answers)
			}
			if c := counters(t, n, "objects", "client_write_success"); c["objects"] != 3000 || c["client_write_success"] != 3000 {
				t.Errorf("after 3000 inserts the node counts %v", c)
			}
			r = load(t, n, "-w", "read=0.5,update=0.2,rmw=0.1,touch=0.1,exists=0.1", "-o", "S100", "--key-dist", "zipfian", "-g", "3000", "--duration", "2s")
			if len(r.Invalid) > 0 || r.Answers["not found"] > 0 || len(r.Failures) == 0 {
				t.Errorf("mixed: invalid %v, answers %v, failures %v", r.Invalid, r.Answers, r.Failures)
			}
			reads, writes := 0, 0
			for _, op := range r.Operations {
				switch op.Kind {
				case "read", "exists":
					reads += op.Count
				case "update", "touch":
					writes += op.Count
				case "rmw":
					reads, writes = reads+op.Count, writes+op.Count
				}
			}
			c := counters(t, n, "client_read_success", "client_write_success", "client_write_error")
			// What was in flight when the measurement ended was answered too.
			if got := c["client_read_success"]; got < reads || got > reads+8 {
				t.Errorf("%d reads reported, the node counts %d", reads, got)
			}
			if got := c["client_write_success"] + c["client_write_error"] - 3000; got < writes || got > writes+8 {
				t.Errorf("%d writes reported, the node counts %d", writes, got)
			}
			r = load(t, n, "-w", "DB")
			if c := counters(t, n, "objects"); r.Answers["ok"] != 3000 || c["objects"] != 0 {
				t.Errorf("delete: answers %v, objects %d", r.Answers, c["objects"])
			}
		})
	}
}

// TestWrongNamespace: a clear error, and the exit code of bad usage.
func TestWrongNamespace(t *testing.T) {
	n := testnode.Start(t, testnode.Memory)
	out, err := exec.Command(testnode.Binary(t), "bench", "-h", n.Host+":"+n.Port, "-n", "nope", "-t", "1").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 4 || !strings.Contains(string(out), `no namespace "nope"`) {
		t.Errorf("error %v, output %q; want exit code 4 and the namespace's name", err, out)
	}
}
