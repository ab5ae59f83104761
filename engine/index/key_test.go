package index

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"

	"github.com/ashlardb/ashlar/engine/record"
)

// TestLocate reads sprig and order bits off digests by hand.
func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sprigs int
		digest record.Digest
		sprig  uint64 // over all partitions
		order  uint64
	}{
		{"partition only", 256, record.Digest{0xCD, 0x0B}, 0xBCD << 8, 0},
		{"high half of byte 1 begins the sprig", 256, record.Digest{0, 0xA0}, 0xA0, 0},
		{"then the high half of byte 2", 256, record.Digest{0, 0xA0, 0xB7}, 0xAB, 0x700000},
		{"order bits", 256, record.Digest{2: 0x01, 3: 0x23, 4: 0x45, 5: 0x6F}, 0, 0x123456},
		{"16 sprigs", 16, record.Digest{0, 0x30, 0x12, 0x34, 0x56, 0x78}, 0x3, 0x123456},
		{"4096 sprigs", 4096, record.Digest{1, 0x30, 0x12, 0x34, 0x56, 0x78}, 1<<12 | 0x312, 0x345678},
		{"all ones", 256, record.Digest{255, 255, 255, 255, 255, 255}, 1<<20 - 1, 0xFFFFFF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, err := New(Options{Sprigs: tt.sprigs})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			header, order := x.locate(&tt.digest)
			if header != x.headerAt(tt.sprig) {
				t.Errorf("header %p, want sprig %#x at %p", header, tt.sprig, x.headerAt(tt.sprig))
			}
			if order != tt.order<<handleBits {
				t.Errorf("order bits %#x, want %#x", order>>handleBits, tt.order)
			}
		})
	}
}

// TestLowerBound holds the search to a plain one, for every length around the
// line's and the search's limits, wherever it begins to look.
func TestLowerBound(t *testing.T) {
	r := newRand(t)
	for n := 1; n <= 130; n++ {
		slots := make([]uint64, linesFor(n)*lineSlots)
		for i := range slots {
			slots[i] = pad
		}
		for i := range n {
			slots[i] = r.Uint64N(uint64(n)) << handleBits // some are equal
		}
		slices.Sort(slots[:n])
		for guess := range n {
			want := r.Uint64N(uint64(n)+1) << handleBits
			expect := 0
			for expect < n && slots[expect] < want {
				expect++
			}
			if got := lowerBound(unsafe.Pointer(&slots[0]), n, want, guess); got != expect {
				t.Fatalf("lowerBound of %#x in %d slots from %d: %d, want %d", want, n, guess, got, expect)
			}
		}
	}
}

func TestPackRoundTrip(t *testing.T) {
	r := newRand(t)
	x := open(t, Options{Sprigs: MinSprigs, MaxBytes: 16 << 20})
	for range 1000 {
		var p packed
		var got Entry
		e := entryFor(families[0].random(r), r.Uint64())
		p.pack(&e)
		if p.unpack(&got); got != e {
			t.Fatalf("packed and unpacked: %+v, want %+v", got, e)
		}
		other := families[0].random(r)
		k := x.keyOf(&other)
		if c, want := compareEntry(unsafe.Pointer(&p), &k), bytes.Compare(e.Digest[:], other[:]); c != want {
			t.Fatalf("compare %x with %x: %d, want %d", e.Digest, other, c, want)
		}
	}
}
