package service

import (
	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/info"
	"github.com/ashlardb/ashlar/node/proto"
	"github.com/ashlardb/ashlar/node/txn"
)

const (
	// smallBuffer is the buffer of a connection that is idle or sends what
	// fits in it: the smallest class of an arena.
	smallBuffer = 4 << 10
	// keepBuffer is the largest buffer that a connection keeps between
	// messages.
	keepBuffer = 64 << 10
	// growth is how much larger a buffer gets when a message needs it: memory
	// follows the bytes that have arrived, not the length that a header claims.
	growth = 4
	// maxPipeline is how many messages of one connection are answered before
	// others get their turn, and before what is answered goes out.
	maxPipeline = 16
	// flushAt is how many bytes of replies go out without waiting for more.
	flushAt = 32 << 10
)

// conn is a client's connection. It belongs to one loop and is used again for
// another client when it is over.
//
// Its life is a cycle of three states, told by busy and the operations in
// flight; nothing is parsed while busy or sending, so that views of in, and
// what is in out, stay as they are:
//
//	receiving ─▶ busy (a request is on its way) ─▶ sending ─▶ receiving
type conn struct {
	l  *loop
	fd int

	recv, send ioring.Op

	// in holds what was received: in[at:fill] is not handled yet. Nil when
	// the connection is closed.
	in       []byte
	at, fill int
	// out holds outLen bytes of replies; nil when there are none.
	out    []byte
	outLen int

	req  txn.Request
	job  job
	info info.Conn
	more txn.Task // goes on with messages that are in the buffer already

	busy     bool // req or job is on its way
	starting bool // txn.Worker.Start is on the stack
	eof      bool // the client sends no more
	closing  bool // ends when nothing is in flight

	prev, next *conn // all connections of the loop; next alone: free ones
	lastUsed   int64 // txn.Moment.Mono of the last message or progress
}

// newConn binds a connection to its loop, once.
func newConn(l *loop) *conn {
	c := &conn{l: l}
	c.recv.Kind, c.recv.Done = ioring.Recv, func(*ioring.Op) { c.received() }
	c.send.Kind, c.send.Flags, c.send.Done = ioring.Send, ioring.WaitAll, func(*ioring.Op) { c.sent() }
	c.req.Init(func(*txn.Request) { c.answered() })
	c.job.done.Run = c.jobDone
	c.more.Run = func() {
		c.busy = false
		c.advance()
	}
	return c
}

// open starts a connection on a socket, which it owns from now on.
func (c *conn) open(fd int) {
	c.fd = fd
	c.recv.File, c.send.File = ioring.Socket(fd), ioring.Socket(fd)
	c.at, c.fill, c.outLen = 0, 0, 0
	c.busy, c.starting, c.eof, c.closing = false, false, false, false
	c.info = info.Conn{}
	c.lastUsed = c.l.clock().Mono
	if c.in = c.l.get(smallBuffer); c.in == nil {
		c.outOfMemory()
		c.finish()
		return
	}
	c.receive()
}

// receive asks for more bytes. There is room for them.
func (c *conn) receive() {
	assert.That(c.fill < len(c.in), "there is room to receive into")
	c.recv.Buf = c.in[c.fill:]
	c.l.q.Submit(&c.recv)
}

// received runs when bytes have come, or the end.
func (c *conn) received() {
	switch n := c.recv.Result; {
	case c.eof: // what still comes is not looked at
	case n > 0:
		c.fill += int(n)
		c.lastUsed = c.l.clock().Mono
	case n == 0:
		c.eof = true
	default: // reset, timed out, cancelled: the stream is over
		c.closing = true
	}
	if !c.busy && !c.send.InFlight() {
		c.advance()
	}
}

// advance handles messages that are complete, then sends and receives. The
// connection is neither busy nor sending.
func (c *conn) advance() {
	for n := 0; !c.closing; n++ {
		h, ok := c.peek()
		if !ok {
			break
		}
		if n == maxPipeline || c.outLen >= flushAt {
			c.yield()
			return
		}
		body := c.in[c.at+proto.HeaderSize : c.at+proto.HeaderSize+h.Body]
		c.at += proto.HeaderSize + h.Body
		inc(&c.l.counters.requests)
		c.handle(h.Type, body)
		if c.busy {
			return
		}
	}
	switch {
	case c.closing:
		c.finish()
		return
	case c.outLen > 0:
		c.flush()
	case c.eof:
		c.closing = true
		c.finish()
		return
	}
	if !c.eof && !c.recv.InFlight() && c.makeRoom() {
		c.receive()
	}
}

