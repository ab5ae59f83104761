package act

import (
	"math"
	"math/bits"
)

// rng is a small fast generator (xoshiro256++), one for each stream, so that a
// seed gives the same operations whatever the number of loops.
type rng struct{ s [4]uint64 }

// newRNG returns the generator of a stream. The state comes from splitmix64,
// as xoshiro's authors advise.
func newRNG(seed, stream uint64) *rng {
	x := seed ^ bits.RotateLeft64(stream*0x9e3779b97f4a7c15, 17)
	r := &rng{}
	for i := range r.s {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		r.s[i] = z ^ z>>31
	}
	return r
}

func (r *rng) uint64() uint64 {
	s := &r.s
	out := bits.RotateLeft64(s[0]+s[3], 23) + s[0]
	t := s[1] << 17
	s[2] ^= s[0]
	s[3] ^= s[1]
	s[1] ^= s[2]
	s[0] ^= s[3]
	s[2] ^= t
	s[3] = bits.RotateLeft64(s[3], 45)
	return out
}

// below returns an even draw from 0 to n-1. The bias of the multiplication is
// below 2^-40 for the numbers of blocks that devices have.
func (r *rng) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.uint64(), n)
	return hi
}

// exponential returns an exponentially distributed number with mean 1.
func (r *rng) exponential() float64 {
	return -math.Log(1 - float64(r.uint64()>>11)/(1<<53))
}
