// Package conformance holds the node to the official Go client's own test
// suite.
//
//	module cache ─▶ copy of the client ─▶ suite binary ─┐  one process a file
//	                                                    ├─▶ reports ─▶ results
//	testnode.Start ─▶ a fresh node on a file  ──────────┘                │
//	                                          ratchet.txt ─▶ compared ◀──┘
//
// ratchet.txt lists the specs that pass, one full name a line, sorted. A
// listed spec that fails, is skipped or is gone is an error; one that newly
// passes is reported, and added with -update. So the list only grows.
//
// A spec's full name is the file it stands in and the texts of its containers
// and its own. Where several specs carry one name, the name passes when all
// of them do.
//
// Each file of specs runs in a process of its own, under a time limit: what
// hangs or kills the client costs one file. The suite takes minutes and needs
// the client's test dependencies from the module proxy, so it runs only with
// -suite:
//
//	go test ./testbed/conformance -suite            # make conformance
//	go test ./testbed/conformance -suite -update    # and add what newly passes
//	go test ./testbed/conformance -suite -file client_test.go -spec Touch -v
package conformance
