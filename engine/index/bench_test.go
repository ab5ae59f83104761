package index

import (
	"flag"
	"math/bits"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/engine/record"
)

var recordsFlag = flag.Int("records", 1e6, "records in the benchmarks' index")

// digestOf returns the n-th digest of the benchmarks: as good as random, and
// cheaper than to keep 50 million of them.
func digestOf(n uint64) (d record.Digest) {
	for i := range 3 {
		w := mix(n*3 + uint64(i))
		for j := i * 8; j < min(i*8+8, len(d)); j++ {
			d[j] = byte(w)
			w >>= 8
		}
	}
	return d
}

// mix is the finalizer of splitmix64.
func mix(n uint64) uint64 {
	n += 0x9E3779B97F4A7C15
	n = (n ^ n>>30) * 0xBF58476D1CE4E5B9
	n = (n ^ n>>27) * 0x94D049BB133111EB
	return n ^ n>>31
}

// walk visits numbers below n in an order that no cache or prefetcher knows.
type walk struct{ at, n uint64 }

func (w *walk) next() uint64 {
	w.at++
	high, _ := bits.Mul64(mix(w.at), w.n)
	return high
}

// filled is the index of the benchmarks, filled once per size.
var filled struct {
	x *Index
	n int
}

func fill(b *testing.B, n int) *Index {
	b.Helper()
	if filled.x == nil || filled.n != n {
		if filled.x != nil {
			filled.x.Close()
			filled.x = nil
		}
		x, err := New(Options{})
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < n; i += batchSize {
			mustPutBatch(b, x, uint64(i), min(batchSize, n-i))
		}
		filled.x, filled.n = x, n
	}
	return filled.x
}

func mustPut(b *testing.B, x *Index, i uint64) {
	e := entryFor(digestOf(i), i)
	if _, _, err := x.Put(&e); err != nil {
		b.Fatal(err)
	}
}

