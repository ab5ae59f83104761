package engine_test

import (
	"fmt"
	"log/slog"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
)

func ExampleWorker_Write() {
	o := engine.DefaultOptions()
	o.Name = "test"
	o.Storage.Type = engine.StorageMemory
	o.Storage.DataSize = 1 << 30
	ns, err := engine.Open(o, engine.Env{
		Now: func() record.Time { return 530000000000 },
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ns.Close()
	w, err := ns.NewWorker(nil) // a namespace in memory needs no queue
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()

	r := &engine.Request{
		Done: func(r *engine.Request) {
			fmt.Printf("%v, generation %d", r.Result, r.ReplyGeneration)
			for _, b := range r.Bins {
				fmt.Printf(", %s = %d", b.Name, b.Value.Num)
			}
			fmt.Println()
		},
		Digest: record.Digest{1, 2, 3},
		Info1:  record.Info1Read,
		Info2:  record.Info2Write,
		TTL:    record.TTLNever,
		Now:    530000000000,
		Ops: []record.Op{
			{Code: record.OpIncr, Type: record.Integer, Name: []byte("visits"), Value: []byte{1}},
			{Code: record.OpRead, Name: []byte("visits")},
		},
	}
	w.Write(r)
	w.Write(r)
	// Output:
	// result ok, generation 1, visits = 1
	// result ok, generation 2, visits = 2
}
