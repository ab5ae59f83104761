// Package loadtest runs the load generator of the real binary against a real
// node, and holds what it reports to what the node counted.
//
//	ashlar node ◀── ashlar bench ──▶ JSON
//	     └── statistics ──▶ the same numbers
//
// It has tests only.
package loadtest
