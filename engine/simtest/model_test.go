package simtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
)

// bin is one bin of the model: its value in wire form. It never changes.
type bin struct {
	name string
	typ  record.Type
	wire string
}

// version is one state of a key that a write has made, or was to make.
type version struct {
	absent  bool
	expired bool  // absent, but an expired record may lie there still
	bins    []bin // by name
	gen     uint32
	anyGen  bool // gen is not known: written blindly, and not read since
	void    uint32

	acked   bool          // the client was told that it is there
	ackedAt time.Duration // when
	worker  int           // who wrote it
	durable bool          // no restart can take it away any more
}

// remains reports whether a record may lie there that does not count as
// present at that time.
func (v *version) remains(now record.Time) bool {
	return v.expired || !v.absent && !v.present(now)
}

// at returns the bin of that name, nil if there is none.
func (v *version) at(name string) *bin {
	for i := range v.bins {
		if v.bins[i].name == name {
			return &v.bins[i]
		}
	}
	return nil
}

// present reports whether v counts as a record at that time.
func (v *version) present(now record.Time) bool {
	return !v.absent && (v.void == 0 || v.void >= now.Seconds())
}

func (v *version) String() string {
	if v.absent {
		return "absent"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "gen %d void %d", v.gen, v.void)
	for _, bin := range v.bins {
		fmt.Fprintf(&b, " %s=%s", bin.name, show(bin.typ, bin.wire))
	}
	if !v.acked {
		b.WriteString(" (not acknowledged)")
	}
	return b.String()
}

func show(t record.Type, wire string) string {
	switch {
	case t == record.Integer && len(wire) == 8:
		return fmt.Sprint(int64(binary.BigEndian.Uint64([]byte(wire))))
	case t == record.String && len(wire) < 40:
		return fmt.Sprintf("%q", wire)
	case t == record.Blob && len(wire) >= stampSize:
		return describe([]byte(wire))
	}
	return fmt.Sprintf("type %d, %d bytes", t, len(wire))
}

// stampSize is the size of what begins every blob: key and version.
const stampSize = 16

// blob returns a value of n bytes that says which write of which key it is,
// in every byte.
func blob(key, n int, seq uint64) []byte {
	p := make([]byte, max(n, stampSize))
	binary.BigEndian.PutUint64(p, uint64(key))
	binary.BigEndian.PutUint64(p[8:], seq)
	x := uint64(key)*0x9e3779b97f4a7c15 ^ seq
	for i := stampSize; i < len(p); i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		p[i] = byte(x)
	}
	return p
}

// describe says which write a blob claims to be, and whether it is whole.
func describe(p []byte) string {
	if len(p) < stampSize {
		return fmt.Sprintf("%d bytes of no write", len(p))
	}
	key, seq := binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
	whole := ""
	if !bytes.Equal(p, blob(int(key), len(p), seq)) {
		whole = ", corrupt"
	}
	return fmt.Sprintf("<write %d of key %d, %d bytes%s>", seq, key, len(p), whole)
}

// key is what the model knows of one key.
type key struct {
	number int
	digest record.Digest
	set    string
	user   []byte // key field: type and value; nil for keys that send none

	// log holds the versions since the last restart in the order of their
	// writes. The first is what the restart found.
	log []*version
	// now are the versions that the running node may hold, as indexes of log.
	// One, unless a write ended without saying whether it happened.
	now []int
	// history holds every version ever, for runs in which the devices corrupt.
	history []*version
	// writing is the write in flight, nil if none.
	writing *call
	writes  uint64 // so far: stamps values
}

// sure returns the version that the node holds, nil if that is open.
func (k *key) sure() *version {
	if len(k.now) != 1 || k.log[k.now[0]].anyGen {
		return nil
	}
	return k.log[k.now[0]]
}

// add appends a version to the log and returns its index.
func (k *key) add(v *version) int {
	k.log = append(k.log, v)
	k.history = append(k.history, v)
	return len(k.log) - 1
}

