package proto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// unhex reads hand-made bytes: hex digits, spaces between fields as it pleases
// the reader.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseHeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want Header
		err  error
	}{
		{"info", "02 01 000000000006", Header{Info, 6}, nil},
		{"security", "02 02 000000000000", Header{Security, 0}, nil},
		{"security, version 0", "00 02 000000000010", Header{Security, 16}, nil},
		{"data", "02 03 000000000016", Header{Data, 22}, nil},
		{"compressed", "02 04 000000000048", Header{Compressed, 72}, nil},
		{"xdr", "02 05 000000000000", Header{XDR, 0}, nil},
		{"longest body", "02 03 000008000000", Header{Data, 128 << 20}, nil},
		{"body one too long", "02 03 000008000001", Header{}, ErrTooLong},
		{"longest length", "02 03 ffffffffffff", Header{}, ErrTooLong},
		{"version 0", "00 03 000000000016", Header{}, ErrVersion},
		{"version 1", "01 03 000000000016", Header{}, ErrVersion},
		{"version 3", "03 02 000000000016", Header{}, ErrVersion},
		{"type 0", "02 00 000000000016", Header{}, ErrType},
		{"type 6", "02 06 000000000016", Header{}, ErrType},
		{"type 255", "02 ff 000000000016", Header{}, ErrType},
		{"TLS client hello", "16 03 0100c8010000", Header{}, ErrVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			got, err := ParseHeader(in)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("ParseHeader(%s) = %v, %v, want %v, %v", tt.in, got, err, tt.want, tt.err)
			}
			if err == nil && in[0] == Version {
				if again := AppendHeader(nil, got.Type, got.Body); !bytes.Equal(again, in) {
					t.Errorf("AppendHeader(%v) = %x, want %x", got, again, in)
				}
			}
		})
	}
}

// fixed is the fixed part of a body with the given counts (hex) behind it.
const fixed = "16 01 80 08 00 00 00000007 0000000a 000003e8 "

// get is a whole body: namespace "test", set "s", digest 00..13, read of "a".
const get = fixed + "0003 0001" +
	"00000005 00 74657374" +
	"00000002 01 73" +
	"00000015 04 000102030405060708090a0b0c0d0e0f10111213" +
	"00000005 01 00 00 01 61"

func TestDecode(t *testing.T) {
	var m Message
	body := unhex(t, get)
	if res := m.Decode(body); res != record.OK {
		t.Fatalf("Decode = %v, want ok", res)
	}
	if m.Info1 != 1 || m.Info2 != 0x80 || m.Info3 != 8 || m.Info4 != 0 {
		t.Errorf("info bytes %x %x %x %x, want 1 80 8 0", m.Info1, m.Info2, m.Info3, m.Info4)
	}
	if m.Generation != 7 || m.TTL != 10 || m.TransactionTTL != 1000 {
		t.Errorf("generation %d ttl %d transaction ttl %d, want 7 10 1000", m.Generation, m.TTL, m.TransactionTTL)
	}
	if got := string(m.Namespace()); got != "test" {
		t.Errorf("namespace %q, want test", got)
	}
	if got := string(m.Field(Set)); got != "s" {
		t.Errorf("set %q, want s", got)
	}
	if got := m.Field(Digest); len(got) != 20 || got[0] != 0 || got[19] != 0x13 {
		t.Errorf("digest %x, want 00 to 13", got)
	}
	if m.Has(Key) || m.Field(Key) != nil {
		t.Error("holds a key that was not sent")
	}
	if len(m.Ops) != 1 || m.Ops[0].Code != record.OpRead || string(m.Ops[0].Name) != "a" || len(m.Ops[0].Value) != 0 {
		t.Errorf("operations %+v, want one read of a", m.Ops)
	}

	// A message after it must not see its fields.
	if res := m.Decode(unhex(t, fixed+"0000 0000")); res != record.OK || m.Has(Namespace) || m.Field(Set) != nil || len(m.Ops) != 0 {
		t.Errorf("the next message: %v, fields %x, %d operations: want none", res, m.present, len(m.Ops))
	}
}

