// Package bench is the load generator: it drives any server that speaks the
// client protocol and reports latencies that can be believed.
//
//	Options ─▶ workload ─▶ prepared requests, key source ─┐
//	        ─▶ schedule (open loop: when each is due) ────┤
//	                                                      ▼
//	                                    loop: pinned thread, one ring, many connections
//	                                      due ─▶ sent ─▶ answered          three clocks
//	                                                      │
//	  report: text, JSON, .hlog, CSV, HTML ◀─ second ◀────┘  histograms a second, operation and clock
//
// In an open loop an operation's latency counts from the moment it was due,
// whatever held it up (response time), and beside it from the moment it was
// sent (service time). In a closed loop the two are the same and the report
// says what that means: a server that stops is asked less.
//
// A loop allocates nothing per operation: requests are prepared, keys are
// digested in blocks, values come from a pool. The package shares with the
// node only the vocabulary, the protocol and the lean client.
package bench
