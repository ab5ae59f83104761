package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freePort returns an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestGate runs two servers in turn, the second with 3 ms more an answer.
func TestGate(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	serve := func(pause string) string {
		return fmt.Sprintf("env '%s=serve %s %s' %s", partEnv, address, pause, self)
	}
	junit := filepath.Join(t.TempDir(), "gate.xml")
	c := Command()
	c.SetArgs([]string{"gate", "--a", serve("0s"), "--b", serve("3ms"), "-h", address, "-k", "100", "-z", "4", "-w", "RU,100",
		"--duration", "4s", "--rounds", "2", "--settle", "0s", "--max-starved", "100", "--fail-if", "p50>+10%", "--junit", junit, "-q"})
	c.SetContext(context.Background())
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	err = c.Execute()
	var exit *exitError
	if !errors.As(err, &exit) {
		t.Fatalf("3 ms more an answer: error %v\n%s", err, &out)
	}
	if code := exit.ExitCode(); code != ExitRegression {
		t.Errorf("exit code %d, want %d: %v\n%s", code, ExitRegression, err, &out)
	}
	if text, err := os.ReadFile(junit); err != nil || !strings.Contains(string(text), "p50") {
		t.Errorf("JUnit file: %v\n%s", err, text)
	}
}

func TestGateRefuses(t *testing.T) {
	address := freePort(t)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no commands", []string{"gate"}, "--a and --b"},
		{"a server that ends at once", []string{"gate", "--a", "false", "--b", "true", "-h", address}, "ended before it listened"},
		{"a server that never listens", []string{"gate", "--a", "sleep 30", "--b", "true", "-h", address, "--patience", "300ms"}, "does not listen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Command()
			c.SetArgs(tt.args)
			c.SetContext(context.Background())
			began := time.Now()
			err := c.Execute()
			var exit *exitError
			if !errors.As(err, &exit) || exit.ExitCode() != ExitUsage || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q and exit code %d", err, tt.want, ExitUsage)
			}
			if time.Since(began) > 20*time.Second {
				t.Error("the command was not ended")
			}
		})
	}
}

// TestSweep finds the rate up to which a server of 4 connections and 2 ms an
// answer, 2,000 operations a second at the most, keeps 50 ms.
func TestSweep(t *testing.T) {
	s := newFakeServer(t)
	s.freeze = func() { time.Sleep(2 * time.Millisecond) }
	dir := t.TempDir()
	c := Command()
	c.SetArgs([]string{"sweep", "-h", s.l.Addr().String(), "-k", "100", "-z", "4", "-w", "RU,100", "--duration", "1s", "--from", "200", "--factor", "4",
		"--objective", "p50<50ms", "--max-lateness", "10s", "--max-starved", "100", "--html", filepath.Join(dir, "s.html"), "--curve-csv", filepath.Join(dir, "s.csv"), "-q"})
	c.SetContext(context.Background())
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	if err := c.Execute(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	file, err := os.Open(filepath.Join(dir, "s.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 3 {
		t.Fatalf("curve of %d rows, error %v", len(rows), err)
	}
	if last := rows[len(rows)-1]; last[0] != "3200" || last[6] != "false" {
		t.Errorf("the highest rate is %v, want 3200, which does not hold", last)
	}
	html, err := os.ReadFile(filepath.Join(dir, "s.html"))
	if err != nil || strings.Count(string(html), "<svg") != 1 {
		t.Errorf("page: %v, %d plots", err, strings.Count(string(html), "<svg"))
	}
}

func TestObjectives(t *testing.T) {
	list, err := parseObjectives("p99<1ms, p99.9 < 4ms,max<1s")
	if err != nil || len(list) != 3 || list[1].limit != 4000 {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "p99", "p98<1ms", "p99<x", "p99<-1ms"} {
		if _, err := parseObjectives(bad); err == nil {
			t.Errorf("objective %q was accepted", bad)
		}
	}
}
