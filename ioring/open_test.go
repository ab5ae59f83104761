package ioring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenCreatesFile(t *testing.T) {
	const size = 3<<20 + 4096
	for _, tt := range []struct {
		name  string
		o     DeviceOptions
		space Space
	}{
		{"allocated", DeviceOptions{Size: size}, SpaceAllocated},
		{"filled", DeviceOptions{Size: size, Fill: true}, SpaceWritten},
		{"buffered", DeviceOptions{Size: size, Buffered: true}, SpaceAllocated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "new")
			d, err := OpenDevice(path, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if d.Size != size || d.Raw || d.Sync || d.Direct == tt.o.Buffered {
				t.Errorf("got %+v", d)
			}
			if d.Space != tt.space && d.Space != SpaceWritten { // a file system without fallocate writes
				t.Errorf("space is %q, want %q", d.Space, tt.space)
			}
			if d.Block < minBlock || d.Block > 4096 {
				t.Errorf("block of %d bytes", d.Block)
			}
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Size != size || st.Blocks*512 < size {
				t.Errorf("the file: %d bytes, %d allocated, %v; want %d", st.Size, st.Blocks*512, err, size)
			}
		})
	}
}

func TestOpenExistingFile(t *testing.T) {
	const old = 64 << 10
	for _, tt := range []struct {
		name   string
		sparse bool
		o      DeviceOptions
		size   int64
		space  Space
	}{
		{"as it is", false, DeviceOptions{}, old, SpaceUnknown},
		{"sparse", true, DeviceOptions{}, old, SpaceSparse},
		{"larger than asked", false, DeviceOptions{Size: 4096}, old, SpaceUnknown},
		{"grown", false, DeviceOptions{Size: 1 << 20}, 1 << 20, SpaceAllocated},
		{"not grown when read-only", false, DeviceOptions{Size: 1 << 20, ReadOnly: true}, old, SpaceUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "old")
			content := bytes.Repeat([]byte{7}, old)
			if tt.sparse {
				content = nil
			}
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			f.Write(content)
			f.Truncate(old)
			f.Sync() // delayed allocation would look sparse
			f.Close()
			d, err := OpenDevice(path, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if d.Size != tt.size || d.Space != tt.space {
				t.Errorf("size %d, space %q; want %d, %q", d.Size, d.Space, tt.size, tt.space)
			}
			p := newArena(t, 1<<20).Get(old)
			if _, err := d.ReadAt(p, 0); err != nil || !tt.sparse && !bytes.Equal(p, content) {
				t.Errorf("the old content is not there: %v", err)
			}
		})
	}
}

