package info

import (
	"slices"
	"strconv"
	"strings"
)

var logCommands = map[string]func(*Server, []byte, *request) []byte{
	"logs":        (*Server).logs,
	"log":         (*Server).logLevels,
	"log-set":     (*Server).logSet,
	"set-log":     (*Server).logSet,
	"log-message": (*Server).logMessage,
}

// logs lists the sinks of the log by number: there is one.
func (s *Server) logs(dst []byte, _ *request) []byte {
	path := s.src.LogPath
	if path == "" {
		path = "stderr"
	}
	return append(append(dst, "0:"...), path...)
}

// logLevels lists the level of every context, or with "log/0/info" of one.
func (s *Server) logLevels(dst []byte, r *request) []byte {
	args := r.args()
	if len(args) > 0 && args[0] != "" {
		id, err := strconv.Atoi(args[0])
		switch {
		case err != nil:
			return bad("bad sink-id").append(dst)
		case id != 0:
			return (&failure{codeUnknown, "bad-id"}).append(dst)
		}
	}
	if len(args) > 1 && args[1] != "" {
		i := slices.Index(logContexts, args[1])
		if i < 0 {
			return (&failure{codeUnknown, "bad-context"}).append(dst)
		}
		return append(append(append(dst, args[1]...), ':'), s.src.Levels.name(i)...)
	}
	for i, name := range logContexts {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(append(append(dst, name...), ':'), s.src.Levels.name(i)...)
	}
	return dst
}

// logSet changes levels: "id=0;info=debug".
func (s *Server) logSet(dst []byte, r *request) []byte {
	id, ok := r.value("id")
	if !ok {
		return bad("missing id").append(dst)
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return bad("bad id").append(dst)
	}
	some := false
	for pair := range strings.SplitSeq(r.params, ";") {
		context, level, _ := strings.Cut(pair, "=")
		if context == "id" || pair == "" {
			continue
		}
		if n != 0 || !s.src.Levels.Set(context, level) {
			return bad("bad parameter").append(dst)
		}
		some = true
	}
	if !some {
		return bad("missing context").append(dst)
	}
	return append(dst, "ok"...)
}

const maxLogMessage = 1023 // bytes

// logMessage writes a line of the operator's into the log.
func (s *Server) logMessage(dst []byte, r *request) []byte {
	message, f := r.need("message", maxLogMessage, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	who, _ := r.value("who")
	s.log.Info("message", "text", message, "who", who)
	return dst
}
