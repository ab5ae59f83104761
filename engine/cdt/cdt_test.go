package cdt_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/ashlardb/ashlar/engine/cdt"
	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/particle"
	"github.com/ashlardb/ashlar/engine/record"
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

// numbers is a list 0, 1, … n-1, or a map of n keys to themselves; flags are
// those of its marker.
func numbers(t testing.TB, typ record.Type, flags byte, n int) record.Value {
	t.Helper()
	wire := binaryHead(typ, n+1)
	wire = append(wire, 0xc7, 0, flags)
	if typ == record.Map {
		wire = append(wire, 0xc0)
	}
	for i := range n {
		wire = append(wire, 0xce, byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
		if typ == record.Map {
			wire = append(wire, 0xce, byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
		}
	}
	v, _, res := particle.Store(nil, typ, wire, nil)
	if res != record.OK {
		t.Fatalf("Store of %d elements: %v", n, res)
	}
	return v
}

func binaryHead(typ record.Type, n int) []byte {
	code := byte(0xdd)
	if typ == record.Map {
		code = 0xdf
	}
	return []byte{code, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func key(i int) []byte { return []byte{0xce, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)} }

func TestReadsDoNotAllocate(t *testing.T) {
	if assert.Slow {
		t.Skip("the race detector makes pools allocate")
	}
	list, m := numbers(t, record.List, 0, 1000), numbers(t, record.Map, 0x11, 1000)
	buf := make([]byte, 0, 1<<16)
	for _, tt := range []struct {
		name string
		v    record.Value
		arg  []byte
	}{
		{"list get", list, unhex(t, "9211cd01f4")},
		{"list get range", list, unhex(t, "931264cd01f4")},
		{"list get by rank", list, unhex(t, "93150732")},
		{"map get by key", m, unhex(t, "936107cd01f4")},
		{"map get by value interval", m, unhex(t, "94690564cd01f4")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, func() {
				if _, _, res := cdt.Read(buf, tt.v, true, tt.arg); res != record.OK {
					t.Fatal(res)
				}
			}); n > 0.1 {
				t.Errorf("allocates %v times, want 0", n)
			}
		})
	}
}

func TestModifiesAllocateOnlyTheValue(t *testing.T) {
	if assert.Slow {
		t.Skip("the race detector makes pools allocate")
	}
	list, m := numbers(t, record.List, 0, 1000), numbers(t, record.Map, 1, 1000)
	buf := make([]byte, 0, 1<<16)
	for _, tt := range []struct {
		name string
		v    record.Value
		arg  []byte
	}{
		{"list append", list, unhex(t, "920107")},
		{"list remove by value", list, unhex(t, "93210705")},
		{"list sort", list, unhex(t, "910d")},
		{"map put", m, unhex(t, "93430507")},
		{"map increment", m, unhex(t, "93490501")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, func() {
				if _, _, _, res := cdt.Modify(buf, tt.v, true, tt.arg); res != record.OK {
					t.Fatal(res)
				}
			}); n > 0.1 {
				t.Errorf("allocates %v times into a buffer that is large enough, want 0", n)
			}
		})
	}
}

// TestFailuresLeaveTheValue runs malformed arguments of every kind.
func TestFailuresLeaveTheValue(t *testing.T) {
	v := numbers(t, record.List, 0, 3)
	for _, tt := range []struct {
		name, arg string
		res       record.Result
	}{
		{"nothing", "", record.Parameter},
		{"no list", "01", record.Parameter},
		{"empty list", "90", record.Parameter},
		{"value cut short", "9201a5", record.Parameter},
		{"value with a bad key", "920181c001", record.Parameter},
		{"value with a double key", "92018201010102", record.Parameter},
		{"infinity", "9201d4ff01", record.Parameter},
		{"too few arguments", "9101", record.Parameter},
		{"too many", "950101000000", record.Parameter},
		{"map operation", "93430101", record.IncompatibleType},
		{"a reader among the changes", "9110", record.Parameter},
		{"text as index", "9205a20361", record.Parameter},
		{"pop before the front", "9205fb", record.NotApplicable},
		{"context into nowhere", "93ccff921009920101", record.NotApplicable},
		{"context that is none", "93ccff90920101", record.Parameter},
		{"far behind the end", "9303ce7fffffff01", record.Parameter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			was := bytes.Clone(v.Bytes)
			next, result, out, res := cdt.Modify([]byte("x"), v, true, unhex(t, tt.arg))
			if res != tt.res {
				t.Fatalf("Modify(%s) = result %d, want %d", tt.arg, res, tt.res)
			}
			if !bytes.Equal(v.Bytes, was) {
				t.Errorf("Modify(%s) changed the old value", tt.arg)
			}
			if res != record.OK && (next.Type != record.Null || result.Type != record.Null || string(out) != "x") {
				t.Errorf("Modify(%s) failed but returns %v, %v, %q", tt.arg, next, result, out)
			}
		})
	}
}

