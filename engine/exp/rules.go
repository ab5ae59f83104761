package exp

import "math"

// rule is what is checked of an operation whose arguments are expressions.
type rule struct {
	least, most int // arguments
	// check returns the type of the result, or false when the types of the
	// arguments do not fit.
	check func(args []*node) (Type, bool)
}

const many = math.MaxInt

// fits reports whether an expression of type t may stand where want is
// expected.
func (t Type) fits(want Type) bool { return t == want || t == Any }

// of demands the given types and gives the result's.
func of(result Type, want ...Type) func([]*node) (Type, bool) {
	return func(args []*node) (Type, bool) {
		for i, a := range args {
			if !a.typ.fits(want[i]) {
				return 0, false
			}
		}
		return result, true
	}
}

// allOf demands one type for all arguments.
func allOf(result, want Type) func([]*node) (Type, bool) {
	return func(args []*node) (Type, bool) {
		for _, a := range args {
			if !a.typ.fits(want) {
				return 0, false
			}
		}
		return result, true
	}
}

// common returns the one type that all arguments have, Any if all are.
func common(args []*node) (t Type, ok bool) {
	t = Any
	for _, a := range args {
		switch {
		case t == Any:
			t = a.typ
		case !a.typ.fits(t):
			return 0, false
		}
	}
	return t, true
}

// numbers demands all integers or all floats, and gives the same.
func numbers(args []*node) (Type, bool) {
	t, ok := common(args)
	return t, ok && (t == Int || t == Float || t == Any)
}

// compared demands two values of one type that has an order; UNKNOWN is not
// of the type of anything else here.
func compared(args []*node) (Type, bool) {
	t := args[0].typ
	return Bool, t == args[1].typ && t != Geo && t != HLL
}

var rules = map[opcode]rule{
	opUnknown: {0, 0, of(Any)},

	opEQ: {2, 2, compared}, opNE: {2, 2, compared}, opGT: {2, 2, compared},
	opGE: {2, 2, compared}, opLT: {2, 2, compared}, opLE: {2, 2, compared},

	opAnd: {2, many, allOf(Bool, Bool)}, opOr: {2, many, allOf(Bool, Bool)},
	opNot: {1, 1, of(Bool, Bool)}, opExclusive: {2, many, allOf(Bool, Bool)},

	opAdd: {1, many, numbers}, opSub: {1, many, numbers}, opMul: {1, many, numbers},
	opDiv: {1, many, numbers}, opMin: {1, many, numbers}, opMax: {1, many, numbers},
	opAbs: {1, 1, numbers},
	opPow: {2, 2, of(Float, Float, Float)}, opLog: {2, 2, of(Float, Float, Float)},
	opMod:   {2, 2, of(Int, Int, Int)},
	opFloor: {1, 1, of(Float, Float)}, opCeil: {1, 1, of(Float, Float)},
	opToInt: {1, 1, of(Int, Float)}, opToFloat: {1, 1, of(Float, Int)},

	opIntAnd: {1, many, allOf(Int, Int)}, opIntOr: {1, many, allOf(Int, Int)},
	opIntXor: {1, many, allOf(Int, Int)}, opIntNot: {1, 1, of(Int, Int)},
	opLShift: {2, 2, of(Int, Int, Int)}, opRShift: {2, 2, of(Int, Int, Int)},
	opARShift: {2, 2, of(Int, Int, Int)}, opIntCount: {1, 1, of(Int, Int)},
	opLScan: {2, 2, of(Int, Int, Bool)}, opRScan: {2, 2, of(Int, Int, Bool)},

	opDeviceSize: {0, 0, of(Int)}, opLastUpdate: {0, 0, of(Int)}, opSinceUpdate: {0, 0, of(Int)},
	opVoidTime: {0, 0, of(Int)}, opTTL: {0, 0, of(Int)}, opSetName: {0, 0, of(String)},
	opKeyExists: {0, 0, of(Bool)}, opIsTombstone: {0, 0, of(Bool)}, opMemorySize: {0, 0, of(Int)},
	opRecordSize: {0, 0, of(Int)},
}
