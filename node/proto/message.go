package proto

import (
	"encoding/binary"

	"github.com/ashlardb/ashlar/engine/record"
)

// MessageHeaderSize is the size in bytes of the fixed part of a Data
// message's body.
const MessageHeaderSize = 22

// Field is the type of a field of a Data message.
type Field uint8

// Fields.
const (
	Namespace       Field = 0
	Set             Field = 1
	Key             Field = 2 // particle type byte, then the value in wire form
	RecordVersion   Field = 3 // 7 bytes, little endian
	Digest          Field = 4 // 20 bytes
	MRTID           Field = 5 // 8 bytes, little endian
	MRTDeadline     Field = 6 // 4 bytes, little endian
	TaskID          Field = 7
	SocketTimeout   Field = 9  // 4 bytes, ms
	RecordsPerSec   Field = 10 // 4 bytes
	PartitionIDs    Field = 11 // 2 bytes each, little endian
	DigestArray     Field = 12 // 20 bytes each
	MaxRecords      Field = 13 // 8 bytes
	LastUpdateTime  Field = 14 // 8 bytes, of XDR writes
	BValArray       Field = 15 // 8 bytes each, little endian
	IndexName       Field = 21
	IndexRange      Field = 22
	IndexContext    Field = 23
	IndexExpression Field = 24
	IndexType       Field = 26
	UDFPackage      Field = 30
	UDFFunction     Field = 31
	UDFArgs         Field = 32
	UDFOp           Field = 33
	QueryBins       Field = 40
	BatchIndex      Field = 41
	BatchWithSet    Field = 42
	Filter          Field = 43 // packed expression

	nFields = 64 // types from here on are unknown and skipped
)

// Message is a decoded Data message: what it asks for, as views of its bytes.
// The zero value is ready; one Message is decoded into again and again.
//
//	byte 0       header size: not looked at
//	bytes 1-4    info1 to info4
//	byte 5       result code: not looked at in a request
//	bytes 6-9    generation
//	bytes 10-13  ttl: seconds of a write, percent of a read
//	bytes 14-17  transaction ttl: ms, 0 for the node's default
//	bytes 18-19  number of fields
//	bytes 20-21  number of operations
//	then         fields: 4 bytes size (1 + value), 1 byte type, value
//	then         operations: 4 bytes size (4 + name + lut + value), 1 byte code,
//	             1 byte particle type, 1 byte flags (bit 0: an 8-byte
//	             last-update-time follows the name), 1 byte name size, name, value
type Message struct {
	Info1, Info2, Info3, Info4 byte

	Generation     uint32
	TTL            uint32
	TransactionTTL uint32

	// Ops are the operations in their order. Decode appends to Ops[:0]: the
	// caller may lend a slice of its own, and takes it back if it has grown.
	Ops []record.Op

	present uint64 // bit f: field f is there
	fields  [nFields][]byte
}

// Has reports whether the message holds field f.
func (m *Message) Has(f Field) bool { return m.present>>f&1 != 0 }

// Field returns the value of field f, nil when the message does not hold it.
func (m *Message) Field(f Field) []byte {
	if !m.Has(f) {
		return nil
	}
	return m.fields[f]
}

// SetField makes v the value of field f.
func (m *Message) SetField(f Field, v []byte) {
	m.present |= 1 << f
	m.fields[f] = v
}

// Namespace returns the name of the namespace: the field less the NUL bytes
// that some clients leave at its end.
func (m *Message) Namespace() []byte {
	name := m.Field(Namespace)
	for len(name) > 0 && name[len(name)-1] == 0 {
		name = name[:len(name)-1]
	}
	return name
}

