package numa

import (
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// machine makes a sysfs of files with their contents.
func machine(files map[string]string) fstest.MapFS {
	sys := fstest.MapFS{}
	for name, text := range files {
		sys["devices/system/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return sys
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		sys  fstest.MapFS
		want Topology
		err  string
	}{
		{
			name: "two nodes, one CPU offline",
			sys: machine(map[string]string{
				"cpu/online": "0-2,4-7", "node/online": "0-1",
				"node/node0/cpulist": "0-3", "node/node0/distance": "10 21",
				"node/node1/cpulist": "4-7", "node/node1/distance": "21 10",
			}),
			want: Topology{Nodes: []Node{
				{ID: 0, CPUs: []int{0, 1, 2}, Distance: []int{10, 21}},
				{ID: 1, CPUs: []int{4, 5, 6, 7}, Distance: []int{21, 10}},
			}},
		},
		{
			name: "gap in node numbers and a node of memory alone",
			sys: machine(map[string]string{
				"cpu/online": "0-1", "node/online": "0,2",
				"node/node0/cpulist": "0-1", "node/node2/cpulist": "",
			}),
			want: Topology{Nodes: []Node{{ID: 0, CPUs: []int{0, 1}}, {ID: 2}}},
		},
		{
			name: "no NUMA in the kernel",
			sys:  machine(map[string]string{"cpu/online": "0-3"}),
			want: Topology{Nodes: []Node{{CPUs: []int{0, 1, 2, 3}}}},
		},
		{name: "nothing there", sys: fstest.MapFS{}, err: "cpu/online"},
		{name: "no CPU", sys: machine(map[string]string{"cpu/online": ""}), err: "names no CPU"},
		{name: "junk", sys: machine(map[string]string{"cpu/online": "0-x"}), err: `"0-x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read(tt.sys)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Nodes) != len(tt.want.Nodes) {
				t.Fatalf("%d nodes, want %d", len(got.Nodes), len(tt.want.Nodes))
			}
			for i, n := range got.Nodes {
				w := tt.want.Nodes[i]
				if n.ID != w.ID || !slices.Equal(n.CPUs, w.CPUs) || !slices.Equal(n.Distance, w.Distance) {
					t.Errorf("node %d: got %+v, want %+v", i, n, w)
				}
			}
		})
	}
}

func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []int
		ok   bool
	}{
		{"", nil, true},
		{"0", []int{0}, true},
		{"0-3,8,10-11", []int{0, 1, 2, 3, 8, 10, 11}, true},
		{"3,1-3", []int{1, 2, 3}, true},
		{"3-1", nil, false},
		{"-1", nil, false},
		{"1,,2", nil, false},
		{"0-99999999", nil, false},
	} {
		got, err := ParseList(tt.in)
		if (err == nil) != tt.ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseList(%q) = %v, %v; want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func TestSpread(t *testing.T) {
	two := Topology{Nodes: []Node{{ID: 0, CPUs: []int{0, 1}}, {ID: 1, CPUs: []int{2, 3, 4}}, {ID: 2}}}
	for _, tt := range []struct {
		name string
		n    int
		want []int
		cpus []int
	}{
		{"alternates between nodes", 4, nil, []int{0, 2, 1, 3}},
		{"uneven nodes", 5, nil, []int{0, 2, 1, 3, 4}},
		{"one node only", 3, []int{1}, []int{2, 3, 4}},
		{"more loops than CPUs", 3, []int{0}, []int{0, 1, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := two.Spread(tt.n, tt.want)
			if err != nil || !slices.Equal(got, tt.cpus) {
				t.Errorf("Spread(%d, %v) = %v, %v; want %v", tt.n, tt.want, got, err, tt.cpus)
			}
		})
	}
	if _, err := two.Spread(1, []int{7}); err == nil || !strings.Contains(err.Error(), "node 7") {
		t.Errorf("unknown node: error %v, want one that names it", err)
	}
	if _, err := two.Spread(1, []int{2}); err == nil {
		t.Error("a node without a CPU was accepted")
	}
}

// TestThisMachine holds the real sysfs to what the kernel says another way.
func TestThisMachine(t *testing.T) {
	top, err := Read(os.DirFS("/sys"))
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := Affinity()
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range allowed {
		if top.NodeOf(cpu) < 0 {
			t.Errorf("CPU %d may run this thread but is on no node of %+v", cpu, top)
		}
	}
	if top.NodeOf(1<<20) != -1 {
		t.Error("a CPU that does not exist has a node")
	}
}

func TestPin(t *testing.T) {
	done := make(chan error)
	go func() { // the thread dies with the goroutine: its affinity cannot leak
		runtime.LockOSThread()
		allowed, err := Affinity()
		if err != nil {
			done <- err
			return
		}
		last := allowed[len(allowed)-1]
		if err = Pin(last); err != nil {
			done <- err
			return
		}
		got, err := Affinity()
		if err == nil && !slices.Equal(got, []int{last}) {
			t.Errorf("after Pin(%d) the thread may run on %v", last, got)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestBind(t *testing.T) {
	p, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(p) }()
	top, err := Read(os.DirFS("/sys"))
	if err != nil {
		t.Fatal(err)
	}
	node := top.Nodes[len(top.Nodes)-1].ID
	if err = Bind(p, node); err != nil {
		t.Fatal(err)
	}
	got, err := NodeAt(p)
	if err == unix.ENOSYS {
		t.Skip("the kernel has no NUMA")
	}
	if err != nil || got != node {
		t.Errorf("memory bound to node %d is on node %d, error %v", node, got, err)
	}
	if err = Bind(p, -1); err != nil {
		t.Errorf("Bind to any node: %v", err)
	}
	if err = Bind(p, nodesLimit); err == nil {
		t.Error("Bind to an impossible node succeeded")
	}
}
