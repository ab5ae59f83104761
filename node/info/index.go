package info

var indexCommands = map[string]func(*Server, []byte, *request) []byte{
	"sindex":        (*Server).sindex,
	"sindex-list":   (*Server).sindexList,
	"sindex-stat":   (*Server).sindexStat,
	"sindex-exists": (*Server).sindexExists,
	"sindex-create": (*Server).sindexCreate,
	"sindex-delete": (*Server).sindexDelete,
}

const maxIndexName = 63 // bytes

// unsupported says honestly that a feature is not here yet.
func unsupported(what string) *failure {
	return &failure{codeUnsupported, what + " are not available in this version"}
}

var noIndex = &failure{codeNoIndex, "no index"}

// sindex is the older form of sindex-list and sindex-stat: sindex/NS/INDEX.
func (s *Server) sindex(dst []byte, r *request) []byte {
	args := r.args()
	switch {
	case len(args) == 0 || args[0] == "":
		return dst
	case s.namespace(args[0]) == nil:
		return append(dst, "ns_type=unknown"...)
	case len(args) > 1 && args[1] != "":
		return noIndex.append(dst)
	}
	return dst
}

// sindexList lists the indexes: there are none. An error stands twice in the
// answer, as in the original.
func (s *Server) sindexList(dst []byte, r *request) []byte {
	if v, ok := r.value("b64"); ok && v != "true" && v != "false" {
		return bad("bad b64").append(dst)
	}
	_, long := r.value("namespace")
	_, short := r.value("ns")
	if !long && !short {
		return dst
	}
	if _, f := s.knownNamespace(r, "ns"); f != nil {
		return f.append(append(f.append(dst), ';'))
	}
	return dst
}

// named answers a missing indexname and carries on, as the original does:
// such an answer is two in one.
func (s *Server) indexNamed(dst []byte, r *request) ([]byte, bool) {
	if _, f := r.need("indexname", maxIndexName, codeParameter); f != nil {
		dst = f.append(dst)
	}
	if _, f := s.knownNamespace(r, "ns"); f != nil {
		return f.append(dst), false
	}
	return dst, true
}

func (s *Server) sindexStat(dst []byte, r *request) []byte {
	dst, ok := s.indexNamed(dst, r)
	if !ok {
		return dst
	}
	return noIndex.append(dst)
}

func (s *Server) sindexExists(dst []byte, r *request) []byte {
	dst, ok := s.indexNamed(dst, r)
	if !ok {
		return dst
	}
	return append(dst, "false"...)
}

// sindexDelete is done when there is no such index, and there is none.
func (s *Server) sindexDelete(dst []byte, r *request) []byte {
	if _, f := r.need("indexname", maxIndexName, codeParameter); f != nil {
		dst = f.append(dst)
	}
	if _, f := r.needNamespace("ns"); f != nil {
		return f.append(dst)
	}
	return append(dst, "ok"...)
}

func (s *Server) sindexCreate(dst []byte, r *request) []byte {
	if _, f := r.need("indexname", maxIndexName, codeParameter); f != nil {
		return f.append(dst)
	}
	if _, f := r.needNamespace("ns"); f != nil {
		return f.append(dst)
	}
	return unsupported("secondary indexes").append(dst)
}
