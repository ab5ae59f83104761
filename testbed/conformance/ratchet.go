package conformance

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ratchet is the sorted list of specs that must pass.
type ratchet []string

// readRatchet reads the list; a file that is not there is an empty one.
func readRatchet(path string) (ratchet, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("conformance: ratchet: %w", err)
	}
	var r ratchet
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		name := strings.TrimSuffix(line, "\n")
		if len(r) > 0 && r[len(r)-1] >= name {
			return nil, fmt.Errorf("conformance: ratchet: %s line %d: %q does not sort behind the line before", path, number, name)
		}
		r = append(r, name)
	}
	return r, nil
}

func (r ratchet) write(path string) error {
	return os.WriteFile(path, []byte(strings.Join(r, "\n")+"\n"), 0o644)
}

// of returns the part of the list that stands in the given files; all of it
// when none is given.
func (r ratchet) of(file string) ratchet {
	if file == "" {
		return r
	}
	var part ratchet
	for _, name := range r {
		if strings.HasPrefix(name, file+": ") {
			part = append(part, name)
		}
	}
	return part
}

// compare returns what the list has and the run does not pass, and what
// passes and is not in the list yet.
func (r ratchet) compare(run *results) (lost, fresh []string) {
	for _, name := range r {
		if run.states[name] != passed {
			lost = append(lost, name)
		}
	}
	for _, name := range run.passing() {
		if _, listed := slices.BinarySearch(r, name); !listed {
			fresh = append(fresh, name)
		}
	}
	return lost, fresh
}

// with returns the list with the names added.
func (r ratchet) with(names []string) ratchet {
	all := append(slices.Clone(r), names...)
	slices.Sort(all)
	return slices.Compact(all)
}
