package service

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// onBoth runs a test over the ring that New picks and over the fallback.
func onBoth(t *testing.T, f func(t *testing.T, s *Service), change func(*Options)) {
	for _, fallback := range []bool{false, true} {
		name := "ring"
		if fallback {
			name = "fallback"
		}
		t.Run(name, func(t *testing.T) {
			f(t, startService(t, func(o *Options) {
				o.Ring.Fallback = fallback
				if change != nil {
					change(o)
				}
			}))
		})
	}
}

func TestRoundTrip(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		c.write(get(1))
		c.wantResult("get of a missing record", record.NotFound)
		c.write(put(1, []byte("hello")))
		c.wantResult("put", record.OK)
		c.write(get(1))
		if got := value(t, c.read()); string(got) != "hello" {
			t.Errorf("value %q, want hello", got)
		}
		c.write(del(1))
		c.wantResult("delete", record.OK)
		c.write(get(1))
		c.wantResult("get after delete", record.NotFound)
	}, nil)
}

func TestPipelined(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		const n = 500 // several buffers, several turns
		c := dial(t, s)
		var all []byte
		for i := range n {
			all = append(all, put(i, binary.BigEndian.AppendUint32(nil, uint32(i)))...)
			all = append(all, get(i)...)
		}
		go c.Write(all) //nolint:errcheck // the replies tell
		for i := range n {
			c.wantResult("put", record.OK)
			if got := binary.BigEndian.Uint32(value(t, c.read())); got != uint32(i) {
				t.Fatalf("reply %d holds %d: out of order", i, got)
			}
		}
	}, nil)
}

func TestByteByByte(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		for _, b := range append(put(7, []byte("slowly")), get(7)...) {
			c.write([]byte{b})
		}
		c.wantResult("put", record.OK)
		if got := value(t, c.read()); string(got) != "slowly" {
			t.Errorf("value %q, want slowly", got)
		}
	}, nil)
}

func TestLargeMessage(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		for i, size := range []int{4 << 10, 64 << 10, 1000 << 10} {
			want := bytes.Repeat([]byte{byte(i + 1)}, size)
			c.write(append(put(i, want), get(i)...)) // a message behind it, in the same buffer
			c.wantResult("put", record.OK)
			if got := value(t, c.read()); !bytes.Equal(got, want) {
				t.Errorf("%d bytes: got %d bytes back, or others", size, len(got))
			}
		}
	}, nil)
}

func TestInfo(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		text := "build\nnode\nunended"
		c.write(append(proto.AppendHeader(nil, proto.Info, len(text)), text...))
		if got := c.read(); got[1] != byte(proto.Info) || string(got[8:]) != "build\t5\nnode\t4\n" {
			t.Errorf("reply %q", got)
		}
		c.write(proto.AppendHeader(nil, proto.Info, 0))
		if got := c.read(); len(got) != 8 {
			t.Errorf("reply to no command: %q", got)
		}
	}, nil)
}

func TestSecurityAnswersNotConfigured(t *testing.T) {
	s := startService(t, nil)
	c := dial(t, s)
	for _, version := range []byte{0, 2} {
		for _, body := range []int{0, 16, 100} {
			msg := append(proto.AppendHeader(nil, proto.Security, body), make([]byte, body)...)
			msg[0] = version
			c.write(msg)
			got := c.read()
			want := proto.AppendSecurityError(nil, record.SecNotConfigured)
			if !bytes.Equal(got, want) {
				t.Errorf("version %d, body of %d bytes: %x, want %x", version, body, got, want)
			}
		}
	}
}

func TestCompressed(t *testing.T) {
	compress := func(msg []byte) []byte {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		w.Write(msg) //nolint:errcheck // into memory
		w.Close()    //nolint:errcheck // into memory
		body := append(binary.BigEndian.AppendUint64(nil, uint64(len(msg))), b.Bytes()...)
		return append(proto.AppendHeader(nil, proto.Compressed, len(body)), body...)
	}
	onBoth(t, func(t *testing.T, s *Service) {
		c := dial(t, s)
		want := bytes.Repeat([]byte("squeeze"), 10000)
		c.write(compress(put(3, want)))
		c.wantResult("compressed put", record.OK)
		c.write(append(compress(get(3)), get(3)...))
		for range 2 {
			if got := value(t, c.read()); !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, or others, want %d", len(got), len(want))
			}
		}
		bad := compress(get(3))
		bad[len(bad)-1] ^= 1
		c.write(bad)
		c.wantResult("wrong checksum", record.Parameter)
		c.write(append(proto.AppendHeader(nil, proto.Compressed, 3), 1, 2, 3))
		c.wantResult("no stream", record.Parameter)
		c.write(compress(append(get(3)[:20:20], 0)))
		c.wantResult("half a message inside", record.Parameter)
		short := get(3)
		binary.BigEndian.PutUint16(short[26:], 99) // fields that are not there
		c.write(compress(short))
		c.wantResult("malformed inside", record.Parameter)
		c.write(get(3))
		c.wantResult("the connection lives", record.OK)
	}, nil)
}

func TestStats(t *testing.T) {
	s := startService(t, nil)
	a, b := dial(t, s), dial(t, s)
	a.write(get(1))
	a.result()
	b.write([]byte("\x02\x03\x00\x00\x00\x00\x00\x00"))
	b.wantResult("empty body", record.Parameter)
	b.Close()
	eventually(t, "one of two connections closed", func() bool {
		st := s.Stats()
		return st.Connections == 1 && st.Opened == 2 && st.Closed == 1 && st.Requests == 2 && st.Malformed == 1
	})
}

func TestPinned(t *testing.T) {
	for _, pin := range []Pin{PinCPU, PinNUMA} {
		t.Run(string(pin), func(t *testing.T) {
			s := startService(t, func(o *Options) { o.AutoPin = pin })
			for i, cpu := range s.CPUs() {
				if cpu < 0 {
					t.Errorf("loop %d is pinned nowhere", i)
				}
			}
			for i := range 4 { // on both loops
				c := dial(t, s)
				c.write(put(i, []byte("x")))
				c.wantResult("put", record.OK)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no address", func(o *Options) { o.Addresses = nil }, "address"},
		{"threads", func(o *Options) { o.Threads = 5000 }, "service-threads 5000"},
		{"pin", func(o *Options) { o.AutoPin = "adq" }, "auto-pin"},
		{"fd max", func(o *Options) { o.FDMax = 0 }, "proto-fd-max 0"},
		{"fd idle", func(o *Options) { o.FDIdle = -1 }, "proto-fd-idle-ms"},
		{"info threads", func(o *Options) { o.InfoThreads = 0 }, "info-threads 0"},
		{"memory", func(o *Options) { o.LoopMemory = 4096 }, "4096"},
	} {
		o := DefaultOptions()
		o.setDefaults()
		tt.change(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error that says %q", tt.name, err, tt.want)
		}
	}
}

func TestConfigure(t *testing.T) {
	s := startService(t, nil)
	o := s.opts
	o.FDMax = 1
	if err := s.Configure(o); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.write(get(1))
	c.wantResult("the only connection", record.NotFound)
	dial(t, s).wantClosed("one too many")
	o.Threads++
	if err := s.Configure(o); err == nil {
		t.Error("another number of loops: no error")
	}
}
