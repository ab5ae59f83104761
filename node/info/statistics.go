package info

import (
	"strconv"
)

var statisticsCommands = map[string]func(*Server, []byte, *request) []byte{
	"statistics":     (*Server).statistics,
	"objects":        (*Server).objects,
	"namespace":      (*Server).namespaceStatistics,
	"get-stats":      (*Server).getStats,
	"index-pressure": (*Server).indexPressure,
}

// statistics lists the figures of the whole node.
func (s *Server) statistics(dst []byte, _ *request) []byte {
	v := newValues()
	id := nodeID(s.src.NodeID)
	now := s.src.Now()
	v.truth("failed_best_practices", len(s.proc.failedPractices()) > 0)
	v.text("cluster_key", nodeID(s.src.ClusterKey))
	v.number("cluster_generation", 1)
	v.text("cluster_principal", id)
	v.text("paxos_principal", id)
	v.signed("uptime", int64(now.Sub(s.src.Started).Seconds()))
	v.signed("time_since_rebalance", int64(now.Sub(s.src.Started).Seconds()))
	s.proc.put(v)
	objects, tombstones := s.records()
	v.signed("objects", objects)
	v.signed("tombstones", tombstones)
	v.number("info_complete", s.complete.Load())
	v.number("deprecated_requests", s.deprecated.Load())
	v.text("batch_index_queue", "0:0")
	if s.src.Counters != nil {
		v.structs(s.src.Counters())
	}
	p := &pairs{dst: dst}
	v.table(p, nodeStats, func() {})
	return p.dst
}

// records sums objects and tombstones over the namespaces.
func (s *Server) records() (objects, tombstones int64) {
	for i := range s.src.Namespaces {
		v := s.src.Namespaces[i].values()
		o, _ := strconv.ParseInt(v.by["objects"], 10, 64)
		t, _ := strconv.ParseInt(v.by["tombstones"], 10, 64)
		objects, tombstones = objects+o, tombstones+t
	}
	return objects, tombstones
}

func (s *Server) objects(dst []byte, _ *request) []byte {
	n, _ := s.records()
	return strconv.AppendInt(dst, n, 10)
}

// values collects what the namespace reports of itself.
func (ns *Namespace) values() *values {
	v := newValues()
	if ns.Stats != nil {
		v.structs(ns.Stats())
	}
	return v
}

// namespaceStatistics lists a namespace's figures and then its settings.
func (s *Server) namespaceStatistics(dst []byte, r *request) []byte {
	ns := s.namespace(r.params)
	if name, ok := r.value("namespace"); ns == nil && ok {
		ns = s.namespace(name)
	}
	if ns == nil {
		return append(dst, "type=unknown"...)
	}
	v := ns.values()
	for _, name := range []string{"objects", "tombstones"} { // every record is ours and its first copy
		if n, ok := v.by[name]; ok {
			v.text("master_"+name, n)
		}
	}
	v.signed("current_time", s.src.Now().Unix()-epochUnix)
	if s.config.Value("namespace", ns.Name, "storage-engine") == "memory" {
		v.text("cache_read_pct", absent)
	}
	p := &pairs{dst: dst}
	v.table(p, namespaceStats, func() { ns.devices(p) })
	settings, err := s.config.List("namespace", ns.Name)
	if err == nil {
		for _, kv := range settings {
			p.add(kv.Name, kv.Value)
		}
	}
	return p.dst
}

// Names of the figures of a device or file, and of a stripe, in order.
const (
	deviceStats = `used_bytes free_wblocks read_errors write_q writes partial_writes defrag_q defrag_reads
		defrag_writes defrag_partial_writes age=-1`
	stripeStats = `used_bytes free_wblocks writes defrag_q defrag_reads defrag_writes`
)

// devices writes the figures of each device, file or stripe.
func (ns *Namespace) devices(p *pairs) {
	if ns.Devices == nil {
		return
	}
	for i, d := range ns.Devices() {
		v := newValues()
		v.structs([]any{d.Stats})
		table := deviceStats
		if d.Kind == "stripe" {
			table = stripeStats
		}
		p.prefix = "storage-engine." + d.Kind + "[" + strconv.Itoa(i) + "]."
		v.table(p, table, func() {})
		p.prefix = ""
	}
}

// getStats is for a feature that is not here; other contexts have commands of
// their own.
func (s *Server) getStats(dst []byte, r *request) []byte {
	context, f := r.need("context", 31, codeParameter)
	switch {
	case f != nil:
		return f.append(dst)
	case context != "xdr":
		return bad("unknown context").append(dst)
	}
	return dst
}

// indexPressure lists dirty and resident pages of index mounts: none.
func (s *Server) indexPressure(dst []byte, _ *request) []byte {
	for i := range s.src.Namespaces {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(append(dst, s.src.Namespaces[i].Name...), ":0:0"...)
	}
	return dst
}
