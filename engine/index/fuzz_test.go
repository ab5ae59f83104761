package index

import (
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// FuzzOperations reads a sequence of operations from bytes, two a step: which,
// and on which of 256 digests, whose bits the first byte of the sequence
// spreads out or crowds together. The map is the truth, as in TestModel.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 3, 1, 7, 0})
	f.Add([]byte{1, 0, 9, 1, 9, 4, 9, 0, 9, 5, 9, 2, 9, 8, 0})
	f.Add([]byte{2, 0, 1, 0, 2, 0, 3, 6, 2, 7, 2, 2, 2, 7, 2})
	f.Add([]byte{3, 9, 0, 9, 1, 9, 2, 8, 3, 10, 2, 9, 0, 7, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) == 0 || len(program) > 4096 {
			return
		}
		m := newModel(t, Options{Sprigs: MinSprigs, MaxBytes: fixedBytes(MinSprigs) + 32*slabSize})
		spread, program := program[0], program[1:]
		for ; len(program) >= 2; program = program[2:] {
			m.interpret(program[0], fuzzDigest(spread, program[1]), spread)
		}
		m.verify()
	})
}

// fuzzDigest puts the bits of n where they tell partitions, sprigs, order bits
// or only whole digests apart.
func fuzzDigest(spread, n byte) (d record.Digest) {
	d[2+spread%4*4] = n          // byte 2, 6, 10 or 14
	d[4] = n << (spread / 4 % 8) // few or many equal order bits
	d[19] = n
	return d
}

func (m *model) interpret(op byte, d record.Digest, spread byte) {
	m.t.Helper()
	switch op % 12 {
	case 0:
		m.put(d)
	case 1:
		m.putIf(d, op&0x80 == 0)
	case 2:
		m.delete(d)
	case 3:
		m.deleteIf(d, op&0x80 == 0)
	case 4:
		m.relocate(d, op&0x80 == 0)
	case 5:
		m.get(d)
	case 6:
		m.getBatch([]record.Digest{d, fuzzDigest(spread, op), d})
	case 7:
		m.expectReduced("after", d.Partition(), &d, below(m.all(), d), int(op)+1)
	case 8: // all 256 at once, and away again
		for n := range 256 {
			m.delete(fuzzDigest(spread, byte(n)))
		}
	default: // a run of 1 to 16 at once
		for n := range op%16 + 1 {
			m.put(fuzzDigest(spread, d[19]+n))
		}
	}
}

// all returns the digests of the map in Reduce's order: they are of one
// partition.
func (m *model) all() []record.Digest {
	ds := make([]record.Digest, 0, len(m.m))
	for d := range m.m {
		ds = append(ds, d)
	}
	inOrder(ds)
	return ds
}
