package info

import (
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/ashlardb/ashlar/node/config"
)

var recordCommands = map[string]func(*Server, []byte, *request) []byte{
	"sets":              (*Server).sets,
	"histogram":         (*Server).histogram,
	"debug-record":      (*Server).debugRecord,
	"debug-record-meta": (*Server).debugRecord,
	"eviction-reset":    (*Server).evictionReset,
}

// sets lists all sets, those of a namespace, or the figures of one set.
func (s *Server) sets(dst []byte, r *request) []byte {
	args := r.args()
	if len(args) == 0 || args[0] == "" {
		for i := range s.src.Namespaces {
			dst = s.setsOf(dst, &s.src.Namespaces[i])
		}
		return dst
	}
	ns := s.namespace(args[0])
	switch {
	case ns == nil:
		return append(dst, "ns_type=unknown"...)
	case len(args) == 1 || args[1] == "":
		return s.setsOf(dst, ns)
	}
	for _, set := range s.setList(ns) {
		if set.Name == args[1] {
			return s.setFigures(dst, ns, set)
		}
	}
	return dst
}

// setList returns the namespace's sets, and behind them those that only have
// settings so far.
func (s *Server) setList(ns *Namespace) []Set {
	var sets []Set
	if ns.Sets != nil {
		sets = ns.Sets()
	}
	for _, name := range s.config.Sets(ns.Name) {
		if !slices.ContainsFunc(sets, func(have Set) bool { return have.Name == name }) {
			sets = append(sets, Set{Name: name})
		}
	}
	return sets
}

func (s *Server) setsOf(dst []byte, ns *Namespace) []byte {
	for _, set := range s.setList(ns) {
		dst = append(append(dst, "ns="...), ns.Name...)
		dst = append(append(dst, ":set="...), set.Name...)
		dst = s.setFigures(append(dst, ':'), ns, set)
	}
	return dst
}

func (s *Server) setFigures(dst []byte, ns *Namespace, set Set) []byte {
	dst = strconv.AppendInt(append(dst, "objects="...), set.Objects, 10)
	dst = strconv.AppendInt(append(dst, ":tombstones="...), set.Tombstones, 10)
	dst = strconv.AppendInt(append(dst, ":data_used_bytes="...), set.Bytes, 10)
	dst = append(dst, ":truncate_lut=0:sindexes=0:index_populating=false:truncating=false"...)
	for _, kv := range s.config.ListSet(ns.Name, set.Name) {
		dst = append(append(append(append(dst, ':'), kv.Name...), '='), kv.Value...)
	}
	return append(dst, ';')
}

// What the protocol fixes.
const (
	digestSize = 20         // bytes
	epochUnix  = 1262304000 // second 0 of record times, 2010-01-01 UTC, in Unix seconds
)

const maxHistogramName = 31

// histogram shows one of the histograms over the records of a namespace or
// set; nothing while they have not been counted.
func (s *Server) histogram(dst []byte, r *request) []byte {
	ns, f := s.knownNamespace(r)
	if f != nil {
		return f.append(dst)
	}
	kind, f := r.need("type", maxHistogramName, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	if kind != "ttl" && kind != "object-size" && kind != "object-size-linear" {
		return bad("unknown hist name").append(dst)
	}
	set, named, f := r.want("set", config.MaxSetName)
	if f != nil {
		return f.append(dst)
	}
	if named && !slices.ContainsFunc(s.setList(ns), func(have Set) bool { return have.Name == set }) {
		return bad("unknown set name").append(dst)
	}
	if ns.Histogram == nil {
		return dst
	}
	if h := ns.Histogram(kind, set); h != nil {
		return h.append(dst)
	}
	return dst
}

func (h *Histogram) append(dst []byte) []byte {
	dst = append(append(dst, "units="...), h.Unit...)
	if h.Width == 0 {
		return h.appendPowers(dst)
	}
	dst = strconv.AppendUint(append(dst, ":hist-width="...), h.Width, 10)
	dst = strconv.AppendUint(append(dst, ":bucket-width="...), h.Width/uint64(max(len(h.Buckets), 1)), 10)
	dst = append(dst, ":buckets="...)
	for i, n := range h.Buckets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return dst
}

// appendPowers writes the buckets that are not empty: [64-128)=3.
func (h *Histogram) appendPowers(dst []byte) []byte {
	for b, n := range h.Buckets {
		if n == 0 || b > 62 {
			continue
		}
		dst = strconv.AppendUint(append(dst, ":["...), 1<<b, 10)
		dst = strconv.AppendUint(append(dst, '-'), 1<<(b+1), 10)
		dst = strconv.AppendUint(append(dst, ")="...), n, 10)
	}
	return dst
}

// debugRecord describes a record by its digest.
func (s *Server) debugRecord(dst []byte, r *request) []byte {
	ns, f := s.knownNamespace(r)
	if f != nil {
		return f.append(dst)
	}
	text, f := r.need("keyd", 2*digestSize, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	var keyd [digestSize]byte
	if n, err := hex.Decode(keyd[:], []byte(text)); err != nil || n != len(keyd) {
		return bad("keyd").append(dst)
	}
	if ns.Record != nil {
		if description, ok := ns.Record(keyd); ok {
			return append(dst, description...)
		}
	}
	return (&failure{codeNotFound, "record not found"}).append(dst)
}

// evictionReset forgets an eviction's depth. Nothing is ever evicted here, so
// there is none to forget; nor is the name checked, as in the original.
func (s *Server) evictionReset(dst []byte, r *request) []byte {
	if _, f := r.needNamespace(); f != nil {
		return f.append(dst)
	}
	return append(dst, "ok"...)
}
