package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
)

// caller makes requests one by one and keeps what they answered.
type caller struct {
	t      *testing.T
	ns     *engine.Namespace
	w      *engine.Worker
	now    record.Time
	result record.Result
	gen    uint32
	void   uint32
	touch  uint32
	bins   []string
}

func newCaller(t *testing.T, change func(*engine.Options)) *caller {
	ns := openMemory(t, "test", change)
	t.Cleanup(func() {
		if err := ns.Check(); err != nil {
			t.Error(err)
		}
	})
	return &caller{t: t, ns: ns, w: newWorker(t, ns, nil), now: startTime}
}

func (c *caller) request(key byte) *engine.Request {
	r := &engine.Request{Digest: record.Digest{key, 1, 2, 3, 4}, Now: c.now}
	r.Done = func(r *engine.Request) {
		c.result, c.gen, c.void, c.touch, c.bins = r.Result, r.ReplyGeneration, r.ReplyVoidTime, r.TouchPct, nil
		for _, b := range r.Bins {
			c.bins = append(c.bins, fmt.Sprintf("%s=%d", b.Name, b.Value.Num))
		}
	}
	return r
}

// put writes a bin, with what change makes of the request.
func (c *caller) put(key byte, change func(*engine.Request)) record.Result {
	r := c.request(key)
	r.Info2, r.TTL = record.Info2Write, record.TTLNever
	r.Ops = []record.Op{{Code: record.OpWrite, Type: record.Integer, Name: []byte("a"), Value: []byte{7}}}
	if change != nil {
		change(r)
	}
	c.w.Write(r)
	return c.result
}

func (c *caller) get(key byte, change func(*engine.Request)) record.Result {
	r := c.request(key)
	r.Info1 = record.Info1Read | record.Info1GetAll
	if change != nil {
		change(r)
	}
	c.w.Read(r)
	return c.result
}

func (c *caller) delete(key byte, change func(*engine.Request)) record.Result {
	r := c.request(key)
	r.Info2 = record.Info2Write | record.Info2Delete
	if change != nil {
		change(r)
	}
	c.w.Write(r)
	return c.result
}

func (c *caller) want(what string, got, want record.Result) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (c *caller) wantHeader(what string, gen, void uint32) {
	c.t.Helper()
	if c.gen != gen || c.void != void {
		c.t.Errorf("%s: generation %d, void-time %d, want %d, %d", what, c.gen, c.void, gen, void)
	}
}

func inSet(name string) func(*engine.Request) {
	return func(r *engine.Request) { r.Set = []byte(name) }
}

func withTTL(ttl uint32) func(*engine.Request) {
	return func(r *engine.Request) { r.TTL = ttl }
}

// TestPrecedence breaks two rules at once and holds the answer to the one that
// comes first. Each rule of the list is broken together with every later one.
func TestPrecedence(t *testing.T) {
	type rule struct {
		name   string
		result record.Result
		breach func(*engine.Request)
	}
	// The record of key 1 exists, in set "s", with generation 1 and a key.
	rules := []rule{
		{"roll", record.EnterpriseOnly, func(r *engine.Request) { r.Info4 |= record.Info4RollForward }},
		{"xdr", record.Forbidden, func(r *engine.Request) { r.Info1 |= record.Info1XDR }},
		{"bin name", record.BinName, func(r *engine.Request) { r.Ops[0].Name = make([]byte, 16) }},
		{"transaction", record.EnterpriseOnly, func(r *engine.Request) { r.HasMRT = true }},
		{"create only", record.Exists, func(r *engine.Request) { r.Info2 |= record.Info2CreateOnly }},
		{"generation", record.GenerationMismatch, func(r *engine.Request) {
			r.Info2 |= record.Info2Generation
			r.Generation = 77
		}},
		{"set", record.Parameter, inSet("other")},
		{"filter", record.FilteredOut, func(r *engine.Request) { r.Filter, r.HasFilter = []byte{0x93, 1, 1, 2}, true }},
		{"key", record.KeyMismatch, func(r *engine.Request) { r.Key, r.HasKey = []byte("\x03other"), true }},
		{"ttl", record.Parameter, withTTL(record.TTLMax + 1)},
		{"operation", record.IncompatibleType, func(r *engine.Request) {
			r.Ops[0] = record.Op{Code: record.OpAppend, Type: record.String, Name: r.Ops[0].Name, Value: []byte("x")}
		}},
	}
	c := newCaller(t, func(o *engine.Options) { o.RejectXDRWrites = true })
	prepare := func(r *engine.Request) { r.Set, r.Key, r.HasKey = []byte("s"), []byte("\x03key"), true }
	c.want("prepare", c.put(1, prepare), record.OK)
	for i, first := range rules {
		for _, second := range rules[i:] {
			t.Run(first.name+" before "+second.name, func(t *testing.T) {
				got := c.put(1, func(r *engine.Request) {
					prepare(r)
					second.breach(r)
					first.breach(r)
				})
				if got != first.result {
					t.Errorf("result %v, want %v", got, first.result)
				}
			})
		}
	}
	c.want("read afterwards", c.get(1, nil), record.OK)
	c.wantHeader("untouched", 1, 0)
}

