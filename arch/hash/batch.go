package hash

// lanesMax is how many keys the widest kernel takes at once.
const lanesMax = 32

// KeyHasher digests many keys of one set and key type. It holds the prefix of
// the message and about five KiB of scratch, and is not safe for concurrent
// use. The zero value hashes with an empty set and key type 0; Reset before
// use.
type KeyHasher struct {
	prefix    [BlockSize]byte // set name and key type, zeros after them
	prefixLen int             // 1 to 64
	long      *stream         // state behind a prefix longer than a set's name can be

	rows  [16][2 * BlockSize]byte // padded messages, one row a lane
	words [2][16 * 16]uint32      // words of one block by group of lanes: word-major, one column a lane
	state [2][5 * 16]uint32       // states by group, laid out likewise
	out   [lanesMax]Digest
}

// NewKeyHasher returns a KeyHasher for the keys of a set and type.
func NewKeyHasher(set string, keyType byte) *KeyHasher {
	h := new(KeyHasher)
	h.Reset(set, keyType)
	return h
}

// Reset makes h hash keys of another set and type.
func (h *KeyHasher) Reset(set string, keyType byte) {
	h.prefix, h.long = [BlockSize]byte{}, nil
	h.prefixLen = len(set) + 1
	if h.prefixLen > BlockSize { // no set has such a name; still hashed right
		h.long = &stream{h: iv}
		h.long.writeString(set)
		h.long.write([]byte{keyType})
		return
	}
	copy(h.prefix[:], set)
	h.prefix[len(set)] = keyType
}

// Sum writes the digest of one key.
func (h *KeyHasher) Sum(dst *Digest, key []byte) {
	n := h.prefixLen + len(key)
	if n <= maxShort {
		p := h.prefix
		copy(p[h.prefixLen:], key)
		pad(p[:], n, uint64(n))
		st := iv
		block(&st, &p)
		put(dst, &st)
		return
	}
	var s stream
	if h.long != nil {
		s = *h.long
	} else {
		s.h = iv
		s.write(h.prefix[:h.prefixLen])
	}
	s.write(key)
	s.sum(dst)
}

// SumBatch writes the digests of keys, which may differ in length, to dst,
// which must be as long. dst may share memory with the keys only if no digest
// overwrites a key of a later index.
func (h *KeyHasher) SumBatch(dst []Digest, keys [][]byte) {
	dst = dst[:len(keys)]
	for len(keys) > 0 {
		n := min(len(keys), lanesMax)
		h.sumGroup(dst[:n], keys[:n])
		dst, keys = dst[n:], keys[n:]
	}
}

// SumFixed writes the digests of len(dst) keys of stride bytes each that lie
// behind one another in keys.
func (h *KeyHasher) SumFixed(dst []Digest, keys []byte, stride int) {
	keys = keys[:len(dst)*stride]
	var group [lanesMax][]byte
	for len(dst) > 0 {
		n := min(len(dst), lanesMax)
		for i := range n {
			group[i] = keys[i*stride : (i+1)*stride]
		}
		h.sumGroup(dst[:n], group[:n])
		dst, keys = dst[n:], keys[n*stride:]
	}
}

// sumGroup digests up to lanesMax keys: those of one and of two blocks in
// lanes, longer ones one by one.
func (h *KeyHasher) sumGroup(dst []Digest, keys [][]byte) {
	if h.long == nil && useLanes() && h.allShort(keys) {
		h.sumLanes(dst, keys, 1)
		return
	}
	var (
		classes [2][lanesMax][]byte // keys of one and of two blocks
		index   [2][lanesMax]uint8
		n       [2]int
	)
	for i, key := range keys {
		class := 2
		switch length := h.prefixLen + len(key); {
		case h.long != nil || !useLanes():
		case length <= maxShort:
			class = 0
		case length <= maxTwo:
			class = 1
		}
		if class == 2 {
			h.Sum(&dst[i], key)
			continue
		}
		classes[class][n[class]], index[class][n[class]] = key, uint8(i)
		n[class]++
	}
	for class := range n {
		out := h.out[:n[class]]
		h.sumLanes(out, classes[class][:n[class]], class+1)
		for i := range out {
			dst[index[class][i]] = out[i]
		}
	}
}

// allShort reports whether every key fits in one block.
func (h *KeyHasher) allShort(keys [][]byte) bool {
	for _, key := range keys {
		if h.prefixLen+len(key) > maxShort {
			return false
		}
	}
	return true
}

// sumScalar digests keys one by one.
func (h *KeyHasher) sumScalar(dst []Digest, keys [][]byte) {
	for i, key := range keys {
		h.Sum(&dst[i], key)
	}
}
