package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ashlardb/ashlar/node/proto"
)

// maxInfoReply bounds an info reply, in bytes: the largest ones are lists of
// statistics of some hundred KiB.
const maxInfoReply = 16 << 20

// Info is a connection for info commands. It is not safe for concurrent use.
type Info struct {
	conn    net.Conn
	timeout time.Duration
	buf     []byte
}

// DialInfo connects to a node. Every later exchange has the same time limit.
func DialInfo(ctx context.Context, address string, timeout time.Duration) (*Info, error) {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Info{conn: conn, timeout: timeout}, nil
}

// Close ends the connection.
func (i *Info) Close() error { return i.conn.Close() }

// Ask sends commands and returns the answers in their order.
func (i *Info) Ask(commands ...string) ([]string, error) {
	text := strings.Join(commands, "\n") + "\n"
	i.buf = append(proto.AppendHeader(i.buf[:0], proto.Info, len(text)), text...)
	if err := i.conn.SetDeadline(time.Now().Add(i.timeout)); err != nil {
		return nil, i.failed(err)
	}
	if _, err := i.conn.Write(i.buf); err != nil {
		return nil, i.failed(err)
	}
	body, err := i.read()
	if err != nil {
		return nil, i.failed(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	if len(lines) != len(commands) {
		return nil, i.failed(fmt.Errorf("%d answers to %d info commands", len(lines), len(commands)))
	}
	answers := make([]string, len(lines))
	for n, line := range lines {
		name, value, ok := strings.Cut(line, "\t")
		if !ok || name != commands[n] {
			return nil, i.failed(fmt.Errorf("answer %q to info command %q", line, commands[n]))
		}
		answers[n] = value
	}
	return answers, nil
}

func (i *Info) read() ([]byte, error) {
	var head [proto.HeaderSize]byte
	if _, err := io.ReadFull(i.conn, head[:]); err != nil {
		return nil, err
	}
	h, err := proto.ParseHeader(head[:])
	if err != nil {
		return nil, err
	}
	if h.Type != proto.Info || h.Body > maxInfoReply {
		return nil, fmt.Errorf("reply of type %d and %d bytes to an info command", h.Type, h.Body)
	}
	body := make([]byte, h.Body)
	_, err = io.ReadFull(i.conn, body)
	return body, err
}

func (i *Info) failed(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("client: %s: %w", i.conn.RemoteAddr(), err)
}
