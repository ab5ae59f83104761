package info

import (
	"encoding/base64"
	"slices"
	"strconv"
	"sync"
)

var agentCommands = map[string]func(*Server, []byte, *request) []byte{
	"user-agent-set": (*Server).userAgentSet,
	"user-agents":    (*Server).userAgents,
}

const (
	maxAgent  = 87   // bytes of base64
	maxAgents = 4096 // different agents that are told apart; more are not counted
)

// agents counts which client libraries are connected. What user-agents shows
// is a few seconds old, so that many askers cost little.
type agents struct {
	mu     sync.Mutex
	counts map[string]int
	order  []string // names of counts, the oldest first
	shown  string
}

func (a *agents) join(c *Conn, agent string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.agent = agent
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	_, known := a.counts[agent]
	if !known && len(a.counts) == maxAgents {
		return
	}
	if !known {
		a.order = append(a.order, agent)
	}
	a.counts[agent]++
}

func (a *agents) leave(c *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, known := a.counts[c.agent]; c.agent != "" && known {
		if n == 1 {
			delete(a.counts, c.agent)
			a.order = slices.DeleteFunc(a.order, func(name string) bool { return name == c.agent })
		} else {
			a.counts[c.agent] = n - 1
		}
	}
	c.agent = ""
}

// publish makes the current counts what user-agents shows.
func (a *agents) publish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b []byte
	for _, name := range a.order {
		b = append(append(b, "user-agent="...), name...)
		b = strconv.AppendInt(append(b, ":count="...), int64(a.counts[name]), 10)
		b = append(b, ';')
	}
	a.shown = string(b)
}

// userAgentSet notes what client library a connection belongs to, once.
func (s *Server) userAgentSet(dst []byte, r *request) []byte {
	if r.conn.agent != "" {
		return bad("already set").append(dst)
	}
	agent, f := r.need("value", maxAgent, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	if _, err := base64.StdEncoding.DecodeString(agent); err != nil {
		return bad("'value' invalid base64").append(dst)
	}
	s.agents.join(r.conn, agent)
	return append(dst, "ok"...)
}

func (s *Server) userAgents(dst []byte, _ *request) []byte {
	s.agents.mu.Lock()
	defer s.agents.mu.Unlock()
	return append(dst, s.agents.shown...)
}
