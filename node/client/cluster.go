package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
)

// NoNode is the owner of a partition that no node claims.
const NoNode = -1

// maxNodes bounds a cluster, as the protocol's heartbeats do.
const maxNodes = 256

// Options configures Dial.
type Options struct {
	// Timeout bounds connecting and each exchange. Default 1 s.
	Timeout time.Duration
	// Namespace is the one whose map is followed. It must exist.
	Namespace string
	// NoPeers keeps to the seeds: the nodes behind them are not looked for.
	NoPeers bool
}

// Node is one node of a cluster. It does not change.
type Node struct {
	Index   int // in Map.Nodes
	ID      string
	Build   string
	Address string // host:port
}

// Map says who owns which partition of the namespace. It does not change: a
// Refresh makes a new one.
type Map struct {
	Nodes  []*Node
	owners [record.Partitions]int16
}

// Owner returns the index of the node that is master of a partition, or
// NoNode.
func (m *Map) Owner(partition int) int { return int(m.owners[partition]) }

// Unowned returns the number of partitions that no node claims.
func (m *Map) Unowned() int {
	n := 0
	for _, owner := range m.owners {
		if owner == NoNode {
			n++
		}
	}
	return n
}

// Cluster follows a cluster's nodes and partition map. Map may be called from
// any thread; Refresh and Close from one at a time.
type Cluster struct {
	o       Options
	current atomic.Pointer[Map]

	mu    sync.Mutex // guards nodes
	nodes []*member
}

// member is a node as Refresh sees it.
type member struct {
	node       *Node
	info       *Info
	generation string // of the partition map that owned is from
	owned      []byte // bitmap of 4096 bits, most significant bit first
}

// Dial connects to the seeds (host:port each), finds their peers and reads the
// partition map.
func Dial(ctx context.Context, seeds []string, o Options) (*Cluster, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	c := &Cluster{o: o}
	var errs []error
	for _, seed := range seeds {
		if err := c.join(ctx, seed); err != nil {
			errs = append(errs, err)
		}
	}
	if len(c.nodes) == 0 {
		return nil, fmt.Errorf("client: no seed of %v answers: %w", seeds, errors.Join(errs...))
	}
	if !o.NoPeers {
		for i := 0; i < len(c.nodes); i++ { // grows while it runs
			c.joinPeers(ctx, c.nodes[i])
		}
	}
	if _, err := c.Refresh(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Map returns the current map.
func (c *Cluster) Map() *Map { return c.current.Load() }

// Close ends all connections.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, m := range c.nodes {
		errs = append(errs, m.info.Close())
	}
	c.nodes = nil
	return errors.Join(errs...)
}

