package engine_test

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./engine -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// startTime is when all tests begin: some day in 2026.
const startTime record.Time = 530000000000

func memoryOptions(name string) engine.Options {
	o := engine.DefaultOptions()
	o.Name = name
	o.Storage.Type = engine.StorageMemory
	o.Storage.DataSize = 1 << 30
	return o
}

func testEnv() engine.Env {
	return engine.Env{
		Now:         func() record.Time { return startTime },
		Log:         slog.New(slog.DiscardHandler),
		IndexMemory: 1 << 30,
	}
}

// openMemory opens a namespace in memory. It is closed, and checked once more,
// when the test ends.
func openMemory(t testing.TB, name string, change func(*engine.Options)) *engine.Namespace {
	t.Helper()
	o := memoryOptions(name)
	if change != nil {
		change(&o)
	}
	ns, err := engine.Open(o, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func newWorker(t testing.TB, ns *engine.Namespace, q ioring.Queue) *engine.Worker {
	t.Helper()
	w, err := ns.NewWorker(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}
