package record

// Type is a particle type: the kind of a bin's value.
type Type uint8

// Particle types.
const (
	Null       Type = 0
	Integer    Type = 1
	Float      Type = 2
	String     Type = 3
	Blob       Type = 4
	JavaBlob   Type = 7
	CSharpBlob Type = 8
	PythonBlob Type = 9
	RubyBlob   Type = 10
	PHPBlob    Type = 11
	ErlangBlob Type = 12
	Vector     Type = 16
	Bool       Type = 17
	HLL        Type = 18
	Map        Type = 19
	List       Type = 20
	GeoJSON    Type = 23
)

// OpCode is the code of one operation of a request.
type OpCode uint8

// Operation codes.
const (
	OpRead       OpCode = 1
	OpWrite      OpCode = 2
	OpCDTRead    OpCode = 3
	OpCDTModify  OpCode = 4
	OpIncr       OpCode = 5
	OpExpRead    OpCode = 7
	OpExpModify  OpCode = 8
	OpAppend     OpCode = 9
	OpPrepend    OpCode = 10
	OpTouch      OpCode = 11
	OpBitsRead   OpCode = 12
	OpBitsModify OpCode = 13
	OpDeleteAll  OpCode = 14
	OpHLLRead    OpCode = 15
	OpHLLModify  OpCode = 16
)

// Op is one operation of a request, as it came over the wire. Name and Value
// are views of the request's message.
type Op struct {
	Code  OpCode
	Type  Type
	Name  []byte
	Value []byte // in wire form: big endian numbers, msgpack lists and maps
}

// Limits of a request and a record.
const (
	MaxOps     = 32768 // operations of a message
	MaxBins    = 32767 // bins of a record
	MaxBinName = 15    // bytes
	MaxSetName = 63    // bytes
	MaxSets    = 4095  // sets of a namespace
)

// Value is a bin's value. Integer, Float and Bool stand in Num (float as its
// IEEE 754 bits); all other types in Bytes, in the form that is the same on
// the wire and in the flat record (a view, see Bin).
type Value struct {
	Type  Type
	Num   uint64
	Bytes []byte
}

// Bin is one named value of an answer. Name and Value.Bytes are views that
// are valid until the Done that delivers them returns.
type Bin struct {
	Code  OpCode // the operation that it answers
	Name  []byte
	Value Value
}

// Bits of a request's first info byte.
const (
	Info1Read        = 0x01 // contains a read
	Info1GetAll      = 0x02 // all bins
	Info1ShortQuery  = 0x04
	Info1Batch       = 0x08
	Info1XDR         = 0x10 // write comes from XDR
	Info1NoBins      = 0x20 // metadata only
	Info1ReadAll     = 0x40 // duplicate-resolve before a read
	Info1CompressRsp = 0x80
)

// Bits of the second info byte.
const (
	Info2Write         = 0x01
	Info2Delete        = 0x02
	Info2Generation    = 0x04 // generation must be equal
	Info2GenerationGT  = 0x08 // message generation must be greater
	Info2DurableDelete = 0x10
	Info2CreateOnly    = 0x20
	Info2RelaxAP       = 0x40
	Info2RespondAll    = 0x80 // one result per operation, in order
)

// Bits of the third info byte.
const (
	Info3Last            = 0x01
	Info3CommitMaster    = 0x02
	Info3PartitionDone   = 0x04
	Info3UpdateOnly      = 0x08
	Info3CreateOrReplace = 0x10
	Info3ReplaceOnly     = 0x20
	Info3SCReadType      = 0x40
	Info3SCReadRelax     = 0x80
)

// Bits of the fourth info byte.
const (
	Info4VerifyRead    = 0x01
	Info4RollForward   = 0x02
	Info4RollBack      = 0x04
	Info4OnLockingOnly = 0x10
)

// Special values of a write's TTL.
const (
	TTLDefault  uint32 = 0          // the set's or namespace's default
	TTLNever    uint32 = 0xFFFFFFFF // never expire
	TTLDontMove uint32 = 0xFFFFFFFE // keep the record's void-time
	TTLMax      uint32 = 315360000  // ten years, in seconds
)

// EpochUnix is second 0 of void-times and last-update-times, 2010-01-01
// 00:00:00 UTC, in Unix seconds.
const EpochUnix = 1262304000

// Time is a moment in milliseconds since EpochUnix; 40 bits of it are stored.
type Time uint64

// Seconds returns the time in whole seconds since EpochUnix, as void-times
// are counted.
func (t Time) Seconds() uint32 { return uint32(t / 1000) }
