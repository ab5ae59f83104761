package cdt

import "github.com/ashlardb/ashlar/engine/record"

// opSpec describes one operation: what it takes and what it does.
type opSpec struct {
	min, max uint8 // arguments
	isMap    bool
	modify   bool
	creates  bool          // makes the bin, or a container that its context creates
	absent   record.Result // of an operation that does not create, where nothing is
	pick     pickKind
	run      func(w *worker) step // nil for picks: they get or remove
}

// anyArgs as the maximum says that an operation does not look at what it is
// given.
const anyArgs = 255

// listOpEnd is the first operation number of maps.
const listOpEnd = 64

// lookup returns the description of an operation, nil when there is none.
func lookup(op int64) *opSpec {
	if op < 0 || op >= int64(len(specs)) || specs[op].max == 0 && specs[op].run == nil {
		return nil
	}
	return &specs[op]
}

var specs [111]opSpec

func init() {
	list := func(op int, min, max uint8, s opSpec) {
		s.min, s.max = min, max
		specs[op] = s
	}
	pick := func(op, min, max int, k pickKind, isMap, modify bool) {
		specs[op] = opSpec{min: uint8(min), max: uint8(max), isMap: isMap, modify: modify, pick: k}
	}
	list(0, 1, 1, opSpec{modify: true, creates: true, run: (*worker).setType})
	list(1, 1, 3, opSpec{modify: true, creates: true, run: (*worker).listAppend})
	list(2, 1, 3, opSpec{modify: true, creates: true, run: (*worker).listAppendItems})
	list(3, 2, 3, opSpec{modify: true, creates: true, run: (*worker).listInsert})
	list(4, 2, 3, opSpec{modify: true, creates: true, run: (*worker).listInsertItems})
	list(5, 1, 1, opSpec{modify: true, run: (*worker).listPop})
	list(6, 1, 2, opSpec{modify: true, run: (*worker).listPopRange})
	list(7, 1, 1, opSpec{modify: true, run: (*worker).listRemove})
	list(8, 1, 2, opSpec{modify: true, run: (*worker).listRemoveRange})
	list(9, 2, 3, opSpec{modify: true, creates: true, run: (*worker).listSet})
	list(10, 2, 2, opSpec{modify: true, run: (*worker).listTrim})
	list(11, 0, anyArgs, opSpec{modify: true, run: (*worker).clear})
	list(12, 1, 4, opSpec{modify: true, creates: true, run: (*worker).listIncrement})
	list(13, 0, 1, opSpec{modify: true, absent: record.IncompatibleType, run: (*worker).listSort})
	list(16, 0, anyArgs, opSpec{run: (*worker).size})
	list(17, 1, 1, opSpec{run: (*worker).listGet})
	list(18, 1, 2, opSpec{run: (*worker).listGetRange})
	for i, modify := range []bool{false, true} {
		base := []int{19, 32}[i]
		pick(base, 2, 2, byIndex, false, modify)
		pick(base+1, 2, 2, byValue, false, modify)
		pick(base+2, 2, 2, byRank, false, modify)
		pick(base+3, 2, 2, byAllValue, false, modify)
		pick(base+4, 2, 2, byValueList, false, modify)
		pick(base+5, 2, 3, byIndexRange, false, modify)
		pick(base+6, 2, 3, byInterval, false, modify)
		pick(base+7, 2, 3, byRankRange, false, modify)
		pick(base+8, 3, 4, byValueRel, false, modify)
	}
	list(64, 1, 1, opSpec{isMap: true, modify: true, creates: true, run: (*worker).setType})
	list(65, 2, 3, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapAdd})
	list(66, 1, 2, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapAddItems})
	list(67, 2, 4, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapPut})
	list(68, 1, 3, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapPutItems})
	list(69, 2, 2, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapReplace})
	list(70, 1, 1, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapReplaceItems})
	list(73, 1, 3, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapIncrement})
	list(74, 1, 3, opSpec{isMap: true, modify: true, creates: true, run: (*worker).mapDecrement})
	list(75, 0, anyArgs, opSpec{isMap: true, modify: true, run: (*worker).clear})
	list(96, 0, anyArgs, opSpec{isMap: true, run: (*worker).size})
	pick(76, 2, 2, byKey, true, true)
	pick(77, 2, 2, byIndex, true, true)
	pick(78, 2, 2, byValue, true, true)
	pick(79, 2, 2, byRank, true, true)
	pick(81, 2, 2, byKeyList, true, true)
	pick(82, 2, 2, byAllValue, true, true)
	pick(83, 2, 2, byValueList, true, true)
	pick(84, 2, 3, byKeyInterval, true, true)
	pick(85, 2, 3, byIndexRange, true, true)
	pick(86, 2, 3, byInterval, true, true)
	pick(87, 2, 3, byRankRange, true, true)
	pick(88, 3, 4, byKeyRel, true, true)
	pick(89, 3, 4, byValueRel, true, true)
	pick(97, 2, 2, byKey, true, false)
	pick(98, 2, 2, byIndex, true, false)
	pick(99, 2, 2, byValue, true, false)
	pick(100, 2, 2, byRank, true, false)
	pick(102, 2, 2, byAllValue, true, false)
	pick(103, 2, 3, byKeyInterval, true, false)
	pick(104, 2, 3, byIndexRange, true, false)
	pick(105, 2, 3, byInterval, true, false)
	pick(106, 2, 3, byRankRange, true, false)
	pick(107, 2, 2, byKeyList, true, false)
	pick(108, 2, 2, byValueList, true, false)
	pick(109, 3, 4, byKeyRel, true, false)
	pick(110, 3, 4, byValueRel, true, false)
}
