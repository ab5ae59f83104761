package floor

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	rounds = flag.Int("rounds", 3, "how often each server has its turn")
	window = flag.Duration("window", 2*time.Second, "how long a turn is measured")
	nodeIn = flag.String("node", "", "ashlar binary to measure instead of a fresh build")
)

// roleEnv makes the test binary play another process of the benchmark.
const roleEnv = "ASHLAR_FLOOR_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		code := m.Run()
		if built != "" {
			os.RemoveAll(filepath.Dir(built)) //nolint:errcheck // a temporary directory
		}
		os.Exit(code)
	case "responder":
		err = respond(os.Args[1])
	case "driver":
		err = drive(os.Args[1])
	default:
		err = fmt.Errorf("floor: unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// self returns a command that runs the test binary in a role.
func self(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return cmd
}

// start starts cmd on one CPU, which it cannot leave. On a machine with one
// CPU, servers and driver share it.
func start(cmd *exec.Cmd, cpu int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return err
	}
	if old.IsSet(cpu) && old.Count() > 1 {
		only.Set(cpu)
		if err := unix.SchedSetaffinity(0, &only); err != nil { // the child inherits it
			return err
		}
		defer unix.SchedSetaffinity(0, &old) //nolint:errcheck // it was so before
	}
	return cmd.Start()
}

// server is a process under measurement.
type server struct {
	name    string
	cmd     *exec.Cmd
	log     *os.File
	addr    string
	stopped bool
}

// startServer starts cmd on CPU 0 and waits for the line on its standard
// output that ends in the address it serves.
func startServer(b *testing.B, name string, cmd *exec.Cmd) *server {
	b.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = log
	if err := start(cmd, 0); err != nil {
		b.Fatal(err)
	}
	s := &server{name: name, cmd: cmd, log: log}
	b.Cleanup(func() { s.stop(b) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		b.Fatalf("%s did not start: %v\n%s", name, err, text)
	}
	words := strings.Fields(line)
	s.addr = words[len(words)-1]
	return s
}

// stop ends the server, once.
func (s *server) stop(b *testing.B) {
	b.Helper()
	if s.stopped {
		return
	}
	s.stopped = true
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		b.Errorf("%s: %v", s.name, err)
	}
	if err := s.cmd.Wait(); err != nil && s.name == "node" { // the responder just dies
		b.Errorf("%s: %v", s.name, err)
	}
	s.log.Close()
}

// cpu returns the CPU time that the server has used, threads of the kernel
// that work for it included.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ") // behind the name, which may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("floor: /proc/PID/stat is not what it was")
	}
	var ticks uint64
	for _, f := range fields[11:13] { // utime and stime, in ticks of 10 ms
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// read returns how many bytes the server has read from devices.
func (s *server) read() (n int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "read_bytes: %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("floor: /proc/PID/io is not what it was")
}

// turn is what one server did in its turn.
type turn struct {
	deviceBytes     float64       // read from devices, a request
	perRequest      time.Duration // CPU time of the server
	rps             float64
	p50, p99, p99_9 time.Duration
}

// run lets the driver work against the server and measures both.
func (s *server) run(b *testing.B, w workload) turn {
	b.Helper()
	w.Addr = s.addr
	spec, err := json.Marshal(w)
	if err != nil {
		b.Fatal(err)
	}
	cmd := self("driver", string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := start(cmd, 1); err != nil {
		b.Fatal(err)
	}
	in := bufio.NewReader(out)
	expect := func(word string) string {
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, word) {
			b.Fatalf("driver against %s: %q, %v; want %s", s.name, line, err, word)
		}
		return strings.TrimPrefix(line, word)
	}
	used := func() (cpu time.Duration, bytes int64) {
		cpu, err := s.cpu()
		if err == nil {
			bytes, err = s.read()
		}
		if err != nil {
			b.Fatal(err)
		}
		return cpu, bytes
	}
	expect("begin") // warm
	cpu, bytes := used()
	var r report
	if err := json.Unmarshal([]byte(expect("report ")), &r); err != nil {
		b.Fatal(err)
	}
	cpuAfter, bytesAfter := used()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return turn{
		deviceBytes: float64(bytesAfter-bytes) / float64(r.Requests),
		perRequest:  (cpuAfter - cpu) / time.Duration(r.Requests), rps: float64(r.Requests) / r.Seconds,
		p50: r.P50, p99: r.P99, p99_9: r.P999,
	}
}

// runDriver lets a driver do what needs no figures.
func runDriver(b *testing.B, w workload) {
	b.Helper()
	spec, err := json.Marshal(w)
	if err != nil {
		b.Fatal(err)
	}
	cmd := self("driver", string(spec))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := start(cmd, 1); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}