// join adds the node at an address, unless it is known already.
func (c *Cluster) join(ctx context.Context, address string) error {
	info, err := DialInfo(ctx, address, c.o.Timeout)
	if err != nil {
		return err
	}
	answers, err := info.Ask("node", "build", "namespaces")
	if err != nil {
		return errors.Join(err, info.Close())
	}
	id, build, namespaces := answers[0], answers[1], strings.Split(answers[2], ";")
	if c.o.Namespace != "" && !slices.Contains(namespaces, c.o.Namespace) {
		return errors.Join(fmt.Errorf("client: %s: no namespace %q, it has %v", address, c.o.Namespace, namespaces), info.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.nodes {
		if m.node.ID == id {
			return info.Close()
		}
	}
	if len(c.nodes) == maxNodes {
		return errors.Join(fmt.Errorf("client: more than %d nodes", maxNodes), info.Close())
	}
	node := &Node{Index: len(c.nodes), ID: id, Build: build, Address: address}
	c.nodes = append(c.nodes, &member{node: node, info: info})
	return nil
}

// joinPeers adds the nodes that m names. One that cannot be reached is left
// out: its partitions then have no owner in the map, which shows.
func (c *Cluster) joinPeers(ctx context.Context, m *member) {
	answers, err := m.info.Ask("peers-clear-std")
	if err != nil {
		return
	}
	addresses, err := parsePeers(answers[0])
	if err != nil {
		return
	}
	for _, alternatives := range addresses {
		for _, address := range alternatives {
			if c.join(ctx, address) == nil {
				break
			}
		}
	}
}

// Refresh asks every node whether its part of the map has changed, and makes a
// new Map if one has. A node that does not answer keeps its last part; the
// error names it.
func (c *Cluster) Refresh() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, m := range c.nodes {
		moved, err := m.refresh(c.o.Namespace)
		if err != nil {
			errs = append(errs, err)
		}
		changed = changed || moved
	}
	if changed || c.current.Load() == nil {
		c.current.Store(c.build())
	}
	return changed, errors.Join(errs...)
}

// refresh reads a node's part of the map if its generation has moved.
func (m *member) refresh(namespace string) (moved bool, err error) {
	answers, err := m.info.Ask("node", "partition-generation")
	if err != nil {
		return false, err
	}
	if answers[0] != m.node.ID {
		return false, fmt.Errorf("client: %s: node %s answers, it was %s", m.node.Address, answers[0], m.node.ID)
	}
	if answers[1] == m.generation {
		return false, nil
	}
	generation := answers[1]
	if answers, err = m.info.Ask("replicas"); err != nil {
		return false, err
	}
	owned, err := parseReplicas(answers[0], namespace)
	if err != nil {
		return false, fmt.Errorf("client: %s: %w", m.node.Address, err)
	}
	m.generation, m.owned = generation, owned
	return true, nil
}

// build makes the Map of what the nodes claim. Of two claims the one of the
// later node holds, as in any other order one would be wrong as well.
func (c *Cluster) build() *Map {
	p := &Map{}
	for i := range p.owners {
		p.owners[i] = NoNode
	}
	for i, m := range c.nodes {
		p.Nodes = append(p.Nodes, m.node)
		for partition := range p.owners {
			if m.owned != nil && m.owned[partition>>3]&(0x80>>(partition&7)) != 0 {
				p.owners[partition] = int16(i)
			}
		}
	}
	return p
}

// parseReplicas returns the bitmap of the partitions of a namespace whose
// master the node is, from "ns:regime,rf,bitmap,...;ns:...".
func parseReplicas(text, namespace string) ([]byte, error) {
	for entry := range strings.SplitSeq(text, ";") {
		ns, rest, ok := strings.Cut(entry, ":")
		if !ok || ns != namespace {
			continue
		}
		columns := strings.Split(rest, ",")
		if len(columns) < 3 {
			return nil, fmt.Errorf("replicas of %s: %q: want regime, factor and bitmaps", ns, rest)
		}
		bits, err := base64.StdEncoding.DecodeString(columns[2])
		if err != nil || len(bits) != record.Partitions/8 {
			return nil, fmt.Errorf("replicas of %s: a bitmap of %d bytes, want %d", ns, len(bits), record.Partitions/8)
		}
		return bits, nil
	}
	return nil, fmt.Errorf("replicas: no namespace %q in the answer", namespace)
}

// parsePeers returns the addresses of each peer, from
// "generation,port,[[id,tls,[host:port,...]],...]".
func parsePeers(text string) ([][]string, error) {
	_, rest, ok := strings.Cut(text, ",")
	port, list, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || !strings.HasPrefix(list, "[") || !strings.HasSuffix(list, "]") {
		return nil, fmt.Errorf("peers %q: want generation,port,[...]", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("peers %q: port %q", text, port)
	}
	var peers [][]string
	for list = list[1 : len(list)-1]; list != ""; list = strings.TrimPrefix(list, ",") {
		end := strings.Index(list, "]]")
		open := strings.LastIndex(list[:max(end, 0)], ",[")
		if end < 0 || open < 0 || list[0] != '[' {
			return nil, fmt.Errorf("peers %q: want [id,tls,[address,...]] at %q", text, list)
		}
		var addresses []string
		for _, address := range splitAddresses(list[open+2 : end]) {
			if _, _, err := net.SplitHostPort(address); err != nil {
				address = net.JoinHostPort(strings.Trim(address, "[]"), port)
			}
			addresses = append(addresses, address)
		}
		peers = append(peers, addresses)
		list = list[end+2:]
	}
	return peers, nil
}

// splitAddresses splits a list of addresses, which may be empty.
func splitAddresses(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