func TestStopWrites(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) { o.StopWritesSysMemoryPct = 50 })
	ns := c.ns
	c.want("before", c.put(1, nil), record.OK)
	ns.SetSystemMemory(51)
	c.w.Tick(c.now + 10_000)
	c.want("write", c.put(1, nil), record.OutOfSpace)
	c.wantHeader("write", 0, 0)
	c.want("a bad write", c.put(1, func(r *engine.Request) { r.Ops = nil }), record.OutOfSpace)
	c.want("read", c.get(1, nil), record.OK)
	c.want("delete", c.delete(1, nil), record.OK)
	if s := ns.Stats(); !s.StopWrites || s.StopWritesCause == "" {
		t.Errorf("stop_writes %v, cause %q, want both", s.StopWrites, s.StopWritesCause)
	}
	ns.SetSystemMemory(50)
	c.w.Tick(c.now + 20_000)
	c.want("afterwards", c.put(1, nil), record.OK)
}

func TestXDRRules(t *testing.T) {
	xdr := func(r *engine.Request) { r.Info1 |= record.Info1XDR }
	c := newCaller(t, func(o *engine.Options) { o.RejectNonXDRWrites = true })
	c.want("write of a client", c.put(1, nil), record.Forbidden)
	c.want("delete of a client", c.delete(1, nil), record.Forbidden)
	c.want("write of XDR", c.put(1, xdr), record.OK)
	c.want("delete of XDR", c.delete(1, xdr), record.OK)
	s := c.ns.Stats()
	if s.FailXDRForbidden != 2 || s.XDRWriteSuccess != 1 || s.XDRDeleteSuccess != 1 || s.WriteError != 1 || s.DeleteError != 1 {
		t.Errorf("statistics %+v", s)
	}
}

func TestSetRules(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) {
		o.DisallowNullSetname = true
		o.Sets = []engine.SetOptions{
			{Name: "few", StopWritesCount: 2},
			{Name: "small", StopWritesSize: 100},
			{Name: "short", DefaultTTL: 60},
			{Name: "eternal", DefaultTTL: -1},
		}
		o.DefaultTTL = 1000
	})
	c.want("no set", c.put(1, nil), record.Parameter)
	c.want("a name with a NUL", c.put(1, inSet("a\x00")), record.Parameter)
	c.want("a name of 64 bytes", c.put(1, inSet(string(make([]byte, 64)))), record.Parameter)
	c.want("first of few", c.put(2, inSet("few")), record.OK)
	c.want("second of few", c.put(3, inSet("few")), record.OK)
	c.want("third of few", c.put(4, inSet("few")), record.Forbidden)
	c.want("update of few", c.put(3, inSet("few")), record.OK)
	c.want("delete of few", c.delete(3, nil), record.OK)
	c.want("room again", c.put(4, inSet("few")), record.OK)
	c.want("small", c.put(5, inSet("small")), record.OK)
	c.want("small again", c.put(6, inSet("small")), record.OK)
	c.want("no longer small", c.put(7, inSet("small")), record.Forbidden)
	c.want("nor for updates", c.put(6, inSet("small")), record.Forbidden)
	now := c.now.Seconds()
	for _, tt := range []struct {
		set  string
		void uint32
	}{{"short", now + 60}, {"eternal", 0}, {"plain", now + 1000}} {
		c.want(tt.set, c.put(20+tt.set[0]%16, func(r *engine.Request) { r.Set, r.TTL = []byte(tt.set), 0 }), record.OK)
		c.wantHeader("default-ttl of "+tt.set, 1, tt.void)
	}
	for _, s := range c.ns.Sets() {
		if s.Name == "few" && (s.Objects != 2 || s.Bytes != 2*64 || s.Options.StopWritesCount != 2) {
			t.Errorf("set few: %+v", s)
		}
	}
}

