package index

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./engine/index -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// open returns an index for a test, which ends with a check of it. Under the
// race detector its memory is on the heap, where the detector watches it.
func open(t testing.TB, o Options) *Index {
	t.Helper()
	if raceEnabled {
		o.heap = true
		if o.MaxBytes == 0 {
			o.MaxBytes = 128 << 20
		}
	}
	x, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Check(); err != nil {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// digests makes digests of which the given bits vary and the others are equal,
// so that they meet in partitions, sprigs and order bits as a test wants it.
type digests struct {
	name string
	base record.Digest
	mask record.Digest
}

func (g *digests) random(r *rand.Rand) (d record.Digest) {
	var w [24]byte
	for i := range 3 {
		binary.LittleEndian.PutUint64(w[i*8:], r.Uint64())
	}
	for i := range d {
		d[i] = g.base[i]&^g.mask[i] | w[i]&g.mask[i]
	}
	return d
}

// families of digests, from what a hash makes to what an adversary would.
// The sprig of 16 is in the high half of byte 1, the order bits in bytes 2-4.
var families = []digests{
	{name: "uniform", mask: mask(0, 20)},
	{name: "one partition", base: record.Digest{0x34, 0x02}, mask: record.Digest{0, 0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
	{name: "one sprig", base: record.Digest{0xFF, 0xFF}, mask: mask(2, 20)},
	{name: "all at one end of a sprig", base: record.Digest{0, 0, 0, 0}, mask: mask(4, 20)},
	{name: "all at the other end", base: record.Digest{0, 0xFF, 0xFF, 0xFF, 0xFF}, mask: record.Digest{4: 0x0F, 5: 0xFF, 6: 0xFF}},
	{name: "equal order bits", base: record.Digest{1, 2, 3, 4, 5, 6, 7, 8}, mask: mask(8, 20)},
	{name: "highest order bits", base: record.Digest{1, 0xF2, 0xFF, 0xFF, 0xFF}, mask: mask(5, 20)},
	{name: "only the last bytes differ", base: record.Digest{9: 9}, mask: mask(18, 20)},
	{name: "few order bits", base: record.Digest{7, 7}, mask: record.Digest{2: 0x81, 4: 0x01, 9: 0xFF, 19: 0xFF}},
}

func mask(from, to int) (m record.Digest) {
	for i := from; i < to; i++ {
		m[i] = 0xFF
	}
	return m
}

// entryFor is the entry of d whose fields all follow from n: a mix of two
// entries does not pass sound.
func entryFor(d record.Digest, n uint64) Entry {
	return Entry{
		Digest: d, Addr: record.Address(n), LUT: record.Time(n * 3 & MaxLUT), Generation: uint16(n * 5),
		VoidTime: uint32(n * 7), SetID: uint16(n * 11 & MaxSetID), Flags: uint8(n * 13),
	}
}

// sound reports whether all fields of e follow from one number.
func sound(e *Entry) bool { return *e == entryFor(e.Digest, uint64(e.Addr)) }

// inOrder sorts digests of one partition as Reduce gives them.
func inOrder(ds []record.Digest) {
	slices.SortFunc(ds, func(a, b record.Digest) int { return bytes.Compare(b[:], a[:]) })
}

// reduceAll returns what Reduce gives of a partition.
func reduceAll(x *Index, partition int, after *record.Digest) (es []Entry) {
	x.Reduce(partition, after, func(e *Entry) bool {
		es = append(es, *e)
		return true
	})
	return es
}
