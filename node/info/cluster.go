package info

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ashlardb/ashlar/node/config"
)

var clusterCommands = map[string]func(*Server, []byte, *request) []byte{
	"cluster-stable":  (*Server).clusterStable,
	"get-sl":          (*Server).node,
	"recluster":       text("ok"),
	"mesh":            (*Server).mesh,
	"mcast":           text("ERROR:4:heartbeat is in multicast mode"), // so says the original when it is not
	"tip":             (*Server).tip,
	"tip-clear":       (*Server).tipClear,
	"health-stats":    text(""),
	"health-outliers": text(""),
}

// clusterStable answers the cluster key when the cluster is what the asker
// expects. A node that is alone is always stable.
func (s *Server) clusterStable(dst []byte, r *request) []byte {
	if v, ok := r.value("size"); ok {
		n, err := strconv.ParseUint(v, 10, 32)
		switch {
		case err != nil:
			return bad("bad size").append(dst)
		case n != 1:
			return (&failure{codeClusterKey, "cluster not specified size"}).append(dst)
		}
	}
	if v, ok := r.value("ignore-migrations"); ok && v != "true" && v != "false" {
		return bad("bad ignore migrations").append(dst)
	}
	if _, ok := r.value("namespace"); ok {
		if _, f := s.knownNamespace(r); f != nil {
			return f.append(dst)
		}
	}
	return fmt.Appendf(dst, "%X", s.src.ClusterKey)
}

// mesh lists the heartbeat addresses of the cluster: our own.
func (s *Server) mesh(dst []byte, _ *request) []byte {
	e := s.src.Addresses.Endpoints.Heartbeat
	for i, host := range e.Hosts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, "%s:%d", host, e.Port)
	}
	return dst
}

const maxHost = 255 // bytes of a host name

// tip takes the address of a possible neighbour. Nobody is asked: this
// version does not form clusters.
func (s *Server) tip(dst []byte, r *request) []byte {
	host, f := r.need("host", maxHost, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	port, f := r.need("port", 49, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	if _, err := strconv.Atoi(port); err != nil {
		return bad("'port' must be an integer").append(dst)
	}
	s.log.Warn("tip is not followed: this version does not form clusters", "host", host, "port", port)
	return append(dst, "ok"...)
}

func (s *Server) tipClear(dst []byte, r *request) []byte {
	list, f := r.need("host-port-list", 4096, codeParameter)
	switch {
	case f != nil:
		return f.append(dst)
	case list == "all":
		return (&failure{codeUnknown, "0 cleared, 0 not found"}).append(dst)
	}
	return append(dst, "ok"...)
}

// clusterRule refuses a least cluster size that the cluster of one has not.
func clusterRule(ch config.Change, _ func(context, namespace, name string) string) error {
	if ch.Name != "min-cluster-size" {
		return nil
	}
	if n, err := strconv.Atoi(ch.To); err != nil || n > 1 {
		return fmt.Errorf("the cluster has 1 node, less than %s", strings.TrimSpace(ch.To))
	}
	return nil
}
