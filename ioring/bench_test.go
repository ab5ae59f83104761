package ioring

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkNop is the cost of the ring itself: batches of operations that do
// nothing. The times are for one operation.
func BenchmarkNop(b *testing.B) {
	for _, batch := range []int{1, 8, 32} {
		b.Run("batch="+strconv.Itoa(batch), func(b *testing.B) {
			runtime.LockOSThread()
			b.Cleanup(runtime.UnlockOSThread)
			q := newQueue(b, Options{Entries: 64, Batch: 64, Node: -1})
			ops := make([]Op, batch)
			for i := range ops {
				ops[i] = Op{Kind: Nop, Done: func(*Op) {}}
			}
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(unix.RUSAGE_THREAD)
			for n := 0; n < b.N; n += batch {
				for i := range ops {
					q.Submit(&ops[i])
				}
				for q.InFlight() > 0 {
					if _, err := q.Poll(time.Second); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(cpuTime(unix.RUSAGE_THREAD)-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkSystemCall is the floor under BenchmarkNop/batch=1: the cheapest
// system call there is.
func BenchmarkSystemCall(b *testing.B) {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	cpu := cpuTime(unix.RUSAGE_THREAD)
	for b.Loop() {
		_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	b.ReportMetric(float64(cpuTime(unix.RUSAGE_THREAD)-cpu)/float64(b.N), "cpu-ns/op")
}

// A load is what both sides of a comparison do.
type load struct {
	name       string
	kind       Kind
	size       int // bytes per operation
	depth      int
	sequential bool
}

var loads = []load{
	{"read/4KiB/depth=8", Read, 4 << 10, 8, false},
	{"read/4KiB/depth=32", Read, 4 << 10, 32, false},
	{"read/4KiB/depth=128", Read, 4 << 10, 128, false},
	{"write/1MiB/depth=1", Write, 1 << 20, 1, true},
	{"write/1MiB/depth=2", Write, 1 << 20, 2, true},
	{"write/1MiB/depth=4", Write, 1 << 20, 4, true},
}

const (
	fioFileSize = 1 << 30
	fioLeg      = 3 * time.Second
	fioRounds   = 2 // A-B-A-B
)

// leg is what one side did in its turn.
type leg struct {
	operations int64
	elapsed    time.Duration
	cpu        time.Duration
}

func (l *leg) add(m leg) {
	l.operations += m.operations
	l.elapsed += m.elapsed
	l.cpu += m.cpu
}

func (l leg) perSecond() float64 { return float64(l.operations) / l.elapsed.Seconds() }

func (l leg) cpuMicros() float64 { return float64(l.cpu.Microseconds()) / float64(l.operations) }

// BenchmarkFio compares the queue with fio's io_uring engine on the same file,
// in alternation. Run it with -benchtime 1x: one iteration is all of it. The
// ratios are ours over fio's: CPU is to be low, operations per second high.
func BenchmarkFio(b *testing.B) {
	if _, err := exec.LookPath("fio"); err != nil {
		b.Skip("fio is not installed")
	}
	path := b.TempDir() + "/fio"
	d, err := OpenDevice(path, DeviceOptions{Size: fioFileSize})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	fillRandom(b, d)
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			for range b.N {
				var ours, fio leg
				for range fioRounds {
					ours.add(l.run(b, d, Options{}))
					fio.add(l.runFio(b, path))
				}
				b.ReportMetric(ours.cpuMicros(), "cpu-µs/io")
				b.ReportMetric(fio.cpuMicros(), "fio-cpu-µs/io")
				b.ReportMetric(ours.cpuMicros()/fio.cpuMicros(), "cpu-ratio")
				b.ReportMetric(ours.perSecond(), "io/s")
				b.ReportMetric(fio.perSecond(), "fio-io/s")
				b.ReportMetric(ours.perSecond()/fio.perSecond(), "io/s-ratio")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// fillRandom writes all of d, with what no layer below can shorten.
func fillRandom(b *testing.B, d *Device) {
	chunk := newArena(b, 4<<20).Get(4 << 20)
	random := rand.NewChaCha8([32]byte{})
	for at := int64(0); at < d.Size; at += int64(len(chunk)) {
		random.Read(chunk)
		if _, err := d.WriteAt(chunk, at); err != nil {
			b.Fatal(err)
		}
	}
}

// run keeps depth operations in flight for one leg.
func (l load) run(b *testing.B, d *Device, o Options) leg {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o.Node, o.Log = -1, quiet
	q, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	arena := newArena(b, max(2<<20, l.size*l.depth))
	if err := q.Register(arena); err != nil {
		b.Fatal(err)
	}
	f, err := q.Attach(d)
	if err != nil {
		b.Fatal(err)
	}
	blocks := d.Size / int64(l.size)
	random := rand.NewPCG(rand.Uint64(), 0)
	content := rand.NewChaCha8([32]byte{1})
	next, done, stop := int64(0), int64(0), false
	steer := func(o *Op) {
		next++
		at := next % blocks
		if !l.sequential {
			at = int64(random.Uint64() % uint64(blocks))
		}
		o.Offset = at * int64(l.size)
		q.Submit(o)
	}
	ops := make([]Op, l.depth)
	for i := range ops {
		ops[i] = Op{Kind: l.kind, File: f, Buf: arena.Get(l.size), Done: func(o *Op) {
			if o.Result != int32(l.size) {
				b.Errorf("%s: result %s", l.name, resultText(o.Result))
				stop = true
			}
			if done++; !stop {
				steer(o)
			}
		}}
		content.Read(ops[i].Buf)
		steer(&ops[i])
	}
	from, cpu := time.Now(), cpuTime(unix.RUSAGE_SELF)
	for q.InFlight() > 0 {
		if _, err := q.Poll(time.Second); err != nil {
			b.Fatal(err)
		}
		stop = stop || time.Since(from) >= fioLeg
	}
	return leg{done, time.Since(from), cpuTime(unix.RUSAGE_SELF) - cpu}
}

// cpuTime is the CPU time of this process, the kernel's workers for its rings
// included, or of this thread.
func cpuTime(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runFio has fio do the same. Its CPU is what it reports for the job.
func (l load) runFio(b *testing.B, path string) leg {
	rw := "randread"
	if l.kind == Write {
		rw = "write"
	}
	out, err := exec.Command("fio", "--name=leg", "--filename="+path, "--ioengine=io_uring", "--direct=1",
		"--registerfiles=1", "--fixedbufs=1", "--rw="+rw, fmt.Sprint("--bs=", l.size), fmt.Sprint("--iodepth=", l.depth),
		fmt.Sprint("--size=", int64(fioFileSize)), "--time_based", fmt.Sprint("--runtime=", fioLeg.Milliseconds(), "ms"),
		"--norandommap", "--randrepeat=0", "--output-format=json").Output()
	if err != nil {
		b.Fatalf("fio: %v\n%s", err, out)
	}
	type side struct {
		TotalIOs int64 `json:"total_ios"`
		Runtime  int64 `json:"runtime"` // ms
	}
	var report struct {
		Jobs []struct {
			Read, Write side
			UsrCPU      float64 `json:"usr_cpu"` // percent
			SysCPU      float64 `json:"sys_cpu"`
			JobRuntime  int64   `json:"job_runtime"` // ms
		}
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Jobs) != 1 {
		b.Fatalf("fio's report: %v, %d jobs\n%s", err, len(report.Jobs), out)
	}
	j := report.Jobs[0]
	s := j.Read
	if l.kind == Write {
		s = j.Write
	}
	if s.TotalIOs == 0 || s.Runtime == 0 {
		b.Fatalf("fio did nothing:\n%s", out)
	}
	share := (j.UsrCPU + j.SysCPU) / 100
	return leg{s.TotalIOs, time.Duration(s.Runtime) * time.Millisecond, time.Duration(share * float64(j.JobRuntime) * 1e6)}
}
