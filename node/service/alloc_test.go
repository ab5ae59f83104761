package service

import (
	"io"
	"runtime"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// TestRequestsDoNotAllocate serves a hundred thousand requests on a live loop,
// reads, updates, operations and misses, and counts what the whole process has
// allocated meanwhile. The client here allocates nothing either.
func TestRequestsDoNotAllocate(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		const perBatch, batches = 8, 100_000 / 8
		c := dial(t, s)
		many := message(5)
		many.Info1, many.Info2 = record.Info1Read, record.Info2Write
		for range 40 { // more operations than a fresh slice holds
			many.Ops = append(many.Ops, record.Op{Code: record.OpWrite, Type: record.Integer, Name: []byte("n"), Value: make([]byte, 8)})
		}
		batch := proto.AppendMessage(nil, many)
		for i := range 2 {
			batch = append(batch, put(i, make([]byte, 256))...)
			batch = append(batch, get(i)...)
			batch = append(batch, incr(9)...)
		}
		batch = append(batch, get(99)...) // not there
		c.write(batch)
		want := 0
		for range perBatch {
			want += len(c.read())
		}
		replies := make([]byte, want)
		turn := func() {
			if _, err := c.Conn.Write(batch); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c.Conn, replies); err != nil {
				t.Fatal(err)
			}
		}
		for range 500 { // grows what grows once
			turn()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range batches {
			turn()
		}
		runtime.ReadMemStats(&after)
		n := after.Mallocs - before.Mallocs
		t.Logf("%d allocations in %d requests", n, batches*perBatch)
		if n > batches*perBatch/1000 {
			t.Errorf("%d allocations in %d requests, want none but those of the test's own surroundings", n, batches*perBatch)
		}
	}, nil)
}

// TestParkedRequestsDoNotAllocate: as many slices of operations as requests
// are parked go round without new ones.
func TestParkedRequestsDoNotAllocate(t *testing.T) {
	var l loop
	lent := make([][]record.Op, 5000)
	turn := func() {
		for i := range lent {
			lent[i] = l.takeOps()
		}
		for _, ops := range lent {
			l.giveOps(ops)
		}
	}
	turn()
	if n := testing.AllocsPerRun(10, turn); n != 0 {
		t.Errorf("%v allocations for %d slices, want 0", n, len(lent))
	}
	l.giveOps(make([]record.Op, 0, keepOps+1))
	for range 2 * maxOps / keepOps {
		l.giveOps(make([]record.Op, 0, keepOps))
	}
	if total := len(l.ops); l.nOps > maxOps || total > maxOps/8 {
		t.Errorf("%d operations in %d slices are kept, want at most %d", l.nOps, total, maxOps)
	}
}
