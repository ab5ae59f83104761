package floor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/proto"
)

const (
	binName   = "v"
	valueSize = 256
	warmUp    = 500 * time.Millisecond
)

// workload is what the driver is asked to do.
type workload struct {
	Addr      string
	Namespace string
	Conns     int
	Keys      int
	Write     bool // put instead of get
	Load      bool // put each key once, then stop
	Window    time.Duration
}

// report is what it found.
type report struct {
	Requests       int
	Seconds        float64
	P50, P99, P999 time.Duration
}

// driver is a closed loop: each connection has one request on its way, and
// sends the next when the answer is there. One thread, one ring, no
// allocation, so that it takes as little as possible of the machine.
type driver struct {
	w       workload
	q       ioring.Queue
	rng     *rand.Rand
	hist    *hdrhistogram.Histogram
	next    int // key, while loading
	open    int // connections with a request on its way
	n       int
	on      bool // measuring
	over    bool
	failure error
}

// link is one connection of the driver.
type link struct {
	d          *driver
	send, recv ioring.Op
	request    []byte
	digest     []byte // within request
	answer     []byte
	have       int
	began      time.Time
}

func drive(spec string) error {
	runtime.LockOSThread()
	d := &driver{rng: rand.New(rand.NewPCG(rand.Uint64(), 0)), hist: hdrhistogram.New(1, int64(time.Minute), 3)}
	if err := json.Unmarshal([]byte(spec), &d.w); err != nil {
		return err
	}
	var err error
	if d.q, err = ioring.New(ioring.Options{Batch: 32, Node: -1}); err != nil {
		return err
	}
	arena, err := ioring.NewArena(d.w.Conns*2*blockSize, ioring.ArenaOptions{})
	if err != nil {
		return err
	}
	for range d.w.Conns {
		if err := d.connect(arena); err != nil {
			return err
		}
	}
	if d.w.Load {
		return d.finish(d.poll(time.Now().Add(time.Hour)))
	}
	if err := d.poll(time.Now().Add(warmUp)); err != nil {
		return err
	}
	fmt.Println("begin")
	d.on = true
	began := time.Now()
	if err := d.poll(began.Add(d.w.Window)); err != nil {
		return err
	}
	d.on = false
	took := time.Since(began)
	text, err := json.Marshal(report{
		Requests: d.n, Seconds: took.Seconds(),
		P50:  time.Duration(d.hist.ValueAtQuantile(50)),
		P99:  time.Duration(d.hist.ValueAtQuantile(99)),
		P999: time.Duration(d.hist.ValueAtQuantile(99.9)),
	})
	if err != nil {
		return err
	}
	fmt.Printf("report %s\n", text)
	d.over = true
	return d.finish(d.poll(time.Now().Add(10 * time.Second)))
}

// poll runs the loop until end, or until no request is on its way.
func (d *driver) poll(end time.Time) error {
	for d.open > 0 && d.failure == nil && time.Now().Before(end) {
		if _, err := d.q.Poll(10 * time.Millisecond); err != nil {
			return err
		}
	}
	return d.failure
}

func (d *driver) finish(err error) error {
	if err != nil {
		return err
	}
	return d.q.Close()
}

func (d *driver) connect(arena *ioring.Arena) error {
	addr, err := netip.ParseAddrPort(d.w.Addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return fmt.Errorf("floor: connect to %s: %w", addr, err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	l := &link{d: d, answer: arena.Get(blockSize)}
	l.request = proto.AppendMessage(arena.Get(blockSize)[:0], d.template())
	l.digest = l.request[digestAt(l.request):][:record.DigestSize]
	l.send = ioring.Op{Kind: ioring.Send, Flags: ioring.WaitAll, File: ioring.Socket(fd), Done: func(*ioring.Op) { l.sent() }}
	l.recv = ioring.Op{Kind: ioring.Recv, File: ioring.Socket(fd), Done: func(*ioring.Op) { l.received() }}
	l.begin()
	return nil
}

// template is a request; only its digest changes.
func (d *driver) template() *proto.Message {
	var m proto.Message
	m.SetField(proto.Namespace, []byte(d.w.Namespace))
	m.SetField(proto.Digest, make([]byte, record.DigestSize))
	if d.w.Write || d.w.Load {
		m.Info2 = record.Info2Write
		m.Ops = []record.Op{{Code: record.OpWrite, Type: record.Blob, Name: []byte(binName), Value: make([]byte, valueSize)}}
	} else {
		m.Info1 = record.Info1Read | record.Info1GetAll
	}
	return &m
}

// digestAt finds the digest field's value in a template: fields go by type,
// so it is behind the namespace.
func digestAt(request []byte) int {
	at := proto.HeaderSize + proto.MessageHeaderSize
	return at + 4 + int(binary.BigEndian.Uint32(request[at:])) + 5
}

// begin sends the next request.
func (l *link) begin() {
	d := l.d
	key := d.rng.IntN(d.w.Keys)
	if d.w.Load {
		if d.next == d.w.Keys {
			return
		}
		key = d.next
		d.next++
	}
	putDigest(l.digest, key)
	l.have = 0
	l.send.Buf, l.recv.Buf = l.request, l.answer
	l.began = time.Now()
	d.open++
	d.q.Submit(&l.send)
	d.q.Submit(&l.recv)
}

// putDigest spreads keys as a hash does.
func putDigest(digest []byte, key int) {
	x := uint64(key)
	for i := 0; i < record.DigestSize; i += 4 {
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint32(digest[i:], uint32(z^z>>31))
	}
}

func (l *link) sent() {
	if int(l.send.Result) != len(l.request) {
		l.d.failure = fmt.Errorf("floor: send: %d of %d bytes", l.send.Result, len(l.request))
	}
}

func (l *link) received() {
	d := l.d
	if l.recv.Result <= 0 {
		d.failure = fmt.Errorf("floor: receive: %d", l.recv.Result)
		return
	}
	l.have += int(l.recv.Result)
	if l.have < proto.HeaderSize || l.have < proto.HeaderSize+int(binary.BigEndian.Uint64(l.answer)&(1<<48-1)) {
		l.recv.Buf = l.answer[l.have:]
		d.q.Submit(&l.recv)
		return
	}
	if res := record.Result(l.answer[13]); res != record.OK {
		d.failure = fmt.Errorf("floor: answered %v", res)
		return
	}
	if d.on {
		d.n++
		d.hist.RecordValue(int64(time.Since(l.began))) //nolint:errcheck // a minute is in range
	}
	d.open--
	if !d.over {
		l.begin()
	}
}
