package act

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/ioring"
)

// act runs the command and returns its output and exit code.
func act(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	c := Command()
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetIn(strings.NewReader(""))
	c.SetArgs(args)
	err := c.ExecuteContext(context.Background())
	if err != nil {
		errs.WriteString(err.Error())
		var coded interface{ ExitCode() int }
		if !errors.As(err, &coded) {
			t.Fatalf("act %q: an error without exit code: %v", args, err)
		}
		code = coded.ExitCode()
	}
	return out.String(), errs.String(), code
}

// lenient are flags for runs on machines that do other things too: what the
// host does is not what these tests are about.
var lenient = []string{"--max-lateness", "1m", "--max-starved", "1", "--no-early-end", "--quiet"}

func prepared(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drive")
	if _, stderr, code := act(t, append([]string{"prep", path, "--file-size-mbytes", "16", "--passes", "1", "--quiet"}, args...)...); code != 0 {
		t.Fatalf("prep: exit %d: %s", code, stderr)
	}
	return path
}

func TestStorageOnAFile(t *testing.T) {
	path := prepared(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	args := append([]string{"storage", "--device", path, "--confirm", "drive", "--x", "0.2", "--duration", "2s",
		"--act-log", at("log"), "--json", at("json"), "--jsonl", at("jsonl"), "--hlog", at("hlog"), "--csv", at("csv"), "--markdown", at("md"), "--junit", at("xml"), "--report", at("html")}, lenient...)
	stdout, stderr, code := act(t, args...)
	if code > 1 { // a busy machine may well be slow
		t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	r, err := ReadResult(bytes.NewReader(read("json")))
	if err != nil {
		t.Fatal(err)
	}
	reads := r.op(Read, "")
	if reads.Count != 800 || reads.Errors+reads.Wrong+reads.Blank != 0 {
		t.Errorf("%d reads, %d errors, %d wrong, %d not verified, want 800 good ones", reads.Count, reads.Errors, reads.Wrong, reads.Blank)
	}
	if l, err := ParseLog(bytes.NewReader(read("log"))); err != nil {
		t.Error(err)
	} else if n := l.at("reads", l.Last()).total(); n != reads.Count {
		t.Errorf("%d reads in the log, %d in the result", n, reads.Count)
	}
	for line := range bytes.Lines(read("jsonl")) {
		var v struct{ T float64 }
		if err := json.Unmarshal(line, &v); err != nil || v.T <= 0 {
			t.Errorf("%v: %s", err, line)
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(read("csv"))).ReadAll()
	if err != nil || len(rows) < 4 || len(rows[0]) != 18 {
		t.Errorf("csv: %v, %d rows", err, len(rows))
	}
	var junit struct {
		XMLName xml.Name
	}
	if err := xml.Unmarshal(read("xml"), &junit); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"md": "| reads service |", "html": "<svg", "hlog": "Tag=reads,"} {
		if !strings.Contains(string(read(name)), want) {
			t.Errorf("%s has no %s", name, want)
		}
	}
	// Three thresholds by slice, heat map, latency, percentiles, rates.
	if n := bytes.Count(read("html"), []byte("<svg")); n != 7 {
		t.Errorf("%d plots in the page, want 7", n)
	}
	if !strings.Contains(stdout, "large-block-writes response") {
		t.Errorf("text:\n%s", stdout)
	}
	for _, form := range []string{"--report", "--csv", "--markdown", "--junit"} {
		again := at("again")
		if _, stderr, code := act(t, "report", at("json"), form, again); code != 0 {
			t.Errorf("report %s: exit %d: %s", form, code, stderr)
		}
		name := map[string]string{"--report": "html", "--csv": "csv", "--markdown": "md", "--junit": "xml"}[form]
		if text, _ := os.ReadFile(again); !bytes.Equal(text, read(name)) {
			t.Errorf("report %s differs from what the run wrote", form)
		}
	}
}

func TestEnginesAndArrivalsOnAFile(t *testing.T) {
	path := prepared(t)
	for _, more := range [][]string{
		{"storage", "--sync-engine"}, {"storage", "--arrival", "poisson", "--loops", "2"}, {"storage", "--arrival", "act6"}, {"storage", "--preset", "commit"}, {"index"},
	} {
		args := append(append(more, "--device", path, "--confirm", "drive", "--x", "0.1", "--duration", "1s"), lenient...)
		if stdout, stderr, code := act(t, args...); code > 1 {
			t.Errorf("%q: exit %d: %s\n%s", more, code, stderr, stdout)
		}
	}
}

func TestConfigFileRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made")
	config := filepath.Join(t.TempDir(), "act.conf")
	text := "device-names: " + path + "\nfile-size-mbytes: 16\ntest-duration-sec: 1\nread-reqs-per-sec: 200\nwrite-reqs-per-sec: 100\nnum-queues: 8\nno-defrag-reads: yes\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := act(t, append([]string{"storage", config}, lenient...)...)
	if code > 1 || !strings.Contains(stderr, "num-queues has no effect") || strings.Contains(stdout, "large-block-reads") {
		t.Errorf("exit %d: %s\n%s", code, stderr, stdout)
	}
	// The file is not destroyed by another run, which asks for it by name.
	if _, stderr, code := act(t, append([]string{"storage", config}, lenient...)...); code != ExitUsage || !strings.Contains(stderr, "--confirm made") {
		t.Errorf("second run: exit %d: %s", code, stderr)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int64, write func(f *os.File)) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if write != nil {
			write(f)
		}
		return path
	}
	put := func(at int64, text string) func(*os.File) {
		return func(f *os.File) {
			if _, err := f.WriteAt([]byte(text), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	const size = 4 << 20
	cases := []struct {
		name, want string
		args       []string
	}{
		{"no confirmation", "--confirm plain", []string{"prep", file("plain", size, nil)}},
		{"another name", "--confirm plain2", []string{"prep", file("plain2", size, nil), "--confirm", "plain"}},
		{"ext4", "ext2, ext3 or ext4", []string{"prep", file("ext4", size, put(0x438, "\x53\xef")), "--confirm", "ext4"}},
		{"LVM", "LVM physical volume", []string{"prep", file("lvm", size, put(0x200, "LABELONE")), "--confirm", "lvm"}},
		{"LUKS", "LUKS", []string{"prep", file("luks", size, put(0, "LUKS\xba\xbe")), "--confirm", "luks"}},
		{"swap", "swap space", []string{"prep", file("swap", size, put(4086, "SWAPSPACE2")), "--confirm", "swap"}},
		{"ZFS", "ZFS", []string{"prep", file("zfs", size, put(128<<10+4096, "\x0c\xb1\xba\x00\x00\x00\x00\x00")), "--confirm", "zfs"}},
		{"a namespace", "Ashlar namespace", []string{"prep", file("ns", size, put(0, "ASHLARDV")), "--confirm", "ns"}},
		{"not prepared", "was not prepared", []string{"storage", "--device", file("raw", size, nil), "--confirm", "raw"}},
		{"sparse", "not written in full", []string{"storage", "--device", file("sparse", size, nil), "--read-only"}},
		{"directory", "want a block device or a regular file", []string{"prep", dir}},
		{"absent", "no such file", []string{"storage", "--device", filepath.Join(dir, "absent")}},
		{"no device", "0 devices", []string{"storage"}},
		{"a flag that is none", "unknown flag", []string{"storage", "--nonsense"}},
		{"bad arrival", "want uniform", []string{"storage", "--arrival", "x"}},
		{"bad preset", "want one of", []string{"storage", "--preset", "x"}},
		{"preset of the other test", "is for act index", []string{"storage", "--preset", "all-flash-index"}},
		{"no log", "no such file", []string{"verdict", filepath.Join(dir, "absent")}},
		{"no argument", "accepts 1 arg", []string{"verdict"}},
		{"rate without a yes", "want an answer", []string{"rate", "--device", filepath.Join(dir, "plain")}},
	}
	for _, c := range cases {
		_, stderr, code := act(t, c.args...)
		if code != ExitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %q, want %d and %q", c.name, code, stderr, ExitUsage, c.want)
		}
	}
	for _, name := range []string{"ext4", "plain"} { // and nothing was written
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, labelMagic) || len(bytes.TrimLeft(text[:0x400], "\x00")) > 0 {
			t.Errorf("%s was written to", name)
		}
	}
}

func TestUnwrittenExtentsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "allocated")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 4<<20); err != nil {
		t.Skip("the file system does not allocate:", err)
	}
	if known, err := checkWritten(int(f.Fd()), 4<<20); err == nil && !known {
		t.Skip("the file system has no FIEMAP")
	}
	if _, stderr, code := act(t, "storage", "--device", path, "--read-only"); code != ExitUsage || !strings.Contains(stderr, "allocated and not written") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestVerdictCommand(t *testing.T) {
	for name, want := range map[string]int{"storage-us-4x": 0, "storage-us-1x": 1, "lag-storage-us": 1} {
		if stdout, stderr, code := act(t, "verdict", "testdata/logs/"+name+".txt", "--slice", "5s"); code != want {
			t.Errorf("%s: exit %d, want %d: %s\n%s", name, code, want, stderr, stdout)
		}
	}
	if _, _, code := act(t, "verdict", "testdata/logs/storage-us-4x.txt"); code != int(Invalid) { // no whole hour
		t.Errorf("slices of an hour in a run of 20 s: exit %d", code)
	}
	if _, _, code := act(t, "verdict", "doc.go"); code != ExitUsage {
		t.Errorf("a file that is no log: exit %d", code)
	}
}

