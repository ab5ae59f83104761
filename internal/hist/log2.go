package hist

import (
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Unit is what one step of a Log2 counts in.
type Unit uint8

// Units.
const (
	Msec Unit = iota
	Usec
)

// String returns the unit's name in a latencies: answer.
func (u Unit) String() string {
	if u == Usec {
		return "usec"
	}
	return "msec"
}

const (
	// Buckets of a Log2: bucket 0 counts what took less than one unit,
	// bucket b what took 2^(b-1) up to but not 2^b units.
	Buckets = 64
	// Columns of a latencies: answer: the shares of operations that took
	// more than 2^0, 2^1 … 2^16 units.
	Columns = 17
)

// Log2 is a histogram of latencies by powers of two, written by several loops.
type Log2 struct {
	name  string
	unit  atomic.Uint32
	parts []Recorder
	from  func() [Buckets]uint64 // counts kept elsewhere, in place of parts

	mu   sync.Mutex
	last [Buckets]uint64 // totals at the last Tick
	at   time.Time       // of the last Tick
	cut  Slice
	cuts bool // a slice has been cut
}

// Recorder is one loop's part of a Log2. Only that loop records into it.
type Recorder struct {
	owner  *Log2
	_      [56]byte // a loop's counters share no cache line with another's
	counts [Buckets]atomic.Uint64
}

// Slice is what happened in one period between two Ticks.
type Slice struct {
	Unit   Unit
	Period time.Duration
	Count  uint64
	Over   [Columns]uint64 // operations that took 2^k units or more
}

// NewLog2 returns the histogram of that name ("{test}-read") for n loops.
func NewLog2(name string, unit Unit, n int) *Log2 {
	h := &Log2{name: name, parts: make([]Recorder, n)}
	h.unit.Store(uint32(unit))
	for i := range h.parts {
		h.parts[i].owner = h
	}
	return h
}

// NewLog2From returns a histogram of what is counted elsewhere: totals returns
// the counts since the start by bucket and may be called from any goroutine.
func NewLog2From(name string, unit Unit, totals func() [Buckets]uint64) *Log2 {
	h := &Log2{name: name, from: totals}
	h.unit.Store(uint32(unit))
	return h
}

// Name returns the histogram's name.
func (h *Log2) Name() string { return h.name }

// Unit returns what the histogram counts in.
func (h *Log2) Unit() Unit { return Unit(h.unit.Load()) }

// Recorder returns the part of loop i, which counts from 0.
func (h *Log2) Recorder(i int) *Recorder { return &h.parts[i] }

// Record counts one operation that took d. A negative d, which a clock that
// was set back can yield, counts as none.
func (r *Recorder) Record(d time.Duration) {
	if d < 0 {
		d = 0
	}
	n := uint64(d)
	if Unit(r.owner.unit.Load()) == Usec {
		n /= uint64(time.Microsecond)
	} else {
		n /= uint64(time.Millisecond)
	}
	r.counts[bits.Len64(n)].Add(1) // at most 64 - 9: a duration has 63 bits and a unit 10
}

// Reset forgets everything and counts in another unit from now on. What loops
// record meanwhile lands in either unit. Not for a Log2 that counts elsewhere.
func (h *Log2) Reset(unit Unit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unit.Store(uint32(unit))
	for i := range h.parts {
		for b := range Buckets {
			h.parts[i].counts[b].Store(0)
		}
	}
	h.last, h.cuts, h.at = [Buckets]uint64{}, false, time.Time{}
}

// Totals returns the counts of all loops since the start, by bucket.
func (h *Log2) Totals() [Buckets]uint64 {
	if h.from != nil {
		return h.from()
	}
	var sum [Buckets]uint64
	for i := range h.parts {
		for b := range Buckets {
			sum[b] += h.parts[i].counts[b].Load()
		}
	}
	return sum
}

// Active tells whether anything was ever recorded.
func (h *Log2) Active() bool {
	for _, n := range h.Totals() {
		if n != 0 {
			return true
		}
	}
	return false
}

// Tick cuts a slice: what was recorded since the Tick before. A ticker calls
// it every ticker-interval. A histogram nobody has used yet cuts none.
func (h *Log2) Tick(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum := h.Totals()
	var s Slice
	s.Unit = h.Unit()
	for b, n := range sum {
		d := n - h.last[b]
		s.Count += d
		for k := 0; k < min(b, Columns); k++ {
			s.Over[k] += d
		}
	}
	if !h.at.IsZero() && (h.cuts || s.Count > 0) {
		s.Period = now.Sub(h.at)
		h.cut, h.cuts = s, true
	}
	h.last, h.at = sum, now
}

// Last returns the latest slice; false while there is none.
func (h *Log2) Last() (Slice, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut, h.cuts
}

// AppendText appends the histogram as latencies: shows it: name, colon, and
// unless no slice has been cut, unit, operations a second and the percentages
// that took longer than 2^0 … 2^16 units.
func (h *Log2) AppendText(dst []byte) []byte {
	dst = append(dst, h.name...)
	dst = append(dst, ':')
	if s, ok := h.Last(); ok {
		dst = s.AppendText(dst)
	}
	return dst
}

// AppendText appends unit, rate and percentages.
func (s *Slice) AppendText(dst []byte) []byte {
	dst = append(dst, s.Unit.String()...)
	rate := 0.0
	if s.Period > 0 {
		rate = float64(s.Count) / s.Period.Seconds()
	}
	dst = strconv.AppendFloat(append(dst, ','), rate, 'f', 1, 64)
	for _, n := range s.Over {
		share := 0.0
		if s.Count > 0 {
			share = float64(n) * 100 / float64(s.Count)
		}
		dst = strconv.AppendFloat(append(dst, ','), share, 'f', 2, 64)
	}
	return dst
}

// AppendDump appends the totals in the form that log readers know: a title
// line and the columns that are not zero, four to a line.
//
//	histogram dump: {test}-read (123 total) msec
//	 (00: 0000000100) (01: 0000000020) (03: 0000000003)
func (h *Log2) AppendDump(dst []byte) []byte {
	sum := h.Totals()
	total := uint64(0)
	for _, n := range sum {
		total += n
	}
	dst = append(dst, "histogram dump: "...)
	dst = append(dst, h.name...)
	dst = strconv.AppendUint(append(dst, " ("...), total, 10)
	dst = append(append(dst, " total) "...), h.Unit().String()...)
	dst = append(dst, '\n')
	column := 0
	for b, n := range sum {
		if n == 0 {
			continue
		}
		if column > 0 && column%4 == 0 {
			dst = append(dst, '\n')
		}
		dst = appendPadded(append(dst, " ("...), uint64(b), 2)
		dst = appendPadded(append(dst, ": "...), n, 10)
		dst = append(dst, ')')
		column++
	}
	return append(dst, '\n')
}

func appendPadded(dst []byte, n uint64, width int) []byte {
	var b [20]byte
	digits := strconv.AppendUint(b[:0], n, 10)
	for i := len(digits); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}
