package info

import "strings"

// command is one entry of the command table.
type command struct {
	answer     func(s *Server, dst []byte, r *request) []byte
	enterprise bool // the original's paid edition only, and not here yet
	deprecated bool // counted in deprecated_requests
}

// commands is the command table, by name.
var commands map[string]command

func init() {
	commands = map[string]command{}
	for _, family := range []map[string]func(*Server, []byte, *request) []byte{
		identityCommands, addressCommands, partitionCommands, clusterCommands, statisticsCommands,
		configCommands, latencyCommands, logCommands, recordCommands, indexCommands, moduleCommands,
		truncateCommands, queryCommands, agentCommands, dumpCommands,
	} {
		for name, answer := range family {
			commands[name] = command{answer: answer}
		}
	}
	for _, name := range enterpriseOnly {
		commands[name] = command{enterprise: true}
	}
	for _, name := range deprecatedCommands {
		c := commands[name]
		c.deprecated = true
		commands[name] = c
	}
}

// enterpriseOnly are commands of the original's paid edition whose features
// are not here yet. rack-ids and racks are: see partition.go.
var enterpriseOnly = strings.Fields(`
	alumni-tls-alt alumni-tls-std feature-key masking masking-show peers-tls-alt peers-tls-std
	quiesce quiesce-undo revive roster roster-set service-tls-alt service-tls-std
	xdr-dc-state xdr-get-filter xdr-set-filter`)

// deprecatedCommands are older names and forms.
var deprecatedCommands = strings.Fields(`
	config-get config-set name services services-alternate services-alumni set-log sindex service
	objects partitions replicas-all replicas-master`)

// helpNames is what "help" lists, in its order.
const helpNames = "features;node;compatibility-id;edition;build_ee_sha;build_sha;build_arch;build_time;build_os;" +
	"build;version;statistics;services-alumni;services;partition-generation;best-practices;cluster-name;" +
	"cluster-stable;debug-record;debug-record-meta;dump-cluster;dump-fabric;dump-hb;dump-hlc;dump-migrates;" +
	"dump-rw;dump-skew;dump-wb-summary;eviction-reset;get-config;get-sl;get-stats;health-outliers;health-stats;" +
	"help;histogram;index-pressure;jem-stats;latencies;log;log-message;log-set;logs;namespace;namespaces;" +
	"peers-clear-alt;peers-clear-std;peers-generation;physical-devices;query-abort;query-abort-all;query-show;" +
	"recluster;service;services-alumni-reset;set-config;set-log;sets;sindex-create;sindex-delete;sindex-exists;" +
	"sindex-list;sindex-stat;status;thread-traces;tip;tip-clear;truncate;truncate-namespace;" +
	"truncate-namespace-undo;truncate-undo;udf-get;udf-list;udf-put;udf-remove"

// text returns a handler with a fixed answer.
func text(value string) func(*Server, []byte, *request) []byte {
	return func(_ *Server, dst []byte, _ *request) []byte { return append(dst, value...) }
}
