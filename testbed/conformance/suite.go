package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// module is the client whose suite this is.
const module = "github.com/aerospike/aerospike-client-go/v8"

// Limits of time.
const (
	buildLimit = 15 * time.Minute
	fileLimit  = 3 * time.Minute // for the specs of one file; ginkgo ends a spec that overruns it
	graceLimit = 20 * time.Second
)

// suite is a built suite binary.
type suite struct {
	dir    string // copy of the client: the suite reads files beside it
	binary string
}

// buildSuite copies the client out of the module cache to dir and builds its
// root test binary, unless dir has one.
func buildSuite(root, dir string) (*suite, error) {
	source, err := moduleDir(root)
	if err != nil {
		return nil, err
	}
	s := &suite{dir: filepath.Join(dir, "client"), binary: filepath.Join(dir, "suite.test")}
	if _, err := os.Stat(s.binary); err == nil {
		return s, nil // built before, see flag keep
	}
	if err := os.CopyFS(s.dir, os.DirFS(source)); err != nil {
		return nil, fmt.Errorf("conformance: copy the client: %w", err)
	}
	// The cache's files cannot be written; ours must be, or they cannot be removed.
	err = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("conformance: copy the client: %w", err)
	}
	// Trimmed paths let the build cache know the client's packages again
	// wherever the copy lies.
	if _, err := command(buildLimit, s.dir, "go", "test", "-trimpath", "-c", "-o", s.binary, "."); err != nil {
		return nil, fmt.Errorf("conformance: build the suite: %w", err)
	}
	return s, nil
}

// moduleDir returns the client's directory in the module cache.
func moduleDir(root string) (string, error) {
	list := func() (string, error) {
		out, err := command(buildLimit, root, "go", "list", "-m", "-f", "{{.Dir}}", module)
		return strings.TrimSpace(out), err
	}
	dir, err := list()
	if err == nil && dir == "" {
		if _, err := command(buildLimit, root, "go", "mod", "download", module); err != nil {
			return "", fmt.Errorf("conformance: %w", err)
		}
		dir, err = list()
	}
	if err == nil && dir == "" {
		err = errors.New("not in the module cache")
	}
	if err != nil {
		return "", fmt.Errorf("conformance: find %s: %w", module, err)
	}
	return dir, nil
}

// command runs a program and returns its standard output.
func command(limit time.Duration, dir string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errOut.String())
	}
	return string(out), nil
}

// specs returns all specs of the suite without running them.
func (s *suite) specs(host, port string) ([]spec, error) {
	specs, out, err := s.run(host, port, "-ginkgo.dry-run")
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return specs, nil
}

// runFile runs the specs of one file, those that match only if it is not
// empty. The specs are whatever was reported, also when the process died or
// overran its time, which is the error; out is what the process printed.
func (s *suite) runFile(host, port, file, only string) (specs []spec, out string, err error) {
	args := []string{"-ginkgo.focus-file=^" + "(.*/)?" + strings.ReplaceAll(file, ".", `\.`) + "$"}
	if only != "" {
		args = append(args, "-ginkgo.focus="+only)
	}
	all, out, err := s.run(host, port, args...)
	for _, sp := range all {
		if sp.file() == file {
			specs = append(specs, sp)
		}
	}
	return specs, out, err
}

func (s *suite) run(host, port string, args ...string) (specs []spec, printed string, err error) {
	dir, err := os.MkdirTemp("", "ashlar-suite-")
	if err != nil {
		return nil, "", fmt.Errorf("conformance: %w", err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "report.json")
	ctx, cancel := context.WithTimeout(context.Background(), fileLimit+graceLimit)
	defer cancel()
	args = append([]string{
		"-test.run", "TestAerospike", "-h", host, "-p", port, "-n", "test", "-ginkgo.seed=1",
		"-ginkgo.no-color", "-ginkgo.succinct", "-ginkgo.json-report=" + name, "-ginkgo.timeout=" + fileLimit.String(),
	}, args...)
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir = s.dir
	out, runErr := cmd.CombinedOutput()
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, string(out), fmt.Errorf("conformance: the suite left no report: %w", errors.Join(runErr, err))
	}
	specs, err = decode(data)
	return specs, string(out), err // a failed spec fails the process too: that is no news
}
