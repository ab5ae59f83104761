package geo

import "github.com/golang/geo/s2"

// coverer covers a region with about maxCells cells. The S2 library's own
// coverer gives coverings that are as good, but breaks ties between cells of
// equal priority differently from the original's, whose coverings clients see.
// So the search is here, with a heap that orders ties as the original's does;
// the geometry is the library's.
type coverer struct {
	minLevel, maxLevel, levelMod, maxCells int

	region s2.Region
	result s2.CellUnion
	heap   []*candidate
}

// candidate is a cell that may be part of the covering or be split further.
type candidate struct {
	cell     s2.Cell
	terminal bool // not to be split: small enough, or wholly inside
	children []*candidate
	priority int // the largest is split first: large cells, few children
}

// cover returns the covering, in cell order.
func (c *coverer) cover(region s2.Region) s2.CellUnion {
	c.region = region
	start := s2.RegionCoverer{MaxLevel: c.maxLevel, LevelMod: 1, MaxCells: min(4, c.maxCells)}
	for _, id := range c.adjusted(start.FastCovering(region)) {
		c.add(c.candidate(s2.CellFromCellID(id)))
	}
	for len(c.heap) > 0 {
		best := c.pop()
		if best.cell.Level() < c.minLevel || len(best.children) == 1 ||
			len(c.result)+len(c.heap)+len(best.children) <= c.maxCells {
			for _, child := range best.children {
				c.add(child)
			}
		} else {
			best.terminal = true
			c.add(best)
		}
	}
	c.result.Normalize()
	if c.minLevel > 0 || c.levelMod > 1 {
		c.result.Denormalize(c.minLevel, c.levelMod)
	}
	return c.result
}

// adjusted moves cells up to levels that levelMod allows and drops those that
// are then inside others. cells are sorted.
func (c *coverer) adjusted(cells s2.CellUnion) s2.CellUnion {
	if c.levelMod == 1 {
		return cells
	}
	out := cells[:0]
	for _, id := range cells {
		if level := id.Level(); level > c.minLevel {
			id = id.Parent(level - (level-c.minLevel)%c.levelMod)
		}
		if len(out) > 0 && out[len(out)-1].Contains(id) {
			continue
		}
		for len(out) > 0 && id.Contains(out[len(out)-1]) {
			out = out[:len(out)-1]
		}
		out = append(out, id)
	}
	return out
}

// candidate returns a candidate for the cell, nil when the region is elsewhere.
func (c *coverer) candidate(cell s2.Cell) *candidate {
	if !c.region.IntersectsCell(cell) {
		return nil
	}
	level := cell.Level()
	return &candidate{
		cell: cell,
		terminal: level >= c.minLevel &&
			(level+c.levelMod > c.maxLevel || c.region.ContainsCell(cell)),
	}
}

// add puts a candidate into the result or, with its children, into the heap.
func (c *coverer) add(cand *candidate) {
	if cand == nil {
		return
	}
	if cand.terminal {
		c.result = append(c.result, cand.cell.ID())
		return
	}
	level, levels := cand.cell.Level(), c.levelMod
	if level < c.minLevel {
		levels = 1
	}
	terminals := c.expand(cand, cand.cell, levels)
	shift := uint(2 * c.levelMod)
	switch {
	case len(cand.children) == 0:
	case terminals == 1<<shift && level >= c.minLevel: // all of it is inside
		c.result = append(c.result, cand.cell.ID())
	default:
		cand.priority = -(((level<<shift)+len(cand.children))<<shift + terminals)
		c.push(cand)
	}
}

// expand gives cand the descendants of cell that are levels below and meet the
// region. It returns how many of them are terminal.
func (c *coverer) expand(cand *candidate, cell s2.Cell, levels int) (terminals int) {
	id := cell.ID()
	for ci := id.ChildBegin(); ci != id.ChildEnd(); ci = ci.Next() {
		child := s2.CellFromCellID(ci)
		if levels > 1 {
			if c.region.IntersectsCell(child) {
				terminals += c.expand(cand, child, levels-1)
			}
			continue
		}
		if k := c.candidate(child); k != nil {
			cand.children = append(cand.children, k)
			if k.terminal {
				terminals++
			}
		}
	}
	return terminals
}

// push adds a candidate to the heap.
func (c *coverer) push(cand *candidate) {
	c.heap = append(c.heap, nil)
	c.siftUp(len(c.heap)-1, cand)
}

// siftUp puts cand where the hole is, or as far above it as its priority goes.
func (c *coverer) siftUp(hole int, cand *candidate) {
	for hole > 0 {
		parent := (hole - 1) / 2
		if c.heap[parent].priority >= cand.priority {
			break
		}
		c.heap[hole] = c.heap[parent]
		hole = parent
	}
	c.heap[hole] = cand
}

// pop removes the candidate of the highest priority: the hole at the top sinks
// to a leaf along the larger children (the right one of two equals), and the
// last element climbs from there.
func (c *coverer) pop() *candidate {
	top := c.heap[0]
	n := len(c.heap) - 1
	last := c.heap[n]
	c.heap = c.heap[:n]
	if n == 0 {
		return top
	}
	hole := 0
	for {
		child := 2*hole + 2
		if child > n {
			break
		}
		if child == n || c.heap[child].priority < c.heap[child-1].priority {
			child--
		}
		c.heap[hole] = c.heap[child]
		hole = child
	}
	c.siftUp(hole, last)
	return top
}
