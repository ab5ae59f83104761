//go:build (!amd64 && !arm64) || purego

package hash

// paths returns the one path of machines without assembly.
func paths() []path {
	return []path{{"generic", true, "generic", func() {}}}
}

// block continues the state h by one message block.
func block(h *[5]uint32, p *[64]byte) { blockGeneric(h, p) }

// useLanes reports whether there is a kernel that takes several keys at once.
func useLanes() bool { return false }

// sumLanes digests keys one by one.
func (h *KeyHasher) sumLanes(dst []Digest, keys [][]byte, _ int) { h.sumScalar(dst, keys) }
