package index_test

import (
	"fmt"

	"github.com/ashlardb/ashlar/engine/index"
	"github.com/ashlardb/ashlar/engine/record"
)

func Example() {
	x, err := index.New(index.Options{Sprigs: 16, MaxBytes: 16 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer x.Close()

	digest := record.Digest{0x2A, 0x01, 7}
	written := record.MakeAddress(0, 8<<20, 160)
	if _, _, err := x.Put(&index.Entry{Digest: digest, Addr: written, Generation: 1}); err != nil {
		fmt.Println(err)
		return
	}
	e, found := x.Get(&digest)
	fmt.Println(found, e.Addr.Offset(), e.Addr.Size(), e.Generation)

	// Defrag has copied the record; it moves the entry only if nobody wrote
	// the record in between.
	moved := record.MakeAddress(0, 16<<20, 160)
	fmt.Println(x.Relocate(&digest, written, moved), x.Relocate(&digest, written, moved))

	// Output:
	// true 8388608 160 1
	// true false
}

func ExampleIndex_Reduce() {
	x, err := index.New(index.Options{Sprigs: 16, MaxBytes: 16 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer x.Close()
	for n := range byte(5) {
		if _, _, err := x.Put(&index.Entry{Digest: record.Digest{2: n}}); err != nil {
			fmt.Println(err)
			return
		}
	}

	// A scan that stops after two records and goes on later, although the
	// record at which it stopped is gone.
	var last record.Digest
	x.Reduce(0, nil, func(e *index.Entry) bool {
		last = e.Digest
		fmt.Print(e.Digest[2], " ")
		return last[2] != 3
	})
	x.Delete(&last)
	x.Reduce(0, &last, func(e *index.Entry) bool {
		fmt.Print(e.Digest[2], " ")
		return true
	})
	// Output: 4 3 2 1 0
}
