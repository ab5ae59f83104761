package act

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
)

// The log in ACT's format, which its own analysis script and JudgeLog read.

// writeHeader writes what stands before the first report.
func (w *watch) writeHeader() {
	out := w.r.o.ACTLog
	if out == nil {
		return
	}
	c := &w.r.o.Config
	b := bufio.NewWriter(out)
	kind, title := "Storage", "ACT-STORAGE"
	if c.Model == Index {
		kind, title = "Index", "ACT-INDEX"
	}
	fmt.Fprintf(b, "\nACT version 6.6 (ashlar %s)\n%s device IO test\nwritten by ashlar act\n\n%s CONFIGURATION\n", Version, kind, title)
	for _, name := range keyOrder {
		k := keys[name]
		if !c.knows(k) || name == "file-size-mbytes" && c.FileSize == 0 {
			continue
		}
		fmt.Fprintf(b, "%s: %s\n", name, k.show(c))
		if name == "device-names" {
			fmt.Fprintf(b, "num-devices: %d\n", len(c.Devices))
		}
	}
	r := c.Rates()
	fmt.Fprint(b, "\nDERIVED CONFIGURATION\n")
	if c.Model == Index {
		fmt.Fprintf(b, "service-thread-reads-per-sec: %d\ncache-thread-reads-and-writes-per-sec: %d\n", r.ServiceReads, r.CacheReads)
	} else {
		commit := uint64(0)
		if c.CommitToDevice {
			commit = r.WritesInternal
		}
		fmt.Fprintf(b, "record-stored-bytes: %d ... %d\ninternal-read-reqs-per-sec: %d\ninternal-write-reqs-per-sec: %d\nlarge-block-reads-per-sec: %s\nlarge-block-writes-per-sec: %s\n",
			r.Stored, r.StoredMax, r.ReadsInternal, commit, r.LargeReads, r.LargeWrites)
	}
	fmt.Fprintln(b)
	for _, t := range w.r.targets {
		fmt.Fprintf(b, "%s size = %d bytes", t.name, t.dev.Size)
		if c.Model == Storage {
			fmt.Fprintf(b, ", %d large blocks, minimum IO size = %d bytes", t.nBlocks, t.block)
		}
		fmt.Fprintln(b)
	}
	fmt.Fprint(b, "\nHISTOGRAM NAMES\n")
	w.eachHistogram(func(name string, _ []*hist.Log2) { fmt.Fprintln(b, name) })
	fmt.Fprintln(b)
	w.note(b.Flush())
}

// eachHistogram goes through the histograms of the log: each class as a whole,
// then by device. The original has none by device for blocks.
func (w *watch) eachHistogram(do func(name string, parts []*hist.Log2)) {
	for class := range nClasses {
		var all []*hist.Log2
		for d := range w.r.targets {
			if h := w.r.logs[d*int(nClasses)+int(class)]; h != nil {
				all = append(all, h)
			}
		}
		if all == nil {
			continue
		}
		do(class.String(), all)
		for _, h := range all {
			do(h.Name(), []*hist.Log2{h})
		}
	}
}

// writeReport writes the counts so far.
func (w *watch) writeReport(at time.Duration) {
	out := w.r.o.ACTLog
	if out == nil {
		return
	}
	b := bufio.NewWriter(out)
	fmt.Fprintf(b, "after %d sec:\n", at/time.Second)
	w.eachHistogram(func(name string, parts []*hist.Log2) {
		var sum buckets
		for _, h := range parts {
			for i, n := range h.Totals() {
				sum[i] += n
			}
		}
		fmt.Fprintf(b, "%s (%d total)\n", name, sum.total())
		column := 0
		for i, n := range sum {
			if n == 0 {
				continue
			}
			fmt.Fprintf(b, " (%02d: %010d)", i, n)
			if column++; column%4 == 0 {
				fmt.Fprintln(b)
			}
		}
		if column%4 != 0 {
			fmt.Fprintln(b)
		}
	})
	fmt.Fprintln(b)
	w.note(b.Flush())
}

// writeEnd says in the log why a run was stopped, in words that readers of the
// original's logs look for.
func (w *watch) writeEnd(reasons []Reason) {
	out := w.r.o.ACTLog
	if out == nil {
		return
	}
	for _, r := range reasons {
		switch {
		case r.Outcome == Error:
			_, err := fmt.Fprintf(out, "ERROR: %s\n", r.Text)
			w.note(err)
		case r.Code == "lag" || r.Code == "stuck":
			_, err := fmt.Fprintf(out, "ERROR: %s\ndrive(s) can't keep up - test stopped\n", r.Text)
			w.note(err)
		}
	}
}

// secondLine is one line of the JSONL file.
type secondLine struct {
	At      float64       `json:"t"` // seconds
	Classes []secondClass `json:"ops"`
}

type secondClass struct {
	Class    Class                      `json:"class"`
	Issued   uint64                     `json:"issued"`
	Count    uint64                     `json:"count"`
	Errors   uint64                     `json:"errors"`
	Wrong    uint64                     `json:"wrong_data"`
	Over     [2][len(thresholds)]uint64 `json:"over"`
	Service  Latency                    `json:"service"`
	Response Latency                    `json:"response"`
}

// writeSecond writes what happened since the cut before.
func (w *watch) writeSecond(now time.Duration) {
	o := &w.r.o
	if o.JSONL == nil && w.hlog == nil {
		return
	}
	line := secondLine{At: now.Seconds()}
	for c := range nClasses {
		s, before := w.now[c], w.before[c]
		if s == nil {
			continue
		}
		d, response := s.since(&before.counters), s.response.Since(before.response)
		if w.hlog != nil {
			w.note(w.hlog.Interval(c.String(), w.began.Add(w.last), w.began.Add(now), response))
		}
		if o.JSONL != nil {
			line.Classes = append(line.Classes, secondClass{c, d.issued, d.done, d.errors, d.wrong, d.over, latencyOf(s.service.Since(before.service)), latencyOf(response)})
		}
	}
	if o.JSONL != nil {
		w.note(appendJSON(o.JSONL, line))
	}
}

// appendJSON writes one line with one write, so that a crash leaves whole lines.
func appendJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
