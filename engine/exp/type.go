package exp

import "github.com/ashlardb/ashlar/engine/record"

// Type is the static type of an expression. The numbers are the protocol's.
type Type uint8

// Types.
const (
	Nil Type = iota
	Bool
	Int
	String
	List
	Map
	Blob
	Float
	Geo
	HLL
	nTypes

	// Any is the type of UNKNOWN, which fits where any type is expected.
	Any Type = 255
)

// particles are the types of the bins that BIN of a type accepts.
var particles = [nTypes]record.Type{
	Nil: record.Null, Bool: record.Bool, Int: record.Integer, String: record.String, List: record.List,
	Map: record.Map, Blob: record.Blob, Float: record.Float, Geo: record.GeoJSON, HLL: record.HLL,
}

// opcode is the first element of an operation.
type opcode int64

// Opcodes.
const (
	opUnknown      opcode = 0
	opEQ           opcode = 1
	opNE           opcode = 2
	opGT           opcode = 3
	opGE           opcode = 4
	opLT           opcode = 5
	opLE           opcode = 6
	opAnd          opcode = 16
	opOr           opcode = 17
	opNot          opcode = 18
	opExclusive    opcode = 19
	opAdd          opcode = 20
	opSub          opcode = 21
	opMul          opcode = 22
	opDiv          opcode = 23
	opPow          opcode = 24
	opLog          opcode = 25
	opMod          opcode = 26
	opAbs          opcode = 27
	opFloor        opcode = 28
	opCeil         opcode = 29
	opToInt        opcode = 30
	opToFloat      opcode = 31
	opIntAnd       opcode = 32
	opIntOr        opcode = 33
	opIntXor       opcode = 34
	opIntNot       opcode = 35
	opLShift       opcode = 36
	opRShift       opcode = 37
	opARShift      opcode = 38
	opIntCount     opcode = 39
	opLScan        opcode = 40
	opRScan        opcode = 41
	opMin          opcode = 50
	opMax          opcode = 51
	opDigestModulo opcode = 64
	opDeviceSize   opcode = 65
	opLastUpdate   opcode = 66
	opSinceUpdate  opcode = 67
	opVoidTime     opcode = 68
	opTTL          opcode = 69
	opSetName      opcode = 70
	opKeyExists    opcode = 71
	opIsTombstone  opcode = 72
	opMemorySize   opcode = 73
	opRecordSize   opcode = 74
	opKey          opcode = 80
	opBin          opcode = 81
	opBinType      opcode = 82
	opCond         opcode = 123
	opVar          opcode = 124
	opLet          opcode = 125
	opQuote        opcode = 126

	opLiteral opcode = -1 // ours: a value that stands for itself
)
