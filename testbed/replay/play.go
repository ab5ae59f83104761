package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Limits of one answer.
const (
	answerLimit = 10 * time.Second
	maxAnswer   = 128 << 20 // bytes of body
	headerSize  = 8
)

// player runs sequences against one address.
type player struct {
	address string
	conn    net.Conn
}

func (p *player) close() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing more is wanted of it
		p.conn = nil
	}
}

// ask sends a request and returns the answer, empty when the node closed the
// connection in place of one.
func (p *player) ask(req []byte) ([]byte, error) {
	if p.conn == nil {
		conn, err := net.DialTimeout("tcp", p.address, answerLimit)
		if err != nil {
			return nil, err
		}
		p.conn = conn
	}
	if err := p.conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	_, sent := p.conn.Write(req) // a node that closes early may not take it all
	answer, err := readMessage(p.conn)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, errClosed):
		p.close()
		return nil, nil
	}
	p.close()
	return nil, errors.Join(sent, err)
}

var errClosed = errors.New("connection closed")

// readMessage reads one whole message.
func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil, fmt.Errorf("no answer within %v", answerLimit)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("closed within the header of an answer: %w", err)
		}
		return nil, errClosed // the end of the stream, or a reset
	}
	size := binary.BigEndian.Uint64(head) & (1<<48 - 1)
	if size > maxAnswer {
		return nil, fmt.Errorf("answer of %d bytes: want at most %d", size, maxAnswer)
	}
	message := make([]byte, headerSize+int(size))
	copy(message, head)
	if _, err := io.ReadFull(r, message[headerSize:]); err != nil {
		return nil, fmt.Errorf("answer of %d bytes: %w", size, err)
	}
	return message, nil
}

// same compares an answer with the recorded one, masks aside.
func (s *step) same(got []byte) bool {
	if len(got) != len(s.Resp) {
		return false
	}
	for i := range got {
		if got[i] != s.Resp[i] && !s.masked(i) {
			return false
		}
	}
	return true
}

func (s *step) masked(i int) bool {
	for _, m := range s.Mask {
		if i >= m[0] && i < m[0]+m[1] {
			return true
		}
	}
	return false
}
