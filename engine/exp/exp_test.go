package exp

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/record"
)

// Expressions of the tests are written as nested slices.
type list = []any

// name is raw text without a type byte: the name of a bin or variable.
type name string

// quoted is bytes that are msgpack already.
type quoted string

func pack(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return msgpack.AppendNil(dst)
	case bool:
		return msgpack.AppendBool(dst, v)
	case int:
		return msgpack.AppendInt(dst, int64(v))
	case float64:
		return msgpack.AppendDouble(dst, v)
	case string:
		return msgpack.AppendRaw(dst, msgpack.PrefixString, []byte(v))
	case []byte:
		return msgpack.AppendRaw(dst, msgpack.PrefixBlob, v)
	case name:
		return append(msgpack.AppendRawHead(dst, uint32(len(v))), v...)
	case quoted:
		return append(dst, v...)
	case list:
		dst = msgpack.AppendListHead(dst, uint32(len(v)))
		for _, e := range v {
			dst = pack(dst, e)
		}
		return dst
	case opcode:
		return msgpack.AppendInt(dst, int64(v))
	case Type:
		return msgpack.AppendInt(dst, int64(v))
	}
	panic("a test packs what it cannot")
}

func testRecord() *Record {
	value := func(t record.Type, num uint64, b string) record.Value {
		return record.Value{Type: t, Num: num, Bytes: []byte(b)}
	}
	return &Record{
		Meta: &record.Meta{
			Digest: record.Digest{16: 10}, LUT: 5_000, Generation: 3, VoidTime: 100, Set: []byte("users"),
			Key: []byte("\x03kay"),
		},
		Bins: []record.NamedValue{
			{Name: []byte("i"), Value: value(record.Integer, 5, "")},
			{Name: []byte("f"), Value: value(record.Float, 0x4004000000000000, "")}, // 2.5
			{Name: []byte("s"), Value: value(record.String, 0, "hello")},
			{Name: []byte("b"), Value: value(record.Blob, 0, "\x01\x02")},
			{Name: []byte("t"), Value: value(record.Bool, 1, "")},
			{Name: []byte("l"), Value: value(record.List, 0, "\x92\x01\x02")},
		},
		Size: 256,
		Now:  60_000,
	}
}

func bin(t Type, n string) list { return list{opBin, t, name(n)} }

var unknown = list{opUnknown}

