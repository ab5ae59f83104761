// Package msgpack reads, checks, compares and writes the encoding inside
// lists, maps and the arguments of operations: MessagePack with the protocol's
// conventions on top.
//
//	wire bytes ──▶ Normalize ──▶ stored bytes (compact, maps sorted, markers checked)
//	stored bytes ──▶ Next / Skip / Reader ──▶ items, views
//	two values ──▶ Compare ──▶ order across all types
//	items ──▶ AppendInt, AppendRaw, … ──▶ bytes
//
// Conventions (all numbers big endian):
//
//   - The first content byte of a raw value says what it is: 3 string,
//     23 GeoJSON, anything else bytes. An empty raw is bytes.
//   - A list or map whose first element (key) is an ext value carries its
//     order in the ext's type byte: the order marker. In stored form it is
//     c7 00 flags, or with a persisted index the same ext with the index as
//     content (index.go).
//   - d4 ff 00 is the wildcard, d4 ff 01 infinity; they occur in arguments
//     only and cannot be stored.
//
// Everything works on flat bytes with constant extra memory: a value of a
// million nested lists is skipped and compared without recursion. Functions on
// the read path do not allocate.
package msgpack
