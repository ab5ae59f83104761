package info

import (
	"errors"
	"strings"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
	"github.com/ashlardb/ashlar/node/config"
)

var latencyCommands = map[string]func(*Server, []byte, *request) []byte{
	"latencies": (*Server).latencies,
}

// Histograms of a namespace by their name behind "{ns}-": what latencies:
// lists unasked, and what it knows beside.
var (
	usualHists = strings.Fields("read write udf batch-sub-read batch-sub-write batch-sub-udf pi-query si-query")
	namedHists = strings.Fields("read-touch re-repl proxy")
)

// benchmarkHists are the names that stand for several histograms: the steps
// of a transaction.
var benchmarkHists = map[string][]string{
	"benchmarks-read":      steps("read", "start restart dup-res repl-ping local response"),
	"benchmarks-write":     steps("write", "start restart dup-res master repl-write response"),
	"benchmarks-udf":       steps("udf", "start restart dup-res master repl-write response"),
	"benchmarks-batch-sub": steps("batch-sub", "prestart start restart dup-res repl-ping read-local write-master udf-master repl-write response"),
	"benchmarks-udf-sub":   steps("udf-sub", "start restart dup-res master repl-write response"),
	"benchmarks-ops-sub":   steps("ops-sub", "start restart dup-res master repl-write response"),
}

// fabricHists are the steps of messages between nodes.
var fabricHists = func() []string {
	var names []string
	for _, channel := range strings.Fields("bulk ctrl meta rw") {
		names = append(names, steps("fabric-"+channel, "send-init send-fragment recv-fragment recv-cb")...)
	}
	return names
}()

func steps(prefix, list string) []string {
	var names []string
	for _, step := range strings.Fields(list) {
		names = append(names, prefix+"-"+step)
	}
	return names
}

// latencies finds histograms by the names that the protocol uses. Names whose
// steps nobody measures have no histogram and show no data.
type latencies struct {
	namespaces []string
	by         map[string]*hist.Log2 // by full name: "{test}-read", "info"
}

func newLatencies(namespaces []Namespace, info *hist.Log2) *latencies {
	l := &latencies{by: map[string]*hist.Log2{"info": info}}
	for _, ns := range namespaces {
		l.namespaces = append(l.namespaces, ns.Name)
		for name, h := range ns.Latencies {
			l.by["{"+ns.Name+"}-"+name] = h
		}
	}
	return l
}

func (l *latencies) tick(now time.Time) {
	for _, h := range l.by {
		h.Tick(now)
	}
}

// append writes one histogram, or its bare name.
func (l *latencies) append(dst []byte, name string) []byte {
	if h := l.by[name]; h != nil {
		return h.AppendText(dst)
	}
	return append(append(dst, name...), ':')
}

// named returns the full names that a name asked for stands for, nil when
// there is no such histogram.
func (l *latencies) named(name string) []string {
	switch name {
	case "info", "batch-index":
		return []string{name}
	case "benchmarks-fabric":
		return fabricHists
	}
	for _, ns := range l.namespaces {
		part, ok := strings.CutPrefix(name, "{"+ns+"}-")
		if !ok {
			continue
		}
		if steps := benchmarkHists[part]; steps != nil {
			var names []string
			for _, step := range steps {
				names = append(names, "{"+ns+"}-"+step)
			}
			return names
		}
		for _, known := range append(usualHists[:len(usualHists):len(usualHists)], namedHists...) {
			if part == known {
				return []string{name}
			}
		}
	}
	return nil
}

// usual returns the names listed when none is asked for.
func (l *latencies) usual() []string {
	names := []string{"batch-index"}
	for _, ns := range l.namespaces {
		for _, part := range usualHists {
			names = append(names, "{"+ns+"}-"+part)
		}
	}
	return names
}

func (s *Server) latencies(dst []byte, r *request) []byte {
	names := s.latency.usual()
	if _, ok := r.value("hist"); ok {
		name, f := r.need("hist", 127, codeParameter)
		if f != nil {
			return f.append(dst)
		}
		if names = s.latency.named(name); names == nil {
			return bad("bad hist name").append(dst)
		}
	}
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = s.latency.append(dst, name)
	}
	return dst
}

// histogramRule refuses a change of the unit while histograms of steps are
// filled: what they hold would mean something else from then on.
func (s *Server) histogramRule(ch config.Change, value func(context, namespace, name string) string) error {
	if ch.Name != "microsecond-histograms" {
		return nil
	}
	on := value("service", "", "enable-benchmarks-fabric") == "true"
	for i := range s.src.Namespaces {
		for name := range benchmarkHists {
			on = on || value("namespace", s.src.Namespaces[i].Name, "enable-"+name) == "true"
		}
	}
	if on {
		return errors.New("benchmark histograms are on")
	}
	return nil
}
