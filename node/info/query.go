package info

import "strconv"

var queryCommands = map[string]func(*Server, []byte, *request) []byte{
	"query-show":      (*Server).queryShow,
	"query-abort":     (*Server).queryAbort,
	"query-abort-all": text("number-of-queries-killed:0"),
}

// jobID returns the parameter id, or its older name trid.
func (r *request) jobID() (present bool, f *failure) {
	key := "id"
	if _, ok := r.value(key); !ok {
		if _, ok := r.value("trid"); !ok {
			return false, bad("missing 'id'")
		}
		key = "trid"
	}
	text, f := r.need(key, 31, codeParameter)
	if f != nil {
		return true, f
	}
	if _, err := strconv.ParseUint(text, 10, 64); err != nil {
		return true, bad("bad id")
	}
	return true, nil
}

// queryShow lists jobs: there are none.
func (s *Server) queryShow(dst []byte, r *request) []byte {
	present, f := r.jobID()
	switch {
	case !present:
		return dst
	case f != nil:
		return f.append(dst)
	}
	return (&failure{codeNotFound, "job not found"}).append(dst)
}

func (s *Server) queryAbort(dst []byte, r *request) []byte {
	if _, f := r.jobID(); f != nil {
		return f.append(dst)
	}
	return (&failure{codeNotFound, "id not active"}).append(dst)
}
