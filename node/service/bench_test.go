package service

import (
	"io"
	"testing"
)

// BenchmarkPipelined serves batches of maxPipeline requests of one
// connection: what a request costs beside its system calls.
func BenchmarkPipelined(b *testing.B) {
	for _, bm := range []struct {
		name    string
		request []byte
	}{
		{"get", get(1)},
		{"put", put(1, make([]byte, 256))},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s := startService(b, func(o *Options) { o.Threads = 1 })
			c := dial(b, s)
			c.write(put(1, make([]byte, 256)))
			c.read()
			var batch []byte
			for range maxPipeline {
				batch = append(batch, bm.request...)
			}
			c.write(batch)
			want := 0
			for range maxPipeline {
				want += len(c.read())
			}
			replies := make([]byte, want)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Conn.Write(batch); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c.Conn, replies); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxPipeline, "ns/request")
		})
	}
}
