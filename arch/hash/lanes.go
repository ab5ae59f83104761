//go:build (amd64 || arm64) && !purego

package hash

import "encoding/binary"

// padRow writes the padded message of a key, of one or two blocks, into row.
func (h *KeyHasher) padRow(row *[2 * BlockSize]byte, key []byte, blocks int) {
	if blocks == 1 {
		p := (*[BlockSize]byte)(row[:])
		*p = h.prefix
		n := h.prefixLen + copy(p[h.prefixLen:], key)
		pad(p[:], n, uint64(n))
		return
	}
	copy(row[:], h.prefix[:h.prefixLen])
	n := h.prefixLen + copy(row[h.prefixLen:], key)
	clear(row[n:])
	pad(row[:], n, uint64(n))
}

// startLanes sets group g's states to the start of a message.
func (h *KeyHasher) startLanes(g, lanes int) {
	for i, v := range iv {
		row := h.state[g][i*lanes : (i+1)*lanes]
		for lane := range row {
			row[lane] = v
		}
	}
}

// putLanes writes the digests of group g's first lanes.
func (h *KeyHasher) putLanes(dst []Digest, g, lanes int) {
	for lane := range dst {
		for i := range iv {
			binary.LittleEndian.PutUint32(dst[lane][4*i:], h.state[g][i*lanes+lane])
		}
	}
}

// sumEight digests up to eight keys of the same number of blocks with a kernel
// of eight lanes.
func (h *KeyHasher) sumEight(dst []Digest, keys [][]byte, blocks int) {
	for lane, key := range keys {
		h.padRow(&h.rows[lane], key, blocks)
	}
	h.startLanes(0, 8)
	for b := range blocks {
		transpose8((*[16 * 8]uint32)(h.words[0][:]), &h.rows, b)
		block8((*[5 * 8]uint32)(h.state[0][:]), (*[16 * 8]uint32)(h.words[0][:]))
	}
	h.putLanes(dst, 0, 8)
}