// TestSetsLimit makes every set that a namespace can have, and one more.
func TestSetsLimit(t *testing.T) {
	c := newCaller(t, nil)
	r := c.request(1)
	r.Info2, r.TTL = record.Info2Write, record.TTLNever
	r.Ops = []record.Op{{Code: record.OpWrite, Type: record.Integer, Name: []byte("a"), Value: []byte{7}}}
	for i := range record.MaxSets + 1 {
		r.Digest = record.Digest{byte(i), byte(i >> 8), 9}
		r.Set = fmt.Appendf(nil, "set-%d", i)
		c.w.Write(r)
		want := record.OK
		if i == record.MaxSets {
			want = record.Parameter
		}
		if c.result != want {
			t.Fatalf("set %d: %v, want %v", i+1, c.result, want)
		}
	}
	if n := len(c.ns.Sets()); n != record.MaxSets {
		t.Errorf("%d sets, want %d", n, record.MaxSets)
	}
}

func TestTTL(t *testing.T) {
	c := newCaller(t, nil)
	now := c.now.Seconds()
	c.want("create", c.put(1, withTTL(100)), record.OK)
	c.wantHeader("create", 1, now+100)
	c.want("keep", c.put(1, withTTL(record.TTLDontMove)), record.OK)
	c.wantHeader("keep", 2, now+100)
	c.want("ten years", c.put(1, withTTL(record.TTLMax)), record.OK)
	c.wantHeader("ten years", 3, now+record.TTLMax)
	c.want("more", c.put(1, withTTL(record.TTLMax+1)), record.Parameter)
	c.wantHeader("more", 3, now+record.TTLMax)
	c.want("shorter", c.put(1, withTTL(10)), record.OK)
	c.wantHeader("shorter", 4, now+10)

	c.now += 10_000
	c.want("its last second", c.get(1, nil), record.OK)
	c.now += 1_000
	c.want("expired", c.get(1, nil), record.NotFound)
	c.wantHeader("expired", 4, now+10)
	updateOnly := func(r *engine.Request) { r.Info3 |= record.Info3UpdateOnly }
	c.want("update of an expired record", c.put(1, updateOnly), record.NotFound)
	c.wantHeader("update of an expired record", 4, now+10)
	c.want("create anew", c.put(1, func(r *engine.Request) { r.Info2 |= record.Info2CreateOnly }), record.OK)
	c.wantHeader("create anew", 1, 0)

	c.want("another", c.put(2, withTTL(1)), record.OK)
	c.now += 5_000
	c.want("delete of an expired record", c.delete(2, nil), record.OK)
	c.want("and again", c.delete(2, nil), record.NotFound)
	if s := c.ns.Stats(); s.ReductionsApplied != 1 || s.ReductionsIgnored != 0 {
		t.Errorf("reductions applied %d, ignored %d, want 1, 0", s.ReductionsApplied, s.ReductionsIgnored)
	}
}

func TestTTLWithoutReductions(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) { o.ApplyTTLReductions = false })
	now := c.now.Seconds()
	c.put(1, withTTL(100))
	c.want("shorter", c.put(1, withTTL(10)), record.OK)
	c.wantHeader("shorter", 2, now+100)
	c.want("longer", c.put(1, withTTL(200)), record.OK)
	c.wantHeader("longer", 3, now+200)
	c.want("never", c.put(1, nil), record.OK)
	c.wantHeader("never", 4, 0)
	c.want("shorter than never", c.put(1, withTTL(100)), record.OK)
	c.wantHeader("shorter than never", 5, 0)
	if s := c.ns.Stats(); s.ReductionsApplied != 0 || s.ReductionsIgnored != 2 {
		t.Errorf("reductions applied %d, ignored %d, want 0, 2", s.ReductionsApplied, s.ReductionsIgnored)
	}
}

func TestTTLWithoutNsup(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) { o.NsupPeriod = 0 })
	c.want("with a ttl", c.put(1, withTTL(10)), record.Forbidden)
	c.want("it left nothing", c.get(1, nil), record.NotFound)
	c.want("without", c.put(1, nil), record.OK)
	c.want("the default, which is none", c.put(1, withTTL(0)), record.OK)
	c.want("with a ttl", c.put(1, withTTL(10)), record.Forbidden)
	c.wantHeader("with a ttl", 2, 0)

	o := c.ns.Options()
	o.AllowTTLWithoutNsup = true
	if err := c.ns.Configure(o); err != nil {
		t.Fatal(err)
	}
	c.want("when it is allowed", c.put(1, withTTL(10)), record.OK)
}

