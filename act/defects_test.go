package act

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/internal/stat"
	"github.com/ashlardb/ashlar/ioring"
)

// The defects of ACT 6.6, one after the other, as tests that ours has none of
// them. Some are the subject of whole tests elsewhere; those are named.

// Arrivals of all threads at one moment: issue times as the device sees them.
func TestDefectBursts(t *testing.T) {
	r := newRig(t, fast, 2, 3*time.Second)
	r.o.Config.ServiceThreads = 160
	counts := make([]int, 3000)
	r.wrap = func(q ioring.Queue) ioring.Queue {
		return &spy{Queue: q, submit: func(o *ioring.Op) {
			if o.Kind == ioring.Read && len(o.Buf) < 64<<10 {
				if ms := r.run.clock() / time.Millisecond; int(ms) < len(counts) {
					counts[ms]++
				}
			}
		}}
	}
	r.measure(t)
	if d := stat.Dispersion(counts); d >= 0.2 {
		t.Errorf("issue times: dispersion %.3f, want below 0.2", d)
	}
}

// Latency from issue only (2), and a freeze that hardly shows (3):
// TestFreezeShowsInResponseTime. The three clocks agree where nothing waits.
func TestDefectOneClock(t *testing.T) {
	r := newRig(t, instant, 3, 4*time.Second) // twice the limit, for a while
	r.wrap = limited(300 * time.Microsecond)(r.world)
	r.o.JudgeAll, r.o.Depth = true, 16
	reads := r.measure(t).op(Read, "")
	if reads.Service.P50 > 20_000 || reads.Response.P50 < 20*reads.Service.P50 {
		t.Errorf("p50 %v µs in service and %v in response time: want the wait for the device in the second only", reads.Service.P50, reads.Response.P50)
	}
}

// Exit status 0 of a run that was broken off (4), and no reason.
func TestDefectExitStatus(t *testing.T) {
	r := newRig(t, instant, 3, time.Hour)
	r.wrap = limited(300 * time.Microsecond)(r.world)
	r.o.Depth, r.o.Config.MaxLag = 16, 3*time.Second
	r.o.Rules = stressRules // whatever the latencies, it must keep up
	res := r.measure(t)
	err := outcomeError(res.Outcome)
	coded, ok := err.(interface{ ExitCode() int })
	if !ok || coded.ExitCode() != 1 || !res.has("lag") {
		t.Errorf("%v: %v", err, res.Reasons)
	}
	if res.Seconds > 60 {
		t.Errorf("noticed after %v s", res.Seconds)
	}
}

// Errors ignored (5): TestErrorsAreCountedAndDecide. Commit writes at offset 0
// (6): TestCommitWritesGoEverywhere. Index load divided by the devices (7):
// TestIndexDeliversItsRateOnEachDevice. Rates truncated by thread (8):
// TestRateIsNeverTruncated, and here a whole run.
func TestDefectTruncatedRate(t *testing.T) {
	r := newRig(t, fast, 1, 4*time.Second)
	r.o.Config.ReadRate, r.o.Config.ServiceThreads = 1999, 1000
	if n := r.measure(t).op(Read, "").Count; n != 4*1999 {
		t.Errorf("%d reads, want %d", n, 4*1999)
	}
}

// A thread joined that was never made (9), and a rate of 0 that becomes the
// largest (10): streams of no rate do not exist.
func TestDefectStreamsOfNoRate(t *testing.T) {
	r := newRig(t, fast, 1, 2*time.Second)
	r.o.Config.NoDefragReads = true
	r.o.Config.CommitToDevice, r.o.Config.DefragLWM = true, 0
	res := r.measure(t)
	if res.Outcome != Pass || len(res.Operations) != 2 || res.op(Write, "").Count != 2000 {
		t.Errorf("%v with %d classes: %v", res.Outcome, len(res.Operations), res.Reasons)
	}
}

// Records larger than blocks (11), large blocks of 0 (13): TestConfigRefuses.
// The largest record (12) needs no stack.
func TestDefectLargestRecord(t *testing.T) {
	r := newRig(t, fast, 1, 2*time.Second)
	r.size = 64 << 20
	r.o.Config.RecordBytes, r.o.Config.LargeBlock = 8<<20, 8<<20
	r.o.Config.ReadRate, r.o.Config.WriteRate = 2, 1
	r.o.JudgeAll = true // 8 MiB take more than 1 ms
	res := r.measure(t)
	if n := res.op(Read, "").Count; n != 4 {
		t.Errorf("%d reads, want 4: %v", n, res.Reasons)
	}
}

