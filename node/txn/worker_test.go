package txn

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
	"github.com/ashlardb/ashlar/node/proto"
)

// bench is two loops over one namespace, in one goroutine and with a clock
// that stands still until the test moves it. The namespace commits to a
// simulated device, so that every write waits.
type bench struct {
	t       *testing.T
	shared  *Shared
	ns      *Namespace
	queues  []ioring.Queue
	inboxes []*Inbox
	workers []*Worker
	now     Moment
	answers []*Request // in the order in which they came
}

func newBench(t *testing.T, loops int, change func(*engine.Options)) *bench {
	t.Helper()
	b := &bench{t: t, now: Moment{Mono: int64(time.Hour), Wall: 500_000_000_000}}
	world := sim.New(1, sim.Faults{})
	o := engine.DefaultOptions()
	o.Name = "test"
	o.Storage.Type = engine.StorageDevice
	o.Storage.CommitToDevice = true
	o.Storage.WblockSize, o.Storage.FlushSize = 64<<10, 16<<10
	o.Storage.MaxWriteCache = 1 << 20
	o.Storage.Seed = 1
	if change != nil {
		change(&o)
	}
	quiet := slog.New(slog.DiscardHandler)
	ns, err := engine.Open(o, engine.Env{
		Devices:  []*ioring.Device{world.Device("d", 64<<20)},
		NewQueue: func() (ioring.Queue, error) { return world.Queue(), nil },
		Now:      func() record.Time { return b.now.Wall },
		Log:      quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	if b.shared, err = NewShared(Options{}, loops, quiet); err != nil {
		t.Fatal(err)
	}
	if b.ns, err = b.shared.AddNamespace(ns); err != nil {
		t.Fatal(err)
	}
	for range loops {
		q := world.Queue()
		inbox := NewInbox(q.Wake)
		w, err := b.shared.NewWorker(q, inbox, func() Moment { return b.now })
		if err != nil {
			t.Fatal(err)
		}
		b.queues, b.inboxes, b.workers = append(b.queues, q), append(b.inboxes, inbox), append(b.workers, w)
	}
	t.Cleanup(func() {
		b.settle(nil)
		for _, w := range b.workers {
			if err := w.Close(); err != nil {
				t.Errorf("worker: Close: %v", err)
			}
		}
		if err := ns.Close(); err != nil {
			t.Errorf("namespace: Close: %v", err)
		}
	})
	return b
}

// settle turns both loops until done, or until nothing is on its way.
func (b *bench) settle(done func() bool) {
	b.t.Helper()
	for range 10000 {
		if done != nil && done() {
			return
		}
		busy := 0
		for i, q := range b.queues {
			n, err := q.Poll(time.Millisecond)
			if err != nil {
				b.t.Fatal(err)
			}
			busy += n + q.InFlight() + b.inboxes[i].Drain()
			if b.workers[i].Run(2) || !b.workers[i].Idle() {
				busy++
			}
			b.workers[i].Tick()
		}
		if busy == 0 && done == nil {
			return
		}
	}
	b.t.Fatal("the loops do not settle")
}

// start starts a request on a loop.
func (b *bench) start(loop int, m *proto.Message) *Request {
	r := new(Request)
	r.Init(func(r *Request) { b.answers = append(b.answers, r) })
	b.workers[loop].Start(r, m, b.now)
	return r
}

// wait turns the loops until n answers are there in all.
func (b *bench) wait(n int) {
	b.t.Helper()
	b.settle(func() bool { return len(b.answers) >= n })
}

func on(key byte) *proto.Message {
	m := new(proto.Message)
	m.SetField(proto.Namespace, []byte("test"))
	m.SetField(proto.Digest, append([]byte{key}, make([]byte, record.DigestSize-1)...))
	return m
}

func read(key byte) *proto.Message {
	m := on(key)
	m.Info1 = record.Info1Read | record.Info1NoBins
	return m
}

func write(key byte) *proto.Message {
	m := on(key)
	m.Info2 = record.Info2Write
	m.Ops = []record.Op{{Code: record.OpWrite, Type: record.String, Name: []byte("a"), Value: []byte("b")}}
	return m
}

// TestStartChecks: the order of the checks before the engine is asked.
func TestStartChecks(t *testing.T) {
	with := func(m *proto.Message, f func(*proto.Message)) *proto.Message { f(m); return m }
	nowhere := func(m *proto.Message) { m.SetField(proto.Namespace, []byte("nowhere")) }
	badDigest := func(m *proto.Message) { m.SetField(proto.Digest, make([]byte, 19)) }
	noPath := func(m *proto.Message) { m.Info1, m.Info2 = 0, 0 }
	var none proto.Message
	for _, tt := range []struct {
		name string
		m    *proto.Message
		want record.Result
	}{
		{"no fields", &none, record.NamespaceUnknown},
		{"unknown namespace", with(read(1), nowhere), record.NamespaceUnknown},
		{"namespace before digest", with(with(read(1), nowhere), badDigest), record.NamespaceUnknown},
		{"namespace with NUL bytes", with(read(1), func(m *proto.Message) { m.SetField(proto.Namespace, []byte("test\x00")) }), record.NotFound},
		{"no digest", with(on(1), func(m *proto.Message) {
			*m = proto.Message{Info1: record.Info1Read}
			m.SetField(proto.Namespace, []byte("test"))
		}), record.Unsupported},
		{"digest of 19 bytes", with(read(1), badDigest), record.Parameter},
		{"digest before flags", with(with(read(1), badDigest), noPath), record.Parameter},
		{"empty digest", with(read(1), func(m *proto.Message) { m.SetField(proto.Digest, nil) }), record.Parameter},
		{"neither read nor write", with(read(1), noPath), record.Parameter},
		{"batch", with(read(1), func(m *proto.Message) { m.Info1 |= record.Info1Batch }), record.Unsupported},
		{"batch field", with(on(1), func(m *proto.Message) { m.SetField(proto.BatchIndex, nil) }), record.Unsupported},
		{"UDF", with(write(1), func(m *proto.Message) { m.SetField(proto.UDFPackage, []byte("u")) }), record.Unsupported},
		{"UDF field on a delete", with(write(1), func(m *proto.Message) {
			m.Info2 |= record.Info2Delete
			m.SetField(proto.UDFPackage, []byte("u"))
		}), record.NotFound},
		{"UDF field on a read", with(read(1), func(m *proto.Message) { m.SetField(proto.UDFPackage, []byte("u")) }), record.NotFound},
		{"good read", read(1), record.NotFound},
		{"good write", write(2), record.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, 1, nil)
			r := b.start(0, tt.m)
			b.wait(1)
			if r.Result != tt.want {
				t.Errorf("result %v, want %v", r.Result, tt.want)
			}
			if last := strings.HasPrefix(tt.name, "batch"); r.Last != last {
				t.Errorf("ends an answer of several messages: %v, want %v", r.Last, last)
			}
		})
	}
}

