package replay

import "bytes"

// difference is a kind of request that our node deliberately answers
// otherwise than the original.
type difference struct {
	reason string

	// unsent requests were refused by the original without effect, and ours
	// does them. They are left out of the sequence, so that every other
	// answer of it must still be the original's; what ours does with them is
	// tested by name in deliberate_test.go.
	unsent func(s *step) bool

	// instead tells whether our answer to a request is the one it must be.
	instead func(s *step, got []byte) bool
}

// differences lists them all.
var differences = []difference{
	{reason: "durable deletes are for everyone: a delete always survives a restart", unsent: refusedDurable},
	{reason: "compressed requests are for everyone", unsent: func(s *step) bool {
		return messageType(s.Req) == typeCompressed && resultOf(s.Resp) == enterpriseOnly
	}},
	{
		reason: "a login on a node without security answers 52, not enabled, which clients take for a yes; 51 makes them fail",
		instead: func(s *step, got []byte) bool {
			const resultAt = headerSize + 1 // of a security message
			if messageType(s.Req) != typeSecurity || len(s.Resp) <= resultAt || s.Resp[resultAt] != 51 {
				return false
			}
			want := bytes.Clone(s.Resp)
			want[resultAt] = 52
			return bytes.Equal(got, want)
		},
	},
}

// Numbers of the protocol.
const (
	typeSecurity   = 2
	typeMessage    = 3
	typeCompressed = 4

	info2At       = headerSize + 2 // within a data message
	resultAt      = headerSize + 5
	durableDelete = 0x10

	enterpriseOnly = 25
)

func messageType(m []byte) byte {
	if len(m) < headerSize {
		return 0
	}
	return m[1]
}

// resultOf returns the result code of a data answer, 0 if it is none.
func resultOf(m []byte) byte {
	if messageType(m) != typeMessage || len(m) <= resultAt {
		return 0
	}
	return m[resultAt]
}

// refusedDurable is a request with the durable-delete bit that the original
// keeps for its paid edition.
func refusedDurable(s *step) bool {
	return messageType(s.Req) == typeMessage && len(s.Req) > info2At && s.Req[info2At]&durableDelete != 0 &&
		resultOf(s.Resp) == enterpriseOnly
}

// omitted returns the difference that keeps a request from being sent, or nil.
func omitted(s *step) *difference {
	for i := range differences {
		if d := &differences[i]; d.unsent != nil && d.unsent(s) {
			return d
		}
	}
	return nil
}

// deliberate returns the difference that allows the answer, or nil.
func deliberate(s *step, got []byte) *difference {
	for i := range differences {
		if d := &differences[i]; d.instead != nil && d.instead(s, got) {
			return d
		}
	}
	return nil
}
