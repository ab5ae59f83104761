package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
)

// TestConcurrentWorkers lets several workers write and read the same few
// records, with defrag going on, and holds them to what must be true whatever
// the order: no increment is lost, and two bins that are always written
// together are always read together.
func TestConcurrentWorkers(t *testing.T) {
	const (
		workers  = 4
		requests = 6000 // of each worker
		nKeys    = 800
		nHot     = 16 // get half of the requests: wblocks are soon mostly dead
	)
	ns := openMemory(t, "test", func(o *engine.Options) {
		o.Storage.WblockSize = 64 << 10
		o.Storage.FlushSize = 64 << 10
		o.Storage.DataSize = 32 << 20
		o.Storage.StopWritesAvailPct = 0
		o.Storage.MaxWriteCache = 64 << 20
		o.PartitionTreeSprigs = 16
		o.NsupPeriod = 1
	})
	_, seed := newRand(t)
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() {
		sup, err := ns.NewSupervisor(nil)
		if err != nil {
			t.Error(err)
			return
		}
		for ctx.Err() == nil {
			if !sup.Step(startTime) {
				runtime.Gosched()
			}
		}
		if err := sup.Close(); err != nil {
			t.Error(err)
		}
	})
	turns := make([]sync.Mutex, nKeys) // what a node's transaction table does
	increments := make([]uint64, nKeys)
	var loops sync.WaitGroup
	for id := range workers {
		loops.Go(func() {
			w, err := ns.NewWorker(nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() {
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			}()
			c := contender{t: t, w: w, rnd: rand.New(rand.NewPCG(seed, uint64(id)))}
			c.r.Done = c.done
			for i := range requests {
				k := c.rnd.IntN(nKeys)
				if c.rnd.IntN(2) == 0 {
					k %= nHot
				}
				if c.rnd.IntN(2) == 0 {
					c.read(k)
					continue
				}
				turns[k].Lock()
				if c.write(k) {
					increments[k]++
				}
				turns[k].Unlock()
				if i%64 == 0 {
					w.Tick(startTime + record.Time(i))
				}
			}
		})
	}
	loops.Wait()
	cancel()
	background.Wait()
	w := newWorker(t, ns, nil)
	total := uint64(0)
	for k := range increments {
		c := contender{t: t, w: w}
		c.r.Done = c.done
		c.read(k)
		if c.counter != increments[k] {
			t.Errorf("key %d counts %d, want %d", k, c.counter, increments[k])
		}
		total += c.counter
	}
	if total < workers*requests/4 {
		t.Errorf("%d writes succeeded, want at least half of those tried", total)
	}
	if err := ns.Check(); err != nil {
		t.Error(err)
	}
	st := ns.Store().Stats()
	moved := uint64(0)
	for _, d := range st.Devices {
		moved += d.DefragReads + d.DefragWrites
	}
	t.Logf("%d increments, %d wblocks read or written by defrag", total, moved)
	if moved == 0 {
		t.Error("defrag had nothing to do: the test does not test what it should")
	}
}

// contender is one loop of TestConcurrentWorkers.
type contender struct {
	t       *testing.T
	w       *engine.Worker
	rnd     *rand.Rand
	r       engine.Request
	counter uint64
	ended   bool
}

func (c *contender) begin(k int) *engine.Request {
	r := &c.r
	r.Reset()
	r.Digest = record.Digest{byte(k), byte(k >> 8), 0, byte(k), 5: 1}
	r.Now = startTime
	c.counter, c.ended = 0, false
	return r
}

func (c *contender) write(k int) bool {
	r := c.begin(k)
	r.Info2, r.TTL = record.Info2Write, record.TTLNever
	value := make([]byte, 20+c.rnd.IntN(1000))
	binary.LittleEndian.PutUint64(value, c.rnd.Uint64())
	r.Ops = append(r.Ops,
		record.Op{Code: record.OpIncr, Type: record.Integer, Name: []byte("n"), Value: []byte{1}},
		record.Op{Code: record.OpWrite, Type: record.Blob, Name: []byte("x"), Value: value},
		record.Op{Code: record.OpWrite, Type: record.Blob, Name: []byte("y"), Value: value})
	c.w.Write(r)
	return c.ended && r.Result == record.OK
}

func (c *contender) read(k int) {
	r := c.begin(k)
	r.Info1 = record.Info1Read | record.Info1GetAll
	c.w.Read(r)
}

// done checks an answer while its views are valid.
func (c *contender) done(r *engine.Request) {
	c.ended = true
	switch r.Result {
	case record.OK, record.NotFound, record.OutOfSpace, record.DeviceOverload:
	default:
		c.t.Errorf("result %v", r.Result)
	}
	if len(r.Bins) == 0 {
		return
	}
	if len(r.Bins) != 3 || string(r.Bins[0].Name) != "n" {
		c.t.Errorf("%d bins, want n, x and y", len(r.Bins))
		return
	}
	c.counter = r.Bins[0].Value.Num
	if !bytes.Equal(r.Bins[1].Value.Bytes, r.Bins[2].Value.Bytes) {
		c.t.Errorf("x and y were written together and differ")
	}
	if c.counter != uint64(r.ReplyGeneration) {
		c.t.Errorf("counter %d in a record of generation %d", c.counter, r.ReplyGeneration)
	}
}
