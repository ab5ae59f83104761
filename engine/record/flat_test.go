package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./engine/record -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func encode(m *Meta, bins []NamedValue) []byte {
	flat := bytes.Repeat([]byte{0xee}, RoundFlat(FlatSize(m, bins))) // every byte must be written
	EncodeFlat(flat, m, bins)
	return flat
}

// TestFlatLayout pins the form byte by byte, written down by hand from the
// layout in the documentation.
func TestFlatLayout(t *testing.T) {
	digest := Digest{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	const digestHex = "0102030405060708090a0b0c0d0e0f1011121314"
	for _, tt := range []struct {
		name string
		meta Meta
		bins []NamedValue
		want string
	}{
		{
			"one small integer",
			Meta{Digest: digest, LUT: 0x1122334455, Generation: 0x0203},
			[]NamedValue{{[]byte("a"), Value{Type: Integer, Num: 7}}},
			"721a5b0a 00000000 02000000" + digestHex + "5544332211 0302" +
				"01 0161 01 01 07" + "000000",
		},
		{
			"everything",
			Meta{Digest: digest, LUT: 1, Generation: 1, VoidTime: 0x01020304, Set: []byte("set"), Key: []byte{3, 'k'}},
			[]NamedValue{
				{[]byte("i"), Value{Type: Integer, Num: 0x12345}},
				{nil, Value{Type: Float, Num: 0x4000000000000000}},
				{[]byte("b"), Value{Type: Bool, Num: 1}},
				{[]byte("s"), Value{Type: String, Bytes: []byte("xyz")}},
			},
			"721a5b0a 00000000 05003800" + digestHex + "0100000000 0100" +
				"04030201 03736574 02036b 04" +
				"0169 01 04 45230100" + "00 02 0000000000000040" + "0162 11 01" + "0173 03 03000000 78797a" +
				"00000000000000000000000000",
		},
		{
			"tombstone",
			Meta{Digest: digest, LUT: 1, Generation: 1, Tombstone: true},
			nil,
			"721a5b0a 00000000 02004000" + digestHex + "0100000000 0100" + "00" + "0000000000000000",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.ReplaceAll(tt.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := encode(&tt.meta, tt.bins); !bytes.Equal(got, want) {
				t.Errorf("flat form\n got %x\nwant %x", got, want)
			}
		})
	}
}

// TestFlatSizeCounts holds the sizes to the formula by which max-record-size
// counts: n + 46 + bin name, + 1 + set, + 4 void-time, + 1 + key.
func TestFlatSizeCounts(t *testing.T) {
	blob := []NamedValue{{[]byte("bin"), Value{Type: Blob, Bytes: make([]byte, 100)}}}
	for _, tt := range []struct {
		name string
		meta Meta
		want int
	}{
		{"plain", Meta{}, 100 + 46 + 3},
		{"set", Meta{Set: []byte("users")}, 100 + 46 + 3 + 1 + 5},
		{"void-time", Meta{VoidTime: 1}, 100 + 46 + 3 + 4},
		{"key", Meta{Key: []byte("\x03abc")}, 100 + 46 + 3 + 1 + 4},
		{"long key", Meta{Key: make([]byte, 200)}, 100 + 46 + 3 + 2 + 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := FlatSize(&tt.meta, blob); got != tt.want {
				t.Errorf("FlatSize = %d, want %d", got, tt.want)
			}
		})
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func randomRecord(r *rand.Rand) (Meta, []NamedValue) {
	m := Meta{
		Digest:     Digest(randomBytes(r, DigestSize)),
		LUT:        Time(r.Uint64N(uint64(maxTime) + 1)),
		Generation: uint16(1 + r.UintN(65535)),
		VoidTime:   r.Uint32() * uint32(r.UintN(2)),
	}
	if r.UintN(2) == 0 {
		m.Set = randomBytes(r, 1+r.IntN(MaxSetName))
	}
	if r.UintN(2) == 0 {
		m.Key = randomBytes(r, 1+r.IntN(300))
	}
	if r.UintN(8) == 0 {
		m.Tombstone = true
		return m, nil
	}
	types := []Type{Integer, Float, Bool, String, Blob, JavaBlob, Vector, HLL, Map, List, GeoJSON}
	var bins []NamedValue
	for range r.IntN(200) {
		v := Value{Type: types[r.IntN(len(types))]}
		switch v.Type {
		case Integer:
			v.Num = r.Uint64() >> r.UintN(64)
		case Float:
			v.Num = r.Uint64()
		case Bool:
			v.Num = uint64(r.UintN(2))
		default:
			v.Bytes = randomBytes(r, r.IntN(40))
		}
		bins = append(bins, NamedValue{randomBytes(r, r.IntN(MaxBinName+1)), v})
	}
	return m, bins
}

func sameRecord(a, b *Meta, abins, bbins []NamedValue) bool {
	sa, sb := fmt.Sprintf("%v", *a), fmt.Sprintf("%v", *b)
	if sa != sb || len(abins) != len(bbins) {
		return false
	}
	for i := range abins {
		if !bytes.Equal(abins[i].Name, bbins[i].Name) || abins[i].Value.Type != bbins[i].Value.Type ||
			abins[i].Value.Num != bbins[i].Value.Num || !bytes.Equal(abins[i].Value.Bytes, bbins[i].Value.Bytes) {
			return false
		}
	}
	return true
}

func TestFlatRoundTrip(t *testing.T) {
	r := newRand(t)
	for range 2000 {
		m, bins := randomRecord(r)
		flat := encode(&m, bins)
		seq, a := r.Uint64(), MakeAddress(3, 8<<20, len(flat))
		Seal(flat, seq, a)
		if !Verify(flat, seq, a) {
			t.Fatalf("a sealed record does not verify: %x", flat)
		}
		if size, ok := PeekFlat(append(flat, 1, 2, 3)); !ok || size != len(flat) {
			t.Fatalf("PeekFlat = %d, %v, want %d, true", size, ok, len(flat))
		}
		f, err := ParseFlat(flat)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.AppendBins(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !sameRecord(&f.Meta, &m, got, bins) {
			t.Fatalf("parsed %+v %v\nwant %+v %v", f.Meta, got, m, bins)
		}
	}
}

// TestVerifyFindsDamage changes each bit of a record, its place and its
// wblock's sequence number.
func TestVerifyFindsDamage(t *testing.T) {
	flat := encode(&Meta{Generation: 1}, []NamedValue{{[]byte("a"), Value{Type: Integer, Num: 7}}})
	a := MakeAddress(0, 16<<20, len(flat))
	Seal(flat, 100, a)
	for bit := range len(flat) * 8 {
		if bit < 32 {
			continue // the magic is PeekFlat's to check
		}
		flat[bit/8] ^= 1 << (bit % 8)
		if Verify(flat, 100, a) {
			t.Errorf("bit %d flipped, and the record verifies", bit)
		}
		flat[bit/8] ^= 1 << (bit % 8)
	}
	for i := range uint64(10000) {
		if i != 100 && Verify(flat, i, a) {
			t.Errorf("the record verifies under sequence number %d", i)
		}
		other := MakeAddress(0, int64(i)*RblockSize, len(flat))
		if other != a && Verify(flat, 100, other) {
			t.Errorf("the record verifies at %d", other.Offset())
		}
	}
	if Verify(flat[:32], 100, a) {
		t.Error("a record cut short verifies")
	}
}

func TestFlatDoesNotAllocate(t *testing.T) {
	m := Meta{Generation: 1, Set: []byte("set")}
	bins := []NamedValue{{[]byte("a"), Value{Type: String, Bytes: make([]byte, 200)}}}
	flat := encode(&m, bins)
	parsed := make([]NamedValue, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		EncodeFlat(flat, &m, bins)
		Seal(flat, 1, 2)
		if !Verify(flat, 1, 2) {
			t.Error("does not verify")
		}
		f, err := ParseFlat(flat)
		if err != nil {
			t.Error(err)
		}
		if _, err := f.AppendBins(parsed); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a record takes %v allocations, want 0", n)
	}
}

func TestParseWire(t *testing.T) {
	for _, tt := range []struct {
		name string
		t    Type
		wire string
		want Value
		res  Result
	}{
		{"int 1", Integer, "ff", Value{Type: Integer, Num: 255}, OK},
		{"int 2", Integer, "ff00", Value{Type: Integer, Num: 0xff00}, OK},
		{"int 4", Integer, "ffffffff", Value{Type: Integer, Num: 0xffffffff}, OK},
		{"int 8", Integer, "ffffffffffffffff", Value{Type: Integer, Num: 1<<64 - 1}, OK},
		{"int 0", Integer, "", Value{}, Parameter},
		{"int 3", Integer, "010203", Value{}, Parameter},
		{"int 16", Integer, "00000000000000010000000000000000", Value{}, Parameter},
		{"float", Float, "3ff0000000000000", Value{Type: Float, Num: 0x3ff0000000000000}, OK},
		{"float 4", Float, "3ff00000", Value{}, Parameter},
		{"bool", Bool, "01", Value{Type: Bool, Num: 1}, OK},
		{"bool 2", Bool, "02", Value{}, Parameter},
		{"bool of two bytes", Bool, "0001", Value{}, Parameter},
		{"null with bytes", Null, "0102", Value{}, OK},
		{"string", String, "6162", Value{Type: String, Bytes: []byte("ab")}, OK},
		{"unknown", Type(5), "00", Value{}, Parameter},
		{"unknown 255", Type(255), "00", Value{}, Parameter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire, _ := hex.DecodeString(tt.wire)
			got, res := ParseWire(tt.t, wire)
			if res != tt.res || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseWire(%d, %s) = %v, %v, want %v, %v", tt.t, tt.wire, got, res, tt.want, tt.res)
			}
			if res == OK && len(got.AppendWire(nil)) != got.WireSize() {
				t.Errorf("WireSize = %d of %x", got.WireSize(), got.AppendWire(nil))
			}
		})
	}
}

// FuzzParseFlat holds that any bytes are an error or a record that encodes to
// one that parses to the same.
func FuzzParseFlat(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		m, bins := randomRecord(r)
		f.Add(encode(&m, bins))
	}
	f.Add([]byte{})
	f.Add(make([]byte, 48))
	f.Fuzz(func(t *testing.T, flat []byte) {
		rec, err := ParseFlat(flat)
		if err != nil {
			if !errors.Is(err, ErrFlat) {
				t.Errorf("error %v is not ErrFlat", err)
			}
			return
		}
		if rec.Size() > len(flat) || rec.NBins > MaxBins {
			t.Fatalf("size %d of %d, %d bins", rec.Size(), len(flat), rec.NBins)
		}
		bins, err := rec.AppendBins(nil)
		if err != nil {
			return
		}
		again, err := ParseFlat(encode(&rec.Meta, bins))
		if err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		bins2, err := again.AppendBins(nil)
		if err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		if !sameRecord(&rec.Meta, &again.Meta, bins, bins2) {
			t.Errorf("encoded again it differs: %+v %v, %+v %v", rec.Meta, bins, again.Meta, bins2)
		}
	})
}

func BenchmarkEncodeSeal(b *testing.B) {
	m := Meta{Generation: 1, Set: []byte("set")}
	bins := []NamedValue{{[]byte("a"), Value{Type: String, Bytes: make([]byte, 256)}}}
	flat := make([]byte, RoundFlat(FlatSize(&m, bins)))
	b.SetBytes(int64(len(flat)))
	for b.Loop() {
		EncodeFlat(flat, &m, bins)
		Seal(flat, 1, 2)
	}
}
