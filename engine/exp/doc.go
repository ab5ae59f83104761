// Package exp compiles and evaluates filter expressions.
//
//	packed expression ──▶ CompileFilter ──▶ Program (typed, kept, shared)
//	Program + Record ──▶ Match ──▶ true: the record passes
//
// An expression is one msgpack value: a literal, or an array of an opcode and
// its arguments. Everything that can be wrong with it independently of a
// record is found when it is compiled: opcodes, numbers of arguments, and the
// static types of arguments and results. What remains is evaluated in
// three-valued logic: a bin that is missing or of another type, a division by
// zero and the like make a result unknown, and a record passes only a filter
// that is true.
//
// Supported: literals and quoted lists; the comparisons EQ to LE; AND, OR, NOT,
// EXCLUSIVE; arithmetic, integer bits and conversions (20 to 51); the
// record's metadata (64 to 74), KEY, BIN, BIN_TYPE; COND, LET, VAR.
//
// Not yet supported, and an error when compiled: REGEX (7), GEO (8), IN_LIST
// (9), RESULT_REMOVE (100), MAP_KEYS (101), MAP_VALUES (102), VAR_BUILTIN (122)
// and CALL (127), the operations of lists, maps, bits and HyperLogLogs.
//
// A Program does not change and may be used from any thread. The package knows
// neither requests nor storage.
package exp
