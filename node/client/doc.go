// Package client is the lean side of the protocol that talks to a node: which
// nodes there are, which of them owns a partition, and what they say of
// themselves.
//
//	seed addresses ──Dial──▶ Cluster ──Map──▶ partition ─▶ Node ─▶ address
//	                            ▲
//	                 Refresh ───┘  (asks every node for its generation, and for more only when that moved)
//
// It holds no data connections: a load generator brings its own, on its own
// rings, and asks the Map where to send. Info travels over ordinary blocking
// connections, one a node. Serving processes do not use this package.
package client
