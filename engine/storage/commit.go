package storage

import (
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
	"github.com/ashlardb/ashlar/ioring"
)

// Commit waits for a record to be durable. The caller sets Addr and Done; the
// store owns it from Durable until Done.
type Commit struct {
	Addr record.Address
	// Result is valid in Done: OK, or Unknown when the device failed, with
	// the record then in memory only.
	Result record.Result
	Done   func(c *Commit)

	end  int // of the record in its buffer
	next *Commit
}

// Durable calls c.Done when everything up to the end of the record at c.Addr
// is on its device, or has failed. The lane has reserved the record. All
// commits of a loop turn share one write, and so do all that come while it is
// in flight. In a memory store, on a fenced device, and when the record is on
// the device already, Done runs within Durable.
func (l *Lane) Durable(c *Commit) {
	assert.That(c.Done != nil, "a commit has a Done")
	ld := &l.devices[c.Addr.Device()]
	c.next = nil
	if ld.d.dev == nil {
		finishCommits(c, record.OK)
		return
	}
	b := ld.d.wblocks[l.s.wblockOf(c.Addr)].image.Load()
	c.end = l.s.inWblock(c.Addr) + c.Addr.Size()
	if b == nil || b.lane == nil || c.end <= b.flushed {
		finishCommits(c, record.OK) // wholly flushed meanwhile
		return
	}
	assert.That(b.lane == l, "a commit is for a record that this lane reserved")
	if ld.d.fenced.Load() {
		finishCommits(c, record.Unknown)
		return
	}
	b.addCommit(c)
	if !b.commitsNews {
		b.commitsNews = true
		l.turnCommits = append(l.turnCommits, b)
	}
	if !l.turn.InFlight() {
		l.q.Submit(&l.turn)
	}
}

// addCommit inserts by address. Commits come in nearly that order.
func (b *swb) addCommit(c *Commit) {
	switch {
	case b.commits == nil:
		b.commits, b.lastCommit = c, c
	case b.lastCommit.end <= c.end:
		b.lastCommit.next = c
		b.lastCommit = c
	default:
		at := &b.commits
		for (*at).end <= c.end {
			at = &(*at).next
		}
		c.next, *at = *at, c
	}
}

// takeCommits removes the commits that are on the device.
func (b *swb) takeCommits() *Commit {
	first := b.commits
	at := &first
	for *at != nil && (*at).end <= b.flushed {
		at = &(*at).next
	}
	b.commits, *at = *at, nil
	if b.commits == nil {
		b.lastCommit = nil
	}
	return first
}

func (b *swb) takeAllCommits() *Commit {
	first := b.commits
	b.commits, b.lastCommit = nil, nil
	return first
}

// finishCommits answers a list of commits. Their Dones may call the lane.
func finishCommits(c *Commit, res record.Result) {
	for c != nil {
		next := c.next
		c.next, c.Result = nil, res
		c.Done(c)
		c = next
	}
}

// turnDone runs once in a loop turn that had commits, after everything else of
// the turn: their group starts.
func (l *Lane) turnDone(*ioring.Op) {
	bs := l.turnCommits
	l.turnCommits = l.turnCommits[:0]
	for _, b := range bs {
		b.commitsNews = false
		if b.lane != l || b.commits == nil {
			continue // flushed or failed since
		}
		b.want = b.fill
		l.devices[b.dev.number].pump()
	}
}
