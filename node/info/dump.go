package info

import (
	"bytes"
	"runtime/pprof"
)

var dumpCommands = map[string]func(*Server, []byte, *request) []byte{
	"dump-cluster":     dump("cluster", true),
	"dump-fabric":      dump("fabric", true),
	"dump-hb":          dump("heartbeat", true),
	"dump-hlc":         dump("clock", true),
	"dump-migrates":    dump("migrations", true),
	"dump-rw":          dump("transactions", false),
	"dump-skew":        dump("clock skew", false),
	"dump-wb-summary":  (*Server).dumpWblocks,
	"jem-stats":        (*Server).memoryStats,
	"thread-traces":    (*Server).threadTraces,
	"physical-devices": (*Server).physicalDevices,
}

var notVerbose = bad("'verbose' may be either 'true' or 'false'")

// dump writes what is known of a part of the node to the log. Parts of a
// cluster have little to say on a node that is alone.
func dump(what string, checked bool) func(*Server, []byte, *request) []byte {
	return func(s *Server, dst []byte, r *request) []byte {
		if v, ok := r.value("verbose"); ok && checked && v != "true" && v != "false" {
			return notVerbose.append(dst)
		}
		s.log.Info("dump", "of", what, "node", nodeID(s.src.NodeID), "cluster_size", 1)
		return append(dst, "ok"...)
	}
}

// dumpWblocks writes the figures of a namespace's devices to the log.
func (s *Server) dumpWblocks(dst []byte, r *request) []byte {
	ns, f := s.knownNamespace(r, "ns")
	if f != nil {
		return f.append(dst)
	}
	if v, _ := r.value("verbose"); v != "true" && v != "false" {
		return notVerbose.append(dst)
	}
	p := &pairs{}
	ns.devices(p)
	s.log.Info("dump", "of", "wblocks", "namespace", ns.Name, "figures", string(p.dst))
	return append(dst, "ok"...)
}

// memoryStats writes what the Go runtime says of its heap to the log.
func (s *Server) memoryStats(dst []byte, _ *request) []byte {
	objects, unused, free := heap()
	s.log.Info("dump", "of", "heap", "objects", objects, "unused", unused, "free", free)
	return append(dst, "ok"...)
}

const maxTraces = 1 << 20 // bytes

// threadTraces shows the stacks of all goroutines, lines parted by ; as in
// every answer.
func (s *Server) threadTraces(dst []byte, _ *request) []byte {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return (&failure{codeUnknown, err.Error()}).append(dst)
	}
	traces := b.Bytes()[:min(b.Len(), maxTraces)]
	return append(dst, bytes.ReplaceAll(bytes.TrimSpace(traces), []byte("\n"), []byte(";"))...)
}

const maxPath = 1023 // bytes

// physicalDevices names the device that holds a path, with its wear.
func (s *Server) physicalDevices(dst []byte, r *request) []byte {
	path, f := r.need("path", maxPath, codeParameter)
	if f != nil {
		return f.append(dst)
	}
	device, ok := s.proc.deviceOf(path)
	if !ok {
		return (&failure{codeNotFound, "no device info"}).append(dst)
	}
	return append(append(append(dst, "physical-device="...), device...), ":age=-1"...)
}