// mustPutBatch puts what it has looked up before: so that the lines are there.
func mustPutBatch(b *testing.B, x *Index, first uint64, n int) {
	var ds [batchSize]record.Digest
	var es [batchSize]Entry
	var found [batchSize]bool
	for i := range n {
		ds[i] = digestOf(first + uint64(i))
	}
	x.GetBatch(ds[:n], es[:n], found[:n])
	for i := range n {
		e := entryFor(ds[i], first+uint64(i))
		if _, _, err := x.Put(&e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet: independent lookups overlap in the processor; of dependent
// ones each needs the answer of the one before.
func BenchmarkGet(b *testing.B) {
	x := fill(b, *recordsFlag)
	n := uint64(x.Len())
	b.Run("independent", func(b *testing.B) {
		w := walk{n: n}
		for b.Loop() {
			d := digestOf(w.next())
			if _, ok := x.Get(&d); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("dependent", func(b *testing.B) {
		w := walk{n: n}
		last := uint64(0)
		for b.Loop() {
			w.at += last & 1
			d := digestOf(w.next())
			e, ok := x.Get(&d)
			if !ok {
				b.Fatal("not found")
			}
			last = uint64(e.Addr)
		}
	})
	b.Run("absent", func(b *testing.B) {
		w := walk{n: n}
		for b.Loop() {
			d := digestOf(n + w.next())
			if _, ok := x.Get(&d); ok {
				b.Fatal("found")
			}
		}
	})
}

// BenchmarkGetBatch states nanoseconds per digest, not per batch.
func BenchmarkGetBatch(b *testing.B) {
	x := fill(b, *recordsFlag)
	for _, size := range []int{4, 8, 32} {
		b.Run("keys="+itoa(size), func(b *testing.B) {
			w := walk{n: uint64(x.Len())}
			ds, es, found := make([]record.Digest, size), make([]Entry, size), make([]bool, size)
			for b.Loop() {
				for i := range ds {
					ds[i] = digestOf(w.next())
				}
				x.GetBatch(ds, es, found)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/key")
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func BenchmarkPut(b *testing.B) {
	b.Run("replace", func(b *testing.B) {
		x := fill(b, *recordsFlag)
		w := walk{n: uint64(x.Len())}
		for b.Loop() {
			i := w.next()
			mustPut(b, x, i)
		}
	})
	b.Run("insert and delete", func(b *testing.B) {
		x := fill(b, *recordsFlag)
		n := uint64(x.Len())
		first, next := n, n
		for b.Loop() {
			mustPut(b, x, next)
			next++
			if next-first > 1000 {
				d := digestOf(first)
				x.Delete(&d)
				first++
			}
		}
		for ; first < next; first++ {
			d := digestOf(first)
			x.Delete(&d)
		}
	})
	b.Run("fill", func(b *testing.B) { // all of an index, per record
		n := *recordsFlag
		for b.Loop() {
			filled.n = 0
			fill(b, n)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
	})
}

// BenchmarkDelete deletes and inserts again, and states the deletes alone.
func BenchmarkDelete(b *testing.B) {
	x := fill(b, *recordsFlag)
	w := walk{n: uint64(x.Len())}
	var ds [1024]record.Digest
	var es [1024]Entry
	var spent time.Duration
	for b.Loop() {
		for i := range ds {
			ds[i] = digestOf(w.next())
		}
		start := time.Now()
		for i := range ds {
			es[i], _ = x.Delete(&ds[i])
		}
		spent += time.Since(start)
		for i := range es {
			if es[i].Digest == ds[i] { // not if it was chosen twice
				if _, _, err := x.Put(&es[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*len(ds)), "ns/delete")
}

func BenchmarkReduce(b *testing.B) {
	x := fill(b, *recordsFlag)
	n, p := 0, 0
	for b.Loop() {
		x.Reduce(p, nil, func(*Entry) bool { n++; return true })
		p = (p + 1) % record.Partitions
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
}

// BenchmarkMemory states bytes per record.
func BenchmarkMemory(b *testing.B) {
	x := fill(b, *recordsFlag)
	var m Memory
	for b.Loop() {
		m = x.Memory()
	}
	per := func(bytes int64, unit string) { b.ReportMetric(float64(bytes)/float64(x.Len()), unit+"/record") }
	per(m.InUse, "B")
	per(m.Fixed, "B-fixed")
	per(m.Slack, "B-slack")
	per(m.FreeEntries+m.FreeBlocks, "B-free")
	per(m.Overhead, "B-overhead")
}

// cpuTime is this thread's, in nanoseconds: on a shared machine the only time
// that means something.
func cpuTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// BenchmarkRatio compares in one process and in turn, a thousand lookups each:
// single lookups, batches of 32, and a Go map of handles with the same entries
// beside it (up to 5 million records: it takes as much memory again). It states the medians
// of CPU time per lookup and of the ratios to the single lookup.
func BenchmarkRatio(b *testing.B) {
	const perRound, maxMap = 1024, 5e6
	x := fill(b, *recordsFlag)
	n := uint64(x.Len())
	type lookup struct {
		name string
		run  func(ds []record.Digest) bool
		cost []float64
		over []float64
	}
	es, found := make([]Entry, batchSize), make([]bool, batchSize)
	lookups := []*lookup{
		{name: "get", run: func(ds []record.Digest) bool {
			all := true
			for i := range ds {
				_, ok := x.Get(&ds[i])
				all = all && ok
			}
			return all
		}},
		{name: "batch32", run: func(ds []record.Digest) bool {
			all := true
			for part := range slices.Chunk(ds, batchSize) {
				x.GetBatch(part, es, found)
				all = all && !slices.Contains(found, false)
			}
			return all
		}},
	}
	if n <= maxMap {
		lookups = append(lookups, &lookup{name: "map", run: newMapIndex(n).getAll})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := walk{n: n}
	ds := make([]record.Digest, perRound)
	for b.Loop() {
		for _, l := range lookups {
			for i := range ds {
				ds[i] = digestOf(w.next())
			}
			start := cpuTime()
			ok := l.run(ds)
			l.cost = append(l.cost, float64(cpuTime()-start)/perRound)
			if !ok {
				b.Fatalf("%s: not found", l.name)
			}
			l.over = append(l.over, l.cost[len(l.cost)-1]/lookups[0].cost[len(l.cost)-1])
		}
	}
	for _, l := range lookups {
		b.ReportMetric(median(l.cost), l.name+"-ns/key")
		if l != lookups[0] {
			b.ReportMetric(median(l.over), l.name+"/get")
		}
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// mapIndex is what one would write without this package: a Go map from digest
// to the number of an entry, and the entries.
type mapIndex struct {
	numbers map[record.Digest]uint32
	entries []Entry
}

func newMapIndex(n uint64) *mapIndex {
	m := &mapIndex{numbers: make(map[record.Digest]uint32, n), entries: make([]Entry, n)}
	for i := range n {
		d := digestOf(i)
		m.numbers[d] = uint32(i)
		m.entries[i] = entryFor(d, i)
	}
	return m
}

func (m *mapIndex) getAll(ds []record.Digest) bool {
	all := true
	for i := range ds {
		number, ok := m.numbers[ds[i]]
		all = all && ok && m.entries[number].Digest == ds[i]
	}
	return all
}

// BenchmarkGC runs the collector beside indexes of growing size, and states
// its CPU time and longest pause per cycle: they must not grow with the
// records. With -short the largest is left out.
func BenchmarkGC(b *testing.B) {
	for _, n := range []int{0, 1e6, 20e6} {
		b.Run("records="+itoa(n), func(b *testing.B) {
			if n > 1e6 && testing.Short() {
				b.Skip("20 million records take 1.5 GiB")
			}
			x := fill(b, n)
			runtime.GC()
			cpu, pauses := gcTotals()
			for b.Loop() {
				runtime.GC()
			}
			cpuAfter, pausesAfter := gcTotals()
			runtime.KeepAlive(x)
			b.ReportMetric((cpuAfter-cpu)*1e6/float64(b.N), "gc-cpu-us/cycle")
			p50, longest := pausesBetween(pauses, pausesAfter)
			b.ReportMetric(p50*1e6, "pause-p50-us")
			b.ReportMetric(longest*1e6, "pause-max-us")
		})
	}
}

// gcTotals returns the collector's CPU seconds and its pauses since the start.
func gcTotals() (cpu float64, pauses *metrics.Float64Histogram) {
	s := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}, // what nobody else wanted
	}
	metrics.Read(s)
	h := s[1].Value.Float64Histogram()
	return s[0].Value.Float64() - s[2].Value.Float64(), &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: slices.Clone(h.Buckets)}
}

// pausesBetween returns the median and the longest pause between two moments,
// as the lower ends of their buckets.
func pausesBetween(before, after *metrics.Float64Histogram) (p50, longest float64) {
	total, sum := uint64(0), uint64(0)
	for i := range after.Counts {
		total += after.Counts[i] - before.Counts[i]
	}
	for i := range after.Counts {
		n := after.Counts[i] - before.Counts[i]
		if n == 0 {
			continue
		}
		if sum < (total+1)/2 && sum+n >= (total+1)/2 {
			p50 = after.Buckets[i]
		}
		sum += n
		longest = after.Buckets[i]
	}
	return p50, longest
}
