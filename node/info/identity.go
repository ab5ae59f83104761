package info

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
)

// Build is the protocol level the node speaks: clients derive what they may
// ask from it. Ashlar's own version is in "release".
const Build = "8.1.2.0"

// Edition names the product.
const Edition = "Ashlar Community Edition"

// compatibilityID goes with Build.
const compatibilityID = 15

// features is what a node of this build can do.
const features = "batch-any;batch-index;blob-bits;cdt-index;cdt-list;cdt-map;cluster-stable;float;geo;" +
	"sindex-exists;peers;pipelining;pquery;pscans;query-show;relaxed-sc;replicas;replicas-all;" +
	"replicas-master;replicas-max;truncate-namespace;udf"

var identityCommands = map[string]func(*Server, []byte, *request) []byte{
	"help":             text(helpNames),
	"features":         text(features),
	"node":             (*Server).node,
	"name":             (*Server).node,
	"compatibility-id": text(strconv.Itoa(compatibilityID)),
	"edition":          text(Edition),
	"build":            text(Build),
	"build_ee_sha":     text(""),
	"build_sha":        func(s *Server, dst []byte, _ *request) []byte { return append(dst, s.src.BuildSHA...) },
	"build_time":       func(s *Server, dst []byte, _ *request) []byte { return append(dst, s.src.BuildTime...) },
	"build_arch":       text(machine()),
	"build_os":         func(s *Server, dst []byte, _ *request) []byte { return append(dst, s.proc.system()...) },
	"version":          text(Edition + " build " + Build),
	"release":          (*Server).release,
	"status":           text("ok"),
	"digests":          text("RIPEMD160"),
	"namespaces":       (*Server).namespaces,
	"connection": func(_ *Server, dst []byte, r *request) []byte {
		return fmt.Appendf(dst, "admin=%t", r.conn.Admin)
	},
	"cluster-name": func(s *Server, dst []byte, _ *request) []byte {
		return append(dst, s.config.Value("service", "", "cluster-name")...)
	},
	"best-practices": func(s *Server, dst []byte, _ *request) []byte {
		failed := s.proc.failedPractices()
		if len(failed) == 0 {
			failed = []string{"none"}
		}
		return append(append(dst, "failed_best_practices="...), strings.Join(failed, ",")...)
	},
}

// machine is the processor's name as other software spells it.
func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

// nodeID is a node's name: upper-case hexadecimal without leading zeros.
func nodeID(id uint64) string { return fmt.Sprintf("%X", id) }

func (s *Server) node(dst []byte, _ *request) []byte {
	return append(dst, nodeID(s.src.NodeID)...)
}

// release carries, beside what the original says, Ashlar's own version.
func (s *Server) release(dst []byte, _ *request) []byte {
	return fmt.Appendf(dst, "edition=%s;version=%s;os=%s;arch=%s;sha=%s;ashlar=%s",
		Edition, Build, s.proc.system(), machine(), s.src.BuildSHA, s.src.Version)
}

func (s *Server) namespaces(dst []byte, _ *request) []byte {
	for i := range s.src.Namespaces {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, s.src.Namespaces[i].Name...)
	}
	return dst
}

// system names the operating system by the distribution's own file: debian12.
func (p *procfs) system() string {
	data, err := fs.ReadFile(p.root, "etc/os-release")
	if err != nil {
		return runtime.GOOS
	}
	id, version := "", ""
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		k, v, _ := strings.Cut(lines.Text(), "=")
		v = strings.Trim(v, `"`)
		switch k {
		case "ID":
			id = v
		case "VERSION_ID":
			version = v
		}
	}
	if id == "" {
		return runtime.GOOS
	}
	return id + version
}
