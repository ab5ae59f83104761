package service

import (
	"encoding/binary"
	"flag"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/info"
	"github.com/ashlardb/ashlar/node/proto"
	"github.com/ashlardb/ashlar/node/txn"
)

var seedFlag = flag.Uint64("seed", 0, "replay this seed instead of a fresh one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./node/service -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// startService serves namespace "test" in memory on a free port.
func startService(t testing.TB, change func(*Options)) *Service {
	t.Helper()
	o := DefaultOptions()
	o.Addresses, o.Threads = []string{"127.0.0.1:0"}, 2
	if change != nil {
		change(&o)
	}
	shared, err := txn.NewShared(txn.Options{}, o.Threads, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ns := openNamespace(t)
	if _, err := shared.AddNamespace(ns); err != nil {
		t.Fatal(err)
	}
	s, err := New(o, shared, Info{Answer: echoInfo, Close: func(*info.Conn) {}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := ns.Close(); err != nil {
			t.Errorf("namespace: Close: %v", err)
		}
	})
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	s.Accept()
	return s
}

func openNamespace(t testing.TB) *engine.Namespace {
	t.Helper()
	o := engine.DefaultOptions()
	o.Name, o.Storage.DataSize = "test", 1<<30
	ns, err := engine.Open(o, engine.Env{
		Now: func() record.Time { return record.Time(time.Now().UnixMilli() - record.EpochUnix*1000) },
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// echoInfo answers every command with its own length.
func echoInfo(out []byte, _ *info.Conn, text []byte) []byte {
	for cmd, rest, ok := proto.NextCommand(text); ok; cmd, rest, ok = proto.NextCommand(rest) {
		out = proto.AppendInfo(out, cmd, []byte{byte('0' + len(cmd)%10)})
	}
	return out
}

// client is a raw connection to a service.
type client struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, s *Service) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c}
}

func (c *client) write(b []byte) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the write tells
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// read returns the next whole message.
func (c *client) read() []byte {
	c.t.Helper()
	b, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return b
}

func (c *client) tryRead() ([]byte, error) {
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
	head := make([]byte, proto.HeaderSize)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint64(head) & (1<<48 - 1))
	whole := append(head, make([]byte, n)...)
	_, err := io.ReadFull(c, whole[proto.HeaderSize:])
	return whole, err
}

// result reads a reply to a Data message and returns its result.
func (c *client) result() record.Result {
	c.t.Helper()
	b := c.read()
	if len(b) < proto.ReplySize || b[1] != byte(proto.Data) {
		c.t.Fatalf("reply %x, want a Data message", b)
	}
	return record.Result(b[13])
}

func (c *client) wantResult(what string, want record.Result) {
	c.t.Helper()
	if got := c.result(); got != want {
		c.t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// wantClosed checks that the node has ended the connection.
func (c *client) wantClosed(what string) {
	c.t.Helper()
	if b, err := c.tryRead(); err == nil {
		c.t.Fatalf("%s: answered %x, want the connection closed", what, b)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatalf("%s: the connection is still open", what)
	}
}

func digestOf(key int) []byte {
	d := make([]byte, record.DigestSize)
	binary.LittleEndian.PutUint64(d, uint64(key)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(d[8:], uint64(key)*0xbf58476d1ce4e5b9)
	return d
}

// message makes a request on a key of namespace test.
func message(key int) *proto.Message {
	var m proto.Message
	m.SetField(proto.Namespace, []byte("test"))
	m.SetField(proto.Digest, digestOf(key))
	return &m
}

func get(key int) []byte {
	m := message(key)
	m.Info1 = record.Info1Read | record.Info1GetAll
	return proto.AppendMessage(nil, m)
}

func put(key int, value []byte) []byte {
	m := message(key)
	m.Info2 = record.Info2Write
	m.Ops = []record.Op{{Code: record.OpWrite, Type: record.Blob, Name: []byte("a"), Value: value}}
	return proto.AppendMessage(nil, m)
}

func del(key int) []byte {
	m := message(key)
	m.Info2 = record.Info2Write | record.Info2Delete
	return proto.AppendMessage(nil, m)
}

// value returns the only bin of a reply.
func value(t testing.TB, reply []byte) []byte {
	t.Helper()
	var m proto.Message
	if res := m.Decode(reply[proto.HeaderSize:]); res != record.OK || len(m.Ops) != 1 {
		t.Fatalf("reply %x: %v with %d bins, want one bin", reply, res, len(m.Ops))
	}
	return m.Ops[0].Value
}

// eventually waits for a condition that another thread brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}