// TestWritesTakeTurns: writes of one key that come in on two loops take
// effect in the order of their arrival; those of others go ahead.
func TestWritesTakeTurns(t *testing.T) {
	b := newBench(t, 2, nil)
	var started []*Request
	for i := range 12 {
		started = append(started, b.start(i%2, write(1)))
	}
	if len(b.answers) != 0 {
		t.Fatalf("%d answers before the device has said anything", len(b.answers))
	}
	other := b.start(1, write(2))
	b.wait(13)
	at := slices.Index(b.answers, other)
	if at > 2 {
		t.Errorf("a write of another key was answered as number %d, behind those of a busy one", at)
	}
	b.answers = slices.Delete(b.answers, at, at+1)
	if !slices.Equal(b.answers, started) {
		t.Error("answers in another order than the requests")
	}
	for i, r := range started {
		if r.Result != record.OK || r.ReplyGeneration != uint32(i+1) {
			t.Errorf("write %d: %v, generation %d, want ok, %d", i, r.Result, r.ReplyGeneration, i+1)
		}
	}
}

// TestReadsDoNotQueue: a read is answered while writes of its key wait.
func TestReadsDoNotQueue(t *testing.T) {
	b := newBench(t, 2, nil)
	b.start(0, write(1))
	b.wait(1)
	b.start(0, write(1))
	b.start(1, write(1))
	r := b.start(1, read(1))
	b.wait(2)
	if b.answers[1] != r || r.Result != record.OK {
		t.Errorf("the read was not answered first, or %v", r.Result)
	}
}

func TestPendingLimit(t *testing.T) {
	for _, tt := range []struct{ limit, writes, refused int }{
		{20, 21, 0}, {20, 25, 4}, {1, 3, 1}, {0, 100, 0},
	} {
		t.Run(fmt.Sprintf("limit %d, %d writes", tt.limit, tt.writes), func(t *testing.T) {
			b := newBench(t, 2, func(o *engine.Options) { o.TransactionPendingLimit = tt.limit })
			for i := range tt.writes {
				b.start(i%2, write(1))
			}
			if len(b.answers) != tt.refused {
				t.Errorf("%d refused at once, want %d", len(b.answers), tt.refused)
			}
			for _, r := range b.answers {
				if r.Result != record.KeyBusy {
					t.Errorf("refused with %v, want %v", r.Result, record.KeyBusy)
				}
			}
			b.wait(tt.writes)
			for i, r := range b.answers[tt.refused:] {
				if r.Result != record.OK || int(r.ReplyGeneration) != i+1 {
					t.Errorf("write %d: %v, generation %d", i, r.Result, r.ReplyGeneration)
				}
			}
			if got := b.shared.Stats(b.ns).KeyBusy; got != uint64(tt.refused) {
				t.Errorf("KeyBusy = %d, want %d", got, tt.refused)
			}
		})
	}
}

