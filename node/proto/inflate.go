package proto

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// compressedHeader is the size of the number in front of the zlib stream: how
// long the message is in full, its own header included.
const compressedHeader = 8

// maxRatio bounds what zlib can gain: at most 258 bytes come from two bits,
// 1032 to 1. A message that claims more lies and is refused before any memory
// is taken for it.
const maxRatio = 1032

// ErrCompressed is wrapped by all errors about Compressed messages.
var ErrCompressed = errors.New("bad compressed message")

// InflatedSize returns how many bytes the message inside the body of a
// Compressed message has, HeaderSize included. It refuses sizes that no Data
// message has or that the body cannot yield.
func InflatedSize(body []byte) (int, error) {
	if len(body) < compressedHeader {
		return 0, fmt.Errorf("proto: %w: body of %d bytes, want %d or more", ErrCompressed, len(body), compressedHeader)
	}
	size := binary.BigEndian.Uint64(body)
	if size < HeaderSize || size > HeaderSize+MaxBody {
		return 0, fmt.Errorf("proto: %w: claims %d bytes, want %d to %d", ErrCompressed, size, HeaderSize, HeaderSize+MaxBody)
	}
	if limit := uint64(len(body)-compressedHeader) * maxRatio; size > limit {
		return 0, fmt.Errorf("proto: %w: claims %d bytes from a stream that can hold at most %d", ErrCompressed, size, limit)
	}
	return int(size), nil
}

// Inflater unpacks Compressed messages, one after the other. The zero value
// is ready; it is for one goroutine.
type Inflater struct {
	src    bytes.Reader
	stream io.ReadCloser // a zlib reader, once there was a message
}

// Inflate unpacks the body of a Compressed message into dst, whose length is
// what InflatedSize returned, and returns the body of the Data message in it.
// It never writes past dst, whatever the stream holds.
func (z *Inflater) Inflate(dst, body []byte) ([]byte, error) {
	z.src.Reset(body[compressedHeader:])
	if err := z.open(); err != nil {
		return nil, fmt.Errorf("proto: %w: %w", ErrCompressed, err)
	}
	if _, err := io.ReadFull(z.stream, dst); err != nil {
		return nil, fmt.Errorf("proto: %w: fewer than the %d bytes it claims: %w", ErrCompressed, len(dst), err)
	}
	var more [1]byte
	if n, err := z.stream.Read(more[:]); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("proto: %w: more than the %d bytes it claims, or a wrong checksum", ErrCompressed, len(dst))
	}
	h, err := ParseHeader(dst)
	if err != nil {
		return nil, fmt.Errorf("proto: %w: %w", ErrCompressed, DescribeHeader(dst, err))
	}
	if h.Type != Data || h.Body != len(dst)-HeaderSize {
		return nil, fmt.Errorf("proto: %w: holds type %d with a body of %d bytes, want type %d with %d",
			ErrCompressed, h.Type, h.Body, Data, len(dst)-HeaderSize)
	}
	return dst[HeaderSize:], nil
}

// open points the zlib reader at z.src.
func (z *Inflater) open() error {
	if z.stream != nil {
		return z.stream.(zlib.Resetter).Reset(&z.src, nil)
	}
	stream, err := zlib.NewReader(&z.src)
	if err != nil {
		return err
	}
	z.stream = stream
	return nil
}
