package service

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// TestBadStreamClosesOnlyThatConnection: what cannot be a message ends its
// connection, and what was asked before is still answered.
func TestBadStreamClosesOnlyThatConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		other := dial(t, s)
		other.write(put(1, []byte("x")))
		other.wantResult("put", record.OK)
		for _, tt := range []struct {
			name string
			head string
		}{
			{"version 0", "\x00\x03\x00\x00\x00\x00\x00\x16"},
			{"version 3", "\x03\x03\x00\x00\x00\x00\x00\x16"},
			{"version 255", "\xff\x03\x00\x00\x00\x00\x00\x16"},
			{"type 0", "\x02\x00\x00\x00\x00\x00\x00\x16"},
			{"type 6", "\x02\x06\x00\x00\x00\x00\x00\x16"},
			{"type 255", "\x02\xff\x00\x00\x00\x00\x00\x16"},
			{"body over 128 MiB", "\x02\x03\x00\x00\x08\x00\x00\x01"},
			{"info over 128 MiB", "\x02\x01\x00\x00\x08\x00\x00\x01"},
			{"longest length", "\x02\x04\xff\xff\xff\xff\xff\xff"},
			{"TLS hello", "\x16\x03\x01\x00\xc8\x01\x00\x00"},
			{"HTTP", "GET / HTTP/1.1\r\n\r\n"},
		} {
			c := dial(t, s)
			c.write(append(get(1), tt.head...))
			c.wantResult(tt.name+": the request before", record.OK)
			c.wantClosed(tt.name)
			other.write(get(1))
			other.wantResult(tt.name+": another connection", record.OK)
		}
		if got := s.Stats().BadStream; got != 11 {
			t.Errorf("bad streams: %d, want 11", got)
		}
	}, nil)
}

// TestMalformed sends ten thousand messages with good headers and broken
// bodies: each is answered, in order, and the node serves on.
func TestMalformed(t *testing.T) {
	rng := newRand(t)
	s := startService(t, nil)
	c := dial(t, s)
	var sent []byte
	const n = 10000
	go func() {
		for range n {
			sent = append(sent[:0], malformed(rng)...)
			if _, err := c.Write(sent); err != nil {
				return // the reader tells
			}
		}
	}()
	counts := map[record.Result]int{}
	for range n {
		counts[c.result()]++
	}
	t.Logf("answers: %v", counts)
	if counts[record.Parameter] < n/2 {
		t.Errorf("%d parameter errors in %d messages: they are not malformed enough", counts[record.Parameter], n)
	}
	c.write(put(1, []byte("alive")))
	c.wantResult("put", record.OK)
	c.write(get(1))
	if got := value(t, c.read()); string(got) != "alive" {
		t.Errorf("value %q, want alive", got)
	}
}

// malformed damages the body of a good message, or makes one of nothing. The
// length in the header is right: else the stream would be out of step.
func malformed(rng *rand.Rand) []byte {
	msgs := [][]byte{get(rng.IntN(100)), put(rng.IntN(100), make([]byte, rng.IntN(200))), del(rng.IntN(100))}
	msg := msgs[rng.IntN(len(msgs))]
	body := msg[proto.HeaderSize:]
	switch rng.IntN(5) {
	case 0: // cut
		body = body[:rng.IntN(len(body))]
	case 1: // longer
		body = append(body, make([]byte, 1+rng.IntN(50))...)
	case 2: // noise
		body = make([]byte, rng.IntN(300))
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
	case 3: // some bytes wrong, lengths among them
		for range 1 + rng.IntN(8) {
			body[rng.IntN(len(body))] = byte(rng.Uint32())
		}
	case 4: // counts wrong
		binary.BigEndian.PutUint16(body[18+2*rng.IntN(2):], uint16(rng.Uint32()))
	}
	return append(proto.AppendHeader(nil, proto.Data, len(body)), body...)
}

