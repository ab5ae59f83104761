// Package node starts and stops everything that makes a node: wiring, no
// logic of its own.
//
//	Options ◀─ config file, command line
//	   │
//	   ▼ Start, in this order                      Stop, in the reverse order
//	log ─▶ devices ─▶ namespaces (cold start) ─▶ transactions ─▶ info
//	    ─▶ service loops ─▶ background (defrag, expiry) ─▶ listeners ─▶ ready
//
// Stop ends the listeners, lets requests on their way finish, closes the
// connections, flushes what the loops have written, ends the background, and
// marks the devices as cleanly closed. A node that is killed instead has lost
// at most what flush-max-ms allows, and nothing with commit-to-device.
//
// Command and InfoCommand are the node's part of the command line.
package node
