package hash

import (
	"encoding/binary"
	"hash"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ripemd160"
)

// The key of all benchmarks: set of 7 bytes, type, key of 21 bytes: one block.
const benchSet = "testset"

func benchKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = []byte("user-000000000000000k")
		binary.BigEndian.PutUint64(keys[i][5:], uint64(i)*0x9E3779B97F4A7C15)
	}
	return keys
}

// baseline digests n keys with golang.org/x/crypto/ripemd160, reused, without
// allocating.
func baseline(h hash.Hash, keys [][]byte, set, typ, out []byte) {
	for _, key := range keys {
		h.Reset()
		h.Write(set)
		h.Write(typ)
		h.Write(key)
		h.Sum(out[:0])
	}
}

// BenchmarkRatio gives each path's time as a share of x/crypto's: both run in
// turn in slices of about a tenth of a millisecond, and the figure is the
// median of the ratios of neighbouring slices, so that a noisy machine cancels
// out. Only the metrics "x/crypto" (ratio) and "ns/key" mean something.
func BenchmarkRatio(b *testing.B) {
	const rounds = 601
	keys := benchKeys(512)
	out := make([]Digest, len(keys))
	kh := NewKeyHasher(benchSet, 3)
	one := func() {
		for i, key := range keys {
			DigestKey(&out[i], benchSet, 3, key)
		}
	}
	batch := func(n int) func() {
		return func() {
			for i := 0; i < len(keys); i += n {
				kh.SumBatch(out[i:i+n], keys[i:i+n])
			}
		}
	}
	for _, bb := range []struct {
		path, name string
		run        func()
	}{
		{"generic", "generic/1", one},
		{"bmi", "bmi/1", one},
		{"avx2", "avx2/16", batch(16)},
		{"avx2", "avx2/64", batch(64)},
		{"avx512", "avx512/4", batch(4)},
		{"avx512", "avx512/16", batch(16)},
		{"avx512", "avx512/32", batch(32)},
		{"avx512", "avx512/64", batch(64)},
		{"neon", "neon/64", batch(64)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			if err := force(bb.path); err != nil {
				b.Skip(err)
			}
			theirs := ripemd160.New()
			set, typ, sum := []byte(benchSet), []byte{3}, make([]byte, 0, Size)
			for b.Loop() {
				ratios, times := make([]float64, rounds), make([]float64, rounds)
				for i := range ratios {
					t0 := time.Now()
					baseline(theirs, keys, set, typ, sum)
					t1 := time.Now()
					bb.run()
					t2 := time.Now()
					times[i] = float64(t2.Sub(t1)) / float64(len(keys))
					ratios[i] = float64(t2.Sub(t1)) / float64(t1.Sub(t0))
				}
				slices.Sort(ratios)
				slices.Sort(times)
				b.ReportMetric(ratios[rounds/2], "x/crypto")
				b.ReportMetric(times[rounds/2], "ns/key")
			}
		})
	}
}

func BenchmarkCRC32C(b *testing.B) {
	for _, size := range []int{256, 1024, 4096, 1 << 20} {
		p := make([]byte, size)
		b.Run(byteSize(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				CRC32C(1, p)
			}
		})
	}
}

func byteSize(n int) string {
	if n >= 1<<20 {
		return "1MiB"
	}
	return map[int]string{256: "256B", 1024: "1KiB", 4096: "4KiB"}[n]
}