// TestGenerationWraps writes a record until its generation is at the end.
func TestGenerationWraps(t *testing.T) {
	if assert.Slow {
		t.Skip("65535 writes on one thread")
	}
	c := newCaller(t, nil)
	r := c.request(1)
	r.Info2, r.TTL = record.Info2Write, record.TTLNever
	r.Ops = []record.Op{{Code: record.OpWrite, Type: record.Integer, Name: []byte("a"), Value: []byte{7}}}
	for range 65535 {
		c.w.Write(r)
	}
	c.wantHeader("65535 writes", 65535, 0)
	greater := func(r *engine.Request) { r.Info2, r.Generation = r.Info2|record.Info2GenerationGT, 65536 }
	c.want("65536 is greater", c.put(1, greater), record.OK)
	c.wantHeader("one more", 1, 0)
}

func TestReadTouch(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) {
		o.DefaultReadTouchTTLPct = 50
		o.Sets = []engine.SetOptions{{Name: "never", DefaultReadTouchTTLPct: -1}, {Name: "late", DefaultReadTouchTTLPct: 10}}
	})
	for _, tt := range []struct {
		name string
		set  string
		pct  uint32
		age  record.Time // seconds, of a life of 100
		want uint32
	}{
		{"young", "", 0, 49, 0},
		{"at half its life", "", 0, 50, 50},
		{"never", "", 0xffffffff, 90, 0},
		{"asked for", "", 20, 80, 20},
		{"a second early", "", 20, 79, 0},
		{"set that never does", "never", 0, 90, 0},
		{"asked for all the same", "never", 100, 1, 100},
		{"set with its own", "late", 0, 89, 0},
		{"set with its own, later", "late", 0, 90, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.now = startTime
			c.delete(1, nil)
			c.want("put", c.put(1, func(r *engine.Request) { r.Set, r.TTL = []byte(tt.set), 100 }), record.OK)
			c.now += tt.age * 1000
			c.want("get", c.get(1, withTTL(tt.pct)), record.OK)
			if c.touch != tt.want {
				t.Fatalf("touch percentage %d, want %d", c.touch, tt.want)
			}
			if c.touch == 0 {
				return
			}
			r := c.request(1)
			r.TTL = c.touch
			c.w.Touch(r)
			c.want("touch", c.result, record.OK)
			c.w.Touch(r)
			c.want("touch once more", c.result, record.FilteredOut)
			c.want("get", c.get(1, withTTL(0xffffffff)), record.OK)
			c.wantHeader("after the touch", 1, c.now.Seconds()+100)
		})
	}
	if s := c.ns.Stats(); s.ReadTouchSuccess != 4 || s.ReadTouchSkip != 4 {
		t.Errorf("touches: %d, %d skipped, want 4, 4", s.ReadTouchSuccess, s.ReadTouchSkip)
	}
}

func TestRecordSizeLimit(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) { o.MaxRecordSize = 1000 })
	sized := func(n int, change func(*engine.Request)) func(*engine.Request) {
		return func(r *engine.Request) {
			r.Ops[0].Type, r.Ops[0].Value = record.Blob, make([]byte, n)
			if change != nil {
				change(r)
			}
		}
	}
	// A blob of n bytes counts n + 46 + the bin's name.
	c.want("fits", c.put(1, sized(1000-46-1, nil)), record.OK)
	c.want("a byte more", c.put(1, sized(1000-46, nil)), record.TooBig)
	c.wantHeader("a byte more", 1, 0)
	c.want("with a set", c.put(2, sized(1000-46-1-4, inSet("set"))), record.OK)
	c.want("a byte more", c.put(3, sized(1000-46-4, inSet("set"))), record.TooBig)
	c.wantHeader("a byte more", 0, 0)
	c.want("with a ttl", c.put(4, sized(1000-46-1-4, withTTL(10))), record.OK)
	c.want("a byte more", c.put(4, sized(1000-46-4, withTTL(10))), record.TooBig)
	if s := c.ns.Stats(); s.FailRecordTooBig != 3 {
		t.Errorf("fail_record_too_big %d, want 3", s.FailRecordTooBig)
	}
}

// TestReadScratchLimit asks in one read for many copies of a large list, each
// of which takes memory of its own.
func TestReadScratchLimit(t *testing.T) {
	c := newCaller(t, nil)
	const size = 512 << 10
	list := append([]byte{0x91, 0xc6, 0, size >> 16, size >> 8 & 0xff, size & 0xff}, make([]byte, size)...)
	list[6] = byte(record.Blob)
	c.want("put", c.put(1, func(r *engine.Request) {
		r.Ops[0].Type, r.Ops[0].Value = record.List, list
	}), record.OK)
	reads := func(n int) func(*engine.Request) {
		return func(r *engine.Request) {
			r.Info1 = record.Info1Read
			rangeOfAll := []byte{0x93, 18, 0, 1} // get_range of index 0, one element
			r.Ops = slices.Repeat([]record.Op{{Code: record.OpCDTRead, Name: []byte("a"), Value: rangeOfAll}}, n)
		}
	}
	c.want("ten copies", c.get(1, reads(10)), record.OK)
	c.want("more copies than a request may make", c.get(1, reads(1000)), record.TooBig)
	c.want("afterwards", c.get(1, reads(1)), record.OK)
}

