package engine_test

import (
	"testing"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
)

// single is a request that is used over and over on one digest.
func single(t testing.TB) *engine.Request {
	r := &engine.Request{}
	r.Done = func(r *engine.Request) {
		if r.Result != record.OK {
			t.Errorf("result %v", r.Result)
		}
	}
	r.Digest = record.Digest{1, 2, 3, 4, 5, 6, 7, 8, 9}
	r.Set = []byte("set")
	r.Now = startTime
	return r
}

func asWrite(r *engine.Request, value []byte) {
	r.Info1, r.Info2, r.TTL = 0, record.Info2Write, record.TTLNever
	r.Ops = append(r.Ops[:0], record.Op{Code: record.OpWrite, Type: record.Blob, Name: []byte("bin"), Value: value})
}

func asRead(r *engine.Request) {
	r.Info1, r.Info2, r.TTL = record.Info1Read|record.Info1GetAll, 0, 0
	r.Ops = r.Ops[:0]
}

// TestHotPathDoesNotAllocate holds reads and writes of a 256-byte record in
// memory to no allocation at all.
func TestHotPathDoesNotAllocate(t *testing.T) {
	w := newWorker(t, openMemory(t, "test", nil), nil)
	value := make([]byte, 256)
	for _, tt := range []struct {
		name string
		set  func(r *engine.Request)
		run  func(r *engine.Request)
	}{
		{"write", func(r *engine.Request) { asWrite(r, value) }, w.Write},
		{"read", asRead, w.Read},
		{"header", func(r *engine.Request) { asRead(r); r.Info1 = record.Info1Read | record.Info1NoBins }, w.Read},
		{"operate", func(r *engine.Request) {
			asWrite(r, value[:8])
			r.Info1 = record.Info1Read
			r.Ops[0] = record.Op{Code: record.OpIncr, Type: record.Integer, Name: []byte("n"), Value: value[:8]}
			r.Ops = append(r.Ops, record.Op{Code: record.OpRead, Name: []byte("n")})
		}, w.Write},
		{"filter", func(r *engine.Request) {
			asRead(r)
			r.Filter, r.HasFilter = []byte{0x93, 1, 1, 1}, true
		}, w.Read},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := single(t)
			asWrite(r, value)
			w.Write(r)
			tt.set(r)
			if n := testing.AllocsPerRun(2000, func() { tt.run(r) }); n != 0 {
				t.Errorf("%v allocations a request, want 0", n)
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	w := newWorker(b, openMemory(b, "test", nil), nil)
	r := single(b)
	asWrite(r, make([]byte, 256))
	b.ReportAllocs()
	for b.Loop() {
		w.Write(r)
	}
}

func BenchmarkRead(b *testing.B) {
	w := newWorker(b, openMemory(b, "test", nil), nil)
	r := single(b)
	asWrite(r, make([]byte, 256))
	w.Write(r)
	asRead(r)
	b.ReportAllocs()
	for b.Loop() {
		w.Read(r)
	}
}
