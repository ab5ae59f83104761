package floor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkMemory compares reads from a namespace in memory with the
// responder: node_cpu_us over floor_cpu_us is what the node costs.
func BenchmarkMemory(b *testing.B) {
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprint(conns), func(b *testing.B) {
			floor := startServer(b, "responder", self("responder", ""))
			node := startNode(b, `storage-engine memory {
				data-size 1G
			}`)
			w := workload{Namespace: "test", Conns: conns, Keys: 100_000, Window: *window}
			load(b, node, w)
			alternate(b, floor, node, w)
		})
	}
}

// BenchmarkDevice compares reads that take one device read each with the
// responder that does a pread of 4 KiB for each request.
func BenchmarkDevice(b *testing.B) {
	dir := dataDir(b)
	path := filepath.Join(dir, "floor.dat")
	writeFile(b, path, 256<<20)
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprint(conns), func(b *testing.B) {
			// With one P, as the responder would choose on its one CPU, each
			// pread holds up all others.
			responder := self("responder", path)
			responder.Env = append(responder.Env, "GOMAXPROCS=8")
			floor := startServer(b, "responder", responder)
			storage := fmt.Sprintf(`storage-engine device {
				file %s
				filesize 1G
				direct-files true
				post-write-cache 0
			}`, filepath.Join(dir, fmt.Sprintf("node%d.dat", conns)))
			w := workload{Namespace: "test", Conns: conns, Keys: 500_000, Window: *window}
			node := startNode(b, storage)
			load(b, node, w)
			node.stop(b) // what has been read back from the device is nowhere in memory
			node = startNode(b, storage)
			for _, t := range alternate(b, floor, node, w) {
				// A record of some 300 bytes lies in one or two blocks of 512.
				if t.deviceBytes < 500 {
					b.Errorf("%.0f bytes read from the device a request: the node answers from memory", t.deviceBytes)
				}
			}
		})
	}
}

// dataDir returns a directory on a real file system: a temporary directory may
// be memory.
func dataDir(b *testing.B) string {
	dir, err := os.MkdirTemp(".", "data-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	abs, err := filepath.Abs(dir)
	if err != nil {
		b.Fatal(err)
	}
	return abs
}

func writeFile(b *testing.B, path string, size int) {
	chunk := make([]byte, 1<<20)
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for range size / len(chunk) {
		if _, err := f.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// startNode starts a node with namespace test on the given storage.
func startNode(b *testing.B, storage string) *server {
	b.Helper()
	dir := b.TempDir()
	conf := filepath.Join(dir, "ashlar.conf")
	text := fmt.Sprintf(`service {
	cluster-name floor
}
network {
	service {
		address 127.0.0.1
		port 3000
	}
}
namespace test {
	replication-factor 1
	%s
}
`, storage)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return startServer(b, "node", exec.Command(nodeBinary(b), "node", "--config-file", conf, "--listen", "127.0.0.1:0"))
}

var built string

// nodeBinary returns the path of the ashlar binary.
func nodeBinary(b *testing.B) string {
	b.Helper()
	if *nodeIn != "" {
		return *nodeIn
	}
	if built == "" {
		dir, err := os.MkdirTemp("", "ashlar-floor-")
		if err != nil {
			b.Fatal(err)
		}
		out := filepath.Join(dir, "ashlar")
		if text, err := exec.Command("go", "build", "-o", out, "../..").CombinedOutput(); err != nil {
			b.Fatalf("go build: %v\n%s", err, text)
		}
		built = out
	}
	return built
}

// load writes every key once.
func load(b *testing.B, s *server, w workload) {
	b.Helper()
	w.Load = true
	w.Conns = 64
	w.Addr = s.addr
	runDriver(b, w)
}

// alternate gives both servers their turns, one after the other, reports the
// medians, and returns the node's turns.
func alternate(b *testing.B, floor, node *server, w workload) (nodes []turn) {
	b.Helper()
	var floors []turn
	for range *rounds {
		floors = append(floors, floor.run(b, w))
		nodes = append(nodes, node.run(b, w))
		b.Logf("floor %v", floors[len(floors)-1])
		b.Logf("node  %v", nodes[len(nodes)-1])
	}
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	for _, m := range []struct {
		name string
		of   func(t turn) float64
	}{
		{"cpu_us", func(t turn) float64 { return us(t.perRequest) }},
		{"rps", func(t turn) float64 { return t.rps }},
		{"p50_us", func(t turn) float64 { return us(t.p50) }},
		{"p99_us", func(t turn) float64 { return us(t.p99) }},
		{"p99.9_us", func(t turn) float64 { return us(t.p99_9) }},
	} {
		f, n := median(floors, m.of), median(nodes, m.of)
		b.ReportMetric(f, "floor_"+m.name)
		b.ReportMetric(n, "node_"+m.name)
		b.ReportMetric(n/f, m.name+"_ratio")
	}
	b.ReportMetric(0, "ns/op") // one run is one operation: its time says nothing
	return nodes
}

func median(turns []turn, of func(turn) float64) float64 {
	var all []float64
	for _, t := range turns {
		all = append(all, of(t))
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func (t turn) String() string {
	return fmt.Sprintf("%v CPU and %.0f device bytes a request, %.0f/s, p50 %v, p99 %v, p99.9 %v",
		t.perRequest, t.deviceBytes, t.rps, t.p50, t.p99, t.p99_9)
}
