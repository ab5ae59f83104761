package info

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/ashlardb/ashlar/node/config"
)

var configCommands = map[string]func(*Server, []byte, *request) []byte{
	"get-config": (*Server).getConfig,
	"config-get": (*Server).getConfig,
	"set-config": (*Server).setConfig,
	"config-set": (*Server).setConfig,
}

// getConfig lists settings: of one context, or without parameters of service
// and network together.
func (s *Server) getConfig(dst []byte, r *request) []byte {
	p := &pairs{dst: dst}
	if r.params == "" {
		s.listConfig(p, "service", "")
		s.listConfig(p, "network", "")
		return p.dst
	}
	context, f := r.need("context", 31, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	switch context {
	case "service", "network":
		s.listConfig(p, context, "")
	case "namespace":
		ns, f := s.knownNamespace(r, "id")
		if f != nil {
			return f.append(dst)
		}
		s.listConfig(p, context, ns.Name)
	case "security", "xdr": // features that are not here have no settings
	default:
		return bad("invalid context").append(dst)
	}
	return p.dst
}

func (s *Server) listConfig(p *pairs, context, namespace string) {
	settings, err := s.config.List(context, namespace)
	if err != nil {
		return // the context was checked before
	}
	for _, kv := range settings {
		switch port := s.src.Addresses.Endpoints.Service.Port; { // whether configured or not
		case context == "service" && kv.Name == "node-id":
			kv.Value = nodeID(s.src.NodeID)
		case context == "network" && kv.Name == "service.port" && port != 0:
			kv.Value = strconv.Itoa(port)
		}
		p.add(kv.Name, kv.Value)
	}
}

// setConfig changes one setting until the next start.
func (s *Server) setConfig(dst []byte, r *request) []byte {
	context, f := r.need("context", 31, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	namespace, set := "", ""
	switch context {
	case "service", "network":
	case "namespace":
		if namespace, f = r.configNamespace(); f != nil {
			return f.append(dst)
		}
		if s.namespace(namespace) == nil {
			return notOnNode.append(dst)
		}
		var ok bool
		if set, ok = r.value("set"); ok && set == "" {
			return s.refused(dst, errors.New("set without a name"))
		}
	case "security", "xdr":
		return append(dst, "ERROR:25:enterprise only"...)
	default:
		return bad("invalid context").append(dst)
	}
	ch, err := s.config.Set(context, namespace, set, r.setting)
	if err != nil {
		return s.refused(dst, err)
	}
	s.changed(ch)
	return append(dst, "ok"...)
}

// configNamespace is needNamespace with a name of any length.
func (r *request) configNamespace() (string, *failure) {
	name, f := r.needNamespace("id")
	if f != nil && f.text == tooLong("namespace") {
		return "", notOnNode
	}
	return name, f
}

// setting looks a name up for config.Set. The words that say where a setting
// belongs are no settings themselves.
func (r *request) setting(name string) (string, bool) {
	switch name {
	case "context", "namespace", "id", "set":
		return "", false
	}
	return r.value(name)
}

// refused logs why and answers what the original answers to all of them.
func (s *Server) refused(dst []byte, why error) []byte {
	s.log.Warn("set-config refused", "reason", why)
	return bad("invalid set-config parameter").append(dst)
}

func (s *Server) changed(ch config.Change) {
	where := ch.Context
	if ch.Namespace != "" {
		where = fmt.Sprintf("%s {%s}", ch.Context, ch.Namespace)
	}
	if ch.Set != "" {
		where += " set " + ch.Set
	}
	s.log.Info("changing a setting", "context", where, "name", ch.Name, "from", ch.From, "to", ch.To)
	if ch.Idle {
		s.log.Warn("the setting is reported and has no effect in this version", "name", ch.Name)
	}
}
