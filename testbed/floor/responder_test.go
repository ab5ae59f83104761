package floor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// respond is the least a server in plain Go does: a goroutine a connection,
// net.Conn with a buffered reader, the header, the body, an answer of one bin
// of 256 bytes. With path not empty each request reads a random block of that
// file first, by direct I/O.
func respond(path string) error {
	var file *os.File
	var blocks int64
	if path != "" {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			return err
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		file, blocks = f, st.Size()/blockSize
	}
	answer := proto.AppendReply(nil, &proto.Reply{Generation: 1, Bins: []record.Bin{
		{Code: record.OpRead, Name: []byte(binName), Value: record.Value{Type: record.Blob, Bytes: make([]byte, valueSize)}},
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("ready on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			serve(c, answer, file, blocks) //nolint:errcheck // the driver has left
		}()
	}
}

func serve(c net.Conn, answer []byte, file *os.File, blocks int64) error {
	in := bufio.NewReaderSize(c, 4096)
	var body []byte
	block := alignedBlock()
	defer blockPool.Put(block)
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for {
		head, err := in.Peek(proto.HeaderSize)
		if err != nil {
			return err
		}
		h := binary.BigEndian.Uint64(head)
		n := int(h & (1<<48 - 1))
		if h>>48 != proto.Version<<8|uint64(proto.Data) || n > proto.MaxBody {
			return fmt.Errorf("floor: header %x", head)
		}
		if cap(body) < n {
			body = make([]byte, n)
		}
		in.Discard(proto.HeaderSize) //nolint:errcheck // it has been peeked at
		if _, err := io.ReadFull(in, body[:n]); err != nil {
			return err
		}
		if file != nil {
			if _, err := file.ReadAt(block[:], rng.Int64N(blocks)*blockSize); err != nil {
				return err
			}
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}

const blockSize = 4096

type diskBlock [blockSize]byte

var blockPool sync.Pool

// alignedBlock returns memory that direct I/O takes.
func alignedBlock() *diskBlock {
	if b, ok := blockPool.Get().(*diskBlock); ok {
		return b
	}
	raw := make([]byte, 2*blockSize)
	skip := -uintptr(unsafe.Pointer(&raw[0])) & (blockSize - 1)
	return (*diskBlock)(raw[skip : skip+blockSize])
}
