// Package proto reads and writes the client protocol.
//
//	socket bytes ─▶ ParseHeader ─▶ type and body length
//	                   │
//	    Message  ◀─ Decode ◀─ body of a Data message (type 3)
//	    inflated ◀─ Inflater ◀─ body of a Compressed message (type 4)
//	    commands ◀─ NextCommand ◀─ body of an Info message (type 1)
//
//	record.Result, []record.Bin ─▶ AppendReply ─▶ bytes of one whole reply
//
// What Decode yields are views of the bytes it was given: a Message is valid
// as long as the connection's buffer is. Nothing here allocates, except the
// Inflater at its first use and an operation slice that has to grow. Nothing
// here knows a socket, a namespace or a record: package service moves the
// bytes, package txn and the engine give them a meaning.
//
// All numbers are big endian unless a field's comment says otherwise.
package proto
