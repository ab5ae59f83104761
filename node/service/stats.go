package service

import "sync/atomic"

// Stats are figures of the service since its start, under the original's
// names (tag stat) where it has them.
type Stats struct {
	Connections int64  `stat:"client_connections"`
	Opened      uint64 `stat:"client_connections_opened"`
	Closed      uint64 `stat:"client_connections_closed"`
	Reaped      uint64 `stat:"reaped_fds"` // idle, or not reading their replies

	InfoComplete uint64 `stat:"info_complete"`
	InfoQueue    int64  `stat:"info_queue"`

	Refused      uint64 // above proto-fd-max
	Malformed    uint64 `stat:"demarshal_error"` // messages answered with a parameter error for their form
	BadStream    uint64 // connections closed for what cannot be a message
	OutOfMemory  uint64 // connections closed because a loop's buffers were used up
	InfoOverload uint64 // connections closed because too many info messages waited
	Requests     uint64 // messages of any type
}

// counters are one loop's share of Stats. The loop writes, any thread reads.
type counters struct {
	_                                           [64]byte
	closed, reaped                              atomic.Uint64
	infoComplete                                atomic.Uint64
	malformed, badStream, outOfMemory, infoFull atomic.Uint64
	requests                                    atomic.Uint64
	_                                           [64]byte
}

// inc adds one to a counter that only the calling loop writes.
func inc(c *atomic.Uint64) { c.Store(c.Load() + 1) }

func (c *counters) addTo(s *Stats) {
	s.Closed += c.closed.Load()
	s.Reaped += c.reaped.Load()
	s.InfoComplete += c.infoComplete.Load()
	s.Malformed += c.malformed.Load()
	s.BadStream += c.badStream.Load()
	s.OutOfMemory += c.outOfMemory.Load()
	s.InfoOverload += c.infoFull.Load()
	s.Requests += c.requests.Load()
}
