package proto

import (
	"encoding/binary"

	"github.com/ashlardb/ashlar/engine/record"
)

// ReplySize is the size in bytes of a reply without bins.
const ReplySize = HeaderSize + MessageHeaderSize

// Reply is what a single-record request is answered with.
type Reply struct {
	Result     record.Result
	Generation uint32
	VoidTime   uint32 // seconds since record.EpochUnix, 0 for never
	// Last marks the end of an answer of several messages, which the one to
	// a batch is even when it is refused: without it a client waits for more.
	Last bool
	Bins []record.Bin
}

// Size returns the length in bytes of the whole reply on the wire.
func (r *Reply) Size() int {
	n := ReplySize
	for i := range r.Bins {
		b := &r.Bins[i]
		n += opHeaderSize + len(b.Name) + b.Value.WireSize()
	}
	return n
}

// AppendReply appends the whole reply, header included. A dst with room for
// r.Size() more bytes does not grow.
func AppendReply(dst []byte, r *Reply) []byte {
	start := len(dst)
	var info3 byte
	if r.Last {
		info3 = record.Info3Last
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, MessageHeaderSize, 0, 0, info3, 0, byte(r.Result))
	dst = binary.BigEndian.AppendUint32(dst, r.Generation)
	dst = binary.BigEndian.AppendUint32(dst, r.VoidTime)
	dst = append(dst, 0, 0, 0, 0, 0, 0) // no transaction ttl, no fields
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Bins)))
	for i := range r.Bins {
		b := &r.Bins[i]
		dst = appendOpHeader(dst, b.Code, b.Value.Type, b.Name, b.Value.WireSize())
		dst = b.Value.AppendWire(dst)
	}
	PutHeader(dst[start:], Data, len(dst)-start-HeaderSize)
	return dst
}

// AppendError appends a whole reply that holds a result and nothing else.
func AppendError(dst []byte, result record.Result) []byte {
	return AppendReply(dst, &Reply{Result: result})
}

// Layout of a Security message's body.
const (
	securityBody   = 16
	securityResult = 1 // offset of the result code
)

// SecurityReplySize is the size in bytes of what AppendSecurityError appends.
const SecurityReplySize = HeaderSize + securityBody

// AppendSecurityError appends a whole Security reply that holds a result and
// nothing else: it ends every conversation of that protocol.
func AppendSecurityError(dst []byte, result record.Result) []byte {
	dst = AppendHeader(dst, Security, securityBody)
	var body [securityBody]byte
	body[securityResult] = byte(result)
	return append(dst, body[:]...)
}
