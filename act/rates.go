package act

import (
	"fmt"
	"math/bits"
	"time"
)

// Rate is operations a second as an exact fraction. The zero Rate is none.
type Rate struct{ Num, Den uint64 }

// ratio returns num/den in lowest terms.
func ratio(num, den uint64) Rate {
	if num == 0 || den == 0 {
		return Rate{}
	}
	a, b := num, den
	for b != 0 {
		a, b = b, a%b
	}
	return Rate{num / a, den / a}
}

// perSecond returns n operations a second.
func perSecond(n uint64) Rate { return ratio(n, 1) }

// Zero reports whether the rate is none.
func (r Rate) Zero() bool { return r.Num == 0 }

// Float returns operations a second.
func (r Rate) Float() float64 {
	if r.Zero() {
		return 0
	}
	return float64(r.Num) / float64(r.Den)
}

// Over returns the rate divided by n.
func (r Rate) Over(n int) Rate { return ratio(r.Num, r.Den*uint64(n)) }

// String returns the rate with two decimals.
func (r Rate) String() string { return fmt.Sprintf("%.2f", r.Float()) }

// period returns the nanoseconds between operations: the whole part and the
// rest as a fraction of Num.
func (r Rate) period() (whole time.Duration, rest uint64) {
	hi, lo := bits.Mul64(r.Den, uint64(time.Second))
	q, rem := bits.Div64(hi, lo, r.Num)
	return time.Duration(q), rem
}

// Rates are what a Config asks of all devices together, per second.
type Rates struct {
	Stored, StoredMax int // bytes of a record on the device, multiples of 16
	ReadsInternal     uint64
	WritesInternal    uint64

	Reads       Rate // records, or index elements looked up and moved
	Writes      Rate // records with commit-to-device, or index elements
	LargeReads  Rate
	LargeWrites Rate

	ServiceReads, CacheReads uint64 // index: what Reads is made of
}

// storedGrain is the unit of a record's size on a device.
const storedGrain = 16

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// Rates derives what the devices are asked for.
func (c *Config) Rates() Rates {
	if c.Model == Index {
		return c.indexRates()
	}
	r := Rates{Stored: roundUp(c.RecordBytes, storedGrain)}
	r.StoredMax = r.Stored
	if c.RecordBytesMax > 0 {
		r.StoredMax = roundUp(c.RecordBytesMax, storedGrain)
	}
	w := uint64(c.WriteRate)
	r.ReadsInternal = uint64(c.ReadRate) + w*uint64(c.UpdatePct)/100
	r.WritesInternal = w * uint64(c.ReplicationFactor)
	r.Reads = perSecond(r.ReadsInternal)
	if c.CommitToDevice {
		r.Writes = perSecond(r.WritesInternal)
	}
	// Blocks that fill up: writes / records per block, and with the space that
	// defrag finds in them again, 100 / (100 - lwm) times as many.
	average := uint64(r.Stored+r.StoredMax) / 2
	num, den := r.WritesInternal, uint64(c.LargeBlock)/average
	if c.ExactBlocks {
		num, den = r.WritesInternal*(uint64(r.Stored+r.StoredMax)/storedGrain), 2*uint64(c.LargeBlock)/storedGrain
	}
	full := uint64(100 - c.DefragLWM)
	amplified := ratio(num*100, den*full)
	if !c.NoDefragReads {
		r.LargeReads = amplified
	}
	r.LargeWrites = amplified
	if c.CommitToDevice { // the records themselves are written one by one
		r.LargeWrites = ratio(num*uint64(c.DefragLWM), den*full)
	}
	return r
}

func (c *Config) indexRates() Rates {
	writes := uint64(c.WriteRate) * uint64(c.ReplicationFactor)
	moved := writes * 100 / uint64(100-c.DefragLWM)
	r := Rates{Stored: indexPage, StoredMax: indexPage, WritesInternal: writes}
	r.ServiceReads, r.CacheReads = uint64(c.ReadRate)+writes, moved
	r.ReadsInternal = r.ServiceReads + r.CacheReads
	r.Reads, r.Writes = perSecond(r.ReadsInternal), perSecond(moved)
	return r
}

// indexPage is the unit of I/O of an index on flash.
const indexPage = 4096

// WrittenPerDay returns the bytes that all devices together are written in a
// day.
func (c *Config) WrittenPerDay() float64 {
	r := c.Rates()
	size := float64(r.Stored+r.StoredMax) / 2
	return 86400 * (r.Writes.Float()*size + r.LargeWrites.Float()*float64(c.LargeBlock))
}
