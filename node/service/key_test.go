package service

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/node/proto"
)

// incr adds one to an integer bin.
func incr(key int) []byte {
	m := message(key)
	m.Info1, m.Info2 = record.Info1Read, record.Info2Write
	m.Ops = []record.Op{
		{Code: record.OpIncr, Type: record.Integer, Name: []byte("n"), Value: binary.BigEndian.AppendUint64(nil, 1)},
		{Code: record.OpRead, Name: []byte("n")},
	}
	return proto.AppendMessage(nil, m)
}

// TestWritesOfOneKey: connections on all loops count up one record. Each sees
// every number it made once, and none is lost.
func TestWritesOfOneKey(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Service) {
		const clients, each = 16, 300
		seen := make([]int, clients*each+1)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range clients {
			c := dial(t, s)
			wg.Go(func() {
				for range each {
					c.Write(incr(1)) //nolint:errcheck // the answer tells
					reply, err := c.tryRead()
					var m proto.Message
					if err != nil || m.Decode(reply[proto.HeaderSize:]) != record.OK || len(m.Ops) != 1 {
						t.Errorf("reply %x, %v: want one bin", reply, err)
						return
					}
					n := int(binary.BigEndian.Uint64(m.Ops[0].Value))
					mu.Lock()
					if n < len(seen) {
						seen[n]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for n, times := range seen[1:] {
			if times != 1 {
				t.Errorf("%d was made %d times, want once", n+1, times)
			}
		}
	}, nil)
}
