package proto

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Type is the type of a whole message.
type Type uint8

// Message types.
const (
	Info       Type = 1 // text commands
	Security   Type = 2 // login and users
	Data       Type = 3 // single records, batches, scans, queries
	Compressed Type = 4 // a Data message in zlib
	XDR        Type = 5 // between clusters; not for clients
)

const (
	// Version is the protocol version of every message, in both directions.
	Version = 2
	// HeaderSize is the size of the header in front of every message, in bytes.
	HeaderSize = 8
	// MaxBody is the largest body of a message, in bytes, as the original has it.
	MaxBody = 128 << 20
)

// Errors of ParseHeader. After any of them the stream cannot be read on: the
// connection is closed without a reply.
var (
	ErrVersion = errors.New("unknown protocol version")
	ErrType    = errors.New("unknown message type")
	ErrTooLong = errors.New("message body too long")
)

// Header is the start of a message.
//
//	byte 0     version
//	byte 1     type
//	bytes 2-7  body length
type Header struct {
	Type Type
	Body int // length of the body in bytes, 0 to MaxBody
}

// ParseHeader reads the first HeaderSize bytes of b, which holds at least as
// many. Version 0 is accepted for Security messages, as old clients send it.
func ParseHeader(b []byte) (Header, error) {
	word := binary.BigEndian.Uint64(b)
	version, typ, length := byte(word>>56), Type(word>>48), word&(1<<48-1)
	if version != Version && (version != 0 || typ != Security) {
		return Header{}, ErrVersion
	}
	if typ < Info || typ > XDR {
		return Header{}, ErrType
	}
	if length > MaxBody {
		return Header{}, ErrTooLong
	}
	return Header{Type: typ, Body: int(length)}, nil
}

// DescribeHeader says in words what ParseHeader refused, for a log line.
func DescribeHeader(b []byte, err error) error {
	return fmt.Errorf("proto: version %d type %d length %d: %w (want version %d, type 1 to 5, length at most %d)",
		b[0], b[1], binary.BigEndian.Uint64(b)&(1<<48-1), err, Version, MaxBody)
}

// AppendHeader appends a header for a body of the given length.
func AppendHeader(dst []byte, typ Type, body int) []byte {
	return binary.BigEndian.AppendUint64(dst, headerWord(typ, body))
}

// PutHeader writes a header into the first HeaderSize bytes of b: for replies
// whose length is known only when they are complete.
func PutHeader(b []byte, typ Type, body int) {
	binary.BigEndian.PutUint64(b, headerWord(typ, body))
}

func headerWord(typ Type, body int) uint64 {
	return Version<<56 | uint64(typ)<<48 | uint64(body)
}