// peek returns the header of the next message if all of it is there. What
// cannot be a message ends the connection.
func (c *conn) peek() (proto.Header, bool) {
	have := c.in[c.at:c.fill]
	if len(have) < proto.HeaderSize {
		return proto.Header{}, false
	}
	h, err := proto.ParseHeader(have)
	if err != nil {
		inc(&c.l.counters.badStream)
		c.l.s.badStreams.log(c.l.s, c.l.clock(), proto.DescribeHeader(have, err))
		c.eof, c.fill = true, c.at // what is answered still goes out
		return proto.Header{}, false
	}
	return h, len(have) >= proto.HeaderSize+h.Body
}

// yield lets other connections have their turn although more messages are in
// the buffer: they go on when what is answered has been sent.
func (c *conn) yield() {
	if c.outLen > 0 {
		c.flush()
		return
	}
	c.busy = true
	c.l.inbox.Post(&c.more)
}

// handle acts on one message. It leaves the reply in out, or the connection
// busy, or closing.
func (c *conn) handle(typ proto.Type, body []byte) {
	switch typ {
	case proto.Data:
		c.start(body)
	case proto.Info:
		c.background(typ, body)
	case proto.Compressed:
		c.inflate(body)
	case proto.Security:
		if dst := c.room(proto.SecurityReplySize); dst != nil {
			c.reply(proto.AppendSecurityError(dst, record.SecNotConfigured))
		}
	case proto.XDR:
		// Nothing answers a well-formed one: no client sends it.
		c.l.msg.Ops = c.l.takeOps()
		if c.l.msg.Decode(body) != record.OK {
			c.malformed()
		}
		c.l.giveOps(c.l.msg.Ops)
	}
}

// start runs the transaction that a Data message asks for.
func (c *conn) start(body []byte) {
	m := &c.l.msg
	m.Ops = c.l.takeOps()
	if m.Decode(body) != record.OK {
		c.l.giveOps(m.Ops)
		c.malformed()
		return
	}
	c.busy, c.starting = true, true
	c.l.worker.Start(&c.req, m, c.l.clock())
	c.starting = false
}

// answered runs when the transaction is over: inside start, or later.
func (c *conn) answered() {
	r := proto.Reply{Result: c.req.Result, Generation: c.req.ReplyGeneration, VoidTime: c.req.ReplyVoidTime, Last: c.req.Last, Bins: c.req.Bins}
	if dst := c.room(r.Size()); dst != nil {
		c.reply(proto.AppendReply(dst, &r))
	}
	c.l.giveOps(c.req.Ops)
	c.dropInflated()
	c.busy = false
	if !c.starting {
		c.advance()
	}
}

// malformed answers a message whose form is wrong. The stream can be read on.
func (c *conn) malformed() {
	inc(&c.l.counters.malformed)
	if dst := c.room(proto.ReplySize); dst != nil {
		c.reply(proto.AppendError(dst, record.Parameter))
	}
}

// inflate hands a compressed message to the pool.
func (c *conn) inflate(body []byte) {
	n, err := proto.InflatedSize(body)
	if err != nil {
		c.malformed()
		return
	}
	room := c.l.get(n)
	if room == nil {
		c.outOfMemory()
		return
	}
	c.job.room = room[:n]
	c.background(proto.Compressed, body)
}

func (c *conn) dropInflated() {
	if c.job.room != nil {
		c.l.put(c.job.room)
		c.job.room = nil
	}
}

// background hands a message to the pool.
func (c *conn) background(typ proto.Type, body []byte) {
	c.job.typ, c.job.body = typ, body
	c.busy = true
	if !c.l.s.pool.add(c) {
		c.busy = false
		inc(&c.l.counters.infoFull)
		c.dropInflated()
		c.closing = true
	}
}

