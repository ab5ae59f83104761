// Package service moves messages between clients' sockets and transactions.
//
//	listener ─▶ acceptor (a goroutine) ─▶ deals sockets round robin
//	                                         │ inbox
//	   ┌──────────── loop (a pinned thread with its own ring) ◀──────────┐
//	   │ Recv ─▶ conn.in ─▶ proto ─▶ txn.Worker ─▶ engine ─▶ device      │
//	   │            │                    │ answer     (same ring)        │
//	   │ Send ◀─ conn.out ◀──────────────┘                               │
//	   │            └──── info, compressed ────▶ pool of goroutines ─────┘ inbox
//	   └──────────────────────────────────────────────────────────────────
//
// A loop is one OS thread: locked, pinned if asked, and the owner of one
// ioring.Queue for its sockets and its device I/O, of one Arena for its
// connections' buffers, of free lists and counters. A connection stays with the
// loop it was dealt to. A request runs to completion there; when it waits for a
// device or for its key, it parks in its connection and the loop goes on. No
// request takes an allocation, a goroutine or a channel.
//
// One request of a connection is on its way at a time. What a client sends
// ahead waits in the connection's buffer, or in the socket once that is full;
// up to maxPipeline messages are answered with one send. The reply and the next
// receive go to the kernel in the same call.
//
// One acceptor deals the sockets because that gives each loop its share even
// of a handful of connections, where SO_REUSEPORT would let a hash decide. It
// costs one inbox message a connection.
//
// Everything a client can make large has a limit: the buffers of a loop's
// connections come from one Arena, a buffer grows only as bytes arrive, and
// when the Arena is used up the connection that wanted more is closed. A client
// that sends half a message, or reads nothing, holds its buffer and nothing
// else.
package service
