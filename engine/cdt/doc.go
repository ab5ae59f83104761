// Package cdt operates on lists and maps.
//
//	bin's value + argument ──▶ Read ──▶ result
//	bin's value + argument ──▶ Modify ──▶ new value, result
//
// The argument is the operation's msgpack as it came over the wire:
//
//	[op, args…]                        on the bin itself
//	[0xff, [context…], [op, args…]]    on an element inside
//	[0xfe, [context…], flags, …]       select or change by path
//
// Inside, an operation goes three ways: the argument is decoded to a call
// (call.go), the context is followed down the stored bytes to the container
// that is meant (context.go), and the operation picks elements of that
// container (pick.go) and reports or replaces them (list*.go, map*.go). What
// changed is spliced back into the bytes of the containers around it.
//
// Everything works on the flat stored form of package msgpack. An operation
// decodes the elements that it has to pass, compare or return, and no others;
// with a persisted index it finds an element of a list, or a key of a map,
// without passing any. Values and results are appended to the caller's buffer
// as in package particle; nothing is kept between calls, inputs are never
// changed, and no input can panic or recurse.
package cdt
