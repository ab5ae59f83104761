package particle

import (
	"bytes"
	"encoding/hex"
	"flag"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./engine/particle -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const pointWire = "\x00\x00\x00{\"type\":\"Point\",\"coordinates\":[1,2]}"

func TestStore(t *testing.T) {
	for _, tt := range []struct {
		name string
		typ  record.Type
		wire string // hex
		res  record.Result
		back string // hex of the wire form, when not wire
	}{
		{"integer", record.Integer, "fffffffffffffffe", record.OK, ""},
		{"short integer is zero extended", record.Integer, "ff", record.OK, "00000000000000ff"},
		{"integer of 3 bytes", record.Integer, "010203", record.Parameter, ""},
		{"float", record.Float, "3ff0000000000000", record.OK, ""},
		{"float of 4 bytes", record.Float, "3f800000", record.Parameter, ""},
		{"bool", record.Bool, "01", record.OK, ""},
		{"bool of 2", record.Bool, "02", record.Parameter, ""},
		{"empty string", record.String, "", record.OK, ""},
		{"vector", record.Vector, "0102", record.OK, ""},
		{"null", record.Null, "", record.Parameter, ""},
		{"unknown type", 22, "00", record.Parameter, ""},
		{"type beyond all", 255, "00", record.Parameter, ""},
		{"list", record.List, "dd00000001d001", record.OK, "9101"},
		{"persisted list", record.List, "93c700110102", record.OK, "93c700010102"},
		{"persist alone on a list with elements", record.List, "93c700100201", record.OK, "920201"},
		{"a map is no list", record.List, "80", record.Unknown, ""},
		{"map out of order", record.Map, "8202010102", record.OK, "8201020201"},
		{"map with a double key", record.Map, "8201010102", record.Unknown, ""},
		{"HLL", record.HLL, "000400000000000000000000" + "0000000000000000000000", record.OK, ""},
		{"HLL cut short", record.HLL, "000400000000000000000000", record.Parameter, ""},
		{"GeoJSON", record.GeoJSON, hex.EncodeToString([]byte(pointWire)), record.OK, "00000110036e17ca9fb709" + hex.EncodeToString([]byte(pointWire[3:]))},
		{"GeoJSON without its head", record.GeoJSON, hex.EncodeToString([]byte(pointWire[3:])), record.GeoInvalid, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, _, res := Store(nil, tt.typ, unhex(t, tt.wire), nil)
			if res != tt.res {
				t.Fatalf("Store(%d, %s) = result %d, want %d", tt.typ, tt.wire, res, tt.res)
			}
			if res != record.OK {
				return
			}
			want := tt.back
			if want == "" {
				want = tt.wire
			}
			if got := hex.EncodeToString(AppendWire(nil, v)); got != want {
				t.Errorf("Store(%d, %s) comes back as %s, want %s", tt.typ, tt.wire, got, want)
			}
			w, _ := Wire(nil, v)
			if got := hex.EncodeToString(AppendWire(nil, w)); got != want {
				t.Errorf("Wire of it is %s, want %s", got, want)
			}
		})
	}
}

func TestChange(t *testing.T) {
	num := func(n int64) record.Value { return Integer(n) }
	raw := func(typ record.Type, s string) record.Value { return record.Value{Type: typ, Bytes: []byte(s)} }
	type change = func(dst []byte, old record.Value, exists bool, t record.Type, wire []byte) (record.Value, []byte, record.Result)
	incr := change(func(dst []byte, old record.Value, exists bool, t record.Type, wire []byte) (record.Value, []byte, record.Result) {
		return Incr(dst, old, exists, t, wire, nil)
	})
	app := change(func(dst []byte, old record.Value, exists bool, t record.Type, wire []byte) (record.Value, []byte, record.Result) {
		return Append(dst, old, exists, t, wire, nil)
	})
	pre := change(func(dst []byte, old record.Value, exists bool, t record.Type, wire []byte) (record.Value, []byte, record.Result) {
		return Prepend(dst, old, exists, t, wire, nil)
	})
	absent := record.Value{}
	for _, tt := range []struct {
		name string
		fn   change
		old  record.Value
		typ  record.Type
		wire string
		res  record.Result
		want record.Value
	}{
		{"add", incr, num(5), record.Integer, "ffffffffffffffff", record.OK, num(4)},
		{"wrap around", incr, num(math.MaxInt64), record.Integer, "01", record.OK, num(math.MinInt64)},
		{"add to nothing", incr, absent, record.Integer, "07", record.OK, num(7)},
		{"text to nothing", incr, absent, record.String, "61", record.OK, raw(record.String, "a")},
		{"old increment stops at 0", incr, num(5), record.Integer, "fffffffffffffff6" + "0000000000000000", record.OK, num(0)},
		{"old increment on nothing", incr, absent, record.Integer, "0000000000000001" + "0000000000000000", record.Parameter, absent},
		{"type before size", incr, num(5), record.Float, "00", record.IncompatibleType, absent},
		{"wrong size", incr, num(5), record.Integer, "010203", record.Parameter, absent},
		{"null operand", incr, num(5), record.Null, "", record.Parameter, absent},
		{"on GeoJSON", incr, raw(record.GeoJSON, "x"), record.Integer, "01", record.Unknown, absent},
		{"floats", incr, Float(1.5), record.Float, "3fe0000000000000", record.OK, Float(2)},
		{"append", app, raw(record.String, "ab"), record.String, "63", record.OK, raw(record.String, "abc")},
		{"prepend", pre, raw(record.Blob, "ab"), record.Blob, "63", record.OK, raw(record.Blob, "cab")},
		{"append another sort of blob", app, raw(record.Blob, "ab"), record.JavaBlob, "63", record.IncompatibleType, absent},
		{"append to an integer", app, num(1), record.Integer, "01", record.IncompatibleType, absent},
		{"append to a sketch", app, raw(record.HLL, "x"), record.HLL, "01", record.IncompatibleType, absent},
		{"append an unknown type to nothing", app, absent, 6, "01", record.Parameter, absent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, _, res := tt.fn(nil, tt.old, tt.old.Type != record.Null, tt.typ, unhex(t, tt.wire))
			if res != tt.res || v.Type != tt.want.Type || v.Num != tt.want.Num || !bytes.Equal(v.Bytes, tt.want.Bytes) {
				t.Errorf("got %v, result %d, want %v, %d", v, res, tt.want, tt.res)
			}
		})
	}
}

