package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/proto"
)

// recvSize is the size of a connection's receive buffer. What is longer goes
// through it in pieces: only a reply's header is looked at.
const recvSize = 16 << 10

// conn is one connection to one node. It belongs to a slot, which has at most
// one operation out.
//
// States: closed (fd < 0) ─dial, by another goroutine─▶ open ─error, deadline─▶
// closing (waits for its operations to come back from the queue) ─▶ closed.
type conn struct {
	slot *slot
	node int // index among the run's nodes
	fd   int

	send, recv ioring.Op
	out, in    []byte // from the loop's arena
	got        int    // bytes of the reply so far
	total      int    // bytes of the whole reply, 0 while not known
	head       [resultAt + 8]byte

	dialing bool
	closing bool
}

// open makes c use a connected socket.
func (c *conn) open(fd int) {
	c.fd, c.dialing, c.closing = fd, false, false
	c.send.File, c.recv.File = ioring.Socket(fd), ioring.Socket(fd)
}

// busy reports whether the queue holds an operation of the connection.
func (c *conn) busy() bool { return c.send.InFlight() || c.recv.InFlight() }

// ready reports whether an operation can be sent.
func (c *conn) ready() bool { return c.fd >= 0 && !c.closing }

// start sends a prepared request and waits for its reply.
func (c *conn) start(q ioring.Queue, request []byte) {
	c.got, c.total = 0, 0
	c.send.Buf, c.recv.Buf = request, c.in
	q.Submit(&c.send)
	q.Submit(&c.recv)
}

// errReply says that a reply is not of this protocol.
var errReply = errors.New("not a reply of this protocol")

// received takes n more bytes of the reply. done says that it is complete.
func (c *conn) received(n int) (done bool, err error) {
	if c.got < len(c.head) {
		copy(c.head[c.got:], c.in[:n])
	}
	c.got += n
	if c.total == 0 && c.got >= len(c.head) {
		h, err := proto.ParseHeader(c.head[:])
		if err != nil || h.Type != proto.Data || h.Body < proto.MessageHeaderSize {
			return false, errors.Join(errReply, err)
		}
		c.total = proto.HeaderSize + h.Body
	}
	if c.total > 0 && c.got > c.total {
		return false, fmt.Errorf("%d bytes behind a reply: %w", c.got-c.total, errReply)
	}
	return c.total > 0 && c.got == c.total, nil
}

// result returns the result code of the reply.
func (c *conn) result() uint8 { return c.head[resultAt] }

// generation returns the generation of the reply.
func (c *conn) generation() uint32 {
	return binary.BigEndian.Uint32(c.head[generationAt:])
}

// dial connects to an address and returns the socket, which is in nobody
// else's hands: non-blocking, no delay.
func dial(address string, timeout time.Duration) (fd int, err error) {
	nc, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, nc.Close()) }()
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	err = raw.Control(func(s uintptr) {
		var dup int
		if dup, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			fd = dup
		}
	})
	return fd, err
}