// Files through the page cache, and destroyed (14): a run of another size on a
// file that is there leaves it as it is.
func TestDefectFilesAreDestroyed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := act(t, "storage", "--device", path, "--confirm", "kept", "--file-size-mbytes", "16", "--duration", "1s")
	st, err := os.Stat(path)
	if err != nil || st.Size() != 1<<20 || code != ExitUsage || !strings.Contains(stderr, "file-size-mbytes asks for") {
		t.Errorf("%v, %d bytes, exit %d: %s", err, st.Size(), code, stderr)
	}
	d, err := ioring.OpenDevice(path, ioring.DeviceOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	w := watch{r: &run{}}
	w.surroundings([]Drive{{Path: path, Direct: d.Direct}})
	if d.Direct != (len(w.around) == 0) {
		t.Errorf("direct %v, reasons %v: want a run through the page cache to be INVALID", d.Direct, w.around)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// No interlock (15): TestMountedDeviceIsRefused, TestRefusals. Timestamps that
// are nominal (16): each line of the JSONL and each block has its own.
func TestDefectNominalTime(t *testing.T) {
	r := newRig(t, fast, 1, 10*time.Second)
	res := r.measure(t)
	blocks := res.Timeline[0].Blocks
	sum := 0.0
	for i, b := range blocks {
		if i > 0 && math.Abs(b.Start-blocks[i-1].Start-blocks[i-1].Length) > 1e-9 {
			t.Errorf("block %d starts at %v, the one before ends at %v", i, b.Start, blocks[i-1].Start+blocks[i-1].Length)
		}
		sum += b.Length
	}
	if sum < 9.99 || sum > 10.1 {
		t.Errorf("blocks of %v s in all, want 10", sum)
	}
}

// Documentation and code that differ (17): what the defaults are is what the
// flags say, the block rate is the one printed, and 1 ms is over 1 ms.
func TestDefectBoundaryOfAMillisecond(t *testing.T) {
	r := newRig(t, fast, 1, 3*time.Second)
	f := fast
	f.ReadLatency.Min, f.ReadLatency.Max = time.Millisecond-2048*time.Nanosecond, time.Millisecond-2048*time.Nanosecond // a block of 4 KiB takes 2048 ns to move
	r.world.SetFaults(f)
	r.o.JudgeAll = true
	reads := r.measure(t).op(Read, "")
	if reads.Over[Service][0] != reads.Count || reads.Count != 6000 {
		t.Errorf("%d of %d reads of exactly 1 ms count as 1 ms or more", reads.Over[Service][0], reads.Count)
	}
}

// Host state that nobody records (18).
func TestDefectHostIsUnknown(t *testing.T) {
	h := thisHost()
	if h.CPUs == 0 || h.Kernel == "" {
		t.Errorf("host %+v", h)
	}
	var rec recorder
	lookAtThread(&rec)
	if rec.cpu.Load() == 0 {
		t.Error("a thread that used no CPU")
	}
}

// No large-block histograms by device (19): TestSlowWriterOfManyIsFound and
// TestOwnLogPassesTheReader.

func TestForeignIOIsInvalid(t *testing.T) {
	rec := newRecorder(1)
	rec.cells[Read] = &cell{}
	rec.cells[Read].bytes.Store(100 << 20)
	w := watch{r: &run{loops: []*loop{{rec: rec}}}}
	w.surroundings([]Drive{{Direct: true, Before: &Counters{}, After: &Counters{ReadBytes: 110 << 20}}})
	if len(w.around) != 0 {
		t.Errorf("10 MB beside 100: %v", w.around)
	}
	w.surroundings([]Drive{{Direct: true, Before: &Counters{}, After: &Counters{ReadBytes: 150 << 20, WrittenBytes: 40 << 20}}})
	if len(w.around) != 2 || w.around[0].Outcome != Invalid {
		t.Errorf("50 MB read and 40 MB written by others: %v", w.around)
	}
}
