package hash

import (
	"bytes"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	as "github.com/aerospike/aerospike-client-go/v8"
	//lint:ignore SA1019 the yardstick is what others would use
	"golang.org/x/crypto/ripemd160"
	"golang.org/x/sys/unix"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./arch/hash -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// eachPath runs f once under every path this processor has, and leaves the
// chosen one as it was.
func eachPath(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	before := impl
	defer func() {
		for _, p := range paths() {
			if p.impl == before {
				p.use()
			}
		}
		impl = before
	}()
	for _, p := range paths() {
		if !p.available {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			if err := force(p.name); err != nil {
				t.Fatal(err)
			}
			f(t)
		})
	}
}

// reference is the digest by an independent implementation.
func reference(set string, keyType byte, key []byte) (d Digest) {
	h := ripemd160.New()
	h.Write([]byte(set))
	h.Write([]byte{keyType})
	h.Write(key)
	return Digest(h.Sum(nil))
}

// TestPathsOfThisMachine holds what we run to what the kernel says that the
// processor has: a kernel that is missing where it could run is a failure.
func TestPathsOfThisMachine(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("no /proc/cpuinfo to compare with")
	}
	flags := map[string]bool{}
	field := map[string]string{"amd64": "flags", "arm64": "Features"}[runtime.GOARCH]
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == field {
			for _, f := range strings.Fields(value) {
				flags[f] = true
			}
		}
	}
	if len(flags) == 0 {
		t.Skipf("/proc/cpuinfo describes another kind of processor than %s (an emulator's host)", runtime.GOARCH)
	}
	needs := map[string][]string{
		"bmi": {"bmi1"}, "avx2": {"bmi1", "avx2"}, "avx512": {"bmi1", "bmi2", "avx2", "avx512f", "avx512bw"}, "neon": {"asimd"},
	}
	for _, p := range paths() {
		has := true
		for _, f := range needs[p.name] {
			has = has && flags[f]
		}
		if p.available != has {
			t.Errorf("path %s: available %v, but the processor's flags say %v", p.name, p.available, has)
		}
	}
}

// TestOfficialVectors are the nine test values of the algorithm's authors.
func TestOfficialVectors(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, tt := range []struct{ message, digest string }{
			{"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"},
			{"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"},
			{"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"},
			{"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"},
			{"abcdefghijklmnopqrstuvwxyz", "f71c27109c692c1b56bbdceb5b9d2865b3708dbc"},
			{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "12a053384a9c0c88e405a06c27dcf49ada62eb2b"},
			{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "b0e20b6e3116640286ed3a87a5713079b21f5189"},
			{strings.Repeat("1234567890", 8), "9b752e45573d4b39f4dbd3323cab82bf63326bfb"},
			{strings.Repeat("a", 1000000), "52783243c1697bdbe16d37f97f68f08325dc1528"},
		} {
			h := New()
			h.Write([]byte(tt.message))
			if got := hex.EncodeToString(h.Sum(nil)); got != tt.digest {
				t.Errorf("%.20q (%d bytes): %s, want %s", tt.message, len(tt.message), got, tt.digest)
			}
		}
	})
}

// TestGoldenClient holds digests to the official client's.
func TestGoldenClient(t *testing.T) {
	for _, tt := range []struct {
		set     string
		keyType byte
		key     []byte
		value   any
	}{
		{"testset", 1, []byte{0, 0, 0, 0, 0, 0x12, 0xd6, 0x87}, 1234567},
		{"", 1, []byte{255, 255, 255, 255, 255, 255, 255, 255}, -1},
		{"users", 3, []byte("alice"), "alice"},
		{"blobs", 4, []byte{1, 2, 3}, []byte{1, 2, 3}},
		{strings.Repeat("s", 63), 3, bytes.Repeat([]byte("k"), 200), strings.Repeat("k", 200)},
	} {
		key, err := as.NewKey("test", tt.set, tt.value)
		if err != nil {
			t.Fatal(err)
		}
		var got Digest
		DigestKey(&got, tt.set, tt.keyType, tt.key)
		if !bytes.Equal(got[:], key.Digest()) {
			t.Errorf("set %q, key %v: %x, want %x", tt.set, tt.value, got, key.Digest())
		}
	}
	var got Digest
	DigestKey(&got, "testset", 1, []byte{0, 0, 0, 0, 0, 0x12, 0xd6, 0x87})
	if want := "bf79782b842c31a3aa3f13aaf897e08c94e3421e"; hex.EncodeToString(got[:]) != want {
		t.Errorf("set testset, key 1234567: %x, want %s", got, want)
	}
}

