package cdt

import (
	"github.com/ashlardb/ashlar/engine/msgpack"
)

// byRank returns the entries of ranks from to from+n of a list without order,
// in the order in which the original reports them. It takes them off a heap,
// from whichever end is nearer, and reports the last taken first: from the
// small end descending, from the large end ascending. Which of several equal
// elements has which of their ranks follows from the heap, too, and is visible
// to clients in indexes and in what a remove takes.
func (s *seq) byRank(from, n int) []uint32 {
	if n == 0 {
		return nil
	}
	s.fill()
	h := rankHeap{seq: s, max: from+n > s.n-from}
	s.heap = s.heap[:0]
	for i := range s.n {
		s.heap = append(s.heap, uint32(i))
	}
	h.items = s.heap
	for i := s.n/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
	pops := from + n
	if h.max {
		pops = s.n - from
	}
	for range pops {
		h.pop()
	}
	return s.heap[len(h.items) : len(h.items)+n]
}

// rankHeap is a heap of entries by value: the smallest on top, or the largest.
type rankHeap struct {
	seq   *seq
	items []uint32
	max   bool
}

// before says whether entry a is nearer to the top than b.
func (h *rankHeap) before(a, b uint32) bool {
	c := msgpack.Compare(h.seq.value(int(a)), h.seq.value(int(b)))
	if h.max {
		return c > 0
	}
	return c < 0
}

// sink moves the item at i down to its place.
func (h *rankHeap) sink(i int) {
	for {
		best := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(h.items) && h.before(h.items[c], h.items[best]) {
				best = c
			}
		}
		if best == i {
			return
		}
		h.items[i], h.items[best] = h.items[best], h.items[i]
		i = best
	}
}

// pop moves the top item behind the heap.
func (h *rankHeap) pop() {
	last := len(h.items) - 1
	h.items[0], h.items[last] = h.items[last], h.items[0]
	h.items = h.items[:last]
	h.sink(0)
}
