package index

import (
	"strings"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name    string
		o       Options
		mistake []string // each in the error; none: New succeeds
	}{
		{"defaults", Options{}, nil},
		{"least", Options{Sprigs: MinSprigs, MaxBytes: fixedBytes(MinSprigs) + minSlabs*slabSize}, nil},
		{"small pages, node 0", Options{SmallPages: true, Nodes: []int{0}}, nil},
		{"a byte too little", Options{MaxBytes: fixedBytes(DefaultSprigs) + minSlabs*slabSize - 1}, []string{"memory limit", "256 sprigs"}},
		{"more than handles reach", Options{MaxBytes: maxMaxBytes + 1}, []string{"memory limit"}},
		{"not a power of two", Options{Sprigs: 300}, []string{"partition-tree-sprigs 300", "power of two"}},
		{"too few", Options{Sprigs: 8}, []string{"partition-tree-sprigs 8"}},
		{"two mistakes", Options{Sprigs: -1, Nodes: []int{-1}}, []string{"partition-tree-sprigs -1", "NUMA node -1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, err := New(tt.o)
			if err == nil {
				defer x.Close()
			}
			if (err == nil) != (tt.mistake == nil) {
				t.Fatalf("New: %v, want mistakes %q", err, tt.mistake)
			}
			for _, m := range tt.mistake {
				if !strings.Contains(err.Error(), m) {
					t.Errorf("New: %v: does not name %q", err, m)
				}
			}
			if err != nil {
				return
			}
			e := entryFor(record.Digest{1}, 1)
			if _, _, err := x.Put(&e); err != nil {
				t.Error(err)
			}
			if got, ok := x.Get(&e.Digest); !ok || got != e {
				t.Errorf("Get: %+v, %v", got, ok)
			}
		})
	}
}
