package info

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// nPartitions is the number of partitions of every namespace.
const nPartitions = 4096

var partitionCommands = map[string]func(*Server, []byte, *request) []byte{
	"partitions":           text("4096"),
	"partition-generation": text("0"), // the map of a node that is alone never changes
	"rebalance-generation": text("1"),
	"replicas":             (*Server).replicas,
	"replicas-all": func(s *Server, dst []byte, _ *request) []byte {
		return s.maps(dst, "1,")
	},
	"replicas-master": func(s *Server, dst []byte, _ *request) []byte {
		return s.maps(dst, "")
	},
	"partition-info": (*Server).partitionInfo,
	"rack-ids":       (*Server).rackIDs,
	"racks":          (*Server).racks,
}

// allPartitions is the bitmap of a node that is master of every partition:
// bit 0x80>>(p&7) of byte p>>3 stands for partition p.
var allPartitions = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xFF}, nPartitions/8))

// replicas is the partition map: for each namespace its regime, the
// replication factor in force and one bitmap for each copy.
func (s *Server) replicas(dst []byte, r *request) []byte {
	if v, ok := r.value("max"); ok {
		if _, err := strconv.ParseUint(v, 10, 32); err != nil {
			return bad("bad max").append(dst)
		}
	}
	return s.maps(dst, "0,1,")
}

func (s *Server) maps(dst []byte, prefix string) []byte {
	for i := range s.src.Namespaces {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(append(dst, s.src.Namespaces[i].Name...), ':')
		dst = append(append(dst, prefix...), allPartitions...)
	}
	return dst
}

const partitionHeader = "namespace:partition:state:n_replicas:replica:succession:n_dupl:working_master:proxy_dst:" +
	"emigrates:lead_emigrates:immigrates:records:tombstones:regime:tree_id:version:final_version"

// partitionInfo describes each partition of each namespace: settled, one
// copy, ours. Its version is derived from the cluster key, as that is when the map was made.
func (s *Server) partitionInfo(dst []byte, _ *request) []byte {
	dst = append(dst, partitionHeader...)
	id := nodeID(s.src.NodeID)
	version := fmt.Sprintf("%012x.0.mp-", s.src.ClusterKey&(1<<48-1))
	for i := range s.src.Namespaces {
		for p := range nPartitions {
			dst = fmt.Appendf(dst, ";%s:%d:S:1:0:0:0:%s:%s:0:0:0:0:0:0:1:%s:%s",
				s.src.Namespaces[i].Name, p, id, id, version, version)
		}
	}
	return dst
}

// rackIDs answers that every namespace is in rack 0: without an answer a
// client that reads by rack cannot follow the cluster.
func (s *Server) rackIDs(dst []byte, _ *request) []byte {
	var parts []string
	for i := range s.src.Namespaces {
		parts = append(parts, s.src.Namespaces[i].Name+":0")
	}
	return append(dst, strings.Join(parts, ";")...)
}

// racks lists the nodes of each rack, of one namespace if one is named.
func (s *Server) racks(dst []byte, r *request) []byte {
	id := nodeID(s.src.NodeID)
	if _, ok := r.value("namespace"); ok {
		if _, f := s.knownNamespace(r); f != nil {
			return f.append(dst)
		}
		return append(append(dst, "rack_0="...), id...)
	}
	for i := range s.src.Namespaces {
		dst = fmt.Appendf(dst, "ns=%s:rack_0=%s;", s.src.Namespaces[i].Name, id)
	}
	return dst
}
