package info

import (
	"fmt"
	"strings"
)

var addressCommands = map[string]func(*Server, []byte, *request) []byte{
	"service":               (*Server).service,
	"service-clear-std":     list(func(a *Addresses) []string { return a.Service }),
	"service-clear-alt":     list(func(a *Addresses) []string { return a.Alternate }),
	"admin-clear-std":       list(func(a *Addresses) []string { return a.Admin }),
	"admin-tls-std":         text(""),
	"endpoints":             (*Server).endpoints,
	"peers-generation":      text("0"),
	"peers-clear-std":       text(noPeers),
	"peers-clear-alt":       text(noPeers),
	"alumni-clear-std":      text(noPeers),
	"alumni-clear-alt":      text(noPeers),
	"services":              text(""),
	"services-alternate":    text(""),
	"services-alumni":       text(""),
	"services-alumni-reset": text("ok"),
}

// noPeers is the list of a node that is alone: generation, default port, no
// entries.
const noPeers = "0,3000,[]"

// list returns the handler of a comma separated list of addresses.
func list(of func(*Addresses) []string) func(*Server, []byte, *request) []byte {
	return func(s *Server, dst []byte, _ *request) []byte {
		return append(dst, strings.Join(of(&s.src.Addresses), ",")...)
	}
}

func (s *Server) service(dst []byte, _ *request) []byte {
	return append(dst, strings.Join(s.src.Addresses.Service, ";")...)
}

// endpoints lists what the node listens on and announces. TLS entries stay
// empty.
func (s *Server) endpoints(dst []byte, _ *request) []byte {
	e := &s.src.Addresses.Endpoints
	none := Endpoint{}
	for i, part := range []struct {
		port, hosts string
		Endpoint
	}{
		{"service.port", "service.addresses", e.Service},
		{"service.access-port", "service.access-addresses", e.Access},
		{"service.alternate-access-port", "service.alternate-access-addresses", e.Alternate},
		{"service.tls-port", "service.tls-addresses", none},
		{"service.tls-access-port", "service.tls-access-addresses", none},
		{"service.tls-alternate-access-port", "service.tls-alternate-access-addresses", none},
		{"admin.port", "admin.addresses", e.Admin},
		{"admin.tls-port", "admin.tls-addresses", none},
		{"heartbeat.port", "heartbeat.addresses", e.Heartbeat},
		{"heartbeat.tls-port", "heartbeat.tls-addresses", none},
		{"fabric.port", "fabric.addresses", e.Fabric},
		{"fabric.tls-port", "fabric.tls-addresses", none},
	} {
		if i > 0 {
			dst = append(dst, ';')
		}
		hosts := strings.Join(part.Hosts, ",")
		if hosts == "" {
			hosts = "null"
		}
		dst = fmt.Appendf(dst, "%s=%d;%s=%s", part.port, part.Port, part.hosts, hosts)
	}
	return dst
}
