package engine

import (
	"bytes"

	"github.com/ashlardb/ashlar/engine/record"
)

// opScan is what a write's list of operations asks for as a whole.
type opScan struct {
	touch   bool // a TOUCH is among them: the record must exist
	readAll bool
	reads   bool // an operation other than read-all answers with a bin
}

// validBinName reports whether a bin may have this name; the empty one is a
// name like any other.
func validBinName(name []byte) bool {
	return len(name) <= record.MaxBinName && bytes.IndexByte(name, 0) < 0
}

// readsBin reports whether a code is of the read kind.
func readsBin(c record.OpCode) bool {
	switch c {
	case record.OpRead, record.OpCDTRead, record.OpBitsRead, record.OpHLLRead, record.OpExpRead:
		return true
	}
	return false
}

// answers reports whether an operation may answer with a bin.
func answers(c record.OpCode) bool {
	return readsBin(c) || c == record.OpCDTModify || c == record.OpHLLModify
}

// modifies reports whether an operation needs what it changes: such operations
// make no sense where the old bins are dropped first.
func modifies(op *record.Op) bool {
	switch op.Code {
	case record.OpTouch, record.OpIncr, record.OpAppend, record.OpPrepend, record.OpDeleteAll,
		record.OpCDTModify, record.OpBitsModify, record.OpHLLModify:
		return true
	case record.OpWrite:
		return op.Type == record.Null
	}
	return false
}

// isReadAll reports whether op asks for all bins.
func (r *Request) isReadAll(op *record.Op) bool {
	return op.Code == record.OpRead && len(op.Name) == 0 && r.Info1&record.Info1GetAll != 0
}

// scanOps looks the operations of a write over before the record is looked
// up. What can be judged operation by operation is, so that the first bad one
// decides; what concerns the list comes last. Unknown codes are found only
// when their turn comes.
func (r *Request) scanOps() (s opScan, res record.Result) {
	if len(r.Ops) == 0 || len(r.Ops) > record.MaxOps {
		return s, record.Parameter
	}
	replaces := r.replaces()
	needsRead := false
	for i := range r.Ops {
		op := &r.Ops[i]
		if op.Code != record.OpTouch && !validBinName(op.Name) {
			return s, record.BinName // whatever a touch names is ignored
		}
		if replaces && modifies(op) {
			return s, record.Parameter
		}
		if op.Code == record.OpTouch {
			s.touch = true
			continue
		}
		needsRead = needsRead || readsBin(op.Code)
		if r.isReadAll(op) {
			if s.readAll || r.Info2&record.Info2RespondAll != 0 {
				return s, record.Parameter
			}
			s.readAll = true
			continue
		}
		s.reads = s.reads || answers(op.Code)
	}
	if needsRead && r.Info1&record.Info1Read == 0 || s.readAll && s.reads ||
		r.Info1&record.Info1GetAll != 0 && !s.readAll {
		return s, record.Parameter
	}
	return s, record.OK
}
