package service

import (
	"sync"

	"github.com/ashlardb/ashlar/node/proto"
)

// maxJobs is how many messages may wait for the pool. A connection has at most
// one on its way, so it takes that many connections to get there.
const maxJobs = 8192

// pool is the goroutines that do what would hold up a loop: info commands,
// and unpacking compressed messages.
type pool struct {
	jobs chan *conn
	wg   sync.WaitGroup
}

func newPool(n int, info Info) *pool {
	p := &pool{jobs: make(chan *conn, maxJobs)}
	for range n {
		p.wg.Go(func() {
			var z proto.Inflater
			for c := range p.jobs {
				c.runJob(&z, info)
				c.l.inbox.Post(&c.job.done)
			}
		})
	}
	return p
}

// add hands c's job to the pool and reports whether there was room for it.
func (p *pool) add(c *conn) bool {
	select {
	case p.jobs <- c:
		return true
	default:
		return false
	}
}

// close waits for the jobs that were added.
func (p *pool) close() {
	close(p.jobs)
	p.wg.Wait()
}
