package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v8"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/arch/numa"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/proto"
)

// The benchmark runs its parts as processes of their own: a null responder on
// one CPU, and in turn on another CPU this package's generator, the floor (a
// ring client that re-sends one request) and a goroutine-per-worker generator
// over the official client. partEnv says which part a process is.
const partEnv = "ASHLAR_BENCH_PART"

const (
	floorConnections = 64
	floorLeg         = 2 * time.Second
)

func TestMain(m *testing.M) {
	if part := os.Getenv(partEnv); part != "" {
		name, arg, _ := strings.Cut(part, " ")
		if err := parts[name](arg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var parts = map[string]func(arg string) error{
	"serve": partServe, "responder": nullResponder, "ashlar": partAshlar, "floor": partFloor, "goclient": partGoClient,
}

// floorLegResult is what a part reports on its standard output.
type floorLegResult struct {
	Operations uint64
	Seconds    float64
	CPU        float64 // seconds of the whole process
}

func reportLeg(operations uint64, began time.Time, cpu time.Duration) error {
	return json.NewEncoder(os.Stdout).Encode(floorLegResult{operations, time.Since(began).Seconds(), (selfCPU() - cpu).Seconds()})
}

func selfCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pinTo ties the process to one CPU, the first or the last of those allowed.
func pinTo(last bool) error {
	cpus, err := numa.Affinity()
	if err != nil {
		return err
	}
	cpu := cpus[0]
	if last {
		cpu = cpus[len(cpus)-1]
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, task := range tasks { // threads made later inherit it
		var tid int
		if _, err := fmt.Sscan(task.Name(), &tid); err == nil {
			_ = unix.SchedSetaffinity(tid, &set)
		}
	}
	return numa.Pin(cpu)
}

// partAshlar is this package's generator.
func partAshlar(address string) error {
	if err := pinTo(false); err != nil {
		return err
	}
	runtime.GOMAXPROCS(2)
	began, cpu := time.Now(), selfCPU()
	r, err := Run(context.Background(), Options{
		Hosts: []string{address}, Workload: "RU,100", Keys: 1_000_000, Connections: floorConnections, Duration: floorLeg,
	})
	if err != nil {
		return err
	}
	return reportLeg(r.Operations[0].Count, began, cpu)
}

// partFloor re-sends one prepared request on every connection: what no
// generator over the same ring can beat.
func partFloor(address string) error {
	runtime.LockOSThread()
	if err := pinTo(false); err != nil {
		return err
	}
	runtime.GOMAXPROCS(2)
	q, err := ioring.New(ioring.Options{Node: -1})
	if err != nil {
		return err
	}
	arena, err := ioring.NewArena(16<<20, ioring.ArenaOptions{})
	if err != nil {
		return err
	}
	m := &proto.Message{Info1: record.Info1Read | record.Info1GetAll}
	o := Options{}
	request := o.newRequest(m, "test", "testset").bytes
	began, cpu, operations := time.Now(), selfCPU(), uint64(0)
	end := began.Add(floorLeg)
	running := 0
	stopped := false
	for range floorConnections {
		fd, err := dial(address, time.Second)
		if err != nil {
			return err
		}
		out := arena.Get(len(request))
		copy(out, request)
		send := &ioring.Op{Kind: ioring.Send, Flags: ioring.WaitAll, File: ioring.Socket(fd), Buf: out[:len(request)], Done: func(*ioring.Op) {}}
		recv := &ioring.Op{Kind: ioring.Recv, File: ioring.Socket(fd), Buf: arena.Get(recvSize)}
		recv.Done = func(*ioring.Op) {
			operations++
			if stopped || send.InFlight() {
				running--
				return
			}
			q.Submit(send)
			q.Submit(recv)
		}
		running++
		q.Submit(send)
		q.Submit(recv)
	}
	for running > 0 {
		if _, err := q.Poll(50 * time.Millisecond); err != nil {
			return err
		}
		stopped = stopped || time.Now().After(end)
	}
	return reportLeg(operations, began, cpu)
}

// partGoClient is a generator as users write one: a goroutine a worker over
// the official client.
func partGoClient(address string) error {
	if err := pinTo(false); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	var p int
	if _, err := fmt.Sscan(port, &p); err != nil {
		return err
	}
	policy := as.NewClientPolicy()
	policy.ConnectionQueueSize = 2 * floorConnections
	client, aerr := as.NewClientWithPolicy(policy, host, p)
	if aerr != nil {
		return aerr
	}
	defer client.Close()
	began, cpu := time.Now(), selfCPU()
	var operations atomic.Uint64
	var workers sync.WaitGroup
	end := began.Add(floorLeg)
	for w := range floorConnections {
		workers.Go(func() {
			r := newRNG(uint64(w))
			n := uint64(0)
			for time.Now().Before(end) {
				key, err := as.NewKey("test", "testset", int(r.below(1_000_000)))
				if err != nil {
					return
				}
				if _, err := client.Get(nil, key); err == nil || errors.Is(err, as.ErrKeyNotFound) {
					n++
				}
			}
			operations.Add(n)
		})
	}
	workers.Wait()
	return reportLeg(operations.Load(), began, cpu)
}

// partServe is a fake server on an address, with a pause before each answer:
// "127.0.0.1:3000 2ms". It serves until it is ended.
func partServe(arg string) error {
	address, pause, _ := strings.Cut(arg, " ")
	d, err := time.ParseDuration(pause)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := newFake(l)
	if d > 0 {
		s.freeze = func() { time.Sleep(d) }
	}
	s.accept()
	return nil
}

// nullResponder answers every data message with one prepared reply and info
// commands as a node would, on one ring. It prints its address.
func nullResponder(string) error {
	runtime.LockOSThread()
	if err := pinTo(true); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	q, err := ioring.New(ioring.Options{Node: -1})
	if err != nil {
		return err
	}
	arena, err := ioring.NewArena(256<<20, ioring.ArenaOptions{})
	if err != nil {
		return err
	}
	s := &fakeServer{}
	ok := reply(record.OK, 1)
	serve := func(fd int) {
		in, out := arena.Get(recvSize), arena.Get(recvSize)
		recv := &ioring.Op{Kind: ioring.Recv, File: ioring.Socket(fd), Buf: in}
		send := &ioring.Op{Kind: ioring.Send, Flags: ioring.WaitAll, File: ioring.Socket(fd), Done: func(*ioring.Op) {}}
		recv.Done = func(*ioring.Op) {
			n := int(recv.Result)
			if n <= 0 {
				_ = unix.Close(fd)
				arena.Put(in)
				arena.Put(out)
				return
			}
			answer := ok
			if h, err := proto.ParseHeader(in[:n]); err == nil && h.Type == proto.Info {
				answer = append(s.info(in[proto.HeaderSize:n]), nil...)
			}
			send.Buf = out[:copy(out, answer)]
			q.Submit(send)
			q.Submit(recv)
		}
		q.Submit(recv)
	}
	accept := &ioring.Op{Kind: ioring.Accept, Flags: ioring.Multi, File: ioring.Socket(int(file.Fd()))}
	accept.Done = func(a *ioring.Op) {
		if a.Result >= 0 {
			_ = unix.SetsockoptInt(int(a.Result), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			serve(int(a.Result))
		}
		if !a.More {
			q.Submit(a)
		}
	}
	q.Submit(accept)
	for {
		if _, err := q.Poll(time.Second); err != nil {
			return err
		}
	}
}

// startPart runs a part as a process.
func startPart(b *testing.B, part string) *exec.Cmd {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), partEnv+"="+part)
	c.Stderr = os.Stderr
	c.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return c
}

// BenchmarkGenerator compares CPU per operation and rate of this generator
// with the floor and with a goroutine-per-worker generator, in turn.
func BenchmarkGenerator(b *testing.B) {
	const rounds = 5
	responder := startPart(b, "responder")
	stdout, err := responder.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := responder.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = responder.Process.Kill(); _ = responder.Wait() }()
	var address string
	if _, err := fmt.Fscan(stdout, &address); err != nil {
		b.Fatal(err)
	}
	leg := func(part string) (us, rate float64) {
		out, err := startPart(b, part+" "+address).Output()
		if err != nil {
			b.Fatalf("%s: %v", part, err)
		}
		var r floorLegResult
		if err := json.Unmarshal(out, &r); err != nil {
			b.Fatalf("%s: %q: %v", part, out, err)
		}
		return r.CPU / float64(r.Operations) * 1e6, float64(r.Operations) / r.Seconds
	}
	for b.Loop() {
		var us, rate [3][]float64
		for range rounds {
			for i, part := range []string{"ashlar", "floor", "goclient"} {
				u, r := leg(part)
				us[i], rate[i] = append(us[i], u), append(rate[i], r)
			}
		}
		median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
		ours, floor, theirs := median(us[0]), median(us[1]), median(us[2])
		b.ReportMetric(ours, "µs/op")
		b.ReportMetric(floor, "floor-µs/op")
		b.ReportMetric(theirs, "goclient-µs/op")
		b.ReportMetric(ours/floor, "cpu/floor")
		b.ReportMetric(ours/theirs, "cpu/goclient")
		b.ReportMetric(median(rate[0])/median(rate[2]), "rate/goclient")
	}
}