func TestDecodeValidity(t *testing.T) {
	for _, tt := range []struct {
		name string
		body string
		want record.Result
	}{
		{"empty", "", record.Parameter},
		{"21 bytes", fixed + "0000 00", record.Parameter},
		{"header only", fixed + "0000 0000", record.OK},
		{"header size 0", "00" + fixed[2:] + "0000 0000", record.OK},
		{"trailing byte", fixed + "0000 0000 00", record.Parameter},
		{"field of size 0", fixed + "0001 0000 00000000", record.Parameter},
		{"field of size 0 and a type", fixed + "0001 0000 00000000 01", record.Parameter},
		{"field of size 1", fixed + "0001 0000 00000001 01", record.OK},
		{"field header cut", fixed + "0001 0000 000000", record.Parameter},
		{"field without type", fixed + "0001 0000 00000001", record.Parameter},
		{"field longer than the body", fixed + "0001 0000 00000003 01 61", record.Parameter},
		{"field of 4 GiB", fixed + "0001 0000 ffffffff 01 61", record.Parameter},
		{"field of 2 GiB", fixed + "0001 0000 80000000 01 61", record.Parameter},
		{"unknown field", fixed + "0001 0000 00000003 fe 6161", record.OK},
		{"one field more than sent", fixed + "0002 0000 00000001 01", record.Parameter},
		{"one field fewer than sent", fixed + "0000 0000 00000001 01", record.Parameter},
		{"op of 4", fixed + "0000 0001 00000004 0b 00 00 00", record.OK},
		{"op of 3", fixed + "0000 0001 00000003 0b 00 00 00", record.Parameter},
		{"op of 0", fixed + "0000 0001 00000000 0b 00 00 00", record.Parameter},
		{"op header cut", fixed + "0000 0001 00000004 0b 00 00", record.Parameter},
		{"op longer than the body", fixed + "0000 0001 00000005 0b 00 00 00", record.Parameter},
		{"op of 4 GiB", fixed + "0000 0001 ffffffff 0b 00 00 00", record.Parameter},
		{"name longer than the op", fixed + "0000 0001 00000005 01 00 00 02 61", record.Parameter},
		{"name longer than the op, in the body", fixed + "0000 0001 00000005 01 00 00 02 61 62", record.Parameter},
		{"name of 16 bytes", fixed + "0000 0001 00000014 01 00 00 10 61616161616161616161616161616161", record.OK},
		{"lut", fixed + "0000 0001 0000000d 02 00 01 01 61 0000000000000000", record.OK},
		{"lut cut", fixed + "0000 0001 0000000c 02 00 01 01 61 00000000000000", record.Parameter},
		{"one op more than sent", fixed + "0000 0002 00000004 0b 00 00 00", record.Parameter},
		{"one op fewer than sent", fixed + "0000 0000 00000004 0b 00 00 00", record.Parameter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			if got := m.Decode(unhex(t, tt.body)); got != tt.want {
				t.Errorf("Decode = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDecodeEveryPrefix(t *testing.T) {
	body := unhex(t, get)
	var m Message
	for n := range body {
		if got := m.Decode(body[:n:n]); got != record.Parameter {
			t.Errorf("the first %d of %d bytes: %v, want parameter", n, len(body), got)
		}
	}
}

func TestFirstFieldWins(t *testing.T) {
	var m Message
	if res := m.Decode(unhex(t, fixed+"0003 0000 00000002 01 61 00000002 01 62 00000001 01")); res != record.OK {
		t.Fatalf("Decode = %v, want ok", res)
	}
	if got := string(m.Field(Set)); got != "a" {
		t.Errorf("set %q, want the first one, a", got)
	}
}

func TestNamespaceEndsBeforeNULs(t *testing.T) {
	var m Message
	for _, tt := range []struct{ field, want string }{
		{"", ""}, {"test", "test"}, {"test\x00\x00", "test"}, {"\x00", ""}, {"a\x00b\x00", "a\x00b"},
	} {
		m.SetField(Namespace, []byte(tt.field))
		if got := string(m.Namespace()); got != tt.want {
			t.Errorf("namespace field %q: name %q, want %q", tt.field, got, tt.want)
		}
	}
}

func TestLUTIsSkipped(t *testing.T) {
	var m Message
	if res := m.Decode(unhex(t, fixed+"0000 0001 0000000f 02 03 01 01 61 0102030405060708 7879")); res != record.OK {
		t.Fatalf("Decode = %v, want ok", res)
	}
	if op := m.Ops[0]; string(op.Name) != "a" || string(op.Value) != "xy" || op.Type != record.String {
		t.Errorf("operation %+v, want name a, string xy", op)
	}
}

// TestLastReply: of an answer of several messages the last says so, in bit 0
// of its third info byte.
func TestLastReply(t *testing.T) {
	for _, last := range []bool{false, true} {
		p := AppendReply(nil, &Reply{Result: record.Unsupported, Last: last})
		if got := p[HeaderSize+3]; got != map[bool]byte{false: 0, true: 1}[last] || p[HeaderSize+5] != 16 {
			t.Errorf("last %v: info3 %d, result %d", last, got, p[HeaderSize+5])
		}
	}
}

func TestAppendReply(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply Reply
		want  string
	}{
		{
			"not found",
			Reply{Result: record.NotFound},
			"02 03 000000000016 16 00 00 00 00 02 00000000 00000000 00000000 0000 0000",
		},
		{
			"generation and void-time",
			Reply{Generation: 5, VoidTime: 0x1f2e3d4c},
			"02 03 000000000016 16 00 00 00 00 00 00000005 1f2e3d4c 00000000 0000 0000",
		},
		{
			"values",
			Reply{Generation: 1, Bins: []record.Bin{
				{Code: record.OpRead, Name: []byte("i"), Value: record.Value{Type: record.Integer, Num: 1<<64 - 2}},
				{Code: record.OpRead, Name: []byte("f"), Value: record.Value{Type: record.Float, Num: 0x3ff8000000000000}},
				{Code: record.OpRead, Name: []byte("s"), Value: record.Value{Type: record.String, Bytes: []byte("hi")}},
				{Code: record.OpRead, Name: []byte("b"), Value: record.Value{Type: record.Bool, Num: 1}},
				{Code: record.OpWrite, Name: nil, Value: record.Value{}},
			}},
			"02 03 000000000055 16 00 00 00 00 00 00000001 00000000 00000000 0000 0005" +
				"0000000d 01 01 00 01 69 fffffffffffffffe" +
				"0000000d 01 02 00 01 66 3ff8000000000000" +
				"00000007 01 03 00 01 73 6869" +
				"00000006 01 11 00 01 62 01" +
				"00000004 02 00 00 00",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			if got := AppendReply(nil, &tt.reply); !bytes.Equal(got, want) {
				t.Errorf("AppendReply =\n%x, want\n%x", got, want)
			}
			if got := tt.reply.Size(); got != len(want) {
				t.Errorf("Size = %d, want %d", got, len(want))
			}
			if got := AppendReply([]byte("before"), &tt.reply); string(got[:6]) != "before" || !bytes.Equal(got[6:], want) {
				t.Errorf("AppendReply behind other bytes = %x", got)
			}
		})
	}
}

func TestAppendSecurityError(t *testing.T) {
	want := unhex(t, "02 02 000000000010 00 34 0000 00000000 00000000 00000000")
	if got := AppendSecurityError(nil, record.SecNotConfigured); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestNextCommand(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"build", nil},
		{"build\n", []string{"build"}},
		{"build\nnode\n", []string{"build", "node"}},
		{"build\nnode", []string{"build"}},
		{"\n", []string{""}},
		{"\n\nnode\n", []string{"", "", "node"}},
		{"bu\x00ild\nnode\n", []string{"bu", "node"}},
	} {
		var got []string
		for cmd, rest, ok := NextCommand([]byte(tt.text)); ok; cmd, rest, ok = NextCommand(rest) {
			got = append(got, string(cmd))
		}
		if strings.Join(got, "|") != strings.Join(tt.want, "|") || len(got) != len(tt.want) {
			t.Errorf("commands of %q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestAppendInfo(t *testing.T) {
	if got := string(AppendInfo([]byte("x"), []byte("node"), []byte("A1"))); got != "xnode\tA1\n" {
		t.Errorf("got %q", got)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	body, m := unhex(t, get), Message{}
	reply := Reply{Bins: []record.Bin{{Name: []byte("a"), Value: record.Value{Type: record.Blob, Bytes: make([]byte, 256)}}}}
	dst := make([]byte, 0, reply.Size())
	m.Decode(body) // grows Ops
	n := testing.AllocsPerRun(1000, func() {
		m.Decode(body)
		dst = AppendReply(dst[:0], &reply)
		dst = AppendError(dst[:0], record.NotFound)
	})
	if n != 0 {
		t.Errorf("decode and reply allocate %v times, want 0", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	body, m := unhex(b, get), Message{}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		m.Decode(body)
	}
}

func BenchmarkAppendReply(b *testing.B) {
	reply := Reply{Bins: []record.Bin{{Name: []byte("a"), Value: record.Value{Type: record.Blob, Bytes: make([]byte, 256)}}}}
	dst := make([]byte, 0, reply.Size())
	b.SetBytes(int64(cap(dst)))
	for b.Loop() {
		dst = AppendReply(dst[:0], &reply)
	}
}