func TestResultsStayGood(t *testing.T) {
	// A result and a value of one call lie in one buffer; a second call that
	// outgrows it must not disturb them.
	v := numbers(t, record.List, 0, 50)
	next, popped, buf, res := cdt.Modify(nil, v, true, unhex(t, "93060005"))
	if res != record.OK {
		t.Fatal(res)
	}
	want := bytes.Clone(next.Bytes)
	if _, _, _, res := cdt.Modify(buf, next, true, unhex(t, "920107")); res != record.OK {
		t.Fatal(res)
	}
	if got := hex.EncodeToString(popped.Bytes); got != "950001020304" {
		t.Errorf("the elements popped are now %s", got)
	}
	if !bytes.Equal(next.Bytes, want) {
		t.Errorf("the value after the pop is now %x, want %x", next.Bytes, want)
	}
}

func ExampleModify() {
	list, _, _ := particle.Store(nil, record.List, []byte{0x92, 0x01, 0x02}, nil)
	next, result, _, res := cdt.Modify(nil, list, true, []byte{0x92, 0x01, 0x07}) // [APPEND, 7]
	fmt.Printf("%x, %d elements, %v\n", next.Bytes, result.Num, res.String())
	// Output: 93010207, 3 elements, ok
}

// FuzzOperations runs any argument on any value: nothing panics, the old value
// stays as it was, and a new one is whole.
func FuzzOperations(f *testing.F) {
	for _, v := range []string{"93010203", "93c700110102", "820102a2036b9103", "83c70013c001020304", "92" + "9102" + "810101"} {
		for _, arg := range []string{
			"920107", "9302920304", "93210705", "9418010102", "910d", "93430507", "9344820102030400", "93490501",
			"93ccff92100092010a", "93ccff9222a2036b920109", "946a070003", "94661107", "93ccff94cca2a20378cc9002920101",
		} {
			f.Add(unhex(f, v), unhex(f, arg))
		}
	}
	f.Fuzz(func(t *testing.T, wire, arg []byte) {
		if len(wire) > 1<<12 || len(arg) > 1<<12 {
			return
		}
		typ := record.List
		if len(wire) > 0 && (wire[0]&0xf0 == 0x80 || wire[0] == 0xde || wire[0] == 0xdf) {
			typ = record.Map
		}
		v, _, res := particle.Store(nil, typ, wire, nil)
		exists := res == record.OK
		if !exists {
			v = record.Value{}
		}
		was := bytes.Clone(v.Bytes)
		if r, _, res := cdt.Read(nil, v, exists, arg); res == record.OK {
			whole(t, "result", r)
		}
		next, r, _, res := cdt.Modify(nil, v, exists, arg)
		if res == record.OK {
			whole(t, "result", r)
			whole(t, "value", next)
		}
		if !bytes.Equal(v.Bytes, was) {
			t.Fatalf("%x was changed to %x by %x", was, v.Bytes, arg)
		}
	})
}

// whole fails unless a list or map is one well-formed value.
func whole(t *testing.T, what string, v record.Value) {
	t.Helper()
	if v.Type != record.List && v.Type != record.Map {
		return
	}
	if n := msgpack.Skip(v.Bytes); n != len(v.Bytes) {
		t.Fatalf("%s %x: %d bytes of %d are a value", what, v.Bytes, n, len(v.Bytes))
	}
}

var benchSizes = []int{10, 1000, 100_000}

func BenchmarkModify(b *testing.B) {
	for _, n := range benchSizes {
		list, m := numbers(b, record.List, 0, n), numbers(b, record.Map, 1, n)
		for _, bm := range []struct {
			name string
			v    record.Value
			arg  []byte
		}{
			{"append", list, unhex(b, "920107")},
			{"increment-in-map", m, append(append([]byte{0x93, 73}, key(n/2)...), 1)},
		} {
			b.Run(fmt.Sprintf("%s/%d", bm.name, n), func(b *testing.B) {
				buf := make([]byte, 0, 4*len(bm.v.Bytes)+64)
				b.ReportAllocs()
				for b.Loop() {
					cdt.Modify(buf, bm.v, true, bm.arg)
				}
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, n := range benchSizes {
		for _, bm := range []struct {
			name string
			v    record.Value
			arg  []byte
		}{
			{"get-by-index", numbers(b, record.List, 0, n), append([]byte{0x92, 17}, key(n/2)...)},
			{"get-by-index-persisted", numbers(b, record.List, 0x11, n), append([]byte{0x92, 17}, key(n/2)...)},
			{"get-by-key", numbers(b, record.Map, 1, n), append([]byte{0x93, 97, 7}, key(n/2)...)},
			{"get-by-key-persisted", numbers(b, record.Map, 0x11, n), append([]byte{0x93, 97, 7}, key(n/2)...)},
		} {
			b.Run(fmt.Sprintf("%s/%d", bm.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					cdt.Read(nil, bm.v, true, bm.arg)
				}
			})
		}
	}
}
