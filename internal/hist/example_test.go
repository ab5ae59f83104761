package hist_test

import (
	"fmt"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
)

// Two loops record, a ticker cuts a slice of ten seconds.
func ExampleLog2() {
	start := time.Unix(0, 0)
	h := hist.NewLog2("{test}-read", hist.Msec, 2)
	h.Tick(start)
	for range 99 {
		h.Recorder(0).Record(200 * time.Microsecond)
	}
	h.Recorder(1).Record(3 * time.Millisecond)
	h.Tick(start.Add(10 * time.Second))
	fmt.Printf("%.42s…\n%s", h.AppendText(nil), h.AppendDump(nil))
	// Output:
	// {test}-read:msec,10.0,1.00,1.00,0.00,0.00,…
	// histogram dump: {test}-read (100 total) msec
	//  (00: 0000000099) (02: 0000000001)
}

// Two workers of a load generator record, their sum is reported.
func ExampleMerge() {
	a, b := hist.NewHDR(hist.DefaultRange), hist.NewHDR(hist.DefaultRange)
	a.RecordN(time.Millisecond, 990)
	b.RecordN(50*time.Millisecond, 10)
	m := hist.Merge(a, b)
	fmt.Println(m.TotalCount(), m.Percentile(50).Round(10*time.Microsecond), m.Percentile(99.9).Round(100*time.Microsecond), m.Longest)
	// Output: 1000 1ms 50ms 50ms
}