// jobDone runs when the pool is done with the connection's message.
func (c *conn) jobDone() {
	c.busy = false
	j := &c.job
	switch {
	case j.typ == proto.Info:
		inc(&c.l.counters.infoComplete)
		if dst := c.room(proto.HeaderSize + len(j.text)); dst != nil {
			c.reply(append(proto.AppendHeader(dst, proto.Info, len(j.text)), j.text...))
		}
		if cap(j.text) > smallBuffer { // of every connection: on the Go heap
			j.text = nil
		}
	case j.err != nil:
		c.dropInflated()
		c.malformed()
	case !c.closing:
		c.start(j.data)
		if !c.busy {
			c.dropInflated() // it was malformed inside
		}
	default:
		c.dropInflated()
	}
	if !c.busy {
		c.advance()
	}
}

// room returns out with room for n more bytes behind what it holds, or nil
// when there is no memory for it: then the connection closes.
func (c *conn) room(n int) []byte {
	need := c.outLen + n
	if need > len(c.out) {
		grown := c.l.get(need)
		if grown == nil {
			c.outOfMemory()
			return nil
		}
		if c.out != nil {
			copy(grown, c.out[:c.outLen])
			c.l.put(c.out)
		}
		c.out = grown
	}
	return c.out[:c.outLen]
}

// reply takes over what was appended to the result of room.
func (c *conn) reply(out []byte) {
	assert.That(len(out) <= len(c.out), "a reply has the size it said")
	c.outLen = len(out)
}

// flush sends the replies.
func (c *conn) flush() {
	c.send.Buf = c.out[:c.outLen]
	c.lastUsed = c.l.clock().Mono
	c.l.q.Submit(&c.send)
}

// sent runs when the replies have gone out, or cannot.
func (c *conn) sent() {
	if int(c.send.Result) != c.outLen {
		c.closing = true
	}
	c.l.put(c.out)
	c.out, c.outLen = nil, 0
	c.lastUsed = c.l.clock().Mono
	if !c.busy {
		c.advance()
	}
}

// makeRoom sees to it that more bytes of the next message can be received. It
// reports false when there is no memory for it: then the connection closes.
func (c *conn) makeRoom() bool {
	rest := c.in[c.at:c.fill]
	size := len(c.in)
	switch {
	case size > c.l.keep() && len(rest) <= size/(2*growth): // a large message was here
		size = max(smallBuffer, 2*len(rest))
	case len(rest) == size: // one message, and it goes on
		h, err := proto.ParseHeader(rest)
		assert.That(err == nil, "a full buffer starts with a good header")
		size = min(proto.HeaderSize+h.Body, growth*size)
	}
	if size == len(c.in) {
		if c.at > 0 {
			c.fill, c.at = copy(c.in, rest), 0
		}
		return true
	}
	in := c.l.get(size)
	if in == nil {
		c.outOfMemory()
		c.finish()
		return false
	}
	c.fill, c.at = copy(in, rest), 0
	c.l.put(c.in)
	c.in = in
	return true
}

// outOfMemory ends a connection for which the loop has no buffer.
func (c *conn) outOfMemory() {
	inc(&c.l.counters.outOfMemory)
	c.l.s.noMemory.log(c.l.s, c.l.clock(), errNoMemory)
	c.closing = true
}

// close ends the connection as soon as nothing of it is on its way.
func (c *conn) close() {
	c.closing = true
	c.finish()
}

// finish completes close: it runs again whenever something has ended.
func (c *conn) finish() {
	assert.That(c.closing, "a connection that finishes is closing")
	if c.recv.InFlight() {
		c.l.q.Cancel(&c.recv)
	}
	if c.send.InFlight() {
		c.l.q.Cancel(&c.send)
	}
	if c.busy || c.recv.InFlight() || c.send.InFlight() {
		return // received, sent, answered or jobDone comes back here
	}
	unix.Close(c.fd) //nolint:errcheck // the socket is gone either way
	if c.in != nil {
		c.l.put(c.in)
		c.in = nil
	}
	if c.out != nil {
		c.l.put(c.out)
		c.out, c.outLen = nil, 0
	}
	c.l.s.info.Close(&c.info)
	c.l.release(c)
}