// TestNoise throws bytes at the node that are no protocol at all.
func TestNoise(t *testing.T) {
	rng := newRand(t)
	s := startService(t, nil)
	for range 300 {
		c := dial(t, s)
		noise := make([]byte, 1+rng.IntN(4096))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 { // good at first
			copy(noise, []byte{2, byte(1 + rng.IntN(5)), 0, 0, 0})
		}
		c.Write(noise) //nolint:errcheck // the node may have hung up
		c.Close()
	}
	c := dial(t, s)
	c.write(get(1))
	c.wantResult("get", record.NotFound)
	eventually(t, "all other connections closed", func() bool { return s.Stats().Connections == 1 })
}

// TestHalfOpenClients: clients that send half a message hold no loop, and no
// more memory than what they sent.
func TestHalfOpenClients(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		for i := range 200 {
			c := dial(t, s)
			msg := put(i, make([]byte, 1000))
			if i%2 == 0 { // claims the largest message there is
				msg = append(proto.AppendHeader(nil, proto.Data, proto.MaxBody), msg...)
			}
			c.write(msg[:len(msg)-1-i])
		}
		c := dial(t, s)
		for i := range 1000 {
			c.write(get(i + 1000))
			c.wantResult("get among half-open clients", record.NotFound)
		}
		if out := s.Stats().OutOfMemory; out != 0 {
			t.Errorf("%d connections found no memory: half-open ones hold too much", out)
		}
	}, func(o *Options) { o.LoopMemory = 2 << 20 })
}

// TestHalfClosed: a client that ends its side after its requests gets its
// answers.
func TestHalfClosed(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		c.write(append(put(1, []byte("bye")), get(1)...))
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.wantResult("put", record.OK)
		if got := value(t, c.read()); string(got) != "bye" {
			t.Errorf("value %q, want bye", got)
		}
		c.wantClosed("after the answers")
	}, nil)
}

// TestSlowReader: a client that asks and does not read stops being served,
// and nobody else does.
func TestSlowReader(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		want := bytes.Repeat([]byte("big"), 300<<10)
		c.write(put(1, want))
		c.wantResult("put", record.OK)

		const n = 50
		slow := dial(t, s)
		for range n {
			slow.write(get(1))
		}
		for i := range 500 {
			c.write(get(i + 1000))
			c.wantResult("get beside a slow reader", record.NotFound)
		}
		for range n { // now it reads
			if got := value(t, slow.read()); !bytes.Equal(got, want) {
				t.Fatal("the slow reader got something else")
			}
		}
	}, nil)
}

// TestCloseWithSlowReader: a client that does not read its reply does not hold
// up the end for as long as such a reply may take otherwise.
func TestCloseWithSlowReader(t *testing.T) {
	s := startService(t, nil)
	c := dial(t, s)
	c.write(put(1, make([]byte, 900<<10)))
	c.wantResult("put", record.OK)
	slow := dial(t, s)
	slow.Conn.(*net.TCPConn).SetReadBuffer(4096) //nolint:errcheck // then more fits in the sockets
	slow.write(bytes.Repeat(get(1), 100))
	eventually(t, "the replies are stuck", func() bool { return s.Stats().Requests >= 4 })
	done := make(chan error)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the service waits for a client that does not read")
		slow.Close()
		<-done
	}
}

// TestLoopConnections: a loop takes no more connections than its ring has
// operations for, however many proto-fd-max allows.
func TestLoopConnections(t *testing.T) {
	s := startService(t, func(o *Options) { o.Threads, o.Ring.Limit = 1, 16 })
	for i := range 4 { // of 16 operations half are for devices, two for each connection
		c := dial(t, s)
		c.write(put(i, []byte("x")))
		c.wantResult("put within the limit", record.OK)
	}
	dial(t, s).wantClosed("the fifth connection")
	if st := s.Stats(); st.Refused != 1 {
		t.Errorf("refused %d, want 1", st.Refused)
	}
}

// TestMemoryLimit: a loop's buffers have an end, and a connection that needs
// more than is left is closed.
func TestMemoryLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		c.write(proto.AppendHeader(nil, proto.Data, 8<<20))
		go io.CopyN(c, zeros{}, 8<<20) //nolint:errcheck // the node hangs up meanwhile
		eventually(t, "a connection out of memory", func() bool { return s.Stats().OutOfMemory == 1 })
		eventually(t, "it is closed", func() bool { return s.Stats().Connections == 0 })
		c = dial(t, s)
		c.write(get(1))
		c.wantResult("get", record.NotFound)
	}, func(o *Options) { o.LoopMemory = 1 << 20 })
}