// loopDevice attaches a file of size MiB to a loop device.
func loopDevice(t *testing.T, mib int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loop devices need root")
	}
	back := filepath.Join(t.TempDir(), "back")
	f, err := os.Create(back)
	if err == nil {
		_, err = io.CopyN(f, zeros{}, mib<<20)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", back).CombinedOutput()
	if err != nil {
		t.Skipf("losetup: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v: %s", dev, err, out)
		}
	})
	return dev
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLoopDevice(t *testing.T) {
	dev := loopDevice(t, 16)
	_, stderr, code := act(t, "prep", dev)
	if code != ExitUsage || !strings.Contains(stderr, "--confirm "+filepath.Base(dev)+":16777216") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	name := filepath.Base(dev) + ":16777216"
	if _, stderr, code := act(t, "prep", dev, "--confirm", name, "--passes", "1", "--quiet"); code != 0 {
		t.Fatalf("prep: exit %d: %s", code, stderr)
	}
	args := append([]string{"storage", "--device", dev, "--confirm", name, "--x", "0.1", "--duration", "1s"}, lenient...)
	if stdout, stderr, code := act(t, args...); code > 1 {
		t.Errorf("storage: exit %d: %s\n%s", code, stderr, stdout)
	}
	// A bit that flips behind the device's back is found.
	d, err := openPatiently(dev, ioring.DeviceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ioring.NewArena(2<<20, ioring.ArenaOptions{SmallPages: true})
	if err != nil {
		t.Fatal(err)
	}
	buf := a.Get(1 << 20)
	for at := int64(1 << 20); at < 15<<20; at += 1 << 20 {
		if _, err := d.ReadAt(buf, at); err != nil {
			t.Fatal(err)
		}
		for i := 100; i < len(buf); i += 4096 {
			buf[i] ^= 4
		}
		if _, err := d.WriteAt(buf, at); err != nil {
			t.Fatal(err)
		}
	}
	a.Put(buf)
	if err := errors.Join(d.Flush(), d.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := act(t, args...); code != int(Error) || !strings.Contains(stdout, "was not written there") {
		t.Errorf("after flipped bits: exit %d: %s\n%s", code, stderr, stdout)
	}
}

func TestMountedDeviceIsRefused(t *testing.T) {
	dev := loopDevice(t, 16)
	if out, err := exec.Command("mkfs.ext4", "-q", dev).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	name := filepath.Base(dev) + ":16777216"
	if _, stderr, code := act(t, "prep", dev, "--confirm", name); code != ExitUsage || !strings.Contains(stderr, "ext4") {
		t.Errorf("a file system: exit %d: %s", code, stderr)
	}
	dir := t.TempDir()
	if err := unix.Mount(dev, dir, "ext4", 0, ""); err != nil {
		t.Skip("mount:", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	if _, stderr, code := act(t, "prep", dev, "--confirm", name, "--overwrite-signature"); code != ExitUsage || !strings.Contains(stderr, "mounted") {
		t.Errorf("a mounted file system: exit %d: %s", code, stderr)
	}
}

func TestCompareCommand(t *testing.T) {
	dir := t.TempDir()
	run := func(name string, times time.Duration) string {
		r := newRig(t, fast, 1, 12*time.Second)
		r.o.JudgeAll = true
		f := fast
		f.ReadLatency.Min *= times
		f.ReadLatency.Max *= times
		r.world.SetFaults(f)
		path := filepath.Join(dir, name)
		if err := writeFile(path, nil, r.measure(t).Write); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b, slow := run("a", 1), run("b", 1), run("slow", 3)
	if stdout, stderr, code := act(t, "compare", a, b); code != 0 {
		t.Errorf("the same drive: exit %d: %s\n%s", code, stderr, stdout)
	}
	if stdout, stderr, code := act(t, "compare", a, slow); code != 1 || !strings.Contains(stdout, "p99>+10%") {
		t.Errorf("a slower drive: exit %d: %s\n%s", code, stderr, stdout)
	}
}
