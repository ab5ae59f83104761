// Package particle knows the values of bins: what a client may write, how it
// is stored, how it goes back, and the operations on values that are not
// containers.
//
//	wire value ──▶ Store ──▶ record.Value (validated, normalised) ──▶ engine ──▶ flat record
//	record.Value ──▶ Wire ──▶ record.Value whose bytes can go into a reply
//	old value + operand ──▶ Incr, Append, Prepend, BitsModify, HLLModify ──▶ new value
//	value + argument ──▶ BitsRead, HLLRead ──▶ result
//
// # Stored form
//
// A record.Value holds Integer, Float and Bool in Num (an integer in two's
// complement, a float as its IEEE 754 bits, a bool as 0 or 1) with nil Bytes;
// all others hold their stored bytes in Bytes:
//
//	String, Blob family, Vector   the wire bytes
//	HLL                           header and registers (hll.go)
//	List, Map                     normalised msgpack (package msgpack), with an
//	                              index behind the order marker when the client
//	                              asked for a persisted one
//	GeoJSON                       flags, cell count, cells, JSON text
//
// Only a List or Map with a persisted index differs on the wire: Wire takes the
// index out. For every other value the stored bytes are the wire bytes, and
// Wire returns it as it is. Whoever answers a client with a bin's value passes
// it through Wire first; results of operations need it no more.
//
// # Memory
//
// Functions that may need room take a buffer dst, append to it and return it
// as out. A returned Value's Bytes are a view of the wire argument, of the old
// value, or of out; they stay valid as long as whichever of those it is. So a
// request that runs several operations passes one buffer through all of them
// (views into an earlier, outgrown array stay good) and truncates it only
// when it is done. Scalars never touch dst. Nothing here keeps a reference.
//
// # Errors
//
// The outcome is a record.Result, equal to the protocol's result code. When it
// is not record.OK the returned Value is the zero Value and the old value
// stands: no function modifies its inputs. No input, however malformed or
// deeply nested, panics or recurses.
//
// The package does not know records, bins or requests: an absent bin is
// exists == false. It holds no state; every function may be called from any
// thread.
package particle
