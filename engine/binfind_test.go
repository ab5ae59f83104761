package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// TestBinFinder holds the table to a search one by one, through adding and
// dropping bins around the size at which it takes over.
func TestBinFinder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := &Worker{bins: make([]record.NamedValue, 3)} // another request's bins below ours
	const base = 3
	slow := func(name string) int {
		for i, b := range w.bins[base:] {
			if string(b.Name) == name {
				return i
			}
		}
		return -1
	}
	for range 20_000 {
		name := fmt.Sprintf("b%d", r.IntN(2*fewBins))
		i := w.find.find(w.bins[base:], []byte(name))
		if want := slow(name); i != want {
			t.Fatalf("bin %s of %d: found at %d, want %d", name, len(w.bins)-base, i, want)
		}
		switch {
		case i < 0 && r.IntN(3) > 0:
			w.setBin(base, i, []byte(name), record.Value{Type: record.Integer})
		case i >= 0 && r.IntN(4) == 0:
			w.dropBin(base, i)
		case r.IntN(2000) == 0:
			w.bins = w.bins[:base]
			w.find.forget()
		}
	}
	w.setBin(base, -1, make([]byte, record.MaxBinName), record.Value{Type: record.Integer})
	if got := w.find.find(w.bins[base:], make([]byte, record.MaxBinName+1)); got != -1 {
		t.Errorf("a name that no bin can have is found at %d", got)
	}
}

// BenchmarkManyBins creates a record of the most bins there can be, by one
// operation each.
func BenchmarkManyBins(b *testing.B) {
	names := make([][]byte, record.MaxBins)
	for i := range names {
		names[i] = fmt.Appendf(nil, "bin%d", i)
	}
	w := &Worker{}
	for b.Loop() {
		w.bins = w.bins[:0]
		w.find.forget()
		for _, name := range names {
			w.setBin(0, w.find.find(w.bins, name), name, record.Value{Type: record.Integer})
		}
	}
}
