package numa

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Topology is the machine as the kernel describes it.
type Topology struct {
	Nodes []Node // in ascending order of ID; at least one
}

// Node is one NUMA node.
type Node struct {
	ID   int
	CPUs []int // online CPUs, ascending; empty for a node of memory alone
	// Distance to each node of Topology.Nodes in the firmware's units (10 is
	// local), nil where the kernel does not tell.
	Distance []int
}

// Read returns the topology in sys, which is /sys (os.DirFS("/sys")) or a
// test's copy of it. CPUs that are offline are left out.
func Read(sys fs.FS) (Topology, error) {
	online, err := readList(sys, "devices/system/cpu/online")
	if err != nil {
		return Topology{}, fmt.Errorf("numa: %w", err)
	}
	if len(online) == 0 {
		return Topology{}, errors.New("numa: devices/system/cpu/online names no CPU")
	}
	ids, err := readList(sys, "devices/system/node/online")
	if errors.Is(err, fs.ErrNotExist) {
		return Topology{Nodes: []Node{{CPUs: online}}}, nil
	}
	if err != nil {
		return Topology{}, fmt.Errorf("numa: %w", err)
	}
	var t Topology
	for _, id := range ids {
		dir := fmt.Sprintf("devices/system/node/node%d", id)
		cpus, err := readList(sys, path.Join(dir, "cpulist"))
		if err != nil {
			return Topology{}, fmt.Errorf("numa: %w", err)
		}
		cpus = slices.DeleteFunc(cpus, func(cpu int) bool { return !slices.Contains(online, cpu) })
		distance, err := readDistance(sys, path.Join(dir, "distance"))
		if err != nil {
			return Topology{}, fmt.Errorf("numa: %w", err)
		}
		t.Nodes = append(t.Nodes, Node{ID: id, CPUs: cpus, Distance: distance})
	}
	if len(t.Nodes) == 0 {
		return Topology{}, errors.New("numa: devices/system/node/online names no node")
	}
	return t, nil
}

// CPUs returns all online CPUs, in order of node, then number.
func (t Topology) CPUs() []int {
	var cpus []int
	for _, n := range t.Nodes {
		cpus = append(cpus, n.CPUs...)
	}
	return cpus
}

// NodeOf returns the node that holds cpu, or -1.
func (t Topology) NodeOf(cpu int) int {
	for _, n := range t.Nodes {
		if slices.Contains(n.CPUs, cpu) {
			return n.ID
		}
	}
	return -1
}

// Spread picks n CPUs for n loops: round robin over the nodes in want (all
// nodes when want is empty), so that each node gets its share. With more loops
// than CPUs, CPUs repeat.
func (t Topology) Spread(n int, want []int) ([]int, error) {
	var nodes [][]int
	for _, id := range want {
		if !slices.ContainsFunc(t.Nodes, func(n Node) bool { return n.ID == id }) {
			return nil, fmt.Errorf("numa: node %d: this machine has nodes %v", id, t.ids())
		}
	}
	total := 0
	for _, node := range t.Nodes {
		if (len(want) == 0 || slices.Contains(want, node.ID)) && len(node.CPUs) > 0 {
			nodes = append(nodes, node.CPUs)
			total += len(node.CPUs)
		}
	}
	if total == 0 {
		return nil, fmt.Errorf("numa: nodes %v have no CPU", want)
	}
	var order []int // each node's CPUs interleaved, every CPU once
	for i := 0; len(order) < total; i++ {
		for _, cpus := range nodes {
			if i < len(cpus) {
				order = append(order, cpus[i])
			}
		}
	}
	picked := make([]int, n)
	for i := range picked {
		picked[i] = order[i%total]
	}
	return picked, nil
}

// ids returns the numbers of the nodes.
func (t Topology) ids() []int {
	var ids []int
	for _, n := range t.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// readDistance reads a node's line of distances; the file may be absent.
func readDistance(sys fs.FS, name string) ([]int, error) {
	b, err := fs.ReadFile(sys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var distance []int
	for _, f := range strings.Fields(string(b)) {
		d, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: want a number", name, f)
		}
		distance = append(distance, d)
	}
	return distance, nil
}

// readList reads a file in the kernel's list format ("0-3,8,10-11").
func readList(sys fs.FS, name string) ([]int, error) {
	b, err := fs.ReadFile(sys, name)
	if err != nil {
		return nil, err
	}
	list, err := ParseList(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// maxListed bounds what ParseList expands: more CPUs than any machine has.
const maxListed = 1 << 16

// ParseList parses the kernel's list format: numbers and ranges, separated by
// commas, as in "0-3,8". The empty string is the empty list. The result is
// ascending and free of doubles.
func ParseList(s string) ([]int, error) {
	var list []int
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		lo, err := strconv.Atoi(first)
		hi := lo
		if err == nil && isRange {
			hi, err = strconv.Atoi(last)
		}
		if err != nil || lo < 0 || hi < lo || hi-lo+len(list) >= maxListed {
			return nil, fmt.Errorf("list %q: %q: want a number or a range such as 0-3", s, part)
		}
		for n := lo; n <= hi; n++ {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
