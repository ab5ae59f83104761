// Package hist records latencies.
//
//	loop 0 ─▶ Recorder ─┐                    ┌─▶ Slice: the last ticker period, for latencies:
//	loop 1 ─▶ Recorder ─┼─▶ Log2, on Tick ───┤
//	loop n ─▶ Recorder ─┘                    └─▶ Totals: since start, for the log's histogram dump
//
//	worker ─▶ HDR ─┐
//	worker ─▶ HDR ─┴─▶ Snapshot, merged ─▶ percentiles, .hlog, text
//
// Two resolutions, for two readers. A Log2 counts by powers of two, as the
// node's own histograms do: 64 counters and a few nanoseconds a record, always on. An
// HDR keeps a fixed number of significant digits over its whole range, for
// measuring tools.
//
// Each loop records into a part of its own, without allocation and without
// waiting for anybody; readers merge the parts when they want to know. Counters
// are atomic, so a reader may look at any moment: it sees each record either
// counted or not.
package hist
