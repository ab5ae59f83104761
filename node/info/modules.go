package info

import (
	"fmt"
	"strings"
)

var moduleCommands = map[string]func(*Server, []byte, *request) []byte{
	"udf-list":        text(""),
	"udf-get":         (*Server).udfGet,
	"udf-put":         (*Server).udfPut,
	"udf-remove":      (*Server).udfRemove,
	"udf-clear-cache": text("ok"),
	"smd-show":        (*Server).smdShow,
	"smd-info":        (*Server).smdInfo,
}

const maxModuleName = 127 // bytes

// moduleName returns the parameter filename, whatever its form; false when it
// is missing or too long.
func (r *request) moduleName() (string, bool) {
	name, ok := r.value("filename")
	return name, ok && len(name) <= maxModuleName
}

func (s *Server) udfGet(dst []byte, r *request) []byte {
	name, ok := r.moduleName()
	if !ok || name == "" {
		return append(dst, "error=invalid_filename"...)
	}
	return append(dst, "error=not_found"...)
}

// udfPut refuses every module: there is nothing that could run it.
func (s *Server) udfPut(dst []byte, r *request) []byte {
	name, ok := r.moduleName()
	if dot := strings.IndexByte(name, '.'); !ok || dot < 1 || strings.HasSuffix(name, ".") {
		return append(dst, "error=invalid_filename"...)
	}
	s.log.Warn("udf-put refused: modules are not available in this version", "filename", name)
	return append(dst, "error=not_available"...)
}

// udfRemove is done when there is no such module, and there is none.
func (s *Server) udfRemove(dst []byte, r *request) []byte {
	name, ok := r.moduleName()
	switch {
	case !ok:
		return append(dst, "error=invalid_filename"...)
	case name == "":
		return append(dst, "error=timeout"...)
	}
	return append(dst, "ok"...)
}

// smdModules are the tables that the nodes of a cluster share.
var smdModules = []string{"evict", "sindex", "truncate", "UDF"}

// smdShow lists one of them: all are empty.
func (s *Server) smdShow(dst []byte, r *request) []byte {
	name, f := r.need("module", 31, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	for _, known := range smdModules {
		if strings.EqualFold(known, name) {
			return append(dst, "<empty>"...)
		}
	}
	return bad("unknown 'module'").append(dst)
}

func (s *Server) smdInfo(dst []byte, _ *request) []byte {
	dst = fmt.Appendf(dst, "smd:n_pending_sets=0,n_events=0,n_nodes=1,principal=%s,cluster_key=%X;",
		nodeID(s.src.NodeID), s.src.ClusterKey)
	for _, name := range smdModules {
		dst = fmt.Appendf(dst, "%s:committed_key=0,committed_tid=0,n_keys=0,state=pr;", name)
	}
	return dst
}
