package simtest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
)

// call is one request on its way through the node, and what the model expects
// of it.
type call struct {
	req  engine.Request
	run  *run
	w    *worker
	key  *key
	cmd  command
	busy bool

	// A read may answer with one of seen, with what the log got since it had
	// logged versions, or with what a write in flight will make.
	seen   []*version
	logged int

	// A write must answer with one of results and make next.
	results []record.Result
	next    *version
}

// newCall makes a call for reuse.
func newCall(r *run, w *worker) *call {
	c := &call{run: r, w: w}
	c.req.Done = func(*engine.Request) { c.done() }
	return c
}

// start sends cmd for a key. For a write the key has none in flight.
func (c *call) start(k *key, cmd command) {
	c.busy, c.key, c.cmd = true, k, cmd
	c.seen, c.logged, c.results, c.next = nil, len(k.log), nil, nil
	c.fill()
	if cmd.kind.reads() {
		for _, i := range k.now {
			c.seen = append(c.seen, k.log[i])
		}
		c.run.logf("%v %v of key %d", c.w, cmd.kind, k.number)
		c.w.Read(&c.req)
		return
	}
	c.expect()
	k.writing = c
	c.run.logf("%v %v of key %d, ttl %d, gen %d: expect %v, %v", c.w, cmd.kind, k.number, cmd.ttl, cmd.gen, c.results, c.next)
	c.w.Write(&c.req)
}

// fill makes the request of the command.
func (c *call) fill() {
	r, k := &c.req, c.key
	r.Reset()
	r.Now = c.run.clock()
	r.Digest, r.Set = k.digest, []byte(k.set)
	r.TTL, r.Ops = c.cmd.ttl, c.cmd.ops
	if k.user != nil && c.run.rand.IntN(2) == 0 {
		r.Key, r.HasKey = k.user, true
	}
	switch c.cmd.kind {
	case readAll:
		r.Info1 = record.Info1Read | record.Info1GetAll
	case readBin:
		r.Info1 = record.Info1Read
	case readHeader:
		r.Info1 = record.Info1Read | record.Info1NoBins
	case remove:
		r.Info2 = record.Info2Write | record.Info2Delete
	default:
		r.Info2 = record.Info2Write
	}
	switch c.cmd.kind {
	case replace:
		r.Info3 = record.Info3CreateOrReplace
	case create:
		r.Info2 |= record.Info2CreateOnly
	case updateOnly:
		r.Info3 = record.Info3UpdateOnly
	case replaceOnly:
		r.Info3 = record.Info3ReplaceOnly
	case operate:
		r.Info1 = record.Info1Read
	}
	if c.cmd.gen != 0 {
		r.Info2 |= record.Info2Generation
		r.Generation = c.cmd.gen
	}
}

// expect asks the model.
func (c *call) expect() {
	old := c.key.sure()
	if old == nil { // only blind commands come here
		_, c.next = c.cmd.foretell(&version{absent: true}, c.req.Now)
		c.results = []record.Result{record.OK}
		if c.cmd.kind == remove {
			c.next = &version{absent: true}
			c.results = append(c.results, record.NotFound)
		}
		c.next.anyGen = !c.next.absent
		return
	}
	res, next := c.cmd.foretell(old, c.req.Now)
	c.results, c.next = []record.Result{res}, next
	if c.cmd.kind == remove && old.remains(c.req.Now) {
		// Deletes do not look at the void-time: whether the record is
		// still there depends on what has reclaimed it.
		c.results = []record.Result{record.OK, record.NotFound}
		if c.cmd.gen != 0 {
			c.results = append(c.results, record.GenerationMismatch)
		}
		c.next = &version{absent: true}
	}
}

// done checks the answer; the request calls it.
func (c *call) done() {
	if !c.busy {
		c.run.failf("%v of key %d: Done ran twice", c.cmd.kind, c.key.number)
	}
	c.busy = false
	c.run.count(c.req.Result)
	c.run.logf("%v %v of key %d: %v, gen %d void %d %s", c.w, c.cmd.kind, c.key.number,
		c.req.Result, c.req.ReplyGeneration, c.req.ReplyVoidTime, showBins(c.req.Bins))
	if c.cmd.kind.reads() {
		c.checkRead()
	} else {
		c.checkWrite()
	}
}