// TestBinOrder holds to the order in which bins come back: removing one moves
// the last into its place.
func TestBinOrder(t *testing.T) {
	c := newCaller(t, nil)
	write := func(names ...string) {
		c.want("write", c.put(1, func(r *engine.Request) {
			r.Ops = nil
			for i, n := range names {
				op := record.Op{Code: record.OpWrite, Type: record.Integer, Name: []byte(n), Value: []byte{byte(i)}}
				if n[0] == '-' {
					op.Type, op.Name = record.Null, op.Name[1:]
				}
				r.Ops = append(r.Ops, op)
			}
		}), record.OK)
	}
	wantBins := func(want string) {
		t.Helper()
		c.get(1, nil)
		if got := fmt.Sprint(c.bins); got != want {
			t.Errorf("bins %s, want %s", got, want)
		}
	}
	write("a", "b", "c", "d")
	wantBins("[a=0 b=1 c=2 d=3]")
	write("-b", "e", "c")
	wantBins("[a=0 d=3 c=2 e=1]")
	write("-e", "-a", "b")
	wantBins("[c=2 d=3 b=2]")
}

// TestFullStore fills a namespace to the last wblock: writes end with an
// error, nothing is lost, and deletes make room.
func TestFullStore(t *testing.T) {
	c := newCaller(t, func(o *engine.Options) {
		o.Storage.WblockSize = 64 << 10
		o.Storage.FlushSize = 64 << 10
		o.Storage.DataSize = 8 << 20
		o.Storage.StopWritesAvailPct, o.Storage.StopWritesUsedPct = 0, 0
	})
	stored := 0
	big := func(i int) func(*engine.Request) {
		return func(r *engine.Request) {
			r.Digest = record.Digest{byte(i), byte(i >> 8), 4: 1, 8: byte(i)}
			if len(r.Ops) > 0 {
				r.Ops[0].Type, r.Ops[0].Value = record.Blob, make([]byte, 20<<10)
			}
		}
	}
	ok := map[int]bool{}
	for i := range 600 {
		switch res := c.put(1, big(i)); res {
		case record.OK:
			ok[i] = true
			stored++
		case record.OutOfSpace, record.DeviceOverload:
		default:
			t.Fatalf("write %d: %v", i, res)
		}
	}
	if stored < 200 || stored == 600 {
		t.Fatalf("%d of 600 records of 20 KiB in 8 MiB", stored)
	}
	for i := range 600 {
		want := record.NotFound
		if ok[i] {
			want = record.OK
		}
		c.want(fmt.Sprintf("read %d", i), c.get(1, big(i)), want)
	}
	for i := range 600 {
		c.delete(1, big(i))
	}
	c.w.Tick(c.now + 1000)
	c.want("write when there is room again", c.put(1, big(1)), record.OK)
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*engine.Options)
	}{
		{"no name", func(o *engine.Options) { o.Name = "" }},
		{"a long name", func(o *engine.Options) { o.Name = string(make([]byte, 32)) }},
		{"default-ttl without nsup", func(o *engine.Options) { o.DefaultTTL, o.NsupPeriod = 5, 0 }},
		{"max-record-size", func(o *engine.Options) { o.MaxRecordSize = 63 }},
		{"sprigs", func(o *engine.Options) { o.PartitionTreeSprigs = 100 }},
		{"storage", func(o *engine.Options) { o.Storage.Type = "tape" }},
		{"set twice", func(o *engine.Options) { o.Sets = []engine.SetOptions{{Name: "a"}, {Name: "a"}} }},
		{"set ttl", func(o *engine.Options) { o.Sets = []engine.SetOptions{{Name: "a", DefaultTTL: -2}} }},
		{"defrag-lwm-pct", func(o *engine.Options) { o.Storage.DefragLWM = 100 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := memoryOptions("test")
			tt.change(&o)
			if ns, err := engine.Open(o, testEnv()); err == nil {
				t.Error("it opens, want an error")
				ns.Close()
			}
		})
	}
	ns := openMemory(t, "test", nil)
	o := ns.Options()
	o.PartitionTreeSprigs *= 2
	if err := ns.Configure(o); err == nil {
		t.Error("sprigs changed at run time, want an error")
	}
}