// TestMatch holds filters to their truth value: true passes, false and
// unknown do not. known tells the two apart by the negation.
func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		expr any
		want string // true, false or unknown
	}{
		{"literal", true, "true"},
		{"unknown", unknown, "unknown"},
		{"int equal", list{opEQ, bin(Int, "i"), 5}, "true"},
		{"int less", list{opLT, bin(Int, "i"), -1}, "false"},
		{"float", list{opGE, bin(Float, "f"), 2.5}, "true"},
		{"string order", list{opGT, bin(String, "s"), "hell"}, "true"},
		{"blob", list{opLE, bin(Blob, "b"), []byte{1, 2}}, "true"},
		{"list", list{opEQ, bin(List, "l"), list{opQuote, list{1, 2}}}, "true"},
		{"list shorter first", list{opLT, bin(List, "l"), list{opQuote, list{1, 2, 0}}}, "true"},
		{"nil", list{opEQ, nil, nil}, "true"},
		{"missing bin", list{opEQ, bin(Int, "none"), 5}, "unknown"},
		{"bin of another type", list{opEQ, bin(Int, "s"), 5}, "unknown"},
		{"bool bin", bin(Bool, "t"), "true"},

		{"and", list{opAnd, true, false, unknown}, "false"},
		{"and, unknown first", list{opAnd, unknown, false}, "false"},
		{"and with unknown", list{opAnd, true, unknown}, "unknown"},
		{"or", list{opOr, unknown, true}, "true"},
		{"or with unknown", list{opOr, false, unknown}, "unknown"},
		{"not", list{opNot, false}, "true"},
		{"not unknown", list{opNot, unknown}, "unknown"},
		{"exclusive", list{opExclusive, false, true, false}, "true"},
		{"exclusive, two", list{opExclusive, true, true, unknown}, "false"},
		{"exclusive, none", list{opExclusive, false, false}, "false"},
		{"exclusive, unknown before", list{opExclusive, unknown, true, true}, "unknown"},

		{"add", list{opEQ, list{opAdd, 1, 2, 3}, 6}, "true"},
		{"negate", list{opEQ, list{opSub, 7}, -7}, "true"},
		{"divide", list{opEQ, list{opDiv, 100, 5, 2}, 10}, "true"},
		{"divide by 0", list{opEQ, list{opDiv, 1, 0}, 0}, "unknown"},
		{"divide floats by 0", list{opGT, list{opDiv, 1.0, 0.0}, 1e308}, "true"},
		{"smallest by -1", list{opEQ, list{opDiv, -1 << 63, -1}, -1 << 63}, "true"},
		{"remainder", list{opEQ, list{opMod, -7, 3}, -1}, "true"},
		{"remainder by 0", list{opEQ, list{opMod, 1, 0}, 0}, "unknown"},
		{"power", list{opEQ, list{opPow, 2.0, 10.0}, 1024.0}, "true"},
		{"absolute", list{opEQ, list{opAbs, -3}, 3}, "true"},
		{"floor", list{opEQ, list{opFloor, -1.5}, -2.0}, "true"},
		{"truncate", list{opEQ, list{opToInt, -1.9}, -1}, "true"},
		{"truncate too much", list{opEQ, list{opToInt, 1e300}, -1 << 63}, "true"},
		{"to float", list{opEQ, list{opToFloat, 3}, 3.0}, "true"},
		{"max", list{opEQ, list{opMax, 1, 9, 3}, 9}, "true"},
		{"min of floats", list{opEQ, list{opMin, 1.0, 0.5}, 0.5}, "true"},
		{"xor", list{opEQ, list{opIntXor, 6, 3}, 5}, "true"},
		{"shift by -1", list{opEQ, list{opRShift, -1, -1}, 1}, "true"},
		{"arithmetic shift", list{opEQ, list{opARShift, -8, 1}, -4}, "true"},
		{"shift by 64", list{opEQ, list{opLShift, 3, 64}, 3}, "true"},
		{"bits", list{opEQ, list{opIntCount, -1}, 64}, "true"},
		{"scan from the left", list{opEQ, list{opLScan, 1, true}, 63}, "true"},
		{"scan from the right", list{opEQ, list{opRScan, 1, false}, 62}, "true"},
		{"scan in vain", list{opEQ, list{opLScan, 0, true}, -1}, "true"},
		{"not of bits", list{opEQ, list{opIntNot, 0}, -1}, "true"},

		{"digest", list{opEQ, list{opDigestModulo, 7}, 3}, "true"},
		{"set name", list{opEQ, list{opSetName}, "users"}, "true"},
		{"key", list{opEQ, list{opKey, String}, "kay"}, "true"},
		{"key of another type", list{opEQ, list{opKey, Int}, 1}, "unknown"},
		{"key is stored", list{opKeyExists}, "true"},
		{"tombstone", list{opIsTombstone}, "false"},
		{"since update", list{opEQ, list{opSinceUpdate}, 55_000}, "true"},
		{"last update", list{opEQ, list{opLastUpdate}, (record.EpochUnix + 5) * 1_000_000_000}, "true"},
		{"void-time", list{opEQ, list{opVoidTime}, (record.EpochUnix + 100) * 1_000_000_000}, "true"},
		{"time to live", list{opEQ, list{opTTL}, 40}, "true"},
		{"size", list{opEQ, list{opRecordSize}, 256}, "true"},
		{"memory size on a device", list{opEQ, list{opMemorySize}, 0}, "true"},
		{"bin type", list{opEQ, list{opBinType, name("l")}, int(record.List)}, "true"},
		{"type of a missing bin", list{opEQ, list{opBinType, name("none")}, 0}, "true"},

		{"cond", list{opEQ, list{opCond, false, 1, true, 2, 3}, 2}, "true"},
		{"cond, default", list{opEQ, list{opCond, false, 1, 3}, 3}, "true"},
		{"cond, unknown", list{opEQ, list{opCond, unknown, 1, 3}, 3}, "unknown"},
		{"cond that fails", list{opEQ, list{opCond, true, unknown, 3}, 3}, "unknown"},
		{"let", list{opLet, name("x"), 2, name("y"), list{opAdd, list{opVar, name("x")}, 3},
			list{opEQ, list{opVar, name("y")}, 5}}, "true"},
		{"let twice", list{opAnd,
			list{opLet, name("x"), 2, list{opEQ, list{opVar, name("x")}, 2}},
			list{opLet, name("x"), 3, list{opEQ, list{opVar, name("x")}, 3}}}, "true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := [2]bool{}
			for i, e := range []any{tt.expr, list{opNot, tt.expr}} {
				p, err := CompileFilter(pack(nil, e))
				if err != nil {
					t.Fatal(err)
				}
				got[i] = p.Match(testRecord())
			}
			want := map[string][2]bool{"true": {true, false}, "false": {false, true}, "unknown": {false, false}}[tt.want]
			if got != want {
				t.Errorf("passes, and its negation does: %v, want %v", got, want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	deep := any(true)
	for range maxDepth + 1 {
		deep = list{opNot, deep}
	}
	for _, tt := range []struct {
		name string
		expr any
	}{
		{"nothing", quoted("")},
		{"not a bool", 5},
		{"unknown opcode", list{99}},
		{"no opcode", list{}},
		{"an opcode that is text", list{"x"}},
		{"cut short", quoted("\x93\x01\x01")},
		{"a byte after it", quoted("\xc3\x00")},
		{"types that differ", list{opEQ, 1, 1.0}},
		{"compare with unknown", list{opEQ, 1, unknown}},
		{"one argument", list{opEQ, 1}},
		{"and of one", list{opAnd, true}},
		{"not of an integer", list{opNot, 1}},
		{"digest modulo 0", list{opEQ, list{opDigestModulo, 0}, 0}},
		{"digest modulo an expression", list{opEQ, list{opDigestModulo, list{opAdd, 1, 2}}, 0}},
		{"bin name of 16 bytes", list{opEQ, bin(Int, "0123456789abcdef"), 1}},
		{"bin name with a NUL", list{opEQ, bin(Int, "a\x00"), 1}},
		{"bin of type 10", list{opEQ, list{opBin, 10, name("a")}, 1}},
		{"key of type float", list{opEQ, list{opKey, Float}, 1.0}},
		{"variable that is not there", list{opEQ, list{opVar, name("x")}, 1}},
		{"variable out of scope", list{opAnd,
			list{opLet, name("x"), 2, true}, list{opEQ, list{opVar, name("x")}, 2}}},
		{"variable defined twice", list{opLet, name("x"), 1, name("x"), 2, true}},
		{"variable name", list{opLet, name("1x"), 1, true}},
		{"cond of two types", list{opEQ, list{opCond, true, 1, 2.0}, 1}},
		{"cond without default", list{opCond, true, true, false, false}},
		{"list that is not quoted", list{opEQ, bin(List, "l"), list{1, 2}}},
		{"wildcard", quoted("\xd4\xff\x00")},
		{"raw without type", list{opEQ, bin(Blob, "b"), quoted("\xa0")}},
		{"geojson", list{opEQ, quoted("\xa1\x17"), quoted("\xa1\x17")}},
		{"regex, not supported", list{7, 0, name("a"), bin(String, "s")}},
		{"call, not supported", list{127, Int, 0, list{16}, bin(List, "l")}},
		{"too deep", deep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := CompileFilter(pack(nil, tt.expr)); !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	p, err := CompileFilter(pack(nil, list{opAnd, list{opGT, bin(Int, "i"), 1}, list{opEQ, bin(String, "s"), "hello"}}))
	if err != nil {
		t.Fatal(err)
	}
	rec := testRecord()
	if n := testing.AllocsPerRun(100, func() {
		if !p.Match(rec) {
			t.Error("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzFilter holds that any bytes compile to an error or to a program that
// can be evaluated, whatever record it meets.
func FuzzFilter(f *testing.F) {
	for _, e := range []any{
		true, list{opEQ, bin(Int, "i"), 5}, list{opLet, name("x"), 1, list{opGT, list{opVar, name("x")}, 0}},
		list{opCond, true, unknown, false}, list{opEQ, list{opDiv, 1, 0}, list{opLScan, 0, true}},
		list{opEQ, bin(List, "l"), list{opQuote, list{1, "a", 2.5}}},
	} {
		f.Add(pack(nil, e))
	}
	long, _ := hex.DecodeString(strings.Repeat("93010101", 8))
	f.Add(long)
	f.Fuzz(func(t *testing.T, packed []byte) {
		p, err := CompileFilter(packed)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v is not ErrInvalid", err)
			}
			return
		}
		p.Match(testRecord())
		p.Match(&Record{Meta: &record.Meta{}})
	})
}