// survivor returns the index of the last version that must have survived.
func (k *key) survivor(survives func(v *version) bool) int {
	from := 0
	for i, v := range k.log {
		if v.durable || v.acked && survives(v) {
			from = i
		}
	}
	return from
}

// restart makes vs the log: the node may hold any of them, and none older than
// the first.
func (k *key) restart(vs []*version) {
	k.log, k.now, k.writing = slices.Clone(vs), nil, nil
	for i, v := range vs {
		v.acked, v.durable = false, i == 0
		k.now = append(k.now, i)
	}
}

// kind is a kind of request.
type kind uint8

const (
	readAll kind = iota
	readBin
	readHeader
	nReads // kinds from here on write

	put = nReads + iota - 4 // update: one or two bins
	replace
	create
	updateOnly
	replaceOnly
	touch
	add
	appendString
	dropBin
	operate
	remove
	nKinds
)

var kindNames = [nKinds]string{
	readAll: "read", readBin: "read-bin", readHeader: "header",
	put: "put", replace: "replace", create: "create", updateOnly: "update-only", replaceOnly: "replace-only",
	touch: "touch", add: "add", appendString: "append", dropBin: "drop-bin", operate: "operate", remove: "delete",
}

func (k kind) String() string { return kindNames[k] }

func (k kind) reads() bool { return k < nReads }

// command is what one request asks for.
type command struct {
	kind kind
	ttl  uint32
	gen  uint32 // generation that must be equal, 0: any
	ops  []record.Op
}

// foretell returns the result of a write on old (a record that is not there
// has generation 0), and the version it makes, nil
// if it makes none.
func (c *command) foretell(old *version, now record.Time) (record.Result, *version) {
	here := old.present(now)
	if !here {
		old = &version{absent: true}
	}
	switch {
	case c.kind == remove:
		return c.foretellRemove(old, here)
	case !here && (c.kind == updateOnly || c.kind == replaceOnly || c.kind == touch):
		return record.NotFound, nil
	case here && c.kind == create:
		return record.Exists, nil
	case c.gen != 0 && c.gen != old.gen:
		return record.GenerationMismatch, nil
	}
	v := &version{gen: 1, void: c.void(old, now)}
	if here {
		v.gen = old.gen + 1
	}
	if c.kind != replace && c.kind != replaceOnly {
		v.bins = slices.Clone(old.bins)
	}
	for i := range c.ops {
		v.apply(&c.ops[i])
	}
	if len(v.bins) > 0 {
		return record.OK, v
	}
	if !here {
		return record.NotFound, nil
	}
	return record.OK, &version{absent: true}
}

func (c *command) foretellRemove(old *version, here bool) (record.Result, *version) {
	if !here {
		return record.NotFound, nil
	}
	if c.gen != 0 && c.gen != old.gen {
		return record.GenerationMismatch, nil
	}
	return record.OK, &version{absent: true}
}

// void returns the void-time that the command's TTL gives.
func (c *command) void(old *version, now record.Time) uint32 {
	switch c.ttl {
	case record.TTLDefault, record.TTLNever:
		return 0
	case record.TTLDontMove:
		return old.void
	}
	return now.Seconds() + c.ttl
}

// apply changes v's bins as one operation does.
func (v *version) apply(o *record.Op) {
	name := string(o.Name)
	old := v.at(name)
	set := func(t record.Type, wire string) {
		if old != nil {
			*old = bin{name, t, wire}
			return
		}
		v.bins = append(v.bins, bin{name, t, wire})
	}
	switch o.Code {
	case record.OpWrite:
		if o.Type == record.Null {
			v.bins = slices.DeleteFunc(v.bins, func(b bin) bool { return b.name == name })
			return
		}
		set(o.Type, string(o.Value))
	case record.OpIncr:
		n := binary.BigEndian.Uint64(o.Value)
		if old != nil {
			n += binary.BigEndian.Uint64([]byte(old.wire))
		}
		set(record.Integer, string(binary.BigEndian.AppendUint64(nil, n)))
	case record.OpAppend:
		s := string(o.Value)
		if old != nil {
			s = old.wire + s
		}
		set(record.String, s)
	}
}