func TestScalarsDoNotAllocate(t *testing.T) {
	wire, text := []byte{0, 0, 0, 0, 0, 0, 0, 7}, []byte("text")
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(1000, func() {
		v, _, _ := Store(buf, record.Integer, wire, nil)
		v, _, _ = Incr(buf, v, true, record.Integer, wire, nil)
		s, out, _ := Store(buf, record.String, text, nil)
		s, out, _ = Append(out, s, true, record.String, text, nil)
		_ = AppendWire(AppendWire(out, v), s)
	}); n != 0 {
		t.Errorf("store, increment, append and reply of scalars allocate %v times, want 0", n)
	}
}

// TestBitRuns holds the word-wise runs to bits one by one.
func TestBitRuns(t *testing.T) {
	r := newRand(t)
	at := func(p []byte, i int) uint64 { return uint64(p[i/8]>>(7-i%8)) & 1 }
	for range 20000 {
		p := make([]byte, 1+r.IntN(20))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		off := r.IntN(len(p) * 8)
		n := 1 + r.IntN(len(p)*8-off)
		shift := r.IntN(n + 1)
		var ones, first, last = 0, -1, -1
		for i := range n {
			if at(p, off+i) == 1 {
				ones++
				last = i
				if first < 0 {
					first = i
				}
			}
		}
		if got := countBits(p, off, n); got != ones {
			t.Fatalf("countBits(%x, %d, %d) = %d, want %d", p, off, n, got, ones)
		}
		if got := scanLeft(p, off, n, true); got != first {
			t.Fatalf("scanLeft(%x, %d, %d) = %d, want %d", p, off, n, got, first)
		}
		if got := scanRight(p, off, n, true); last >= 0 && got != last || last < 0 && got >= 0 {
			t.Fatalf("scanRight(%x, %d, %d) = %d, want %d", p, off, n, got, last)
		}
		left, right, taken := bytes.Clone(p), bytes.Clone(p), appendBits(nil, p, off, n)
		shiftLeft(left, off, n, shift)
		shiftRight(right, off, n, shift)
		for i := range len(p) * 8 {
			wantLeft, wantRight := at(p, i), at(p, i)
			if i >= off && i < off+n {
				wantLeft, wantRight = 0, 0
				if i+shift < off+n {
					wantLeft = at(p, i+shift)
				}
				if i-shift >= off {
					wantRight = at(p, i-shift)
				}
				if got := at(taken, i-off); got != at(p, i) {
					t.Fatalf("appendBits(%x, %d, %d) = %x", p, off, n, taken)
				}
			}
			if at(left, i) != wantLeft || at(right, i) != wantRight {
				t.Fatalf("shifts of %x, %d bits from %d by %d: %x and %x", p, n, off, shift, left, right)
			}
		}
		if n <= 64 {
			v := r.Uint64() >> (64 - n)
			q := bytes.Clone(p)
			storeBits(q, off, n, v)
			if got := loadBits(q, off, n); got != v {
				t.Fatalf("storeBits(%x, %d, %d, %x) comes back as %x", p, off, n, v, got)
			}
			if ones := bits.OnesCount64(v) - countBits(p, off, n); countBits(q, 0, len(q)*8)-countBits(p, 0, len(p)*8) != ones {
				t.Fatalf("storeBits(%x, %d, %d, %x) changed bits outside: %x", p, off, n, v, q)
			}
		}
	}
}

