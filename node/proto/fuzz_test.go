package proto

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
)

// FuzzDecode holds Decode to a second reading of the same rules: every byte of
// an accepted body belongs to the header, a field or an operation, and what it
// yields lies within the body.
func FuzzDecode(f *testing.F) {
	f.Add(unhex(f, get))
	f.Add(unhex(f, fixed+"0000 0001 0000000f 02 03 01 01 61 0102030405060708 7879"))
	f.Add(unhex(f, fixed+"0002 0000 00000002 01 61 00000001 ff"))
	f.Add([]byte{})
	var m Message
	f.Fuzz(func(t *testing.T, body []byte) {
		res := m.Decode(body)
		if fills := bodyIsFilled(body); (res == record.OK) != fills {
			t.Fatalf("Decode(%x) = %v, fields and operations fill the body: %v", body, res, fills)
		}
		if res != record.OK {
			return
		}
		// Written and read again it says the same, but for what a request
		// does not carry: repeated and unknown fields, last-update-times.
		var again Message
		if res := again.Decode(AppendMessage(nil, &m)[HeaderSize:]); res != record.OK {
			t.Fatalf("%x: written again: %v", body, res)
		}
		for field := range Field(nFields) {
			if m.Has(field) != again.Has(field) || !bytes.Equal(m.Field(field), again.Field(field)) {
				t.Fatalf("%x: field %d: %x, written again %x", body, field, m.Field(field), again.Field(field))
			}
		}
		same := func(a, b record.Op) bool {
			return a.Code == b.Code && a.Type == b.Type && bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value)
		}
		if !slices.EqualFunc(m.Ops, again.Ops, same) {
			t.Fatalf("%x: operations %v, written again %v", body, m.Ops, again.Ops)
		}
	})
}

// bodyIsFilled walks a body by the sizes alone, with 64-bit sums.
func bodyIsFilled(body []byte) bool {
	if len(body) < 22 {
		return false
	}
	at := uint64(22)
	for range binary.BigEndian.Uint16(body[18:]) {
		if at+5 > uint64(len(body)) {
			return false
		}
		size := uint64(binary.BigEndian.Uint32(body[at:]))
		if size == 0 {
			return false
		}
		at += 4 + size
	}
	for range binary.BigEndian.Uint16(body[20:]) {
		if at+8 > uint64(len(body)) {
			return false
		}
		size, inner := uint64(binary.BigEndian.Uint32(body[at:])), 4+uint64(body[at+7])
		if body[at+6]%2 == 1 {
			inner += 8
		}
		if size < inner {
			return false
		}
		at += 4 + size
	}
	return at == uint64(len(body))
}

// FuzzInflate lets no stream write past the size it was given.
func FuzzInflate(f *testing.F) {
	whole := append(AppendHeader(nil, Data, 40), make([]byte, 40)...)
	f.Add(compress(f, len(whole), whole))
	f.Add(compress(f, len(whole)-1, whole))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9, 0x78, 0x9c})
	var z Inflater
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := InflatedSize(body)
		if err != nil || n > 1<<20 {
			return
		}
		dst := make([]byte, n+8)
		got, err := z.Inflate(dst[:n:n], body)
		if err == nil && len(got) != n-HeaderSize {
			t.Fatalf("inflated %d bytes, want %d", len(got), n-HeaderSize)
		}
		if !bytes.Equal(dst[n:], make([]byte, 8)) {
			t.Fatal("wrote past its end")
		}
	})
}

// FuzzStream reads a header and commands from anything: no length out of
// bounds, no command longer than the text.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x02\x01\x00\x00\x00\x00\x00\x06build\n"))
	f.Add([]byte("\x02\x03\x00\x00\xff\x00\x00\x06a\x00b\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderSize {
			return
		}
		if h, err := ParseHeader(b); err == nil && (h.Body < 0 || h.Body > MaxBody) {
			t.Fatalf("body length %d", h.Body)
		} else if err != nil && DescribeHeader(b, err) == nil {
			t.Fatal("no description of an error")
		}
		total := 0
		for cmd, rest, ok := NextCommand(b[8:]); ok; cmd, rest, ok = NextCommand(rest) {
			total += len(cmd) + 1
		}
		if total > len(b)-8 {
			t.Fatalf("%d bytes of commands in %d bytes of text", total, len(b)-8)
		}
	})
}

// TestDecodeAgreesWithTheOriginal reads every single-record request of the
// recorded answers: what Decode refuses, the original has answered with a
// bare parameter error, and in the sequences that are about nothing but the
// form of a message it refuses exactly what the original did.
func TestDecodeAgreesWithTheOriginal(t *testing.T) {
	aboutForm := map[string]bool{"body-too-short": true, "body-cut": true, "counts": true, "trailing-bytes": true, "field-size": true}
	// Well formed, and refused for what it then asks: a read of nothing.
	const readOfNothing = "op counted as a field"
	var m Message
	refused := 0
	forEachStep(t, func(name, desc string, req, resp []byte) {
		h, err := ParseHeader(req)
		if err != nil {
			if len(resp) != 0 {
				t.Errorf("%s: %s: %v, but the original answered %x", name, desc, err, resp)
			}
			return
		}
		if h.Type != Data || h.Body != len(req)-HeaderSize {
			return
		}
		ours := m.Decode(req[HeaderSize:]) == record.Parameter
		theirs := len(resp) == ReplySize && record.Result(resp[13]) == record.Parameter
		if ours {
			refused++
		}
		if ours && !theirs || aboutForm[name] && desc != readOfNothing && ours != theirs {
			t.Errorf("%s: %s: refused %v, the original %v (%x)", name, desc, ours, theirs, req)
		}
	})
	if refused < 100 {
		t.Errorf("only %d refused requests: the recording does not test what it should", refused)
	}
}

func forEachStep(t *testing.T, f func(name, desc string, req, resp []byte)) {
	t.Helper()
	file, err := os.Open("../../testbed/vectors/single.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var seq struct {
			Name  string
			Steps []struct{ Desc, Req, Resp string }
		}
		if err := json.Unmarshal(lines.Bytes(), &seq); err != nil {
			t.Fatal(err)
		}
		for _, s := range seq.Steps {
			req, err := hex.DecodeString(s.Req)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := hex.DecodeString(s.Resp)
			if err != nil {
				t.Fatal(err)
			}
			f(seq.Name, s.Desc, req, resp)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}
