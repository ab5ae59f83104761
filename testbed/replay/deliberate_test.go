package replay

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"testing"

	"github.com/ashlardb/ashlar/testbed/testnode"
)

// Bits of the info bytes and operation codes that the messages here use.
const (
	info1Read    = 0x01
	info1All     = 0x02
	info2Write   = 0x01
	info2Delete  = 0x02
	fieldNS      = 0
	fieldDigest  = 4
	opWrite      = 2
	typeInteger  = 1
	resultOK     = 0
	resultAbsent = 2
)

// message builds a data message for namespace test and a digest made of seed.
// value < 0: no operation.
func message(info1, info2, seed byte, value int64) []byte {
	body := make([]byte, 22)
	body[0], body[1], body[2] = 22, info1, info2
	field := func(kind byte, data []byte) {
		body = binary.BigEndian.AppendUint32(body, uint32(len(data)+1))
		body = append(append(body, kind), data...)
	}
	field(fieldNS, []byte("test"))
	field(fieldDigest, bytes.Repeat([]byte{seed}, 20))
	binary.BigEndian.PutUint16(body[18:], 2)
	if value >= 0 {
		binary.BigEndian.PutUint16(body[20:], 1)
		body = binary.BigEndian.AppendUint32(body, 4+1+8)
		body = append(body, opWrite, typeInteger, 0, 1, 'a')
		body = binary.BigEndian.AppendUint64(body, uint64(value))
	}
	return framed(typeMessage, body)
}

func framed(kind byte, body []byte) []byte {
	m := make([]byte, headerSize, headerSize+len(body))
	binary.BigEndian.PutUint64(m, uint64(len(body)))
	m[0], m[1] = 2, kind
	return append(m, body...)
}

// compressed wraps a message as a client does: its size, then zlib.
func compressed(t *testing.T, m []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(m); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return framed(typeCompressed, append(binary.BigEndian.AppendUint64(nil, uint64(len(m))), b.Bytes()...))
}

// TestDeliberate checks what ours does where the original refuses.
func TestDeliberate(t *testing.T) {
	n := testnode.Start(t, testnode.Memory)
	p := &player{address: n.Address()}
	defer p.close()
	const durable = info2Write | info2Delete | durableDelete
	for _, tt := range []struct {
		name    string
		request []byte
		result  byte
	}{
		{"put", message(0, info2Write, 7, 5), resultOK},
		{"durable delete", message(0, durable, 7, -1), resultOK},
		{"get after it", message(info1Read|info1All, 0, 7, -1), resultAbsent},
		{"durable delete of what is gone", message(0, durable, 7, -1), resultAbsent},
		{"compressed put", compressed(t, message(0, info2Write, 8, 6)), resultOK},
		{"compressed get", compressed(t, message(info1Read|info1All, 0, 8, -1)), resultOK},
		{"get of what was put compressed", message(info1Read|info1All, 0, 8, -1), resultOK},
		{"compressed and absent", compressed(t, message(info1Read|info1All, 0, 9, -1)), resultAbsent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.ask(tt.request)
			if err != nil || messageType(got) != typeMessage || len(got) <= resultAt || got[resultAt] != tt.result {
				t.Fatalf("request %x\n got  %s, %v\n want result %d", tt.request, short(got), err, tt.result)
			}
			if tt.name == "get of what was put compressed" && !bytes.HasSuffix(got, binary.BigEndian.AppendUint64([]byte{'a'}, 6)) {
				t.Errorf("answer %s: want the value 6 in bin a", short(got))
			}
		})
	}
}
