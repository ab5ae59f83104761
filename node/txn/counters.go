package txn

import (
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/hist"
)

// kind is the kind of a transaction, as latencies tell them apart. A delete
// is a write.
type kind uint8

const (
	kindRead kind = iota
	kindWrite
	kindTouch // renews a record that was read near the end of its life; no client waits
	nKinds
)

// kindNames are the names of the histograms behind "{ns}-".
var kindNames = [nKinds]string{"read", "write", "read-touch"}

// Stats are what a namespace's transactions came to before they reached the
// engine, over all loops, since the start. How the engine answered is in its
// own Stats.
type Stats struct {
	// StartError and StartTimeout count transactions that were refused, and
	// those whose time was over when their turn came.
	StartError   uint64 `stat:"client_tsvc_error"`
	StartTimeout uint64 `stat:"client_tsvc_timeout"`
	// KeyBusy counts writes refused because too many waited for their key.
	KeyBusy uint64 `stat:"fail_key_busy"`
}

// NodeStats are figures that belong to no namespace.
type NodeStats struct {
	// EarlyErrors counts messages that name no namespace of this node.
	EarlyErrors uint64 `stat:"early_tsvc_client_error"`
}

// counters are one loop's share of Stats. The loop writes, any thread reads.
// Padded: two loops' counters do not share a line.
type counters struct {
	_            [64]byte
	startError   atomic.Uint64
	startTimeout atomic.Uint64
	keyBusy      atomic.Uint64
	latency      [nKinds]*hist.Recorder
	_            [64]byte
}

// inc adds one to a counter that only the calling loop writes: cheaper than
// an atomic addition, and whole to whoever reads.
func inc(c *atomic.Uint64) { c.Store(c.Load() + 1) }

// took counts a transaction's time, from the arrival of its last byte to its
// answer. Reads that found nothing are left out, as the original does.
func (c *counters) took(k kind, r record.Result, d time.Duration) {
	if k != kindRead || r != record.NotFound {
		c.latency[k].Record(d)
	}
}

func (c *counters) addTo(s *Stats) {
	s.StartError += c.startError.Load()
	s.StartTimeout += c.startTimeout.Load()
	s.KeyBusy += c.keyBusy.Load()
}
