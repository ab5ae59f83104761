package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ashlardb/ashlar/"

// layers gives each package the packages of this repository that it may
// import. A line names only packages of earlier lines, so the table cannot
// hold a cycle; read from the bottom up it is the way of a request.
const layers = `
internal/assert:
internal/epoch:
internal/hist: internal/assert
internal/report:
internal/stat:
internal/thread:
arch:
arch/hash: arch
arch/numa:
ioring: internal/assert arch/numa
ioring/sim: ioring
engine/record: internal/assert arch/hash
engine/msgpack:
engine/geo:
engine/particle: engine/record engine/msgpack engine/geo
engine/cdt: engine/record engine/msgpack
engine/exp: engine/record engine/msgpack engine/particle engine/cdt engine/geo
engine/index: internal/assert arch engine/record
engine/storage: internal/assert internal/epoch internal/hist arch/hash ioring engine/record
engine: internal/assert internal/epoch internal/hist arch ioring engine/record engine/geo engine/particle engine/cdt engine/exp engine/index engine/storage
node/config:
node/proto: engine/record
node/client: node/proto engine/record
node/txn: internal/assert internal/hist ioring engine engine/record node/proto
node/info: internal/hist engine node/config node/proto
node/service: internal/assert internal/hist arch arch/numa ioring engine/record node/proto node/info node/txn
node: arch/hash arch/numa ioring engine engine/record node/config node/proto node/txn node/info node/service
act: internal/assert internal/hist internal/report internal/stat internal/thread arch arch/numa ioring
bench: internal/hist internal/report internal/stat internal/thread arch arch/hash arch/numa ioring engine/record engine/msgpack node/proto node/client
.: act arch/hash bench engine node
`

// TestLayers parses the source files rather than asking the go command, so
// that it sees the files of every GOARCH.
func TestLayers(t *testing.T) {
	allowed := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(layers)) {
		pkg, deps, _ := strings.Cut(strings.TrimSpace(line), ":")
		for _, dep := range strings.Fields(deps) {
			if _, ok := allowed[dep]; !ok {
				t.Errorf("layers: %s names %s before its line", pkg, dep)
			}
		}
		allowed[pkg] = strings.Fields(deps)
	}
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && name != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "testbed/") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(file))
		found[pkg] = true
		deps, ok := allowed[pkg]
		if !ok {
			t.Errorf("%s: package %s has no line in layers", file, pkg)
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if dep, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(deps, dep) {
				t.Errorf("%s: %s must not import %s", file, pkg, dep)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if !found[pkg] {
			t.Errorf("layers: %s has a line but no source file", pkg)
		}
	}
}
