package txn

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./node/txn -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// onKey returns a request on a key. Keys below 4 share a stripe with keys of
// the same number modulo 2.
func onKey(ns *Namespace, key int) *Request {
	r := &Request{ns: ns}
	binary.LittleEndian.PutUint32(r.Digest[0:], uint32(key))
	binary.LittleEndian.PutUint32(r.Digest[12:], uint32(key%2))
	return r
}

// TestTableAgainstModel runs random steps on a table and on queues that are
// plain slices.
func TestTableAgainstModel(t *testing.T) {
	rng := newRand(t)
	var tab table
	spaces := []*Namespace{{id: 0}, {id: 1}}
	type key struct {
		ns  *Namespace
		key int
	}
	queues := map[key][]*Request{} // the first is the owner
	for range 20000 {
		k := key{spaces[rng.IntN(2)], rng.IntN(4)}
		limit := rng.IntN(6) // 0: none
		if rng.IntN(2) == 0 {
			r := onKey(k.ns, k.key)
			want := queued
			switch q := queues[k]; {
			case len(q) == 0:
				want = admitted
			case limit > 0 && len(q)-1 >= limit:
				want = keyIsBusy
			}
			if got := tab.enter(r, limit); got != want {
				t.Fatalf("enter with %d before it, limit %d: %v, want %v", len(queues[k]), limit, got, want)
			}
			if want != keyIsBusy {
				queues[k] = append(queues[k], r)
			}
			continue
		}
		if q := queues[k]; len(q) > 0 {
			next := tab.leave(q[0])
			q = slices.Delete(q, 0, 1)
			queues[k] = q
			if len(q) == 0 && next != nil || len(q) > 0 && next != q[0] {
				t.Fatalf("leave: the next is %p, want the first of %v", next, q)
			}
		}
	}
	for _, q := range queues {
		for _, r := range q {
			if next := tab.leave(r); next == r {
				t.Fatal("a request is behind itself")
			}
		}
	}
	for i := range tab.stripes {
		if tab.stripes[i].chain != nil {
			t.Fatalf("stripe %d still holds a request", i)
		}
	}
}

// TestTableExcludes: many goroutines add to plain counters, each with the turn
// of the counter's key. The race detector watches.
func TestTableExcludes(t *testing.T) {
	const goroutines, each, keys = 8, 500, 3
	var tab table
	var counts [keys]int
	ns := &Namespace{}
	turns := map[*Request]chan struct{}{}
	requests := make([][]*Request, goroutines)
	for g := range requests {
		for i := range each {
			r := onKey(ns, i%keys)
			requests[g] = append(requests[g], r)
			turns[r] = make(chan struct{}, 1)
		}
	}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i, r := range requests[g] {
				if tab.enter(r, 0) == queued {
					<-turns[r]
				}
				counts[i%keys]++
				if next := tab.leave(r); next != nil {
					turns[next] <- struct{}{}
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != goroutines*each {
		t.Errorf("counted %d, want %d", total, goroutines*each)
	}
}

func TestInboxKeepsTheOrder(t *testing.T) {
	const posters, each = 4, 1000
	var woken sync.Mutex
	wakes := 0
	b := NewInbox(func() { woken.Lock(); wakes++; woken.Unlock() })
	var got [posters][]int
	total := 0
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				b.Post(&Task{Run: func() { got[p] = append(got[p], i); total++ }})
			}
		})
	}
	for total < posters*each {
		b.Drain()
	}
	wg.Wait()
	for p := range got {
		if !slices.IsSorted(got[p]) {
			t.Errorf("tasks of poster %d ran out of order", p)
		}
	}
	if wakes == 0 || wakes > posters*each {
		t.Errorf("%d wake-ups for %d tasks", wakes, posters*each)
	}
	if !b.Empty() || b.Drain() != 0 {
		t.Error("a drained inbox is not empty")
	}
}

// TestInboxTaskPostsItself: what a task posts waits for the next Drain.
func TestInboxTaskPostsItself(t *testing.T) {
	b := NewInbox(func() {})
	runs := 0
	var task Task
	task.Run = func() {
		if runs++; runs < 3 {
			b.Post(&task)
		}
	}
	b.Post(&task)
	for want := 1; want <= 3; want++ {
		if n := b.Drain(); n != 1 || runs != want {
			t.Fatalf("drain %d ran %d tasks, %d in all", want, n, runs)
		}
	}
	if b.Drain() != 0 {
		t.Error("a fourth run")
	}
}
