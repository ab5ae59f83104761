package hash

import (
	"testing"
)

// crcBitwise is CRC32C by its definition, a bit at a time.
func crcBitwise(p []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range p {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ castagnoliPoly*(crc&1)
		}
	}
	return ^crc
}

func TestCRC32C(t *testing.T) {
	eachPath(t, testCRC32C)
}

func testCRC32C(t *testing.T) {
	if got := CRC32C(0, []byte("123456789")); got != 0xE3069283 {
		t.Errorf("check value %#x, want 0xe3069283 (RFC 3720)", got)
	}
	p := make([]byte, 1300)
	for i := range p {
		p[i] = byte(i * 31)
	}
	for n := range p {
		if got, want := CRC32C(0, p[:n]), crcBitwise(p[:n]); got != want {
			t.Fatalf("length %d: %#x, want %#x", n, got, want)
		}
		if got, want := CRC32C(CRC32C(0, p[:n/3]), p[n/3:n]), crcBitwise(p[:n]); got != want {
			t.Fatalf("length %d in two pieces: %#x, want %#x", n, got, want)
		}
	}
}

// TestCRC32CLong crosses the size from which inputs go in pieces.
func TestCRC32CLong(t *testing.T) {
	r := newRand(t)
	p := make([]byte, 3<<16+777)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	eachPath(t, func(t *testing.T) {
		for _, n := range []int{1<<16 - 1, 1 << 16, 1<<16 + 1, 1<<16 + 255, 1<<16 + 256, 1 << 17, len(p)} {
			off := r.IntN(64)
			if got, want := CRC32C(0, p[off:n]), crcBitwise(p[off:n]); got != want {
				t.Errorf("length %d: %#x, want %#x", n-off, got, want)
			}
		}
	})
}

func TestCombine(t *testing.T) {
	r := newRand(t)
	for range 500 {
		p := make([]byte, r.IntN(5000))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		cut := r.IntN(len(p) + 1)
		a, b := crcBitwise(p[:cut]), crcBitwise(p[cut:])
		if got, want := Combine(a, b, int64(len(p)-cut)), crcBitwise(p); got != want {
			t.Fatalf("%d bytes cut at %d: %#x, want %#x", len(p), cut, got, want)
		}
	}
}

func TestSeedTellsPlacesApart(t *testing.T) {
	p := []byte("the same sixteen")
	var a, b Digest
	b[19] = 1
	seen := map[uint32]string{}
	for name, seed := range map[string]uint32{
		"a at 16": Seed(&a, 16), "a at 32": Seed(&a, 32), "b at 16": Seed(&b, 16), "a at 2^40": Seed(&a, 1<<40),
	} {
		crc := CRC32C(seed, p)
		if other, ok := seen[crc]; ok {
			t.Errorf("%s and %s have the same checksum", name, other)
		}
		seen[crc] = name
	}
}
