package bench

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/ashlardb/ashlar/arch/hash"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/valyala/fastrand"
)

// rng is a loop's source of randomness: 64 bits at a time from the 32 of
// fastrand.
type rng struct{ fastrand.RNG }

// newRNG returns a source for a seed. Seeds that differ in one bit give
// streams that have nothing in common: the seed is mixed first (the finalizer
// of SplitMix64).
func newRNG(seed uint64) *rng {
	z := seed + 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	r := new(rng)
	r.Seed(max(uint32(z>>32), 1)) // 0 would stay 0
	return r
}

func (r *rng) Uint64() uint64 { return uint64(r.Uint32())<<32 | uint64(r.Uint32()) }

// below returns a number from 0 to n-1, n above 0, without noticeable bias.
func (r *rng) below(n uint64) uint64 {
	if n <= math.MaxUint32 {
		return uint64(r.Uint32n(uint32(n)))
	}
	return r.Uint64() % n
}

// float returns a number from 0 to below 1.
func (r *rng) float() float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// A picker chooses which of a number of keys comes next: 0 to n-1.
type picker interface {
	next(r *rng) uint64
}

// uniform picks every key as often as any other.
type uniform struct{ n uint64 }

func (u *uniform) next(r *rng) uint64 { return r.below(u.n) }

// sequential goes through the keys in order, around and around, in steps: of
// several loops each takes its own share.
type sequential struct{ at, step, n uint64 }

func (s *sequential) next(*rng) uint64 {
	k := s.at
	s.at += s.step
	if s.at >= s.n {
		s.at %= s.step
	}
	return k
}

// hotSet picks from the first part of the keys with one probability and from
// the others with the rest.
type hotSet struct {
	n, hot uint64
	share  float64 // of operations that go to the hot keys
}

func (h *hotSet) next(r *rng) uint64 {
	if h.hot >= h.n || r.float() < h.share {
		return r.below(h.hot)
	}
	return h.hot + r.below(h.n-h.hot)
}

// zipfian picks key i with a probability in proportion to 1/(i+1)^theta,
// exactly, by rejection-inversion: Hörmann and Derflinger, "Rejection-inversion
// to generate variates from monotone discrete distributions" (1996). Ranks are
// spread over the key space, so that popular keys are not neighbours, unless
// latest is set: then the last keys are the popular ones.
type zipfian struct {
	n          uint64
	theta      float64
	first, all float64 // the integral up to the first rank and up to all
	s          float64 // within this distance below a rank nothing is rejected
	latest     bool
}

func newZipfian(n uint64, theta float64, latest bool) *zipfian {
	z := &zipfian{n: n, theta: theta, latest: latest}
	z.first = z.integral(1.5) - 1
	z.all = z.integral(float64(n) + 0.5)
	z.s = 2 - z.inverse(z.integral(2.5)-math.Pow(2, -theta))
	return z
}

// integral returns the integral of x^-theta from 1 to x.
func (z *zipfian) integral(x float64) float64 {
	l := math.Log(x)
	t := (1 - z.theta) * l
	if math.Abs(t) < 1e-8 {
		return l * (1 + t/2)
	}
	return l * math.Expm1(t) / t
}

// inverse returns the x whose integral is v.
func (z *zipfian) inverse(v float64) float64 {
	t := max(v*(1-z.theta), -1)
	if math.Abs(t) < 1e-8 {
		return math.Exp(v * (1 - t/2))
	}
	return math.Exp(v * math.Log1p(t) / t)
}

// rank returns 0 for the most popular, up to n-1.
func (z *zipfian) rank(r *rng) uint64 {
	for {
		u := z.all + r.float()*(z.first-z.all)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), float64(z.n))
		if k-x <= z.s || u >= z.integral(k+0.5)-math.Pow(k, -z.theta) {
			return uint64(k) - 1
		}
	}
}

func (z *zipfian) next(r *rng) uint64 {
	rank := z.rank(r)
	if z.latest {
		return z.n - 1 - rank
	}
	return scatter(rank, z.n)
}