// TestAllLengths crosses every block edge with every path, at all alignments
// of the key within a cache line for the short ones.
func TestAllLengths(t *testing.T) {
	r := newRand(t)
	buf := make([]byte, 512)
	for i := range buf {
		buf[i] = byte(r.Uint32())
	}
	sets := []string{"", "s", "testset", strings.Repeat("x", 54), strings.Repeat("y", 55), strings.Repeat("z", 63), strings.Repeat("w", 64), strings.Repeat("v", 150)}
	eachPath(t, func(t *testing.T) {
		for _, set := range sets {
			h := NewKeyHasher(set, 3)
			for n := range 301 {
				off := n % 64
				key := buf[off : off+n]
				want := reference(set, 3, key)
				var got, sum Digest
				DigestKey(&got, set, 3, key)
				h.Sum(&sum, key)
				if got != want || sum != want {
					t.Fatalf("set of %d bytes, key of %d: DigestKey %x, Sum %x, want %x", len(set), n, got, sum, want)
				}
				// The same key in all lanes of a batch but one.
				keys := make([][]byte, 1+n%40)
				for i := range keys {
					keys[i] = key
				}
				odd := n % len(keys)
				keys[odd] = buf[:n/2]
				out := make([]Digest, len(keys))
				h.SumBatch(out, keys)
				for i := range out {
					if want := reference(set, 3, keys[i]); out[i] != want {
						t.Fatalf("set of %d bytes, key of %d, lane %d of %d: %x, want %x", len(set), len(keys[i]), i, len(keys), out[i], want)
					}
				}
			}
		}
	})
}

func TestMixedBatches(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for n := range 101 {
			set := strings.Repeat("q", r.IntN(64))
			keys := make([][]byte, n)
			for i := range keys {
				size := r.IntN(50)
				if r.IntN(4) == 0 {
					size = r.IntN(300)
				}
				keys[i] = make([]byte, size)
				for j := range keys[i] {
					keys[i][j] = byte(r.Uint32())
				}
			}
			got := make([]Digest, n)
			NewKeyHasher(set, 4).SumBatch(got, keys)
			for i := range keys {
				if want := reference(set, 4, keys[i]); got[i] != want {
					t.Fatalf("batch of %d, key %d of %d bytes: %x, want %x", n, i, len(keys[i]), got[i], want)
				}
			}
		}
	})
}

func TestSumFixed(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for _, stride := range []int{0, 1, 8, 20, 47, 48, 64, 130} {
			for n := range 70 {
				keys := make([]byte, n*stride)
				for i := range keys {
					keys[i] = byte(r.Uint32())
				}
				got := make([]Digest, n)
				NewKeyHasher("testset", 1).SumFixed(got, keys, stride)
				for i := range got {
					if want := reference("testset", 1, keys[i*stride:(i+1)*stride]); got[i] != want {
						t.Fatalf("stride %d, key %d of %d: %x, want %x", stride, i, n, got[i], want)
					}
				}
			}
		}
	})
}

// TestAliasing overwrites keys with their own digests.
func TestAliasing(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		const n = 77
		mem := make([]Digest, n)
		keys := make([][]byte, n)
		var want [n]Digest
		for i := range mem {
			mem[i][3] = byte(i)
			keys[i] = mem[i][:]
			want[i] = reference("s", 4, keys[i])
		}
		NewKeyHasher("s", 4).SumBatch(mem, keys)
		for i := range want {
			if mem[i] != want[i] {
				t.Fatalf("key %d in place: %x, want %x", i, mem[i], want[i])
			}
		}
	})
}

