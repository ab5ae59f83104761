package msgpack

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/ashlardb/ashlar/internal/assert"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ascending lists one value of each step of the order across types.
var ascending = []string{
	"c0", "c2", "c3", // nil, false, true
	"d38000000000000000", "d1ff7f", "d0df", "e0", "ff", // negative integers
	"00", "7f", "cc80", "cd0100", "ce00010000", "cfffffffffffffffff",
	"a103", "a20361", "a3036161", "a20362", // strings
	"90", "91c0", "9101", "920100", "9102", "9191c0", // lists
	"80", "81" + "0101", "810102", "810201", "82" + "01010202", // maps: by count first
	"a0", "a104", "a20400", "a20500", // bytes
	"cbfff0000000000000", "ca00000000", "cb3ff0000000000000", // doubles
	"a117", "a2177b", // GeoJSON
	"d40109", "d50109ff", // ext
	"d4ff01", // infinity
}

func TestCompareOrdersAllTypes(t *testing.T) {
	for i, a := range ascending {
		for j, b := range ascending {
			got, want := Compare(unhex(t, a), unhex(t, b)), i-j
			if (got < 0) != (want < 0) || (got > 0) != (want > 0) {
				t.Errorf("Compare(%s, %s) = %d, want the sign of %d", a, b, got, want)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       int
	}{
		{"integers of any size", "01", "cf0000000000000001", 0},
		{"a double is no integer", "01", "cb3ff0000000000000", -1},
		{"floats of both sizes", "ca3f800000", "cb3ff0000000000000", 0},
		{"the first difference decides", "92" + "02c0", "93" + "01c0c0", 1},
		{"the shorter list first", "9101", "920100", -1},
		{"an inner length decides before what follows", "92" + "9101" + "09", "92" + "920100" + "01", -1},
		{"markers do not count", "92c7000101", "9101", 0},
		{"map markers do not count", "82c70001c00102", "810102", 0},
		{"wildcard", "d4ff00", "9101", 0},
		{"everything is equal from a wildcard on", "9201d4ff00", "93010203", 0},
		{"not before it", "9202d4ff00", "93010203", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Compare(unhex(t, tt.a), unhex(t, tt.b)); got != tt.want {
				t.Errorf("Compare(%s, %s) = %d, want %d", tt.a, tt.b, got, tt.want)
			}
			if got := Compare(unhex(t, tt.b), unhex(t, tt.a)); got != -tt.want {
				t.Errorf("Compare(%s, %s) = %d, want %d", tt.b, tt.a, got, -tt.want)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string // want "" means refused
	}{
		{"compact already", "93010203", "93010203"},
		{"long headers", "dd00000001cf0000000000000001", "9101"},
		{"signed but not negative", "91d001", "9101"},
		{"bin becomes raw", "91c4020461", "91a20461"},
		{"float32 stays", "91ca3f800000", "91ca3f800000"},
		{"a map is sorted", "820201" + "0102", "820102" + "0201"},
		{"a map in a list", "91" + "82" + "0201" + "0102", "91" + "82" + "0102" + "0201"},
		{"a map in a map", "8105" + "82" + "0201" + "0102", "8105" + "82" + "0102" + "0201"},
		{"doubled key", "8201010102", ""},
		{"doubled key, other sizes", "820101cc0102", ""},
		{"ordered list", "93c700010102", "93c700010102"},
		{"ordered list out of order", "93c700010201", ""},
		{"equal elements", "93c700010101", "93c700010101"},
		{"ordered map out of order", "83c70001c00201" + "0102", ""},
		{"persist without order vanishes from a list", "93c700100201", "920201"},
		{"persist inside vanishes", "9192c7001101", "9192c7000101"},
		{"persisted list", "93c700110102", "93c702110001" + "0102"},
		{"persisted map", "82c70011c00102", "82c7011100c00102"},
		{"marker with content", "92c7020101ff05", "92c7000105"},
		{"ext becomes a fixext", "9201c7010109", "9201d40109"},
		{"wildcard", "91d4ff00", ""},
		{"infinity inside", "9191d4ff01", ""},
		{"float key", "81cb000000000000000001", ""},
		{"string and blob keys", "82a2046101a2036101", "82a2036101a2046101"},
		{"other bytes as key", "81a2056101", ""},
		{"cut short", "9201", ""},
		{"count beyond the bytes", "ddffffffff01", ""},
		{"bytes left over", "910100", ""},
		{"reserved", "91c1", ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			out, ok := Normalize([]byte("x"), in)
			if got := hex.EncodeToString(out[1:]); ok != (tt.want != "") || got != tt.want {
				t.Errorf("Normalize(%s) = %s, %v, want %q", tt.in, got, ok, tt.want)
			}
		})
	}
}

// deep returns n lists inside each other.
func deep(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0x01) }

func TestDepthNeedsNoStack(t *testing.T) {
	const n = 1 << 20
	p := deep(n)
	if got := Skip(p); got != len(p) {
		t.Errorf("Skip of %d nested lists = %d, want %d", n, got, len(p))
	}
	if got := Compare(p, p); got != 0 {
		t.Errorf("Compare of %d nested lists = %d, want 0", n, got)
	}
	if got := Compare(p, deep(n-1)); got <= 0 {
		t.Errorf("Compare of %d and %d nested lists = %d, want more than 0", n, n-1, got)
	}
	out, ok := Normalize(nil, p)
	if !ok || !bytes.Equal(out, p) {
		t.Errorf("Normalize of %d nested lists: %v, equal %v", n, ok, bytes.Equal(out, p))
	}
	maps := append(bytes.Repeat([]byte{0x81, 0x01}, n/16), 0x01)
	if out, ok := Normalize(nil, maps); !ok || !bytes.Equal(out, maps) {
		t.Errorf("Normalize of %d nested maps: %v, equal %v", n/16, ok, bytes.Equal(out, maps))
	}
}

// TestDeepSortingIsBounded nests unsorted maps so that each level would move
// all below it.
func TestDeepSortingIsBounded(t *testing.T) {
	var p []byte
	const n = 1 << 17
	p = append(p, bytes.Repeat([]byte{0x82, 0x02}, n)...)
	p = append(p, 0x01)
	p = append(p, bytes.Repeat([]byte{0x01, 0x00}, n)...)
	if _, ok := Normalize(nil, p); ok {
		t.Errorf("Normalize sorted %d nested maps, which moves more than %d bytes", n, maxMoved)
	}
}

func TestIndexFindsElements(t *testing.T) {
	for _, n := range []int{0, 1, 3, 300, 70000} {
		body := []byte{}
		for i := range n {
			body = AppendInt(body, int64(i))
		}
		p := AppendContainer(nil, List, Ordered|Persist, uint32(n), body)
		c, ok := Open(p)
		if !ok || c.Count != uint32(n) || c.Indexed() != (n > 0) {
			t.Fatalf("%d elements: Open = count %d, indexed %v, %v", n, c.Count, c.Indexed(), ok)
		}
		for i := 0; i < n; i += 1 + n/100 {
			if it := Next(c.Body[c.At(uint32(i)):]); it.Num != uint64(i) {
				t.Fatalf("%d elements: At(%d) finds %d", n, i, it.Num)
			}
		}
		if again, ok := Normalize(nil, p); !ok || !bytes.Equal(again, p) {
			t.Errorf("%d elements: Normalize of the stored form changes it", n)
		}
		head, rest, changed := WireHead(nil, p)
		if want := append(AppendHead(nil, List, Ordered, uint32(n)), body...); !changed || !bytes.Equal(append(head, rest...), want) {
			t.Errorf("%d elements: the wire form is %x…", n, head)
		}
	}
}

func TestReadPathDoesNotAllocate(t *testing.T) {
	if assert.Slow {
		t.Skip("the race detector makes pools allocate")
	}
	p := unhex(t, "93"+"82a2036101a2036202"+"92c7000101"+"cb3ff0000000000000")
	if n := testing.AllocsPerRun(100, func() {
		Skip(p)
		Compare(p, p)
		if c, ok := Open(p); !ok || c.Count != 3 {
			t.Fatal("Open failed")
		}
	}); n != 0 {
		t.Errorf("Skip, Compare and Open allocate %v times, want 0", n)
	}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf, _ = Normalize(buf[:0], p) }); n > 0.1 {
		t.Errorf("Normalize into a buffer allocates %v times, want 0", n)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range append([]string{"93c700110102", "820201" + "0102", "82c70013c00102", "9192c7001101", "9201c7010109"}, ascending...) {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		n := Skip(p)
		if n < 0 || n > len(p) {
			t.Fatalf("Skip(%x) = %d of %d bytes", p, n, len(p))
		}
		out, ok := Normalize(nil, p)
		if !ok {
			return
		}
		if n != len(p) {
			t.Fatalf("Normalize(%x) took %d bytes of %d", p, n, len(p))
		}
		if Skip(out) != len(out) {
			t.Fatalf("Normalize(%x) = %x, which is not one value", p, out)
		}
		again, ok := Normalize(nil, out)
		if !ok || !bytes.Equal(again, out) {
			t.Fatalf("Normalize(%x) = %x, and of that %x, %v", p, out, again, ok)
		}
	})
}

func FuzzCompare(f *testing.F) {
	for i, s := range ascending {
		f.Add(unhex(f, s), unhex(f, ascending[len(ascending)-1-i]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if Skip(a) == 0 || Skip(b) == 0 {
			return
		}
		ab, ba := Compare(a, b), Compare(b, a)
		if (ab < 0) != (ba > 0) || (ab == 0) != (ba == 0) {
			t.Fatalf("Compare(%x, %x) = %d, the other way round %d", a, b, ab, ba)
		}
		if !bytes.Contains(a, []byte{0xca}) && !bytes.Contains(a, []byte{0xcb}) && Compare(a, a) != 0 {
			t.Fatalf("Compare(%x, itself) = %d", a, Compare(a, a))
		}
	})
}
