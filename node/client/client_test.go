package client

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ashlardb/ashlar/node/proto"
)

// fakeNode answers info commands from a table, over a real socket.
type fakeNode struct {
	l       net.Listener
	mu      sync.Mutex
	answers map[string]string
	asked   []string
}

func newFakeNode(t *testing.T, id string, owned func(partition int) bool) *fakeNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeNode{l: l, answers: map[string]string{
		"node": id, "build": "8.1.2.0", "namespaces": "test;other", "partition-generation": "1", "peers-clear-std": "0,3000,[]",
	}}
	f.own(owned)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

func (f *fakeNode) own(owned func(partition int) bool) {
	bits := make([]byte, 512)
	for p := range 4096 {
		if owned(p) {
			bits[p>>3] |= 0x80 >> (p & 7)
		}
	}
	f.set("replicas", "other:0,1,"+base64.StdEncoding.EncodeToString(make([]byte, 512))+";test:0,1,"+base64.StdEncoding.EncodeToString(bits))
}

func (f *fakeNode) set(name, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[name] = value
}

func (f *fakeNode) address() string { return f.l.Addr().String() }

func (f *fakeNode) serve(c net.Conn) {
	defer c.Close()
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
		var out strings.Builder
		f.mu.Lock()
		for line := range strings.Lines(string(body)) {
			cmd := strings.TrimSuffix(line, "\n")
			f.asked = append(f.asked, cmd)
			out.WriteString(cmd + "\t" + f.answers[cmd] + "\n")
		}
		f.mu.Unlock()
		reply := proto.AppendHeader(nil, proto.Info, out.Len())
		if _, err := c.Write(append(reply, out.String()...)); err != nil {
			return
		}
	}
}

func TestTwoNodesThroughOneSeed(t *testing.T) {
	even := newFakeNode(t, "A1", func(p int) bool { return p%2 == 0 })
	odd := newFakeNode(t, "B2", func(p int) bool { return p%2 == 1 && p != 4095 })
	even.set("peers-clear-std", "1,3000,[[B2,,["+odd.address()+"]]]")
	odd.set("peers-clear-std", "1,3000,[[A1,,["+even.address()+"]]]")
	c, err := Dial(context.Background(), []string{even.address()}, Options{Namespace: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := c.Map()
	if len(m.Nodes) != 2 || m.Nodes[1].ID != "B2" || m.Nodes[1].Address != odd.address() {
		t.Fatalf("nodes %+v, want A1 and B2", m.Nodes)
	}
	for _, tt := range []struct{ partition, owner int }{{0, 0}, {1, 1}, {4094, 0}, {4095, NoNode}} {
		if got := m.Owner(tt.partition); got != tt.owner {
			t.Errorf("partition %d: owner %d, want %d", tt.partition, got, tt.owner)
		}
	}
	if m.Unowned() != 1 {
		t.Errorf("%d partitions without an owner, want 1", m.Unowned())
	}

	// Nothing moves: the bitmaps are not asked for again.
	odd.mu.Lock()
	odd.asked = nil
	odd.mu.Unlock()
	if changed, err := c.Refresh(); changed || err != nil {
		t.Errorf("Refresh of an unchanged cluster: %v, %v", changed, err)
	}
	odd.mu.Lock()
	if strings.Contains(strings.Join(odd.asked, " "), "replicas") {
		t.Errorf("an unchanged map was read again: %v", odd.asked)
	}
	odd.mu.Unlock()

	odd.own(func(p int) bool { return p%2 == 1 })
	odd.set("partition-generation", "2")
	if changed, err := c.Refresh(); !changed || err != nil {
		t.Fatalf("Refresh of a changed cluster: %v, %v", changed, err)
	}
	if got := c.Map().Owner(4095); got != 1 {
		t.Errorf("partition 4095 after the change: owner %d, want 1", got)
	}
	if m.Owner(4095) != NoNode {
		t.Error("the old map changed")
	}
}

func TestDialRefuses(t *testing.T) {
	node := newFakeNode(t, "A1", func(int) bool { return true })
	o := Options{Namespace: "test", Timeout: 300 * time.Millisecond}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	if _, err := Dial(context.Background(), []string{nobody}, o); err == nil || !strings.Contains(err.Error(), nobody) {
		t.Errorf("nobody listens: error %v, want one that names the seed", err)
	}
	o.Namespace = "nope"
	if _, err := Dial(context.Background(), []string{node.address()}, o); err == nil || !strings.Contains(err.Error(), `"nope"`) || !strings.Contains(err.Error(), "other") {
		t.Errorf("unknown namespace: error %v, want one that names it and the known ones", err)
	}
	o.Namespace = "test"
	node.set("replicas", "test:0,1,AAAA")
	if _, err := Dial(context.Background(), []string{node.address()}, o); err == nil || !strings.Contains(err.Error(), "bitmap of 3 bytes") {
		t.Errorf("short bitmap: error %v, want one that says so", err)
	}
}

func TestParsePeers(t *testing.T) {
	for _, tt := range []struct {
		text string
		want [][]string
		ok   bool
	}{
		{"0,3000,[]", nil, true},
		{"6,3000,[[BB9,,[10.0.0.2]],[BBA,tls,[10.0.0.3:4000,10.0.1.3]]]", [][]string{{"10.0.0.2:3000"}, {"10.0.0.3:4000", "10.0.1.3:3000"}}, true},
		{"6,3000,[[BB9,,[[fe80::1]:3001]]]", [][]string{{"[fe80::1]:3001"}}, true},
		{"6,3000,[[BB9,,[]]]", [][]string{nil}, true},
		{"", nil, false},
		{"1,3000", nil, false},
		{"1,3000,[[BB9", nil, false},
		{"1,99999,[]", nil, false},
		{"1,3000,[x]]]", nil, false},
	} {
		got, err := parsePeers(tt.text)
		if (err == nil) != tt.ok || tt.ok && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("parsePeers(%q) = %v, %v; want %v, ok %v", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("6,3000,[[BB9,,[10.0.0.2]],[BBA,tls,[10.0.0.3:4000]]]")
	f.Add("test:0,1,AAAA;x:")
	f.Add("1,2,[[,[]],[")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = parsePeers(text)
		_, _ = parseReplicas(text, "test")
	})
}
