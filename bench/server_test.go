package bench

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// place is where a record is.
type place struct {
	namespace string
	digest    record.Digest
}

// fakeServer speaks the protocol from a goroutine a connection. It keeps which
// digests exist and their generations, so that answers are true ones, and can
// freeze, hang up and refuse.
type fakeServer struct {
	l      net.Listener
	freeze func() // called before each data answer
	result func(m *proto.Message) (record.Result, bool)

	mu      sync.Mutex
	records map[place]uint32 // generation
	stored  map[place]int    // bytes of the values last written
	conns   map[net.Conn]bool
	seen    atomic.Uint64
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newFake(l)
	t.Cleanup(s.close)
	go s.accept()
	return s
}

// newFake returns a server on a listener, to be set up before accept.
func newFake(l net.Listener) *fakeServer {
	return &fakeServer{l: l, records: map[place]uint32{}, stored: map[place]int{}, conns: map[net.Conn]bool{}}
}

func (s *fakeServer) close() {
	s.l.Close()
	s.hangUp()
}

// hangUp ends all connections.
func (s *fakeServer) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *fakeServer) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		go s.serve(c)
	}
}

func (s *fakeServer) serve(c net.Conn) {
	defer c.Close()
	var m proto.Message
	for {
		var head [proto.HeaderSize]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		h, err := proto.ParseHeader(head[:])
		if err != nil {
			return
		}
		body := make([]byte, h.Body)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		var out []byte
		if h.Type == proto.Info {
			out = s.info(body)
		} else {
			if m.Decode(body) != record.OK {
				return
			}
			if s.freeze != nil {
				s.freeze()
			}
			s.seen.Add(1)
			out = s.answer(&m)
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func (s *fakeServer) info(body []byte) []byte {
	bits := make([]byte, record.Partitions/8)
	for i := range bits {
		bits[i] = 0xFF
	}
	all := base64.StdEncoding.EncodeToString(bits)
	answers := map[string]string{
		"node": "A1", "build": "8.1.2.0", "namespaces": "test;other", "partition-generation": "1", "peers-clear-std": "0,3000,[]", "peers-generation": "0", "user-agent-set": "ok",
		"replicas": "test:0,1," + all + ";other:0,1," + all,
	}
	var text strings.Builder
	for line := range strings.Lines(string(body)) {
		cmd := strings.TrimSuffix(line, "\n")
		text.WriteString(cmd + "\t" + answers[cmd] + "\n")
	}
	return append(proto.AppendHeader(nil, proto.Info, text.Len()), text.String()...)
}

// answer does what a request asks and returns a reply without bins.
func (s *fakeServer) answer(m *proto.Message) []byte {
	result, generation := record.OK, uint32(0)
	if s.result != nil {
		if r, ok := s.result(m); ok {
			return reply(r, 0)
		}
	}
	digest := place{string(m.Namespace()), record.Digest(m.Field(proto.Digest))}
	s.mu.Lock()
	defer s.mu.Unlock()
	have, exists := s.records[digest]
	switch {
	case m.Info2&record.Info2Delete != 0:
		if !exists {
			result = record.NotFound
		}
		delete(s.records, digest)
	case m.Info2&record.Info2Write != 0 && m.Ops[0].Code == record.OpTouch && !exists:
		result = record.NotFound
	case m.Info2&record.Info2Generation != 0 && m.Generation != have:
		result, generation = record.GenerationMismatch, have
	case m.Info2&record.Info2Write != 0:
		generation = have + 1
		s.records[digest] = generation
		if m.Ops[0].Code == record.OpWrite {
			s.stored[digest] = 0
			for _, op := range m.Ops {
				s.stored[digest] += len(op.Value)
			}
		}
	case !exists:
		result = record.NotFound
	default:
		generation = have
	}
	return reply(result, generation)
}

func reply(result record.Result, generation uint32) []byte {
	out := proto.AppendError(nil, result)
	binary.BigEndian.PutUint32(out[generationAt:], generation)
	return out
}

// every returns a freeze of length once each period, on all connections at
// once.
func every(period, length time.Duration) func() {
	began := time.Now()
	return func() {
		if at := time.Since(began) % period; at < length {
			time.Sleep(length - at)
		}
	}
}
