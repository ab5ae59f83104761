package conformance

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ashlardb/ashlar/testbed/testnode"
)

var (
	runSuite = flag.Bool("suite", false, "run the client's suite: takes minutes")
	update   = flag.Bool("update", false, "add specs that newly pass to the ratchet")
	onlyFile = flag.String("file", "", "run the specs of this file only")
	keep     = flag.String("keep", "", "directory to build the suite in, or to take a built one from")
	onlySpec = flag.String("spec", "", "run only specs that match; compares nothing with the ratchet")
)

const ratchetFile = "ratchet.txt"

func TestMain(m *testing.M) {
	code := m.Run()
	testnode.CleanUp()
	os.Exit(code)
}

// TestGoClientSuite runs the suite and compares with the ratchet.
func TestGoClientSuite(t *testing.T) {
	if !*runSuite {
		t.Skip("takes minutes: make conformance, or -suite")
	}
	list, err := readRatchet(ratchetFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	s, err := buildSuite(testnode.Root(), dir)
	if err != nil {
		t.Fatal(err)
	}
	n := testnode.Start(t, testnode.Device)
	run := newResults()
	for _, file := range suiteFiles(t, s, n) {
		runOne(t, s, n, file, run)
	}
	t.Logf("specs of %s\n%s", module, run.table())
	if *onlySpec != "" {
		return
	}
	lost, fresh := list.of(*onlyFile).compare(run)
	for _, name := range lost {
		state := run.states[name]
		if state == "" {
			state = "not run"
		}
		t.Errorf("%s is in the ratchet and %s\n    %s", name, state, firstLines(run.message[name], 6))
	}
	for _, name := range fresh {
		t.Logf("passes now: %s", name)
	}
	if *update && len(fresh) > 0 {
		if err := list.with(fresh).write(ratchetFile); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d specs added to %s", len(fresh), ratchetFile)
	}
}

// suiteFiles returns the files with specs, sorted.
func suiteFiles(t *testing.T, s *suite, n *testnode.Node) []string {
	if *onlyFile != "" {
		return []string{*onlyFile}
	}
	specs, err := s.specs(n.Host, n.Port)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for i := range specs {
		files[specs[i].file()] = true
	}
	return slices.Sorted(maps.Keys(files))
}

func runOne(t *testing.T, s *suite, n *testnode.Node, file string, run *results) {
	specs, out, err := s.runFile(n.Host, n.Port, file, *onlySpec)
	if err != nil {
		t.Logf("%s: %v\n%s", file, err, out[max(0, len(out)-2000):])
	}
	for i := range specs {
		run.add(&specs[i])
		if sp := &specs[i]; *onlyFile != "" && sp.Failure.Message != "" && sp.State != "skipped" {
			t.Logf("%s: %s\n    %s", sp.State, sp.name(), firstLines(sp.Failure.Message, 12))
		}
	}
	if err := n.Alive(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func firstLines(s string, n int) string {
	lines := strings.SplitN(s, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n    ")
}

func aSpec(state, leaf string, containers ...string) *spec {
	s := &spec{State: state, LeafNodeText: leaf, ContainerHierarchyTexts: containers}
	s.LeafNodeLocation.FileName = "/somewhere/client_test.go"
	return s
}

func TestCompare(t *testing.T) {
	run := newResults()
	for _, s := range []*spec{
		aSpec("passed", "works", "Put"),
		aSpec("passed", "breaks", "Put"),
		aSpec("failed", "twins", "Put"),
		aSpec("passed", "twins", "Put"),
		aSpec("skipped", "rests", "Put"),
		aSpec("passed", "is  new\n", "Get", "deep"),
		aSpec("timedout", "hangs", "Get"),
	} {
		run.add(s)
	}
	list := ratchet{
		"client_test.go: Get hangs", "client_test.go: Put gone", "client_test.go: Put rests",
		"client_test.go: Put twins", "client_test.go: Put works",
	}
	lost, fresh := list.compare(run)
	if want := []string(list[:4]); !slices.Equal(lost, want) {
		t.Errorf("lost %q, want %q", lost, want)
	}
	if want := []string{"client_test.go: Get deep is new", "client_test.go: Put breaks"}; !slices.Equal(fresh, want) {
		t.Errorf("fresh %q, want %q", fresh, want)
	}
	if got := *run.files["client_test.go"]; got != (tally{passed: 4, failed: 2, skipped: 1}) {
		t.Errorf("counts %+v", got)
	}
	if got := list.with(fresh); len(got) != 7 || !slices.IsSorted(got) {
		t.Errorf("updated list %q", got)
	}
	if got := list.of("other_test.go"); got != nil {
		t.Errorf("part of another file: %q", got)
	}
}

func TestRatchetFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.txt")
	if r, err := readRatchet(path); r != nil || err != nil {
		t.Errorf("no file: %q, %v", r, err)
	}
	want := ratchet{"a", "b c"}
	if err := want.write(path); err != nil {
		t.Fatal(err)
	}
	if got, err := readRatchet(path); err != nil || !slices.Equal(got, want) {
		t.Errorf("read back %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("b\na\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readRatchet(path); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("unsorted list: %v", err)
	}
}

// TestTheRatchetIsSorted keeps the list in the repository in order.
func TestTheRatchetIsSorted(t *testing.T) {
	if _, err := readRatchet(ratchetFile); err != nil {
		t.Error(err)
	}
}

func TestDecode(t *testing.T) {
	specs, err := decode([]byte(`[{"SpecReports":[{"LeafNodeType":"BeforeEach"},
		{"ContainerHierarchyTexts":["A","b"],"LeafNodeType":"It","LeafNodeLocation":{"FileName":"/x/y_test.go"},
		 "LeafNodeText":"c","State":"failed","Failure":{"Message":"why"}}]}]`))
	if err != nil || len(specs) != 1 || specs[0].name() != "y_test.go: A b c" || specs[0].Failure.Message != "why" {
		t.Errorf("%+v, %v", specs, err)
	}
	if _, err := decode([]byte("half a rep")); err == nil {
		t.Error("half a report was read")
	}
}
