package storage_test

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/engine/storage"
	"github.com/ashlardb/ashlar/internal/epoch"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/ioring/sim"
)

// A record is written, committed and read, on a simulated machine.
func Example() {
	machine := sim.New(1, sim.Faults{})
	devices := []*ioring.Device{machine.Device("nvme0", 256<<20)}
	q := machine.Queue()

	o := storage.DefaultOptions()
	o.Namespace, o.Seed, o.Log = "test", 1, slog.New(slog.NewTextHandler(io.Discard, nil))
	domain := new(epoch.Domain)
	store, err := storage.Open(q, devices, o, domain)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range store.Devices() {
		live := func(flat []byte, a record.Address, sequence uint64) bool {
			store.Account(a) // an engine does so for the newest copy of each record
			return true
		}
		if _, err := store.Load(q, i, live, nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	store.LoadDone()

	reader := domain.Register()
	lane, err := store.NewLane(q, reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	meta := record.Meta{Digest: record.Digest{1, 2, 3}, LUT: 1000, Generation: 1}
	bins := []record.NamedValue{{Name: []byte("n"), Value: record.Value{Type: record.Integer, Num: 42}}}
	size := record.RoundFlat(record.FlatSize(&meta, bins))
	space, addr, res := lane.Reserve(storage.Master, &meta.Digest, size)
	if res != record.OK {
		fmt.Println(res)
		return
	}
	record.EncodeFlat(space, &meta, bins)
	lane.Seal(space, addr)

	done := false
	lane.Durable(&storage.Commit{Addr: addr, Done: func(c *storage.Commit) {
		fmt.Println("durable:", c.Result == record.OK)
		done = true
	}})
	for !done {
		if _, err := q.Poll(time.Second); err != nil {
			fmt.Println(err)
			return
		}
	}

	reader.Enter()
	flat, ok := lane.View(addr)
	f, err := record.ParseFlat(flat)
	fmt.Println("in memory:", ok, "generation:", f.Generation, "bins:", f.NBins, err)
	reader.Exit()

	fmt.Println(lane.Close(), store.Close(q, true), q.Close())
	// Output:
	// durable: true
	// in memory: true generation: 1 bins: 1 <nil>
	// <nil> <nil> <nil>
}