// TestBuffersAreGivenBack: connections that have each sent a large message do
// not keep the memory that others need.
func TestBuffersAreGivenBack(t *testing.T) {
	s := startService(t, func(o *Options) { o.Threads, o.LoopMemory = 1, 2<<20 })
	var clients []*client
	for i := range 100 { // 100 buffers of 64 KiB would be three times what there is
		c := dial(t, s)
		clients = append(clients, c)
		for range 2 {
			c.write(put(i, make([]byte, 50<<10)))
			c.wantResult("large put", record.OK)
		}
	}
	for i, c := range clients {
		c.write(get(i))
		if got := len(value(t, c.read())); got != 50<<10 {
			t.Errorf("client %d: %d bytes", i, got)
		}
	}
	if n := s.Stats().OutOfMemory; n != 0 {
		t.Errorf("%d connections found no memory", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLargestMessage: a body of 128 MiB arrives whole. It is no good message,
// and says so without an end to the connection.
func TestLargestMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 128 MiB")
	}
	s := startService(t, nil)
	c := dial(t, s)
	c.write(proto.AppendHeader(nil, proto.Data, proto.MaxBody))
	if _, err := io.CopyN(c, zeros{}, proto.MaxBody); err != nil {
		t.Fatal(err)
	}
	c.wantResult("a body of zeros", record.Parameter)
	c.write(get(1))
	c.wantResult("get", record.NotFound)
}

func TestConnectionLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		var clients []*client
		for i := range 5 {
			c := dial(t, s)
			c.write(get(i))
			c.wantResult("get within the limit", record.NotFound)
			clients = append(clients, c)
		}
		dial(t, s).wantClosed("the sixth connection")
		clients[0].Close()
		eventually(t, "room for one", func() bool { return s.Stats().Connections == 4 })
		c := dial(t, s)
		c.write(get(1))
		c.wantResult("get in the freed place", record.NotFound)
		if st := s.Stats(); st.Refused != 1 || st.Opened != 6 {
			t.Errorf("refused %d, opened %d: want 1 and 6", st.Refused, st.Opened)
		}
	}, func(o *Options) { o.FDMax = 5 })
}

func TestIdleConnectionsAreReaped(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		idle := dial(t, s)
		idle.write(get(1))
		idle.wantResult("get", record.NotFound)
		idle.wantClosed("an idle connection")
		eventually(t, "counted", func() bool { return s.Stats().Reaped == 1 })
	}, func(o *Options) { o.FDIdle = 50 * time.Millisecond })
}

// TestClientsThatDie: connections are reset with requests in all states.
func TestClientsThatDie(t *testing.T) {
	rng := newRand(t)
	onBoth(t, func(t *testing.T, s *Service) {
		for i := range 300 {
			c := dial(t, s)
			var all []byte
			for range 1 + rng.IntN(20) {
				all = append(all, put(rng.IntN(5), make([]byte, 1+rng.IntN(2000)))...)
				all = append(all, get(rng.IntN(5))...)
			}
			c.write(all[:1+rng.IntN(len(all))])
			if i%2 == 0 {
				c.Conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // then it ends politely
			}
			if i%3 == 0 {
				c.SetReadDeadline(time.Now().Add(time.Millisecond)) //nolint:errcheck // anything or nothing
				c.Read(make([]byte, 100))                           //nolint:errcheck // comes back
			}
			c.Close()
		}
		eventually(t, "all connections closed", func() bool { return s.Stats().Connections == 0 })
		c := dial(t, s)
		c.write(put(9, []byte("alive")))
		c.wantResult("put", record.OK)
	}, nil)
}

// TestClose: requests on their way are answered and connections end.
func TestClose(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		var clients []*client
		for i := range 20 {
			c := dial(t, s)
			c.write(put(i, []byte("x")))
			clients = append(clients, c)
		}
		for _, c := range clients {
			c.wantResult("put", record.OK)
		}
		done := make(chan error)
		go func() { done <- s.Close() }()
		for i, c := range clients {
			c.wantClosed(fmt.Sprintf("connection %d", i))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, nil)
}
