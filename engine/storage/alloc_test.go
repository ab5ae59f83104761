package storage

import (
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// instantQueue completes every operation in the next Poll, with success, and
// neither allocates nor looks at the data.
type instantQueue struct {
	ops, running []*ioring.Op
}

func (q *instantQueue) Attach(*ioring.Device) (ioring.File, error) {
	return ioring.DeviceFile(1, 0), nil
}
func (q *instantQueue) Register(*ioring.Arena) error { return nil }
func (q *instantQueue) Cancel(*ioring.Op)            {}
func (q *instantQueue) Wake()                        {}
func (q *instantQueue) InFlight() int                { return len(q.ops) }
func (q *instantQueue) Close() error                 { return nil }

func (q *instantQueue) Submit(o *ioring.Op) {
	o.Slot = 1
	q.ops = append(q.ops, o)
}

func (q *instantQueue) Poll(time.Duration) (int, error) {
	q.ops, q.running = q.running[:0], q.ops
	for _, o := range q.running {
		o.Slot = 0
		o.Result = int32(len(o.Buf))
		o.Done(o)
	}
	return len(q.running), nil
}

// TestHotPathsDoNotAllocate counts the allocations of every call that a
// request makes, in the steady state with rotation, flush, cache and reuse.
func TestHotPathsDoNotAllocate(t *testing.T) {
	if assert.Slow {
		t.Skip("the race detector allocates")
	}
	for _, memory := range []bool{false, true} {
		name := "device"
		if memory {
			name = "memory"
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, 64, testOptions(), 1, sim.Faults{})
			if memory {
				r.stop()
				r.memory(8 * 20 * testWblock)
				defer r.stop()
			} else {
				q := &instantQueue{}
				sim := r.l.q
				r.l.q = q
				defer func() {
					r.l.Close()
					r.l.q = sim
				}()
			}
			const size = 512
			flats := make([][]byte, 64)
			digests := make([]record.Digest, len(flats))
			live := make([]record.Address, len(flats))
			for n := range flats {
				flats[n], digests[n] = flatOf(uint64(n), 1, size), digestOf(uint64(n))
			}
			n, fails := 0, 0
			commits := 0
			c := Commit{Done: func(*Commit) { commits++ }}
			step := func() {
				n = (n + 1) % len(flats)
				r.rd.Enter()
				if live[n] != 0 {
					if v, ok := r.l.View(live[n]); ok && len(v) != size {
						fails++
					}
				}
				space, a, res := r.l.Reserve(Master, &digests[n], size)
				if res != record.OK {
					fails++
					r.rd.Exit()
					return
				}
				copy(space, flats[n])
				r.l.Seal(space, a)
				if live[n] != 0 {
					r.s.Free(live[n])
				}
				live[n] = a
				r.rd.Exit()
				c.Addr = a
				r.l.Durable(&c)
				for range 3 {
					r.l.q.Poll(0)
				}
				r.now++
				r.l.Tick(r.now)
			}
			for range 5000 {
				step() // buffers, lists and queues reach their size
			}
			before := commits
			if got := testing.AllocsPerRun(5000, step); got != 0 {
				t.Errorf("a write, a view, a commit and a tick allocate %v times, want 0", got)
			}
			if fails > 0 || commits-before < 5000 {
				t.Errorf("%d failures, %d commits", fails, commits-before)
			}
		})
	}
}

// TestReadDoesNotAllocate counts the allocations of a read from the device.
func TestReadDoesNotAllocate(t *testing.T) {
	if assert.Slow {
		t.Skip("the race detector allocates")
	}
	o := testOptions()
	o.PostWriteCache = 0
	r := newRig(t, 1, 64, o, 1, sim.Faults{})
	a := r.mustPut(Master, 1, 1, 1024)
	r.mustPut(Master, 2, 1, r.s.MaxRecord())
	r.flush()
	q := &instantQueue{}
	old := r.l.q
	r.l.q = q
	defer func() { r.l.q = old }()
	done := 0
	rd := Read{Addr: a, Digest: digestOf(1)}
	rd.Done = func(rd *Read) { done++; r.l.Release(rd) }
	step := func() {
		r.l.Read(&rd)
		q.Poll(0)
	}
	step()
	if got := testing.AllocsPerRun(1000, step); got != 0 {
		t.Errorf("a read allocates %v times, want 0", got)
	}
	if done < 1000 {
		t.Errorf("%d reads are done", done)
	}
}
