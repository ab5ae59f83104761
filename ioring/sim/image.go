package sim

// sectorSize is what a device writes whole or not at all, in bytes.
const sectorSize = 512

// chunkSize is the unit in which an image allocates memory, in bytes.
const chunkSize = 64 << 10

type chunk [chunkSize]byte

// image is the content of a device: sparse, zero where nothing was written.
type image struct {
	chunks []*chunk
}

func newImage(size int64) image {
	return image{chunks: make([]*chunk, (size+chunkSize-1)/chunkSize)}
}

// read fills p with the content at off.
func (m *image) read(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/chunkSize, off%chunkSize
		n := min(len(p), int(chunkSize-at))
		if c := m.chunks[i]; c != nil {
			copy(p[:n], c[at:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// write stores p at off.
func (m *image) write(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/chunkSize, off%chunkSize
		if m.chunks[i] == nil {
			m.chunks[i] = new(chunk)
		}
		n := copy(m.chunks[i][at:], p)
		p, off = p[n:], off+int64(n)
	}
}

// flip inverts one bit; bit counts from the most significant of the byte at
// off.
func (m *image) flip(off int64, bit uint) {
	var b [1]byte
	m.read(b[:], off)
	b[0] ^= 0x80 >> (bit & 7)
	m.write(b[:], off)
}

// copyChunk makes chunk i of m equal to that of other.
func (m *image) copyChunk(other *image, i int) {
	if other.chunks[i] == nil {
		m.chunks[i] = nil
		return
	}
	if m.chunks[i] == nil {
		m.chunks[i] = new(chunk)
	}
	*m.chunks[i] = *other.chunks[i]
}
