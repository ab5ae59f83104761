// Package txn runs one transaction: it says which namespace a request is
// for, whether it may start, and in which order writes of one key take effect.
//
//	proto.Message ─▶ Worker.Start ─▶ namespace, deadline, digest, path
//	                     │
//	        read ────────┤────────▶ engine.Worker.Read ──┐
//	        write ─▶ table: whose turn? ─▶ engine.Worker.Write
//	                     │   not ours: wait              │
//	                     │                               ▼
//	   next of the key ◀─┴── table: turn over ◀──── Request.Answer
//	   (by Inbox, if it belongs to another loop)
//
// Each service loop has one Worker; a request starts and is answered on the
// loop that received it. What the loops share is a Shared: the namespaces and
// the table of keys that are being written, striped so that two loops meet on
// a lock only when they hash to the same stripe, and never over I/O.
//
// Writes and deletes of one key run one at a time, first come, first served,
// across all loops. Reads do not queue: the engine gives them the record as it
// was before or after a write. A request that waited too long is answered
// TimedOut when its turn comes.
//
// Nothing here knows a socket. The time is what the loop's clock says.
package txn
