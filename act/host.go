package act

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Version of the tool as results say it. The program sets it.
var Version = "unknown"

// thisHost describes the machine.
func thisHost() Host {
	h := Host{CPUs: runtime.NumCPU(), Governor: readLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			h.Processor = strings.TrimSpace(value)
		case "flags":
			h.Virtual = strings.Contains(value, " hypervisor")
		}
		if h.Processor != "" && name == "\n" {
			break
		}
	}
	if first, _, ok := strings.Cut(readLine("/proc/loadavg"), " "); ok {
		h.Load, _ = strconv.ParseFloat(first, 64)
	}
	return h
}

// readLine returns a small file of the kernel without its line end, "" where
// there is none.
func readLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Drive is the identity of a device under test.
type Drive struct {
	Path     string `json:"path"`
	Model    string `json:"model,omitempty"`
	Serial   string `json:"serial,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	// Name is what --confirm takes: the serial, or of a device without one,
	// its name in the kernel and its size; of a file its base name.
	Name string `json:"name"`

	Size       int64  `json:"size"`
	Sector     int    `json:"sector"`
	Raw        bool   `json:"raw"`
	Direct     bool   `json:"direct"`
	Node       int    `json:"numa_node"`
	Scheduler  string `json:"scheduler,omitempty"`
	WriteCache string `json:"write_cache,omitempty"`
	Rotational bool   `json:"rotational,omitempty"`
	Queue      string `json:"queue_depth,omitempty"`
	Link       string `json:"pcie_link,omitempty"`
	Label      string `json:"prepared,omitempty"` // when

	Before *Counters `json:"before,omitempty"`
	After  *Counters `json:"after,omitempty"`
}

// Counters are what kernel and drive count of a device.
type Counters struct {
	ReadBytes    uint64  `json:"read_bytes"`
	WrittenBytes uint64  `json:"written_bytes"`
	Temperature  float64 `json:"temperature_c,omitempty"`
}

// sysfs returns the directory of a block device's attributes; for a partition
// also that of its disk.
func sysfs(path string) (own, disk string, ok bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", "", false
	}
	own, err := filepath.EvalSymlinks("/sys/dev/block/" + strconv.Itoa(int(unix.Major(st.Rdev))) + ":" + strconv.Itoa(int(unix.Minor(st.Rdev))))
	if err != nil {
		return "", "", false
	}
	disk = own
	if _, err := os.Stat(filepath.Join(own, "partition")); err == nil {
		disk = filepath.Dir(own)
	}
	return own, disk, true
}

// describe fills in what sysfs says of a drive.
func (d *Drive) describe() {
	own, disk, ok := sysfs(d.Path)
	if !ok {
		d.Name = filepath.Base(d.Path)
		return
	}
	at := func(name string) string { return readLine(filepath.Join(disk, name)) }
	first := func(names ...string) string {
		for _, n := range names {
			if v := at(n); v != "" {
				return v
			}
		}
		return ""
	}
	d.Model = first("device/model", "loop/backing_file")
	d.Serial = first("device/serial", "serial", "device/wwid", "wwid")
	d.Firmware = first("device/firmware_rev", "device/rev")
	d.Scheduler, d.WriteCache, d.Queue = at("queue/scheduler"), at("queue/write_cache"), at("queue/nr_requests")
	d.Rotational = at("queue/rotational") == "1"
	if speed := first("device/device/current_link_speed"); speed != "" {
		d.Link = speed + " x" + at("device/device/current_link_width")
		if most := at("device/device/max_link_speed"); most != speed {
			d.Link += " (slower than its " + most + ")"
		}
	}
	d.Name = d.Serial
	if d.Name == "" {
		d.Name = filepath.Base(own) + ":" + strconv.FormatInt(d.Size, 10)
	}
}

// counters returns what kernel and drive count now, nil for a file.
func (d *Drive) counters() *Counters {
	own, disk, ok := sysfs(d.Path)
	if !ok {
		return nil
	}
	f := strings.Fields(readLine(filepath.Join(own, "stat")))
	if len(f) < 7 {
		return nil
	}
	c := &Counters{}
	sectors := func(s string) uint64 { n, _ := strconv.ParseUint(s, 10, 64); return n * 512 } // always 512
	c.ReadBytes, c.WrittenBytes = sectors(f[2]), sectors(f[6])
	for _, pattern := range []string{"device/hwmon*/temp1_input", "device/hwmon/hwmon*/temp1_input"} {
		if found, _ := filepath.Glob(filepath.Join(disk, pattern)); len(found) > 0 {
			n, _ := strconv.ParseFloat(readLine(found[0]), 64)
			c.Temperature = n / 1000
		}
	}
	return c
}
