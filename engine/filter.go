package engine

import "github.com/ashlardb/ashlar/engine/exp"

// filterCache keeps the programs of the filters that a worker met last:
// clients send the same few again and again.
type filterCache struct {
	programs map[string]*exp.Program
}

// Limits of a filterCache. A filter that is too long is compiled each time.
const (
	maxCachedFilters    = 128
	maxCachedFilterSize = 4 << 10 // bytes
)

// get returns the program of a packed filter expression.
func (c *filterCache) get(packed []byte) (*exp.Program, error) {
	if p := c.programs[string(packed)]; p != nil {
		return p, nil
	}
	p, err := exp.CompileFilter(packed)
	if err != nil || len(packed) > maxCachedFilterSize {
		return p, err
	}
	if c.programs == nil || len(c.programs) == maxCachedFilters {
		c.programs = make(map[string]*exp.Program) // start anew: simple, and rare
	}
	c.programs[string(packed)] = p
	return p, nil
}
