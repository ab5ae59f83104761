package engine_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/node/proto"
)

// vectorFile holds what the original answered to exact requests.
const vectorFile = "../testbed/vectors/single.jsonl.gz"

type vectorStep struct {
	Desc string   `json:"desc"`
	Req  string   `json:"req"`
	Resp string   `json:"resp"`
	Mask [][2]int `json:"mask"`
}

// player is as much of a node as stands between a connection and the engine:
// it decodes, answers what is not the engine's to answer, and encodes.
type player struct {
	w   *engine.Worker
	now record.Time
	req engine.Request
	msg proto.Message
	out []byte
}

func newPlayer(w *engine.Worker) *player {
	p := &player{w: w, now: startTime}
	p.req.Done = func(r *engine.Request) {
		p.out = proto.AppendReply(p.out[:0], &proto.Reply{
			Result: r.Result, Generation: r.ReplyGeneration, VoidTime: r.ReplyVoidTime, Bins: r.Bins,
		})
	}
	return p
}

// answer returns the reply to a whole message, or nil when the message is not
// one that reaches the engine.
func (p *player) answer(req []byte) []byte {
	if len(req) < proto.HeaderSize {
		return nil
	}
	h, err := proto.ParseHeader(req)
	if err != nil || h.Type != proto.Data || h.Body != len(req)-proto.HeaderSize {
		return nil
	}
	m, r := &p.msg, &p.req
	if res := m.Decode(req[proto.HeaderSize:]); res != record.OK {
		return proto.AppendError(nil, res)
	}
	if string(m.Namespace()) != "test" {
		return proto.AppendError(nil, record.NamespaceUnknown)
	}
	if !m.Has(proto.Digest) || m.Has(proto.BatchIndex) || m.Has(proto.BatchWithSet) || m.Has(proto.UDFPackage) {
		return nil
	}
	if len(m.Field(proto.Digest)) != record.DigestSize {
		return proto.AppendError(nil, record.Parameter)
	}
	p.now++
	r.Reset()
	r.Info1, r.Info2, r.Info3, r.Info4 = m.Info1, m.Info2, m.Info3, m.Info4
	r.Digest = record.Digest(m.Field(proto.Digest))
	r.Set, r.Generation, r.TTL = m.Field(proto.Set), m.Generation, m.TTL
	r.Key, r.HasKey = m.Field(proto.Key), m.Has(proto.Key)
	r.Filter, r.HasFilter = m.Field(proto.Filter), m.Has(proto.Filter)
	r.HasMRT, r.Ops, r.Now = m.Has(proto.MRTID), m.Ops, p.now
	switch {
	case m.Info2&record.Info2Write != 0:
		p.w.Write(r)
	case m.Info1&record.Info1Read != 0:
		p.w.Read(r)
	default:
		return proto.AppendError(nil, record.Parameter)
	}
	if pct := r.TouchPct; pct != 0 {
		touch := engine.Request{Digest: r.Digest, TTL: pct, Now: p.now, Done: func(*engine.Request) {}}
		p.w.Touch(&touch)
	}
	return p.out
}

// TestVectors replays the original's answers against a namespace in memory.
func TestVectors(t *testing.T) {
	ns := openMemory(t, "test", nil)
	p := newPlayer(newWorker(t, ns, nil))
	least, every := 75000, 1
	if assert.Slow {
		least, every = 4000, 16
	}
	compared, differ, sequence := 0, 0, 0
	eachSequence(t, func(name string, steps []vectorStep) {
		if sequence++; sequence%every != 0 {
			return
		}
		for i, s := range steps {
			req, want := unhex(t, s.Req), unhex(t, s.Resp)
			if deliberate(req, want) {
				return // what follows in the sequence depends on it
			}
			got := p.answer(req)
			if got == nil {
				continue
			}
			compared++
			if !equalMasked(got, want, s.Mask) {
				if differ++; differ <= 40 {
					t.Errorf("%s, step %d, %s\nrequest %x\n    got %x\n   want %x", name, i, s.Desc, req, got, want)
				}
				return
			}
		}
	})
	t.Logf("%d answers compared, %d sequences differ", compared, differ)
	if compared < least {
		t.Errorf("%d answers compared, want at least %d of the file's 83192", compared, least)
	}
	if err := ns.Check(); err != nil {
		t.Error(err)
	}
}

// deliberate reports whether a step's answer is one that differs on purpose:
// the original's free edition refuses the durable-delete flag (25), here every
// delete is durable and the flag is accepted.
func deliberate(req, want []byte) bool {
	const info2, result = proto.HeaderSize + 2, proto.HeaderSize + 5
	return len(req) > info2 && len(want) > result && req[1] == byte(proto.Data) &&
		req[info2]&record.Info2DurableDelete != 0 && record.Result(want[result]) == record.EnterpriseOnly
}

func equalMasked(got, want []byte, mask [][2]int) bool {
	if len(got) != len(want) {
		return false
	}
	got = bytes.Clone(got)
	for _, m := range mask {
		copy(got[m[0]:m[0]+m[1]], want[m[0]:])
	}
	return bytes.Equal(got, want)
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eachSequence calls fn for each sequence of the file.
func eachSequence(t *testing.T, fn func(name string, steps []vectorStep)) {
	t.Helper()
	f, err := os.Open(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for n := 0; lines.Scan(); n++ {
		if n == 0 {
			continue // the header
		}
		var s struct {
			Name  string       `json:"name"`
			Steps []vectorStep `json:"steps"`
		}
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(fmt.Errorf("line %d: %w", n+1, err))
		}
		fn(s.Name, s.Steps)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}
