package proto

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// compress packs a whole message as a client does, claiming size bytes.
func compress(t testing.TB, size int, message []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	w := zlib.NewWriter(&b)
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInflate(t *testing.T) {
	whole := append(AppendHeader(nil, Data, 1000), bytes.Repeat([]byte("ab"), 500)...)
	n := len(whole)
	flip := func(b []byte, i int) []byte { b[(len(b)+i)%len(b)] ^= 1; return b }
	for _, tt := range []struct {
		name string
		body []byte
		want string // part of the error, empty for none
	}{
		{"good", compress(t, n, whole), ""},
		{"empty body", nil, "body of 0 bytes"},
		{"no stream", make([]byte, 8), "claims 0 bytes"},
		{"claims less than a header", compress(t, 7, whole), "claims 7 bytes"},
		{"claims too much", compress(t, HeaderSize+MaxBody+1, whole), "claims 134217737 bytes"},
		{"claims all 64 bits", compress(t, -1, whole), "claims 18446744073709551615 bytes"},
		{"claims what no stream of its size holds", compress(t, MaxBody, whole), "can hold at most"},
		{"claims more than it holds", compress(t, n+1, whole), "fewer than"},
		{"claims less than it holds", compress(t, n-1, whole), "more than"},
		{"not zlib", append(binary.BigEndian.AppendUint64(nil, uint64(n)), whole...), "zlib"},
		{"wrong checksum", flip(compress(t, n, whole), -1), "checksum"},
		{"compressed in itself", compress(t, n, append(AppendHeader(nil, Compressed, n-8), whole[8:]...)), "holds type 4"},
		{"inner length", compress(t, n, append(AppendHeader(nil, Data, n), whole[8:]...)), "with a body of 1008"},
		{"inner version", compress(t, n, append([]byte{3}, whole[1:]...)), "unknown protocol version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var z Inflater
			for range 2 { // the second time with a reader that has been used
				got, err := inflate(&z, tt.body)
				switch {
				case tt.want == "" && (err != nil || !bytes.Equal(got, whole[HeaderSize:])):
					t.Errorf("%d bytes, error %v, want the message's %d bytes", len(got), err, n-HeaderSize)
				case tt.want != "" && (!errors.Is(err, ErrCompressed) || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("error %v, want one that says %q", err, tt.want)
				}
			}
		})
	}
}

// TestInflateAfterABadStream holds the reader to a good message behind each
// kind of bad one.
func TestInflateAfterABadStream(t *testing.T) {
	whole := append(AppendHeader(nil, Data, 100), make([]byte, 100)...)
	good, bad := compress(t, len(whole), whole), compress(t, len(whole), whole)
	var z Inflater
	for i := compressedHeader; i < len(bad); i++ {
		bad[i] ^= 0xff
		_, _ = inflate(&z, bad)
		bad[i] ^= 0xff
		if _, err := inflate(&z, good); err != nil {
			t.Fatalf("after a stream with byte %d wrong: %v", i, err)
		}
	}
}

func inflate(z *Inflater, body []byte) ([]byte, error) {
	n, err := InflatedSize(body)
	if err != nil {
		return nil, err
	}
	return z.Inflate(make([]byte, n), body)
}