// TestDeadline: a write whose turn comes too late is answered so, has no
// effect, and hands the turn on.
func TestDeadline(t *testing.T) {
	b := newBench(t, 2, nil)
	short := func(ms uint32) *proto.Message { m := write(1); m.TransactionTTL = ms; return m }
	first := b.start(0, write(1))
	late := b.start(1, short(50))
	patient := b.start(0, short(5000))
	usual := b.start(1, write(1)) // transaction-max-ms: 1000
	b.now.Mono += int64(999 * time.Millisecond)
	b.now.Wall += 999
	b.wait(4)
	for _, tt := range []struct {
		name       string
		r          *Request
		want       record.Result
		generation uint32
	}{
		{"first", first, record.OK, 1},
		{"50 ms", late, record.TimedOut, 0},
		{"5 s", patient, record.OK, 2},
		{"the default", usual, record.OK, 3},
	} {
		if tt.r.Result != tt.want || tt.r.ReplyGeneration != tt.generation {
			t.Errorf("%s: %v, generation %d, want %v, %d", tt.name, tt.r.Result, tt.r.ReplyGeneration, tt.want, tt.generation)
		}
	}
	if got := b.shared.Stats(b.ns).StartTimeout; got != 1 {
		t.Errorf("StartTimeout = %d, want 1", got)
	}
}

// TestLateAtTheStart: a message that waited in its connection's buffer for
// longer than its client does.
func TestLateAtTheStart(t *testing.T) {
	b := newBench(t, 1, nil)
	arrived := b.now
	b.now.Mono += int64(2 * time.Second)
	m := read(1)
	m.SetField(proto.Digest, []byte("short")) // the deadline is looked at first
	r := new(Request)
	r.Init(func(r *Request) { b.answers = append(b.answers, r) })
	b.workers[0].Start(r, m, arrived)
	if len(b.answers) != 1 || r.Result != record.TimedOut {
		t.Errorf("result %v, want %v", r.Result, record.TimedOut)
	}
}

// TestReadTouch: a read near the end of a record's life renews it, behind the
// answer and only once.
func TestReadTouch(t *testing.T) {
	b := newBench(t, 1, nil)
	w := write(1)
	w.TTL = 100
	b.start(0, w)
	b.wait(1)
	void := b.answers[0].ReplyVoidTime

	b.now.Wall += 90_000 // 10 of 100 seconds are left
	m := read(1)
	m.TTL = 20 // percent
	for range 3 {
		b.start(0, m)
	}
	b.settle(nil)
	r := b.start(0, read(1))
	b.wait(5)
	if r.ReplyVoidTime != void+90 {
		t.Errorf("void-time %d, want %d: 100 seconds from the touch", r.ReplyVoidTime, void+90)
	}
	st := b.ns.Engine.Stats()
	if st.ReadTouchSuccess != 1 {
		t.Errorf("%d touches, want 1 for three reads", st.ReadTouchSuccess)
	}
}

// TestStartDoesNotAllocate, reads and writes in memory.
func TestStartDoesNotAllocate(t *testing.T) {
	o := engine.DefaultOptions()
	o.Name, o.Storage.Type, o.Storage.DataSize = "test", engine.StorageMemory, 1<<30
	now := Moment{Mono: int64(time.Hour), Wall: 500_000_000_000}
	ns, err := engine.Open(o, engine.Env{Now: func() record.Time { return now.Wall }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	shared, err := NewShared(Options{}, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shared.AddNamespace(ns); err != nil {
		t.Fatal(err)
	}
	q := sim.New(1, sim.Faults{}).Queue()
	w, err := shared.NewWorker(q, NewInbox(q.Wake), func() Moment { return now })
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	var r Request
	r.Init(func(*Request) { answers++ })
	put, get := write(1), read(1)
	n := testing.AllocsPerRun(1000, func() {
		w.Start(&r, put, now)
		w.Start(&r, get, now)
	})
	if n != 0 {
		t.Errorf("a write and a read allocate %v times, want 0", n)
	}
	if answers != 2*1001 {
		t.Errorf("%d answers, want %d", answers, 2*1001)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := ns.Close(); err != nil {
		t.Error(err)
	}
}