func TestMurmur3(t *testing.T) {
	// Published values of MurmurHash3_x64_128, seed 0.
	for _, tt := range []struct {
		in     string
		h1, h2 uint64
	}{
		{"", 0, 0},
		{"hello", 0xcbd8a7b341bd9b02, 0x5b1e906a48ae1d19},
		{"hello, world", 0x342fac623a5ebc8e, 0x4cdcbc079642414d},
		{"19 Jan 2038 at 3:14:07 AM", 0xb89e5988b737affc, 0x664fc2950231b2cb},
		{"The quick brown fox jumps over the lazy dog.", 0xcd99481f9ee902c9, 0x695da1a38987b6e7},
	} {
		if h1, h2 := murmur3([]byte(tt.in)); h1 != tt.h1 || h2 != tt.h2 {
			t.Errorf("murmur3(%q) = %#x, %#x, want %#x, %#x", tt.in, h1, h2, tt.h1, tt.h2)
		}
	}
}

// TestEstimateWithinBounds adds known numbers of elements: the standard error
// is 1.04/sqrt(2^index), and four of them are hardly ever exceeded.
func TestEstimateWithinBounds(t *testing.T) {
	for _, index := range []int{8, 12, 16} {
		for _, n := range []int{10, 1000, 100_000} {
			_, s := appendSketch(nil, index, 0)
			var e []byte
			for i := range n {
				e = msgpack.AppendInt(e[:0], int64(i))
				s.add(e)
			}
			bound := 4 * 1.04 / math.Sqrt(float64(s.registers())) * float64(n)
			if got := float64(s.estimate()); math.Abs(got-float64(n)) > max(bound, 1) {
				t.Errorf("index bits %d, %d elements: estimate %v, want within %.1f", index, n, got, bound)
			}
		}
	}
}

// TestSimilarityWithinBounds compares sets that share known parts.
func TestSimilarityWithinBounds(t *testing.T) {
	_, a := appendSketch(nil, 12, 20)
	_, b := appendSketch(nil, 12, 20)
	const n, shared = 10000, 4000
	var e []byte
	for i := range n {
		e = msgpack.AppendInt(e[:0], int64(i))
		a.add(e)
		e = msgpack.AppendInt(e[:0], int64(i+n-shared))
		b.add(e)
	}
	c := comparePair(a, b)
	want := float64(shared) / (2*n - shared)
	if got := c.similarity(); math.Abs(got-want) > 0.05 {
		t.Errorf("similarity = %v, want %v within 0.05", got, want)
	}
	if got := float64(c.intersect()); math.Abs(got-shared) > 0.15*shared {
		t.Errorf("intersection = %v, want %d within 15 %%", got, shared)
	}
}

func TestPower(t *testing.T) {
	if got := power(0.5, 10); got != 1.0/1024 {
		t.Errorf("power(0.5, 10) = %v", got)
	}
	if got := power(1-1e-9, 1<<40); got > 1e-300 {
		t.Errorf("power(1-1e-9, 2^40) = %v, want next to nothing", got)
	}
	if got := power(0.3, 0); got != 1 {
		t.Errorf("power(0.3, 0) = %v, want 1", got)
	}
}

// FuzzOperations runs bit and sketch operations with any argument on any value:
// they must neither panic nor touch the old value, and what they make must be
// storable.
func FuzzOperations(f *testing.F) {
	blob := []byte{1, 2, 3, 4}
	_, hll := appendSketch(nil, 5, 0)
	for _, arg := range []string{"9300010800", "94030008a204ff", "950a0008cc800001", "94350d01c3", "92019101", "920004", "92369101"} {
		f.Add(blob, unhex(f, arg))
		f.Add(hll.p, unhex(f, arg))
	}
	f.Fuzz(func(t *testing.T, old, arg []byte) {
		if len(old) > 1<<12 || len(arg) > 1<<12 {
			return
		}
		was := bytes.Clone(old)
		v := record.Value{Type: record.Blob, Bytes: old}
		if next, _, res := BitsModify(nil, v, true, record.Blob, arg); res == record.OK && next.Type != record.Blob {
			t.Fatalf("BitsModify(%x, %x) made a value of type %d", old, arg, next.Type)
		}
		BitsModify(nil, record.Value{}, false, record.Blob, arg)
		BitsRead(nil, v, true, record.Blob, arg)
		s, _, res := Store(nil, record.HLL, old, nil)
		if res == record.OK {
			next, _, _, res := HLLModify(nil, s, true, arg)
			if _, _, again := Store(nil, record.HLL, next.Bytes, nil); res == record.OK && again != record.OK {
				t.Fatalf("HLLModify(%x, %x) made %x", old, arg, next.Bytes)
			}
			HLLRead(nil, s, true, arg)
		}
		HLLModify(nil, record.Value{}, false, arg)
		if !bytes.Equal(old, was) {
			t.Fatalf("the old value %x was changed to %x by %x", was, old, arg)
		}
	})
}
