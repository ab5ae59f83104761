package hash

import (
	"encoding/binary"
	"hash"
	"hash/crc32"
	"slices"
	"strconv"
	"testing"
	"time"

	//lint:ignore SA1019 the yardstick is what others would use
	"golang.org/x/crypto/ripemd160"
)

var sink uint32

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

// BenchmarkCRC32CRatio gives our CRC32C's time as a share of hash/crc32's, by
// the same alternation as BenchmarkRatio.
func BenchmarkCRC32CRatio(b *testing.B) {
	const rounds = 601
	for _, size := range []int{64, 256, 512, 1024, 4096, 128 << 10, 1 << 20} {
		p := make([]byte, size)
		times := max(1, 50_000/size)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			for b.Loop() {
				ratios, ns := make([]float64, rounds), make([]float64, rounds)
				var sum uint32 // keeps the calls from being optimised away
				for i := range ratios {
					t0 := time.Now()
					for range times {
						sum ^= crc32.Update(1, castagnoli, p)
					}
					t1 := time.Now()
					for range times {
						sum ^= CRC32C(1, p)
					}
					t2 := time.Now()
					ns[i] = float64(t2.Sub(t1)) / float64(times)
					ratios[i] = float64(t2.Sub(t1)) / float64(t1.Sub(t0))
				}
				slices.Sort(ratios)
				slices.Sort(ns)
				b.ReportMetric(ratios[rounds/2], "hash/crc32")
				b.ReportMetric(ns[rounds/2], "ns/sum")
				sink = sum
			}
		})
	}
}
