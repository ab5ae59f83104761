package cdt

import (
	"math"

	"github.com/ashlardb/ashlar/engine/msgpack"
)

// sum returns the msgpack of old plus argument i (1 when it was left out or nil), or
// minus it. A missing old counts as 0 of the argument's type; an integer takes
// the argument cut to an integer. It reports false when either is no number.
func (w *worker) sum(old []byte, i int, negate bool) ([]byte, bool) {
	delta := msgpack.Item{Kind: msgpack.Positive, Num: 1}
	if w.call.has(i) && msgpack.Next(w.call.args[i]).Kind != msgpack.Nil {
		delta = msgpack.Next(w.call.args[i])
	}
	base := delta
	base.Num = 0
	if old != nil {
		base = msgpack.Next(old)
	}
	start := len(w.tmp)
	switch {
	case base.IsInt() && (delta.IsInt() || delta.Kind == msgpack.Double):
		d := int64(delta.Num)
		if delta.Kind == msgpack.Double {
			d = truncated(delta.Float())
		}
		if negate {
			d = -d
		}
		w.tmp = msgpack.AppendInt(w.tmp, int64(base.Num)+d)
	case base.Kind == msgpack.Double && (delta.IsInt() || delta.Kind == msgpack.Double):
		d := delta.Float()
		switch {
		case delta.IsInt() && negate:
			d = float64(-int64(delta.Num)) // -2^63 stays what it is
		case delta.IsInt():
			d = float64(int64(delta.Num))
		case negate:
			d = -d
		}
		w.tmp = msgpack.AppendDouble(w.tmp, base.Float()+d)
	default:
		return nil, false
	}
	return w.tmp[start:len(w.tmp):len(w.tmp)], true
}

// truncated cuts a float to an integer. What no integer can hold becomes the
// smallest one, as the processors of the original do it.
func truncated(f float64) int64 {
	if f >= -math.MaxInt64-1 && f < math.MaxInt64 {
		return int64(f)
	}
	return math.MinInt64
}
