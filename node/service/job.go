package service

import (
	"github.com/ashlardb/ashlar/node/proto"
	"github.com/ashlardb/ashlar/node/txn"
)

// job is one message of a connection that the pool works on. While it does,
// the connection's buffers stay where they are, and the loop does not touch
// the job.
type job struct {
	typ  proto.Type
	body []byte // of the message: a view of the connection's buffer
	room []byte // compressed: a buffer of the loop's arena for what is inside

	text []byte // info: the reply's body
	data []byte // compressed: the body of the message inside, a view of room
	err  error

	done txn.Task // back to the loop
}

// runJob is what the pool does.
func (c *conn) runJob(z *proto.Inflater, to Info) {
	switch j := &c.job; j.typ {
	case proto.Info:
		j.text = to.Answer(j.text[:0], &c.info, j.body)
	case proto.Compressed:
		j.data, j.err = z.Inflate(j.room, j.body)
	}
}