// scatter maps 0..n-1 onto itself one to one, neighbours apart: cycle walking
// over an invertible mix of the next power of two.
func scatter(k, n uint64) uint64 {
	if n < 4 {
		return k
	}
	size := uint(bits.Len64(n - 1))
	mask := uint64(1)<<size - 1
	for {
		k = k * 0x9E3779B97F4A7C15 & mask
		k ^= k >> (size/2 + 1)
		k = k * 0xD1B54A32D192ED03 & mask
		if k < n {
			return k
		}
	}
}

// newPicker reads a key distribution: uniform, sequential, zipfian[:theta],
// latest[:theta], hot:SHARE:PART (a share of the operations goes to a part of
// the keys, as in hot:0.9:0.1).
func newPicker(text string, n uint64, loop, loops int) (picker, error) {
	name, args, _ := strings.Cut(text, ":")
	bad := func(want string) error {
		return fmt.Errorf("key distribution %q: want %s", text, want)
	}
	switch name {
	case "uniform":
		return &uniform{n}, nil
	case "sequential":
		return &sequential{at: uint64(loop) % n, step: min(uint64(loops), n), n: n}, nil
	case "zipfian", "latest":
		theta := 0.99
		if args != "" {
			var err error
			if theta, err = strconv.ParseFloat(args, 64); err != nil || !(theta > 0 && theta <= 10) {
				return nil, bad(name + ":THETA with THETA above 0 and up to 10")
			}
		}
		return newZipfian(n, theta, name == "latest"), nil
	case "hot":
		share, part, _ := strings.Cut(args, ":")
		s, err1 := strconv.ParseFloat(share, 64)
		p, err2 := strconv.ParseFloat(part, 64)
		if err1 != nil || err2 != nil || s < 0 || s > 1 || p <= 0 || p > 1 {
			return nil, bad("hot:SHARE:PART, both from 0 to 1")
		}
		return &hotSet{n: n, hot: max(uint64(p*float64(n)), 1), share: s}, nil
	}
	return nil, bad("uniform, sequential, zipfian[:THETA], latest[:THETA] or hot:SHARE:PART")
}

// KeyType is the type of the keys that are used.
type KeyType uint8

// Key types.
const (
	IntegerKeys KeyType = iota
	StringKeys
	BlobKeys
)

// particle returns the type byte that goes into the digest and the key field.
func (t KeyType) particle() record.Type {
	return [...]record.Type{record.Integer, record.String, record.Blob}[t]
}

// keyDigits is the number of decimal digits of a string key's number.
const keyDigits = 20

// appendKey appends the value of key number k: eight bytes, big endian, for
// integers and blobs; digits behind a prefix for strings.
func (t KeyType) appendKey(dst []byte, k uint64) []byte {
	if t != StringKeys {
		return binary.BigEndian.AppendUint64(dst, k)
	}
	var digits [keyDigits]byte
	for i := keyDigits - 1; i >= 0; i-- {
		digits[i] = byte('0' + k%10)
		k /= 10
	}
	return append(append(dst, "user"...), digits[:]...)
}

// size returns the length of every key of the type, in bytes.
func (t KeyType) size() int {
	if t == StringKeys {
		return len("user") + keyDigits
	}
	return 8
}

// keyBlock is how many keys are drawn and digested at once.
const keyBlock = 64

// keySource yields keys with their digests, a block at a time.
type keySource struct {
	pick    picker
	first   uint64 // added to what is picked
	typ     KeyType
	hasher  *hash.KeyHasher
	at      int
	keys    []byte // of keyBlock keys, behind one another
	digests [keyBlock]hash.Digest
}

func newKeySource(pick picker, first uint64, set string, typ KeyType) *keySource {
	return &keySource{
		pick: pick, first: first, typ: typ, at: keyBlock,
		hasher: hash.NewKeyHasher(set, byte(typ.particle())),
		keys:   make([]byte, 0, keyBlock*typ.size()),
	}
}

// next returns a key and its digest, valid until keyBlock further calls.
func (s *keySource) next(r *rng) (key []byte, digest *record.Digest) {
	if s.at == keyBlock {
		s.keys = s.keys[:0]
		for range keyBlock {
			s.keys = s.typ.appendKey(s.keys, s.first+s.pick.next(r))
		}
		s.hasher.SumFixed(s.digests[:], s.keys, s.typ.size())
		s.at = 0
	}
	i, size := s.at, s.typ.size()
	s.at++
	return s.keys[i*size : (i+1)*size], (*record.Digest)(&s.digests[i])
}
