package hash

import (
	"encoding/binary"
	"hash"
)

// stream is RIPEMD-160 of a message that comes in pieces.
// Invariant between calls: n < BlockSize.
type stream struct {
	h     [5]uint32
	buf   [BlockSize]byte // the start of the next block
	n     int             // bytes of buf in use
	total uint64          // bytes of the message so far
}

// New returns a streaming RIPEMD-160. It is not safe for concurrent use.
func New() hash.Hash {
	s := new(stream)
	s.Reset()
	return s
}

// Reset starts a new message.
func (s *stream) Reset() { *s = stream{h: iv} }

// Size returns the size of a digest in bytes.
func (s *stream) Size() int { return Size }

// BlockSize returns the unit in which the message is taken.
func (s *stream) BlockSize() int { return BlockSize }

// Write adds p to the message. It never fails.
func (s *stream) Write(p []byte) (int, error) {
	s.write(p)
	return len(p), nil
}

// Sum appends the digest of the message so far to b. The message can go on.
func (s *stream) Sum(b []byte) []byte {
	var d Digest
	end := *s
	end.sum(&d)
	return append(b, d[:]...)
}

// filled accounts for n bytes put into buf and takes a block that is full.
func (s *stream) filled(n int) {
	s.n += n
	s.total += uint64(n)
	if s.n == BlockSize {
		block(&s.h, &s.buf)
		s.n = 0
	}
}

func (s *stream) write(p []byte) {
	if s.n > 0 {
		n := copy(s.buf[s.n:], p)
		p = p[n:]
		s.filled(n)
	}
	for len(p) >= BlockSize {
		block(&s.h, (*[BlockSize]byte)(p))
		p = p[BlockSize:]
		s.total += BlockSize
	}
	s.filled(copy(s.buf[s.n:], p))
}

func (s *stream) writeString(p string) {
	for len(p) > 0 {
		n := copy(s.buf[s.n:], p)
		p = p[n:]
		s.filled(n)
	}
}

// sum ends the message and writes its digest.
func (s *stream) sum(dst *Digest) {
	clear(s.buf[s.n:])
	if s.n > maxShort {
		s.buf[s.n] = 0x80
		block(&s.h, &s.buf)
		s.buf = [BlockSize]byte{}
	} else {
		s.buf[s.n] = 0x80
	}
	binary.LittleEndian.PutUint64(s.buf[BlockSize-8:], s.total<<3)
	block(&s.h, &s.buf)
	put(dst, &s.h)
}
