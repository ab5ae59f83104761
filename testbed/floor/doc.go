// Package floor measures a node against the least that a server in plain Go
// has to do: a goroutine for each connection that reads the same header and
// writes an answer of the same size, with or without one pread of 4 KiB for
// each request.
//
//	benchmark ─▶ responder │ node   (one after the other: A B A B …, on CPU 0)
//	                 ▲
//	              driver            (a process of its own, on CPU 1)
//
// The package holds tests only.
package floor
