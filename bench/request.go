package bench

import (
	"encoding/binary"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// Positions in a request or reply, from the start of the protocol header.
const (
	resultAt     = proto.HeaderSize + 5
	generationAt = proto.HeaderSize + 6
	fieldsAt     = proto.HeaderSize + proto.MessageHeaderSize
	fieldHead    = 5 // size and type in front of a field's value
)

// request is a whole message with room for one operation's key: a template.
type request struct {
	bytes    []byte
	digestAt int
	keyAt    int // 0: the key does not go along
}

// put writes the request for a key into dst and returns the part in use. dst
// has room.
func (t *request) put(dst []byte, key []byte, digest *record.Digest) []byte {
	out := dst[:copy(dst, t.bytes)]
	copy(out[t.digestAt:], digest[:])
	if t.keyAt > 0 {
		copy(out[t.keyAt:], key)
	}
	return out
}

// variants is how many different values a run writes at the most: requests are
// prepared with their values, and one is picked by chance for each operation.
const (
	variants      = 64
	variantsBytes = 64 << 20 // and no more memory than this a loop, as long as there are two
)

// requests holds what a loop sends for one namespace and set.
type requests struct {
	byKind  [nOpKinds][]request
	rmw     []request // the second half of a read-modify-write
	longest int
}

// newRequests prepares the requests of the kinds in m.
func newRequests(o *Options, namespace, set string, m *mix, v *values) *requests {
	rs := &requests{}
	add := func(list *[]request, msg *proto.Message, ops []record.Op) {
		msg.Ops = ops
		t := o.newRequest(msg, namespace, set)
		rs.longest = max(rs.longest, len(t.bytes))
		*list = append(*list, t)
	}
	for _, kind := range m.kinds {
		msg := o.message(kind)
		switch {
		case kind == opTouch:
			add(&rs.byKind[kind], msg, []record.Op{{Code: record.OpTouch}})
		case !kind.writes():
			add(&rs.byKind[kind], msg, nil)
		default:
			list := &rs.byKind[kind]
			if kind == opRMW {
				add(list, o.message(opRead), nil)
				list = &rs.rmw
			}
			for n := range variants {
				if n >= 2 && n*rs.longest > variantsBytes {
					break
				}
				add(list, msg, v.bins(o.Bin, o.specs))
			}
		}
	}
	return rs
}

// message returns the flags of a kind.
func (o *Options) message(kind opKind) *proto.Message {
	m := &proto.Message{TransactionTTL: uint32(o.Timeout.Milliseconds())}
	switch kind {
	case opRead:
		m.Info1 = record.Info1Read | record.Info1GetAll
	case opExists:
		m.Info1 = record.Info1Read | record.Info1NoBins
	case opDelete:
		m.Info2 = record.Info2Write | record.Info2Delete
	default:
		m.Info2 = record.Info2Write
		m.TTL = o.ttl()
	}
	switch kind {
	case opReplace:
		m.Info3 = record.Info3CreateOrReplace
	case opRMW:
		m.Info2 |= record.Info2Generation
	}
	if o.DurableDelete && m.Info2 != 0 {
		m.Info2 |= record.Info2DurableDelete
	}
	return m
}

// ttl returns the TTL of writes as it goes over the wire.
func (o *Options) ttl() uint32 { return uint32(o.TTL) }

// newRequest adds namespace, set, key and digest and encodes the message.
// Fields go in the order of their types, the digest last.
func (o *Options) newRequest(m *proto.Message, namespace, set string) request {
	m.SetField(proto.Namespace, []byte(namespace))
	at := fieldsAt + fieldHead + len(namespace)
	if set != "" {
		m.SetField(proto.Set, []byte(set))
		at += fieldHead + len(set)
	}
	t := request{}
	if o.SendKey {
		key := append([]byte{byte(o.KeyType.particle())}, make([]byte, o.KeyType.size())...)
		m.SetField(proto.Key, key)
		t.keyAt = at + fieldHead + 1
		at += fieldHead + len(key)
	}
	var none record.Digest
	m.SetField(proto.Digest, none[:])
	t.digestAt = at + fieldHead
	t.bytes = proto.AppendMessage(nil, m)
	return t
}

// setGeneration makes a prepared write expect a generation.
func setGeneration(msg []byte, generation uint32) {
	binary.BigEndian.PutUint32(msg[generationAt:], generation)
}
