package index

import (
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// TestTidy lets all sprigs grow and then shrink in step, the way that leaves
// blocks of every size behind, and wants no class of blocks to have more than
// a third of its room free, beside the few slabs that are not worth the work.
func TestTidy(t *testing.T) {
	const nRecords = 600_000 / raceScale
	r := newRand(t)
	x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 96 << 20})
	x.super.nShards = 1 // the slabs of one shard show it with few records
	bounded := func(when string) {
		t.Helper()
		sh := &x.super.shards[0]
		for class := 1; class < nClasses; class++ {
			per := uint64(perSlab(class))
			capacity := sh.slabs[class] * per
			free := capacity - sh.used[class]
			if limit := max(capacity/sparseFraction, 2*per) + per; free > limit {
				t.Errorf("%s: %d of %d blocks of class %d are free, want %d at most", when, free, capacity, class, limit)
			}
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
	}
	ds := make([]record.Digest, nRecords)
	for i := range ds {
		ds[i] = families[0].random(r)
		e := entryFor(ds[i], uint64(i))
		if _, _, err := x.Put(&e); err != nil {
			t.Fatal(err)
		}
		if (i+1)%(nRecords/3) == 0 {
			bounded("growing")
		}
	}
	for i := range ds {
		if (i+1)%(nRecords/4) == 0 {
			bounded("shrinking")
		}
		if old, ok := x.Delete(&ds[i]); !ok || old != entryFor(ds[i], uint64(i)) {
			t.Fatalf("Delete %x: %+v, %v", ds[i], old, ok)
		}
	}
	if m := x.Memory(); m.InUse != m.Fixed {
		t.Errorf("Memory of an empty index: %+v", m)
	}
}
