package info

import (
	"strconv"
	"strings"
)

// maxName is the longest command name; a longer one is unknown.
const maxName = 31

// request is one command of a message.
//
//	name            name;
//	name:params     name/params
type request struct {
	name   string
	params string // everything behind the character that ended the name
	conn   *Conn
}

// parseRequest cuts a command into name and parameters. Names are compared
// byte by byte; no white space is forgiven.
func parseRequest(text string) *request {
	r := &request{name: text}
	if i := strings.IndexAny(text, "/:;"); i >= 0 {
		r.name, r.params = text[:i], text[i+1:]
	}
	if len(r.name) > maxName {
		r.name = ""
	}
	return r
}

// value returns the first value of key among the parameters.
func (r *request) value(key string) (string, bool) {
	for rest := r.params; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, ";")
		if k, v, ok := strings.Cut(pair, "="); ok && k == key {
			return v, true
		}
	}
	return "", false
}

// args returns the parameters as a path: "test", "plain" of "sets/test/plain".
func (r *request) args() []string {
	if r.params == "" {
		return nil
	}
	return strings.Split(r.params, "/")
}

// failure is an error answer.
type failure struct {
	code int // of the protocol's result codes; 1 is left out
	text string
}

// append writes the answer in the original's form.
func (f *failure) append(dst []byte) []byte {
	dst = append(dst, "ERROR:"...)
	if f.code != 1 {
		dst = strconv.AppendInt(dst, int64(f.code), 10)
	}
	return append(append(dst, ':'), f.text...)
}

// Codes of failures, numbers of the protocol.
const (
	codeUnknown     = 1
	codeNotFound    = 2
	codeParameter   = 4
	codeClusterKey  = 7
	codeUnsupported = 16
	codeNamespace   = 20
	codeNoIndex     = 201
)

func bad(text string) *failure { return &failure{codeParameter, text} }

// need returns the value of a parameter that must be there, with at most
// limit bytes. code is what a missing one is answered with.
func (r *request) need(key string, limit, code int) (string, *failure) {
	v, ok := r.value(key)
	switch {
	case !ok:
		return "", &failure{code, "missing '" + key + "'"}
	case v == "":
		return "", &failure{code, "missing '" + key + "' value"}
	case len(v) > limit:
		return "", &failure{code, tooLong(key)}
	}
	return v, nil
}

func tooLong(key string) string { return "'" + key + "' value too long" }

// want is need for a parameter that may be absent: then ok is false.
func (r *request) want(key string, limit int) (v string, ok bool, f *failure) {
	if _, ok := r.value(key); !ok {
		return "", false, nil
	}
	v, f = r.need(key, limit, codeParameter)
	return v, f == nil, f
}

// maxNamespace is the longest name of a namespace.
const maxNamespace = 31

// needNamespace returns the parameter "namespace", or the first of its older
// names that is there.
func (r *request) needNamespace(older ...string) (string, *failure) {
	key := "namespace"
	if _, ok := r.value(key); !ok {
		for _, old := range older {
			if _, ok := r.value(old); ok {
				key = old
				break
			}
		}
	}
	name, f := r.need(key, maxNamespace, codeNamespace)
	if f != nil && key != "namespace" {
		f.text = strings.Replace(f.text, "'"+key+"'", "'namespace'", 1)
	}
	return name, f
}

var notOnNode = &failure{codeNamespace, "namespace not found on node"}

// knownNamespace is needNamespace for one this node has.
func (s *Server) knownNamespace(r *request, older ...string) (*Namespace, *failure) {
	name, f := r.needNamespace(older...)
	if f != nil {
		return nil, f
	}
	if ns := s.namespace(name); ns != nil {
		return ns, nil
	}
	return nil, notOnNode
}
