// Package replay sends recorded requests to the real node and compares its
// answers with the original's, byte for byte.
//
//	testbed/vectors/*.jsonl.gz ─▶ sequences ─▶ connections ─▶ testnode
//	                                 │                            │
//	                 expected answers, masks ─▶ compared ◀────────┘
//
// A sequence is a list of requests that build on each other; it runs on one
// connection, in order, on keys of its own. Sequences run side by side. Where
// the original closed the connection, ours must too, and the sequence goes on
// with a new one.
//
// Where our node deliberately answers otherwise, differences.go says so and
// why; every entry there must still be needed.
package replay
