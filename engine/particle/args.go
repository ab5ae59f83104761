package particle

import (
	"encoding/binary"

	"github.com/ashlardb/ashlar/engine/msgpack"
)

// maxOpArgs is the largest number of arguments of a bit or sketch operation.
const maxOpArgs = 5

// opArgs is the decoded argument of a bit or sketch operation: [op, args…].
// Bytes behind the array are ignored.
type opArgs struct {
	op   int64
	n    int
	args [maxOpArgs][]byte // msgpack, views of the argument
}

// parseOp splits an argument. It reports false when it is not an array that
// starts with an integer.
func parseOp(p []byte) (a opArgs, rest []byte, ok bool) {
	n, rest, ok := listHead(p)
	if !ok || n == 0 {
		return a, nil, false
	}
	it := msgpack.Next(rest)
	if !it.IsInt() {
		return a, nil, false
	}
	a.op, a.n = int64(it.Num), n-1
	return a, rest[it.Head:], true
}

// split separates the arguments if their number is within bounds.
func (a *opArgs) split(rest []byte, least, most int) bool {
	if a.n < least || a.n > most {
		return false
	}
	for i := range a.n {
		size := msgpack.Skip(rest)
		if size == 0 {
			return false
		}
		a.args[i], rest = rest[:size], rest[size:]
	}
	return true
}

// listHead steps into a list; the elements need not be there.
func listHead(p []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(p) == 0:
	case p[0]&0xf0 == 0x90:
		return int(p[0] & 0x0f), p[1:], true
	case p[0] == 0xdc && len(p) >= 3:
		return int(binary.BigEndian.Uint16(p[1:])), p[3:], true
	case p[0] == 0xdd && len(p) >= 5:
		return int(binary.BigEndian.Uint32(p[1:])), p[5:], true
	}
	return 0, nil, false
}

// int returns argument i as an integer, 0 when it was left out.
func (a *opArgs) int(i int) (int64, bool) {
	if i >= a.n {
		return 0, true
	}
	it := msgpack.Next(a.args[i])
	return int64(it.Num), it.IsInt()
}

// raw returns the content of argument i without its prefix byte.
func (a *opArgs) raw(i int) ([]byte, bool) {
	if i >= a.n {
		return nil, false
	}
	return rawContent(a.args[i])
}

// rawContent returns the content of a raw value without its prefix byte.
func rawContent(p []byte) ([]byte, bool) {
	it := msgpack.Next(p)
	if !it.IsRaw() || it.Len == 0 {
		return nil, false
	}
	return p[int(it.Head)+1 : int(it.Head)+int(it.Len)], true
}

// Policy flags of bit and sketch operations.
const (
	createOnly = 1
	updateOnly = 2
	noFail     = 4
	partial    = 8 // bits
	allowFold  = 8 // sketches
)
