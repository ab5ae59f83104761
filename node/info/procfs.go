package info

import (
	"bufio"
	"bytes"
	"io/fs"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// procfs reads what the kernel says of the machine and the process. What
// cannot be read (another kernel, a container) shows as 0.
type procfs struct {
	root fs.FS

	mu   sync.Mutex
	last cpuTimes
	at   time.Time
	use  cpuUse
}

// cpuTimes are clock ticks since boot.
type cpuTimes struct{ user, kernel, idle, process uint64 }

// cpuUse is the use since the sample before, in percent of one CPU.
type cpuUse struct{ user, kernel, process uint64 }

func newProcfs(root fs.FS) *procfs { return &procfs{root: root} }

// ticksPerSecond is the kernel's USER_HZ, which is 100 on every architecture
// that Linux shows /proc/stat on.
const ticksPerSecond = 100

// sample measures CPU use since the last sample.
func (p *procfs) sample(now time.Time) {
	t := p.cpuTimes()
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := now.Sub(p.at); !p.at.IsZero() && d > 0 {
		percent := func(now, then uint64) uint64 {
			if now < then {
				return 0
			}
			return uint64(float64(now-then) * 100 / (d.Seconds() * ticksPerSecond))
		}
		p.use = cpuUse{percent(t.user, p.last.user), percent(t.kernel, p.last.kernel), percent(t.process, p.last.process)}
	}
	p.last, p.at = t, now
}

// cpuTimes reads the first line of /proc/stat (user nice system idle iowait
// irq softirq steal) and the times of the process.
func (p *procfs) cpuTimes() cpuTimes {
	var t cpuTimes
	if f := strings.Fields(p.firstLine("proc/stat")); len(f) >= 8 {
		t.user = parse(f[1]) + parse(f[2])
		t.kernel = parse(f[3]) + parse(f[6]) + parse(f[7])
		t.idle = parse(f[4])
	}
	// The name in brackets may hold spaces; utime and stime are the 12th and 13th fields
	// behind it.
	line := p.firstLine("proc/self/stat")
	if i := strings.LastIndexByte(line, ')'); i >= 0 {
		if f := strings.Fields(line[i+1:]); len(f) >= 13 {
			t.process = parse(f[11]) + parse(f[12])
		}
	}
	return t
}

func parse(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (p *procfs) read(name string) []byte {
	data, err := fs.ReadFile(p.root, name)
	if err != nil {
		return nil // shows as 0, see procfs
	}
	return data
}

func (p *procfs) firstLine(name string) string {
	line, _, _ := bytes.Cut(p.read(name), []byte("\n"))
	return string(line)
}

// number reads a file that holds one number; false if it cannot.
func (p *procfs) number(name string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(string(p.read(name))), 10, 64)
	return n, err == nil
}

// keyed reads one value of a file of "Name:   123 kB" lines.
func keyed(data []byte, name string) uint64 {
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		k, v, ok := strings.Cut(lines.Text(), ":")
		if f := strings.Fields(v); ok && k == name && len(f) > 0 {
			return parse(f[0])
		}
	}
	return 0
}

// put adds the figures of the machine and the process. Heap figures are those of the Go
// heap; indexes and buffers lie outside and are in the namespaces' figures.
func (p *procfs) put(v *values) {
	p.mu.Lock()
	use := p.use
	p.mu.Unlock()
	v.number("system_user_cpu_pct", use.user)
	v.number("system_kernel_cpu_pct", use.kernel)
	v.number("system_total_cpu_pct", use.user+use.kernel)
	v.number("process_cpu_pct", use.process)

	mem := p.read("proc/meminfo")
	free, total := keyed(mem, "MemAvailable"), keyed(mem, "MemTotal")
	pct := uint64(0)
	if total > 0 {
		pct = free * 100 / total
	}
	for _, prefix := range []string{"system", "host"} {
		v.number(prefix+"_free_mem_kbytes", free)
		v.number(prefix+"_free_mem_pct", pct)
	}
	v.number("system_thp_mem_kbytes", keyed(mem, "AnonHugePages"))
	v.number("threads_joinable", keyed(p.read("proc/self/status"), "Threads"))
	v.number("threads_detached", uint64(runtime.NumGoroutine()))

	objects, unused, free := heap()
	v.number("heap_allocated_kbytes", objects>>10)
	v.number("heap_active_kbytes", (objects+unused)>>10)
	v.number("heap_mapped_kbytes", (objects+unused+free)>>10)
	if objects > 0 {
		v.number("heap_efficiency_pct", objects*100/(objects+unused))
	}
}

// heap returns the bytes of the Go heap that objects take, that lie unused
// beside them, and that are free. It does not stop the world, as other ways to
// ask do.
func heap() (objects, unused, free uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	var n [3]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 { // a runtime without the metric shows 0
			n[i] = s.Value.Uint64()
		}
	}
	return n[0], n[1], n[2]
}

// failedPractices names the recommendations for the machine that it does not
// follow, by the names other tools know.
func (p *procfs) failedPractices() []string {
	var failed []string
	check := func(name string, ok bool) {
		if !ok {
			failed = append(failed, name)
		}
	}
	atLeast := func(file string, least uint64) bool {
		n, ok := p.number("proc/sys/" + file)
		return !ok || n >= least
	}
	zero := func(file string) bool {
		n, ok := p.number("proc/sys/" + file)
		return !ok || n == 0
	}
	check("max-map-count", atLeast("vm/max_map_count", 262144))
	check("min-free-kbytes", atLeast("vm/min_free_kbytes", 1024*1024+100*1024))
	check("swappiness", zero("vm/swappiness"))
	check("zone-reclaim-mode", zero("vm/zone_reclaim_mode"))
	check("somaxconn", atLeast("net/core/somaxconn", 4096))
	return failed
}

// deviceOf returns the device that is mounted where path lies.
func (p *procfs) deviceOf(path string) (string, bool) {
	if _, err := fs.Stat(p.root, strings.TrimPrefix(strings.TrimRight(path, "/"), "/")); err != nil && path != "/" {
		return "", false
	}
	best, device := -1, ""
	for lines := bufio.NewScanner(bytes.NewReader(p.read("proc/self/mountinfo"))); lines.Scan(); {
		f := strings.Fields(lines.Text())
		sep := strings.Index(lines.Text(), " - ")
		if len(f) < 5 || sep < 0 {
			continue
		}
		source := strings.Fields(lines.Text()[sep+3:])
		mount := f[4]
		within := path == mount || mount == "/" || strings.HasPrefix(path, mount+"/")
		if within && len(mount) > best && len(source) > 1 {
			best, device = len(mount), source[1]
		}
	}
	return device, best >= 0
}