// candidates returns the versions that a read may have met.
func (c *call) candidates() []*version {
	vs := append(slices.Clone(c.seen), c.key.log[c.logged:]...)
	if w := c.key.writing; w != nil && w.next != nil {
		vs = append(vs, w.next)
	}
	return vs
}

func (c *call) checkRead() {
	k, vs := c.key, c.candidates()
	if c.req.Result == record.Unknown && c.run.mayFail() {
		return
	}
	if !slices.ContainsFunc(vs, c.answers) {
		c.run.failf("%v of key %d at %d s: answer %v, gen %d, void %d, bins %s; want one of:\n%s", c.cmd.kind, k.number,
			c.req.Now.Seconds(), c.req.Result, c.req.ReplyGeneration, c.req.ReplyVoidTime, showBins(c.req.Bins), list(vs))
	}
	if k.writing == nil && len(k.log) == c.logged {
		k.now = slices.DeleteFunc(k.now, func(i int) bool { return !c.answers(k.log[i]) })
		if v := k.log[k.now[0]]; len(k.now) == 1 && v.anyGen && c.req.Result == record.OK {
			v.gen, v.anyGen = c.req.ReplyGeneration, false
		}
	}
}

// answers reports whether the answer is what a read of v gives.
func (c *call) answers(v *version) bool {
	r := &c.req
	if !v.present(r.Now) {
		return r.Result == record.NotFound
	}
	if r.Result != record.OK || r.ReplyGeneration != v.gen && !v.anyGen || r.ReplyVoidTime != v.void {
		return false
	}
	switch c.cmd.kind {
	case readHeader:
		return len(r.Bins) == 0
	case readBin:
		b := v.at(string(r.Ops[0].Name))
		if b == nil {
			return len(r.Bins) == 0
		}
		return len(r.Bins) == 1 && same(b, &r.Bins[0])
	}
	if len(r.Bins) != len(v.bins) {
		return false
	}
	for i := range r.Bins {
		if b := v.at(string(r.Bins[i].Name)); b == nil || !same(b, &r.Bins[i]) {
			return false
		}
	}
	return true
}

func same(b *bin, got *record.Bin) bool {
	return b.name == string(got.Name) && b.typ == got.Value.Type && b.wire == string(got.Value.AppendWire(nil))
}

func (c *call) checkWrite() {
	k, res := c.key, c.req.Result
	k.writing = nil
	switch {
	case slices.Contains(c.results, res):
		c.settle(res)
	case res == record.OutOfSpace || res == record.DeviceOverload:
		// Nothing has happened.
	case res == record.Unknown && c.run.mayFail():
		if c.next != nil {
			k.now = append(k.now, k.add(c.next))
		}
	default:
		c.run.failf("%v of key %d at %d s: answer %v, want %v; the key was %v", c.cmd.kind, k.number,
			c.req.Now.Seconds(), res, c.results, k.log[k.now[0]])
	}
}

// settle takes an expected answer into the model.
func (c *call) settle(res record.Result) {
	k, v := c.key, c.next
	if res != record.OK || v == nil {
		if res == record.NotFound && k.sure() == nil {
			k.now = slices.DeleteFunc(k.now, func(i int) bool { return k.log[i].present(c.req.Now) })
			if len(k.now) == 0 {
				c.run.failf("%v of key %d: not found, but no version that it may have is absent", c.cmd.kind, k.number)
			}
		}
		return
	}
	if v.anyGen {
		v.gen, v.anyGen = c.req.ReplyGeneration, false
	}
	if !v.absent && (c.req.ReplyGeneration != v.gen || c.req.ReplyVoidTime != v.void) {
		c.run.failf("%v of key %d: reply gen %d void %d, want gen %d void %d", c.cmd.kind, k.number,
			c.req.ReplyGeneration, c.req.ReplyVoidTime, v.gen, v.void)
	}
	if c.cmd.kind == operate {
		if want := v.at("n"); len(c.req.Bins) != 1 || !same(want, &c.req.Bins[0]) {
			c.run.failf("operate of key %d: bins %s, want n=%s", k.number, showBins(c.req.Bins), show(want.typ, want.wire))
		}
	}
	v.acked, v.ackedAt, v.worker = true, c.run.world.Now(), c.w.number
	k.now = []int{k.add(v)}
}

