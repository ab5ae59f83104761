package record

// Result is the outcome of a request. The numbers are the result codes of the
// client protocol.
type Result uint8

// Results.
const (
	OK                 Result = 0
	Unknown            Result = 1
	NotFound           Result = 2
	GenerationMismatch Result = 3
	Parameter          Result = 4
	Exists             Result = 5
	BinExists          Result = 6
	ClusterKeyMismatch Result = 7
	OutOfSpace         Result = 8
	TimedOut           Result = 9
	Unavailable        Result = 11
	IncompatibleType   Result = 12
	TooBig             Result = 13
	KeyBusy            Result = 14
	QueryAborted       Result = 15
	Unsupported        Result = 16
	BinNotFound        Result = 17
	DeviceOverload     Result = 18
	KeyMismatch        Result = 19
	NamespaceUnknown   Result = 20
	BinName            Result = 21
	Forbidden          Result = 22
	ElementNotFound    Result = 23
	ElementExists      Result = 24
	EnterpriseOnly     Result = 25
	NotApplicable      Result = 26
	FilteredOut        Result = 27
	LostConflict       Result = 28
	SecNotSupported    Result = 51
	SecNotConfigured   Result = 52
	UDFExecution       Result = 100
	BatchDisabled      Result = 150
	BatchMaxRequests   Result = 151
	BatchQueuesFull    Result = 152
	GeoInvalid         Result = 160
)

// Error makes a Result usable as an error outside the hot path.
func (r Result) Error() string { return "result " + r.String() }

// String returns the field's name of the result.
func (r Result) String() string {
	if name, ok := resultNames[r]; ok {
		return name
	}
	return "code " + itoa(uint(r))
}

var resultNames = map[Result]string{
	OK: "ok", Unknown: "unknown", NotFound: "not found", GenerationMismatch: "generation",
	Parameter: "parameter", Exists: "record exists", BinExists: "bin exists",
	ClusterKeyMismatch: "cluster key mismatch", OutOfSpace: "out of space", TimedOut: "timeout",
	Unavailable: "unavailable", IncompatibleType: "incompatible type", TooBig: "record too big",
	KeyBusy: "key busy", QueryAborted: "query abort", Unsupported: "unsupported feature",
	BinNotFound: "bin not found", DeviceOverload: "device overload", KeyMismatch: "key mismatch",
	NamespaceUnknown: "namespace", BinName: "bin name", Forbidden: "forbidden",
	ElementNotFound: "element not found", ElementExists: "element exists",
	EnterpriseOnly: "enterprise only", NotApplicable: "op not applicable",
	FilteredOut: "filtered out", LostConflict: "lost conflict",
	SecNotSupported: "security not supported", SecNotConfigured: "security not configured",
	UDFExecution: "udf execution", BatchDisabled: "batch disabled",
	BatchMaxRequests: "batch max requests", BatchQueuesFull: "batch queues full",
	GeoInvalid: "invalid geojson",
}

func itoa(n uint) string {
	var b [3]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
