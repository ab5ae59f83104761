// Package record is the vocabulary of the engine: what a record is, what can
// be asked of it and what can be answered.
//
//	request: Digest, Set, Key, []Op ──▶ engine ──▶ Result, []Bin
//	device:  flat form (flat.go)    ◀─▶ bins (Value)
//	index:   Address says where the flat form lies
//
// Numbers equal those of the client protocol (result codes, particle types,
// operation codes, info bits), so that no layer translates. Everything that
// holds bytes holds a view of somebody else's memory (a connection's buffer, a
// write buffer, a transaction's read buffer) and says how long it is valid.
package record