// Decode reads the body of a Data message. It answers Parameter unless fields
// and operations fill the body exactly; the connection can be read on in
// either case. What m holds after a Parameter is undefined.
func (m *Message) Decode(body []byte) record.Result {
	if len(body) < MessageHeaderSize {
		return record.Parameter
	}
	m.Info1, m.Info2, m.Info3, m.Info4 = body[1], body[2], body[3], body[4]
	m.Generation = binary.BigEndian.Uint32(body[6:])
	m.TTL = binary.BigEndian.Uint32(body[10:])
	m.TransactionTTL = binary.BigEndian.Uint32(body[14:])
	rest, ok := m.decodeFields(body[MessageHeaderSize:], int(binary.BigEndian.Uint16(body[18:])))
	if ok {
		rest, ok = m.decodeOps(rest, int(binary.BigEndian.Uint16(body[20:])))
	}
	if !ok || len(rest) != 0 {
		return record.Parameter
	}
	return record.OK
}

// decodeFields reads n fields and returns what follows them. Of several of
// one type the first counts.
func (m *Message) decodeFields(p []byte, n int) (rest []byte, ok bool) {
	m.present = 0
	for range n {
		if len(p) < 5 {
			return nil, false
		}
		size := int(binary.BigEndian.Uint32(p)) // type and value
		if size < 1 || size > len(p)-4 {
			return nil, false
		}
		if f := p[4]; f < nFields && m.present>>f&1 == 0 {
			m.present |= 1 << f
			m.fields[f] = p[5 : 4+size : 4+size]
		}
		p = p[4+size:]
	}
	return p, true
}

// Layout of an operation.
const (
	opHeaderSize = 8 // size, code, particle type, flags, name size
	opSizeLess   = 4 // the size field does not count itself
	opHasLUT     = 1 // flag
	opLUTSize    = 8
)

// decodeOps reads n operations and returns what follows them.
func (m *Message) decodeOps(p []byte, n int) (rest []byte, ok bool) {
	m.Ops = m.Ops[:0]
	for range n {
		if len(p) < opHeaderSize {
			return nil, false
		}
		end := opSizeLess + int(binary.BigEndian.Uint32(p))
		if end > len(p) {
			return nil, false
		}
		value := opHeaderSize + int(p[7])
		name := p[opHeaderSize:]
		if p[6]&opHasLUT != 0 {
			value += opLUTSize
		}
		if value > end {
			return nil, false
		}
		m.Ops = append(m.Ops, record.Op{
			Code:  record.OpCode(p[4]),
			Type:  record.Type(p[5]),
			Name:  name[:p[7]:p[7]],
			Value: p[value:end:end],
		})
		p = p[end:]
	}
	return p, true
}

// AppendMessage appends the whole Data message that m stands for, header
// included: the request side, for clients and tests. Fields go in the order
// of their types.
func AppendMessage(dst []byte, m *Message) []byte {
	start := len(dst)
	dst = AppendHeader(dst, Data, 0)
	dst = append(dst, MessageHeaderSize, m.Info1, m.Info2, m.Info3, m.Info4, 0)
	dst = binary.BigEndian.AppendUint32(dst, m.Generation)
	dst = binary.BigEndian.AppendUint32(dst, m.TTL)
	dst = binary.BigEndian.AppendUint32(dst, m.TransactionTTL)
	counts := len(dst)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.Ops)))
	fields := 0
	for f := range Field(nFields) {
		if m.Has(f) {
			fields++
			dst = binary.BigEndian.AppendUint32(dst, uint32(1+len(m.fields[f])))
			dst = append(append(dst, byte(f)), m.fields[f]...)
		}
	}
	binary.BigEndian.PutUint16(dst[counts:], uint16(fields))
	for i := range m.Ops {
		op := &m.Ops[i]
		dst = appendOpHeader(dst, op.Code, op.Type, op.Name, len(op.Value))
		dst = append(dst, op.Value...)
	}
	PutHeader(dst[start:], Data, len(dst)-start-HeaderSize)
	return dst
}

// appendOpHeader appends everything of an operation but its value, which has
// size bytes.
func appendOpHeader(dst []byte, code record.OpCode, typ record.Type, name []byte, size int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(opHeaderSize-opSizeLess+len(name)+size))
	dst = append(dst, byte(code), byte(typ), 0, byte(len(name)))
	return append(dst, name...)
}