func showBins(bins []record.Bin) string {
	var parts []string
	for i := range bins {
		b := &bins[i]
		parts = append(parts, fmt.Sprintf("%s=%s", b.Name, show(b.Value.Type, string(b.Value.AppendWire(nil)))))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func list(vs []*version) string {
	var b strings.Builder
	for _, v := range vs {
		fmt.Fprintf(&b, "  %v\n", v)
	}
	return b.String()
}

// drawCommand draws a command for a key. A key whose state is open is only
// written blindly.
func (r *run) drawCommand(k *key, write bool) command {
	c := command{kind: kind(r.rand.IntN(int(nReads)))}
	if write {
		c.kind = nReads + kind(r.rand.IntN(int(nKinds-nReads)))
		if k.sure() == nil {
			c.kind = pick(r.rand, replace, remove)
		}
	}
	old := k.sure()
	switch c.kind {
	case readAll, readHeader:
	case readBin:
		c.ops = []record.Op{{Code: record.OpRead, Name: []byte(pick(r.rand, "v", "n", "s", "w"))}}
	case put, updateOnly:
		c.ops = []record.Op{r.drawBlob(k, pick(r.rand, "v", "w"))}
		if r.rand.IntN(2) == 0 {
			c.ops = append(c.ops, opIncr(r.rand.Uint64()))
			c.ops[1].Code = record.OpWrite
		}
	case replace, create, replaceOnly:
		c.ops = []record.Op{r.drawBlob(k, "v")}
	case touch:
		c.ops = []record.Op{{Code: record.OpTouch}}
	case add:
		c.ops = []record.Op{opIncr(uint64(r.rand.IntN(100)))}
	case appendString:
		// Bounded: a long string starts anew.
		op := record.Op{Code: record.OpAppend, Type: record.String, Name: []byte("s"), Value: fmt.Appendf(nil, "%d,", k.stamp())}
		if old != nil && old.at("s") != nil && len(old.at("s").wire) > 200 {
			op.Code = record.OpWrite
		}
		c.ops = []record.Op{op}
	case dropBin:
		c.ops = []record.Op{{Code: record.OpWrite, Type: record.Null, Name: []byte(pick(r.rand, "v", "n", "s", "w"))}}
	case operate:
		c.ops = []record.Op{opIncr(1), {Code: record.OpRead, Name: []byte("n")}}
	}
	if write {
		c.ttl = r.drawTTL(k)
		if old != nil && r.rand.IntN(8) == 0 && !old.absent && c.kind != create {
			c.gen = old.gen + uint32(r.rand.IntN(2))
		}
	}
	return c
}

func (r *run) drawTTL(k *key) uint32 {
	if !r.plan.ttl {
		return record.TTLDefault
	}
	ttl := pick(r.rand, record.TTLDefault, record.TTLNever, record.TTLDontMove, 1, 1, 2, 3, uint32(1+r.rand.IntN(60)))
	if ttl == record.TTLDontMove && k.sure() == nil {
		return record.TTLNever
	}
	return ttl
}

// drawBlob returns the write of a fresh blob.
func (r *run) drawBlob(k *key, name string) record.Op {
	n := r.rand.IntN(r.plan.maxValue + 1)
	if r.rand.IntN(4) == 0 {
		n = min(n, r.rand.IntN(500))
	}
	return record.Op{Code: record.OpWrite, Type: record.Blob, Name: []byte(name), Value: blob(k.number, n, k.stamp())}
}

// stamp numbers the writes of a key.
func (k *key) stamp() uint64 {
	k.writes++
	return k.writes
}

func opIncr(n uint64) record.Op {
	return record.Op{
		Code: record.OpIncr, Type: record.Integer, Name: []byte("n"),
		Value: binary.BigEndian.AppendUint64(nil, n),
	}
}
