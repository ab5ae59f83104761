// Package info answers the text protocol: what clients ask to find their way,
// what tools ask to watch a node, and what operators ask to steer it.
//
//	node/service ─▶ Server.Answer ─▶ parse ─▶ command table ─▶ handler
//	  one message     reply body      name,     one family a      │
//	                                  params    file              ▼
//	      namespaces, counters, config, histograms, /proc ◀── Sources
//
// A request is a list of commands, each ended by a line feed; the reply
// repeats each command's text, a tab, the value and a line feed, in the order
// asked. Server.Answer may be called from any goroutine; a Conn belongs to one
// connection and is used by one call at a time. It allocates and may take a
// few milliseconds (partition-info writes 8192 lines): a service loop hands
// info messages to a goroutine of its own.
//
// Names, order and form of every value are the original's at protocol level
// 8.1.2. Package node fills Sources with what it owns; a source that is nil
// answers as a node that has nothing of the kind.
package info
