package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// report is what ginkgo writes of one run, as far as we read it.
type report struct {
	SpecReports []spec
}

// spec is the outcome of one spec.
type spec struct {
	ContainerHierarchyTexts []string
	LeafNodeType            string
	LeafNodeLocation        struct{ FileName string }
	LeafNodeText            string
	State                   string
	Failure                 struct{ Message string }
}

const passed = "passed"

// file returns the name of the file the spec stands in.
func (s *spec) file() string { return path.Base(s.LeafNodeLocation.FileName) }

// name returns the spec's full name in one line.
func (s *spec) name() string {
	words := append(slices.Clone(s.ContainerHierarchyTexts), s.LeafNodeText)
	return s.file() + ": " + strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// decode reads a report and returns its specs proper, without set-up nodes.
func decode(data []byte) ([]spec, error) {
	var suites []report
	if err := json.Unmarshal(data, &suites); err != nil {
		return nil, fmt.Errorf("conformance: report: %w", err)
	}
	var specs []spec
	for _, suite := range suites {
		for _, s := range suite.SpecReports {
			if s.LeafNodeType == "It" {
				specs = append(specs, s)
			}
		}
	}
	return specs, nil
}

// results are the outcomes of a run by full name. A name that several specs
// carry has the worst of their outcomes.
type results struct {
	states  map[string]string
	message map[string]string // of what failed
	files   map[string]*tally
}

// tally counts the specs of one file.
type tally struct{ passed, failed, skipped int }

func newResults() *results {
	return &results{states: map[string]string{}, message: map[string]string{}, files: map[string]*tally{}}
}

func (r *results) add(s *spec) {
	t := r.files[s.file()]
	if t == nil {
		t = &tally{}
		r.files[s.file()] = t
	}
	switch s.State {
	case passed:
		t.passed++
	case "skipped", "pending":
		t.skipped++
	default:
		t.failed++
	}
	name := s.name()
	if old, there := r.states[name]; !there || old == passed {
		r.states[name] = s.State
	}
	if s.Failure.Message != "" {
		r.message[name] = s.Failure.Message
	}
}

// passing returns the names that pass, sorted.
func (r *results) passing() []string {
	var names []string
	for name, state := range r.states {
		if state == passed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// table writes the counts of each file and their sum.
func (r *results) table() string {
	var b strings.Builder
	var sum tally
	fmt.Fprintf(&b, "%-40s %7s %7s %7s\n", "file", "passed", "failed", "skipped")
	for _, file := range slices.Sorted(maps.Keys(r.files)) {
		t := r.files[file]
		fmt.Fprintf(&b, "%-40s %7d %7d %7d\n", file, t.passed, t.failed, t.skipped)
		sum.passed, sum.failed, sum.skipped = sum.passed+t.passed, sum.failed+t.failed, sum.skipped+t.skipped
	}
	fmt.Fprintf(&b, "%-40s %7d %7d %7d", "all", sum.passed, sum.failed, sum.skipped)
	return b.String()
}