func TestDeviceReadWriteAt(t *testing.T) {
	d := newFile(t, 64<<10)
	a := newArena(t, 1<<20)
	p, got := a.Get(8192), a.Get(8192)
	for i := range p {
		p[i] = byte(i * 3)
	}
	if n, err := d.WriteAt(p, 4096); n != len(p) || err != nil {
		t.Fatalf("WriteAt: %d, %v", n, err)
	}
	if err := d.Flush(); err != nil {
		t.Errorf("Flush: %v", err)
	}
	if n, err := d.ReadAt(got, 4096); n != len(got) || err != nil || !bytes.Equal(got, p) {
		t.Errorf("ReadAt: %d, %v, equal %v", n, err, bytes.Equal(got, p))
	}
	if n, err := d.ReadAt(got, 60<<10); n != 4096 || err != io.EOF {
		t.Errorf("ReadAt over the end: %d, %v, want 4096, EOF", n, err)
	}
	if _, err := d.ReadAt(got[:100], 0); err == nil || !strings.Contains(err.Error(), "multiples of") {
		t.Errorf("ReadAt of 100 bytes: %v", err)
	}
	if _, err := d.WriteAt(p, 100); err == nil {
		t.Error("WriteAt 100: no error")
	}
	d.Close()
	if _, err := d.ReadAt(got, 0); err == nil {
		t.Error("ReadAt of a closed device: no error")
	}
	if err := d.Close(); err == nil {
		t.Error("second Close: no error")
	}
	simulated := Device{Path: "sim", FD: 1, Block: 512}
	if _, err := simulated.WriteAt(p, 0); err == nil {
		t.Error("WriteAt of a device that OpenDevice did not open: no error")
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	unix.Mkfifo(fifo, 0o600)
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, nil, 0o600)
	for _, tt := range []struct {
		name, path string
		o          DeviceOptions
		want       string
	}{
		{"empty", empty, DeviceOptions{}, "is empty"},
		{"absent", filepath.Join(dir, "absent"), DeviceOptions{}, "no such file"},
		{"absent, read-only", filepath.Join(dir, "absent"), DeviceOptions{Size: 4096, ReadOnly: true}, "no such file"},
		{"no directory", filepath.Join(dir, "no/file"), DeviceOptions{Size: 4096}, "no such file"},
		{"a directory", dir, DeviceOptions{}, "is a directory: want a block device or a regular file"},
		{"a character device", "/dev/null", DeviceOptions{}, "is a character device"},
		{"a pipe", fifo, DeviceOptions{}, "is a pipe"},
		{"negative size", filepath.Join(dir, "new"), DeviceOptions{Size: -1}, "want 0 or more"},
		{"larger than the file system", filepath.Join(dir, "huge"), DeviceOptions{Size: 1 << 62}, "bring the file from 0"},
	} {
		d, err := OpenDevice(tt.path, tt.o)
		if err == nil {
			d.Close()
			t.Errorf("%s: no error, want %q", tt.name, tt.want)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: %q, want %q and the path", tt.name, err, tt.want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "huge")); left != nil {
		t.Error("a file that could not be made is left behind")
	}
}

func TestOpenExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	d, err := OpenDevice(path, DeviceOptions{Size: 1 << 20, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := OpenDevice(path, DeviceOptions{Exclusive: true}); err == nil {
		second.Close()
		t.Error("a second exclusive open: no error")
	}
	d.Close()
	d, err = OpenDevice(path, DeviceOptions{Exclusive: true})
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	d.Close()
}

// fakeHost builds proc and sysfs from a map of file to content. A content that
// begins with "->" is a symbolic link.
func fakeHost(t *testing.T, files map[string]string) host {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "->"); link {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return host{proc: filepath.Join(dir, "proc"), sys: filepath.Join(dir, "sys")}
}

func TestRefuseBlock(t *testing.T) {
	const (
		mounts = "proc/self/mountinfo"
		swaps  = "proc/swaps"
		none   = "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
	)
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // "" for no refusal
	}{
		{"free", map[string]string{mounts: none, "sys/dev/block/8:0/size": "100"}, ""},
		{"mounted", map[string]string{mounts: none + `36 22 8:0 / /mnt/a\040b rw,relatime shared:1 - xfs /dev/sda rw` + "\n"}, "is mounted on /mnt/a b"},
		{"a partition is mounted", map[string]string{
			mounts:                               "36 22 8:1 / /home rw - xfs /dev/sda1 rw\n",
			"sys/dev/block/8:0/sda1/partition":   "1",
			"sys/dev/block/8:0/sda1/dev":         "8:1\n",
			"sys/dev/block/8:1/start":            "2048",
			"sys/dev/block/8:0/queue/rotational": "0",
		}, "its partition sda1 is mounted on /home"},
		{"another device is mounted", map[string]string{mounts: none + "36 22 8:16 / /mnt rw - xfs /dev/sdb rw\n"}, ""},
		{"partitions", map[string]string{
			mounts:                             none,
			"sys/dev/block/8:0/sda1/partition": "1",
			"sys/dev/block/8:0/sda1/dev":       "8:1\n",
		}, "has partitions (sda1)"},
		{"held", map[string]string{mounts: none, "sys/dev/block/8:0/holders/dm-0": ""}, "is part of dm-0"},
		{"a partition is held", map[string]string{
			mounts:                             none,
			"sys/dev/block/8:0/sda1/partition": "1",
			"sys/dev/block/8:0/sda1/dev":       "8:1\n",
			"sys/dev/block/8:1/holders/md0":    "",
		}, "its partition sda1 is part of md0"},
		{"nobody can tell what is mounted", map[string]string{swaps: ""}, "is it mounted?"},
		{"nonsense in mountinfo", map[string]string{mounts: "\n - \n1 2 3\n a b x:y d e - \n" + none}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := fakeHost(t, tt.files).refuseBlock(devno{8, 0})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRefuseFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	escaped := strings.ReplaceAll(file, " ", `\040`)
	const head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"free", map[string]string{"proc/swaps": head}, ""},
		{"no swap in the kernel", map[string]string{"proc/uptime": ""}, ""},
		{"swap", map[string]string{"proc/swaps": head + escaped + " file 100 0 -2\n"}, "is swap space"},
		{"behind a loop device", map[string]string{"proc/swaps": head, "sys/block/loop3/loop/backing_file": file + "\n"}, "stands behind /dev/loop3"},
		{"another behind a loop device", map[string]string{"proc/swaps": head, "sys/block/loop3/loop/backing_file": "/etc/hostname\n"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := fakeHost(t, tt.files).refuseFile(file)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestHostNode(t *testing.T) {
	h := fakeHost(t, map[string]string{
		"sys/devices/pci/0000:01/numa_node":              "1\n",
		"sys/devices/pci/0000:01/nvme/nvme0/nvme0n1/dev": "259:0",
		"sys/devices/pci/0000:02/nvme/nvme1/nvme1n1/dev": "259:1",
		"sys/devices/pci/0000:02/numa_node":              "-1\n",
		"sys/devices/virtual/block/zram0/dev":            "253:0",
		"sys/dev/block/259:0":                            "->../../devices/pci/0000:01/nvme/nvme0/nvme0n1",
		"sys/dev/block/259:1":                            "->../../devices/pci/0000:02/nvme/nvme1/nvme1n1",
		"sys/dev/block/253:0":                            "->../../devices/virtual/block/zram0",
		"sys/dev/block/253:1":                            "->../../devices/virtual/block/zramble",
		"sys/dev/block/1:3":                              "->../../devices/virtual/block/ram3",
	})
	for _, tt := range []struct {
		n      devno
		node   int
		memory bool
	}{
		{devno{259, 0}, 1, false},
		{devno{259, 1}, -1, false},
		{devno{253, 0}, -1, true},
		{devno{253, 1}, -1, false},
		{devno{1, 3}, -1, true},
		{devno{9, 9}, -1, false},
	} {
		if got := h.node(tt.n); got != tt.node {
			t.Errorf("node of %v: %d, want %d", tt.n, got, tt.node)
		}
		if got := h.isMemory(tt.n); got != tt.memory {
			t.Errorf("%v is memory: %v, want %v", tt.n, got, tt.memory)
		}
	}
}

// mbr makes a first block with one partition entry.
func mbr(status, kind byte, from, n uint32) []byte {
	p := make([]byte, 8192)
	p[446], p[450] = status, kind
	binary.LittleEndian.PutUint32(p[454:], from)
	binary.LittleEndian.PutUint32(p[458:], n)
	p[510], p[511] = 0x55, 0xAA
	return p
}

func gpt(block int) []byte {
	p := make([]byte, 8192)
	copy(p[block:], "EFI PART")
	return p
}

func TestPartitionTable(t *testing.T) {
	unsigned := mbr(0, 0x83, 2048, 100)
	unsigned[510] = 0
	for _, tt := range []struct {
		name string
		head []byte
		want string
	}{
		{"zeros", make([]byte, 8192), ""},
		{"short", make([]byte, 100), ""},
		{"MBR", mbr(0x80, 0x83, 2048, 100), "MBR"},
		{"MBR that covers the disk", mbr(0, 0xEE, 1, 0xFFFFFFFF), "MBR"},
		{"no signature", unsigned, ""},
		{"no type", mbr(0, 0, 2048, 100), ""},
		{"no length", mbr(0, 0x83, 2048, 0), ""},
		{"beyond the end", mbr(0, 0x83, 1<<20, 100), ""},
		{"impossible status", mbr(0x17, 0x83, 2048, 100), ""},
		{"GPT, blocks of 512", gpt(512), "GPT"},
		{"GPT, blocks of 4096", gpt(4096), "GPT"},
		{"GPT signature elsewhere", gpt(1024), ""},
	} {
		if got := partitionTable(tt.head, 1<<20); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzPartitionTable(f *testing.F) {
	f.Add(mbr(0x80, 0x83, 2048, 100))
	f.Add(gpt(512))
	f.Add([]byte("EFI PART"))
	f.Fuzz(func(t *testing.T, head []byte) {
		table := partitionTable(head, 1<<20)
		if table == "MBR" && (len(head) < 512 || head[510] != 0x55 || head[511] != 0xAA) {
			t.Errorf("an MBR without its signature")
		}
		if table == "GPT" && !bytes.Contains(head, []byte("EFI PART")) {
			t.Errorf("a GPT without its signature")
		}
	})
}

func FuzzMountinfo(f *testing.F) {
	f.Add("36 22 8:0 / /mnt rw shared:1 - xfs /dev/sda rw\n", `/mnt\040x`)
	f.Add(" - ", `\`)
	f.Add("a b 8:0 c d - e /\\057", `\999`)
	f.Fuzz(func(t *testing.T, text, escaped string) {
		dir := t.TempDir()
		if os.MkdirAll(filepath.Join(dir, "self"), 0o755) != nil || os.WriteFile(filepath.Join(dir, "self/mountinfo"), []byte(text), 0o600) != nil {
			t.Skip()
		}
		_, _ = host{proc: dir}.mountOf(devno{8, 0})
		if got := unescape(escaped); len(got) > len(escaped) {
			t.Errorf("unescape(%q) is longer: %q", escaped, got)
		}
	})
}

// attachLoop makes a loop device of a fresh file, detached at the end.
func attachLoop(t *testing.T, size int64, args ...string) (loop, file string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	file = filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", append(args, "--find", "--show", file)...).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device to be had: %v: %s", err, out)
	}
	loop = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", loop).CombinedOutput(); err != nil {
			t.Errorf("detach %s: %v: %s", loop, err, out)
		}
	})
	return loop, file
}

func wantRefusal(t *testing.T, path, want string) {
	t.Helper()
	d, err := OpenDevice(path, DeviceOptions{})
	if err == nil {
		d.Close()
		t.Errorf("%s opens, want %q", path, want)
	} else if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestLoopDevice(t *testing.T) {
	const size = 16 << 20
	for _, block := range []string{"512", "4096"} {
		t.Run("blocks of "+block, func(t *testing.T) {
			loop, file := attachLoop(t, size, "--sector-size", block)
			wantRefusal(t, file, "stands behind "+loop)
			d, err := OpenDevice(loop, DeviceOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if d.Size != size || !d.Raw || !d.Direct || d.Space != SpaceRaw || d.Block < 512 {
				t.Errorf("got %+v", d)
			}
			if block == "4096" && d.Block != 4096 {
				t.Errorf("block of %d bytes, want 4096", d.Block)
			}
			wantRefusal(t, loop, "in use")
			eachQueue(t, func(t *testing.T, q Queue) {
				buf := newArena(t, 1<<20).Get(8192)
				copy(buf, "on a loop device")
				f := attach(t, q, d)
				wantResult(t, "write", call(t, q, &Op{Kind: Write, Flags: DSync, File: f, Offset: 8192, Buf: buf}), 8192)
				clear(buf)
				wantResult(t, "read", call(t, q, &Op{Kind: Read, File: f, Offset: 8192, Buf: buf}), 8192)
				if !bytes.HasPrefix(buf, []byte("on a loop device")) {
					t.Errorf("read %q", buf[:16])
				}
				wantResult(t, "read over the end", call(t, q, &Op{Kind: Read, File: f, Offset: size - 4096, Buf: buf}), 4096)
			})
		})
	}
}

func TestLoopDeviceWithPartitions(t *testing.T) {
	loop, _ := attachLoop(t, 16<<20)
	raw, err := os.OpenFile(loop, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.Write(mbr(0, 0x83, 2048, 4096)[:512])
	if err := errors.Join(err, raw.Sync(), raw.Close()); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, loop, "holds a partition table (MBR)")
	// Reading hurts nothing.
	d, err := OpenDevice(loop, DeviceOptions{ReadOnly: true})
	if err != nil {
		t.Fatalf("read-only: %v", err)
	}
	d.Close()
}

func TestLoopDeviceMounted(t *testing.T) {
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("mkfs.ext4 is not installed")
	}
	loop, _ := attachLoop(t, 16<<20)
	if out, err := exec.Command(mkfs, "-q", loop).CombinedOutput(); err != nil {
		t.Skipf("mkfs: %v: %s", err, out)
	}
	dir := t.TempDir()
	if err := unix.Mount(loop, dir, "ext4", 0, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	wantRefusal(t, loop, "is mounted on "+dir)
}

func TestSwapDevice(t *testing.T) {
	mkswap, err := exec.LookPath("mkswap")
	if err != nil {
		t.Skip("mkswap is not installed")
	}
	loop, _ := attachLoop(t, 1<<20)
	if out, err := exec.Command(mkswap, loop).CombinedOutput(); err != nil {
		t.Skipf("mkswap: %v: %s", err, out)
	}
	if out, err := exec.Command("swapon", loop).CombinedOutput(); err != nil {
		t.Skipf("swapon: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("swapoff", loop).CombinedOutput(); err != nil {
			t.Errorf("swapoff %s: %v: %s", loop, err, out)
		}
	})
	wantRefusal(t, loop, "is swap space")
}
