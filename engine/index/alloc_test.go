package index

import (
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

func TestDoNotAllocate(t *testing.T) {
	r := newRand(t)
	x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 16 << 20})
	var ds [batchSize]record.Digest
	var es [batchSize]Entry
	var found [batchSize]bool
	for i := range ds {
		ds[i] = families[0].random(r)
	}
	n := uint64(0)
	for _, tt := range []struct {
		name string
		run  func(d *record.Digest)
	}{
		{"Put", func(d *record.Digest) {
			n++
			e := entryFor(*d, n)
			if _, _, err := x.Put(&e); err != nil {
				t.Fatal(err)
			}
		}},
		{"PutIf", func(d *record.Digest) {
			e := entryFor(*d, n)
			if _, _, _, err := x.PutIf(&e, func(old Entry) bool { return old.LUT < e.LUT }); err != nil {
				t.Fatal(err)
			}
		}},
		{"Get", func(d *record.Digest) {
			if _, ok := x.Get(d); !ok {
				t.Fatal("not found")
			}
		}},
		{"GetBatch", func(*record.Digest) {
			x.GetBatch(ds[:], es[:], found[:])
		}},
		{"Relocate", func(d *record.Digest) {
			x.Relocate(d, 1, 1)
		}},
		{"Delete and Put", func(d *record.Digest) {
			old, ok := x.Delete(d)
			if !ok {
				t.Fatal("not found")
			}
			x.Put(&old)
		}},
		{"DeleteIf and Put", func(d *record.Digest) {
			e, _ := x.Get(d)
			if _, ok := x.DeleteIf(d, e.Addr); !ok {
				t.Fatal("not deleted")
			}
			x.Put(&e)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := 0
			if allocs := testing.AllocsPerRun(1000, func() {
				tt.run(&ds[i%len(ds)])
				i++
			}); allocs != 0 {
				t.Errorf("%s allocates %v times, want 0", tt.name, allocs)
			}
		})
	}
}
