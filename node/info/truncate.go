package info

import (
	"strconv"
	"time"

	"github.com/ashlardb/ashlar/node/config"
)

var truncateCommands = map[string]func(*Server, []byte, *request) []byte{
	"truncate":                truncate(true, false),
	"truncate-namespace":      truncate(false, false),
	"truncate-undo":           truncate(true, true),
	"truncate-namespace-undo": truncate(false, true),
}

// truncate checks a request to hide all records that are older than a moment
// and refuses it: a node that cannot keep the moment over a restart must not
// promise it.
func truncate(ofSet, undo bool) func(*Server, []byte, *request) []byte {
	return func(s *Server, dst []byte, r *request) []byte {
		if _, f := r.needNamespace(); f != nil {
			return f.append(dst)
		}
		if _, ok := r.value("set"); ok && !ofSet {
			return bad("unexpected set name").append(dst)
		}
		if ofSet {
			if _, f := r.need("set", config.MaxSetName, codeParameter); f != nil {
				return f.append(dst)
			}
		}
		if undo {
			return append(dst, "ok"...) // nothing is truncated
		}
		if f := s.truncateTime(r); f != nil {
			return f.append(dst)
		}
		return (&failure{codeUnsupported, "truncate is not available in this version"}).append(dst)
	}
}

// truncateTime checks the moment: nanoseconds since the Unix epoch, after 2010
// and not in the future.
func (s *Server) truncateTime(r *request) *failure {
	text, ok := r.value("lut")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil && n == 0 && text != "" && text[0] == '-':
		return bad("would truncate in the future")
	case err != nil && n == 0:
		return bad("would truncate to 0")
	case n <= epochUnix*uint64(time.Second):
		return bad("would truncate to 0")
	case n > uint64(s.src.Now().UnixNano()):
		return bad("would truncate in the future")
	}
	return nil
}