// TestGuardPage puts keys against the end of mapped memory: a kernel that
// reads past a key dies here.
func TestGuardPage(t *testing.T) {
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mem) }()
	for _, guard := range [][]byte{mem[:page], mem[2*page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	middle := mem[page : 2*page]
	for i := range middle {
		middle[i] = byte(i * 7)
	}
	eachPath(t, func(t *testing.T) {
		for _, set := range []string{"", "testset"} {
			h := NewKeyHasher(set, 4)
			for n := range 130 {
				for _, key := range [][]byte{middle[page-n:], middle[:n:n]} {
					keys := [][]byte{key, key, key, key, key}
					got := make([]Digest, len(keys))
					h.SumBatch(got, keys)
					if want := reference(set, 4, key); got[0] != want || got[4] != want {
						t.Fatalf("key of %d bytes at the edge: %x, %x, want %x", n, got[0], got[4], want)
					}
				}
			}
		}
	})
}

func TestStreamInPieces(t *testing.T) {
	r := newRand(t)
	for range 200 {
		msg := make([]byte, r.IntN(400))
		for i := range msg {
			msg[i] = byte(r.Uint32())
		}
		ours, theirs := New(), ripemd160.New()
		for rest := msg; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			ours.Write(rest[:n])
			theirs.Write(rest[:n])
			rest = rest[n:]
			if got, want := ours.Sum(nil), theirs.Sum(nil); !bytes.Equal(got, want) {
				t.Fatalf("after %d of %d bytes: %x, want %x", len(msg)-len(rest), len(msg), got, want)
			}
		}
	}
}

func TestDoesNotAllocate(t *testing.T) {
	key := []byte("user-0000000000000000")
	long := bytes.Repeat([]byte("k"), 500)
	keys := make([][]byte, 50)
	for i := range keys {
		keys[i] = key
	}
	keys[7] = long[:90]
	out := make([]Digest, len(keys))
	var d Digest
	eachPath(t, func(t *testing.T) {
		h := NewKeyHasher("testset", 3)
		for name, f := range map[string]func(){
			"DigestKey":      func() { DigestKey(&d, "testset", 3, key) },
			"DigestKey long": func() { DigestKey(&d, "testset", 3, long) },
			"Sum":            func() { h.Sum(&d, key) },
			"SumBatch":       func() { h.SumBatch(out, keys) },
			"SumFixed":       func() { h.SumFixed(out[:20], long[:160], 8) },
			"Reset":          func() { h.Reset("other", 1) },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s allocates %v times, want 0", name, n)
			}
		}
	})
}

func TestForce(t *testing.T) {
	before := impl
	if err := force("sse9"); err == nil || !strings.Contains(err.Error(), "sse9") || !strings.Contains(err.Error(), "generic") {
		t.Errorf("an unknown path: error %v, want one that names it and the known ones", err)
	}
	if impl != before {
		t.Errorf("an unknown path changed the kernels to %q", impl)
	}
	for _, p := range paths() {
		if !p.available {
			if err := force(p.name); err == nil {
				t.Errorf("path %s, which this processor cannot run, was accepted", p.name)
			}
		}
	}
}

func FuzzDigest(f *testing.F) {
	f.Add("testset", byte(1), []byte{0, 0, 0, 0, 0, 0x12, 0xd6, 0x87})
	f.Add("", byte(3), []byte{})
	f.Add(strings.Repeat("s", 63), byte(4), bytes.Repeat([]byte{1}, 120))
	f.Fuzz(func(t *testing.T, set string, keyType byte, key []byte) {
		want := reference(set, keyType, key)
		var got Digest
		DigestKey(&got, set, keyType, key)
		if got != want {
			t.Errorf("%x, want %x", got, want)
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add("testset", []byte("abcdefghijklmnopqrstuvwxyz"), uint8(9))
	f.Add("x", bytes.Repeat([]byte{7}, 900), uint8(40))
	f.Fuzz(func(t *testing.T, set string, data []byte, pieces uint8) {
		keys := make([][]byte, int(pieces)%101)
		for i := range keys { // pieces of uneven length
			n := len(data) * (i % 7) / 7
			keys[i] = data[:n]
		}
		got := make([]Digest, len(keys))
		NewKeyHasher(set, 4).SumBatch(got, keys)
		for i := range keys {
			if want := reference(set, 4, keys[i]); got[i] != want {
				t.Fatalf("key %d of %d: %x, want %x", i, len(keys), got[i], want)
			}
		}
	})
}
