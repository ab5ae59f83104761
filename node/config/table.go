package config

// Flags of a parameter.
type flag uint16

const (
	dyn     flag = 1 << iota // set-config may change it
	ee                       // the original's paid edition only; not here yet: any value but the default is a mistake
	eeIdle                   // the same, but doing nothing is harmless: accepted with a warning
	ours                     // the original's paid edition only, everybody's here
	old                      // deprecated: accepted with a warning
	hidden                   // never in get-config
	bare                     // a boolean that may stand without a value
	auto                     // no fixed default: the owner computes one
	device                   // only in storage-engine device
	memory                   // only in storage-engine memory
	guard                    // protects data: warned about when set but without effect
	listed                   // get-config prints name[0], name[1]…
	dynOnly                  // not in the file, only in set-config
	signed                   // set-config takes -1 whatever the range
)

// word says what stands between a block's name and its opening brace.
type word uint8

const (
	noWord word = iota
	nameWord
	typeWord // one of block.types
)

// param is one row of the table: a parameter of the original's file.
type param struct {
	name   string
	kind   Kind
	def    string // the text get-config prints when nothing is set; "" prints null
	bounds string // "1-256", "512M-256T", "50-"; of an Enum "a|b|c"
	flags  flag

	block    *block // where it stands, set by link
	min, max uint64 // of bounds, set by link
	values   []string
	ext      bool // not the original's: comes from an Options struct
}

// block is a context of the file.
type block struct {
	name   string
	word   word
	types  []string // of a typeWord; the first is the default
	refuse string   // why the block as a whole is not accepted, or ""
	flags  flag
	params []*param
	blocks []*block

	parent *block
}

const (
	u32 = "0-4294967295"
	i31 = "0-2147483647"
	i63 = "0-9223372036854775807"
)

// newTable returns the table of all parameters of the original at 8.1.2: names,
// order of get-config, types, defaults as the free edition reports them,
// ranges, and what set-config may change.
//
// Deliberate differences: nsup-period has the default 120 (a time to live then
// works out of the box), commit-to-device is for everyone, mrt-duration and
// tls-refresh-period report the 0 of an edition without the feature.
func newTable() *block {
	root := &block{blocks: []*block{
		serviceBlock(), networkBlock(), namespaceBlock(), loggingBlock(),
		{name: "mod-lua", params: []*param{
			{name: "cache-enabled", kind: Bool, def: "true", flags: hidden},
			{name: "user-path", kind: Text, def: "/opt/aerospike/usr/udf/lua", flags: hidden},
		}},
		{name: "security", refuse: "users and roles are not available in this version; a node that ignored the block would be open to everyone"},
		{name: "xdr", refuse: "shipping between data centres is not available in this version; a node that ignored the block would lose changes"},
	}}
	root.link(nil)
	return root
}

func serviceBlock() *block {
	return &block{name: "service", params: []*param{
		{name: "advertise-ipv6", kind: Bool, def: "false", flags: dyn},
		{name: "auto-pin", kind: Enum, def: "none", bounds: "none|cpu|numa|adq"},
		{name: "batch-index-threads", kind: Int, bounds: "1-256", flags: dyn | auto},
		{name: "batch-max-buffers-per-queue", kind: Int, def: "255", bounds: u32, flags: dyn},
		{name: "batch-max-requests", kind: Int, def: "0", bounds: u32, flags: dyn},
		{name: "batch-max-unused-buffers", kind: Int, def: "256", bounds: u32, flags: dyn},
		{name: "cgroup-mem-tracking", kind: Bool, def: "false", flags: dyn},
		{name: "cluster-name", kind: Text, bounds: "1-63", flags: dyn},
		{name: "debug-allocations", kind: Bool, def: "false"},
		{name: "disable-udf-execution", kind: Bool, def: "false", flags: guard},
		{name: "enable-benchmarks-fabric", kind: Bool, def: "false", flags: dyn},
		{name: "enable-health-check", kind: Bool, def: "false", flags: dyn},
		{name: "enable-hist-info", kind: Bool, def: "false", flags: dyn},
		{name: "enforce-best-practices", kind: Bool, def: "false", flags: guard},
		{name: "feature-key-file", kind: Text, flags: eeIdle | hidden},
		{name: "group", kind: Text, flags: old | hidden},
		{name: "indent-allocations", kind: Bool, def: "false"},
		{name: "info-max-ms", kind: Int, def: "10000", bounds: "500-10000", flags: dyn},
		{name: "info-threads", kind: Int, def: "16", bounds: "1-256", flags: dyn},
		{name: "keep-caps-ssd-health", kind: Bool, def: "false"},
		{name: "log-local-time", kind: Bool, def: "false"},
		{name: "log-millis", kind: Bool, def: "false"},
		{name: "microsecond-histograms", kind: Bool, def: "false", flags: dyn},
		{name: "migrate-fill-delay", kind: Seconds, def: "0", bounds: u32, flags: eeIdle},
		{name: "migrate-max-num-incoming", kind: Int, def: "4", bounds: "0-256", flags: dyn},
		{name: "migrate-threads", kind: Int, def: "1", bounds: "0-100", flags: dyn},
		{name: "min-cluster-size", kind: Int, def: "1", bounds: "0-8", flags: dyn | guard},
		{name: "node-id", kind: Hex, flags: auto},
		{name: "node-id-interface", kind: Text},
		{name: "os-group-perms", kind: Bool, def: "false"},
		{name: "pidfile", kind: Text, flags: old},
		{name: "poison-allocations", kind: Bool, def: "false"},
		{name: "proto-fd-idle-ms", kind: Int, def: "0", bounds: i31, flags: dyn},
		{name: "proto-fd-max", kind: Int, def: "15000", bounds: "1024-2147483647", flags: dyn},
		{name: "quarantine-allocations", kind: Int, def: "0", bounds: "0-100000000"},
		{name: "query-max-done", kind: Int, def: "100", bounds: "0-10000", flags: dyn},
		{name: "query-threads-limit", kind: Int, def: "128", bounds: "1-1024", flags: dyn},
		{name: "run-as-daemon", kind: Bool, def: "true", flags: bare},
		{name: "secrets-address-port", kind: Text, flags: ee},
		{name: "secrets-tls-context", kind: Text, flags: ee},
		{name: "secrets-uds-path", kind: Text, flags: ee},
		{name: "service-threads", kind: Int, bounds: "1-4096", flags: dyn | auto},
		{name: "sindex-builder-threads", kind: Int, def: "4", bounds: "1-32", flags: dyn},
		{name: "sindex-gc-period", kind: Seconds, def: "10", bounds: u32, flags: dyn},
		{name: "stay-quiesced", kind: Bool, def: "false", flags: ee},
		{name: "ticker-interval", kind: Seconds, def: "10", bounds: u32, flags: dyn},
		{name: "tls-refresh-period", kind: Seconds, def: "0", bounds: u32, flags: eeIdle},
		{name: "transaction-max-ms", kind: Millis, def: "1000", bounds: u32, flags: dyn},
		{name: "transaction-retry-ms", kind: Millis, def: "1002", bounds: "1-4294967295", flags: dyn},
		{name: "user", kind: Text, flags: old | hidden},
		{name: "vault-ca", kind: Text, flags: ee},
		{name: "vault-namespace", kind: Text, flags: ee},
		{name: "vault-path", kind: Text, flags: ee},
		{name: "vault-token-file", kind: Text, flags: ee},
		{name: "vault-url", kind: Text, flags: ee},
		{name: "work-directory", kind: Text, def: "/opt/aerospike"},
	}}
}

const ports = "1024-65535"

func networkBlock() *block {
	return &block{name: "network", blocks: []*block{
		{name: "service", params: []*param{
			{name: "port", kind: Int, def: "0", bounds: ports},
			{name: "address", kind: List},
			{name: "access-port", kind: Int, def: "0", bounds: ports},
			{name: "access-address", kind: List},
			{name: "alternate-access-port", kind: Int, def: "0", bounds: ports},
			{name: "alternate-access-address", kind: List},
			{name: "tls-port", kind: Int, def: "0", bounds: ports, flags: ee},
			{name: "tls-address", kind: List, flags: ee},
			{name: "tls-access-port", kind: Int, def: "0", bounds: ports, flags: ee},
			{name: "tls-access-address", kind: List, flags: ee},
			{name: "tls-alternate-access-port", kind: Int, def: "0", bounds: ports, flags: ee},
			{name: "tls-alternate-access-address", kind: List, flags: ee},
			{name: "tls-name", kind: Text, flags: ee},
			{name: "tls-authenticate-client", kind: List, flags: ee | hidden},
			{name: "disable-localhost", kind: Bool, def: "false", flags: guard},
		}},
		{name: "admin", params: []*param{
			{name: "port", kind: Int, def: "0", bounds: ports, flags: guard},
			{name: "address", kind: List},
			{name: "tls-port", kind: Int, def: "0", bounds: ports, flags: ee},
			{name: "tls-address", kind: List, flags: ee},
			{name: "tls-name", kind: Text, flags: ee},
			{name: "tls-authenticate-client", kind: List, flags: ee | hidden},
			{name: "disable-localhost", kind: Bool, def: "false", flags: guard},
		}},
		{name: "heartbeat", params: []*param{
			{name: "mode", kind: Enum, def: "mesh", bounds: "mesh|multicast"},
			{name: "address", kind: List},
			{name: "multicast-group", kind: List},
			{name: "port", kind: Int, def: "0", bounds: ports},
			{name: "tls-port", kind: Int, def: "0", bounds: ports, flags: ee},
			{name: "tls-address", kind: List, flags: ee},
			{name: "tls-name", kind: Text, flags: ee},
			{name: "mesh-seed-address-port", kind: List, flags: guard},
			{name: "tls-mesh-seed-address-port", kind: List, flags: ee},
			{name: "interval", kind: Millis, def: "150", bounds: "50-600000", flags: dyn},
			{name: "timeout", kind: Int, def: "10", bounds: "3-4294967295", flags: dyn},
			{name: "connect-timeout-ms", kind: Millis, def: "500", bounds: "50-4294967295", flags: dyn},
			{name: "mtu", kind: Int, def: "0", bounds: u32, flags: dyn},
			{name: "multicast-ttl", kind: Int, def: "0", bounds: "0-255", flags: hidden},
			{name: "protocol", kind: Enum, def: "v3", bounds: "none|v3", flags: dyn},
		}},
		{name: "fabric", params: []*param{
			{name: "address", kind: List},
			{name: "tls-port", kind: Int, def: "0", bounds: ports, flags: ee},
			{name: "tls-address", kind: List, flags: ee},
			{name: "tls-name", kind: Text, flags: ee},
			{name: "channel-bulk-fds", kind: Int, def: "2", bounds: "1-128"},
			{name: "channel-bulk-recv-threads", kind: Int, def: "4", bounds: "1-128", flags: dyn},
			{name: "channel-ctrl-fds", kind: Int, def: "1", bounds: "1-128"},
			{name: "channel-ctrl-recv-threads", kind: Int, def: "4", bounds: "1-128", flags: dyn},
			{name: "channel-meta-fds", kind: Int, def: "1", bounds: "1-128"},
			{name: "channel-meta-recv-threads", kind: Int, def: "4", bounds: "1-128", flags: dyn},
			{name: "channel-rw-fds", kind: Int, def: "8", bounds: "1-128"},
			{name: "channel-rw-recv-pools", kind: Int, def: "1", bounds: "1-16"},
			{name: "channel-rw-recv-threads", kind: Int, def: "16", bounds: "1-128", flags: dyn},
			{name: "keepalive-enabled", kind: Bool, def: "true"},
			{name: "keepalive-intvl", kind: Int, def: "1", bounds: "1-2147483647"},
			{name: "keepalive-probes", kind: Int, def: "10", bounds: "1-2147483647"},
			{name: "keepalive-time", kind: Int, def: "1", bounds: "1-2147483647"},
			{name: "latency-max-ms", kind: Millis, def: "5", bounds: "0-1000"},
			{name: "port", kind: Int, def: "0", bounds: ports},
			{name: "recv-rearm-threshold", kind: Size, def: "1024", bounds: "0-1M", flags: dyn},
			{name: "send-threads", kind: Int, def: "8", bounds: "1-128"},
		}},
		{name: "info", flags: old, params: []*param{
			{name: "address", kind: List, flags: old | hidden},
			{name: "port", kind: Int, def: "0", flags: old | hidden},
		}},
		{name: "tls", word: nameWord, refuse: "TLS is not available in this version"},
	}}
}

func namespaceBlock() *block {
	return &block{name: "namespace", word: nameWord, params: []*param{
		{name: "active-rack", kind: Int, def: "0", bounds: "0-1000000", flags: ee},
		{name: "allow-ttl-without-nsup", kind: Bool, def: "false", flags: dyn},
		{name: "apply-ttl-reductions", kind: Bool, def: "true", flags: dyn},
		{name: "auto-revive", kind: Bool, def: "false", flags: ee},
		{name: "background-query-max-rps", kind: Int, def: "10000", bounds: "1-1000000", flags: dyn},
		{name: "conflict-resolution-policy", kind: Enum, def: "generation", bounds: "generation|last-update-time", flags: dyn},
		{name: "conflict-resolve-writes", kind: Bool, def: "false", flags: ee},
		{name: "default-read-touch-ttl-pct", kind: Int, def: "0", bounds: "0-100", flags: dyn},
		{name: "default-ttl", kind: Seconds, def: "0", bounds: "0-315360000", flags: dyn},
		{name: "disable-cold-start-eviction", kind: Bool, def: "false"},
		{name: "disable-mrt-writes", kind: Bool, def: "false", flags: ee},
		{name: "disable-write-dup-res", kind: Bool, def: "false", flags: dyn},
		{name: "disallow-expunge", kind: Bool, def: "false", flags: ee},
		{name: "disallow-null-setname", kind: Bool, def: "false", flags: dyn | guard},
		{name: "enable-benchmarks-batch-sub", kind: Bool, def: "false", flags: dyn},
		{name: "enable-benchmarks-ops-sub", kind: Bool, def: "false", flags: dyn},
		{name: "enable-benchmarks-read", kind: Bool, def: "false", flags: dyn},
		{name: "enable-benchmarks-udf", kind: Bool, def: "false", flags: dyn},
		{name: "enable-benchmarks-udf-sub", kind: Bool, def: "false", flags: dyn},
		{name: "enable-benchmarks-write", kind: Bool, def: "false", flags: dyn},
		{name: "enable-hist-proxy", kind: Bool, def: "false", flags: dyn},
		{name: "evict-hist-buckets", kind: Int, def: "10000", bounds: "100-10000000", flags: dyn},
		{name: "evict-indexes-memory-pct", kind: Int, def: "0", bounds: "0-100", flags: dyn | guard},
		{name: "evict-tenths-pct", kind: Int, def: "5", bounds: u32, flags: dyn},
		{name: "force-long-queries", kind: Bool, def: "false", flags: dyn | dynOnly},
		{name: "ignore-migrate-fill-delay", kind: Bool, def: "false", flags: eeIdle},
		{name: "index-stage-size", kind: Size, def: "1G", bounds: "128M-1G"},
		{name: "indexes-memory-budget", kind: Size, def: "0", bounds: i63, flags: dyn | guard},
		{name: "inline-short-queries", kind: Bool, def: "false", flags: dyn},
		{name: "max-record-size", kind: Size, def: "1M", bounds: "64-8M", flags: dyn | guard},
		{name: "migrate-order", kind: Int, def: "5", bounds: "1-10", flags: dyn},
		{name: "migrate-retransmit-ms", kind: Millis, def: "5000", bounds: u32, flags: dyn},
		{name: "migrate-skip-unreadable", kind: Bool, def: "false", flags: dyn},
		{name: "migrate-sleep", kind: Micros, def: "1", bounds: u32, flags: dyn},
		{name: "mrt-duration", kind: Seconds, def: "0", bounds: "1-120", flags: eeIdle},
		{name: "nsup-hist-period", kind: Seconds, def: "3600", bounds: u32, flags: dyn},
		{name: "nsup-period", kind: Seconds, def: "120", bounds: u32, flags: dyn | guard},
		{name: "nsup-threads", kind: Int, def: "1", bounds: "1-128", flags: dyn},
		{name: "partition-tree-sprigs", kind: Int, def: "256", bounds: "256-256M"},
		{name: "prefer-uniform-balance", kind: Bool, def: "false", flags: eeIdle},
		{name: "rack-id", kind: Int, def: "0", bounds: "0-1000000", flags: ee},
		{name: "read-consistency-level-override", kind: Enum, def: "off", bounds: "all|off|one", flags: dyn},
		{name: "reject-non-xdr-writes", kind: Bool, def: "false", flags: dyn | guard},
		{name: "reject-xdr-writes", kind: Bool, def: "false", flags: dyn | guard},
		{name: "replication-factor", kind: Int, def: "2", bounds: "1-8", flags: dyn | guard},
		{name: "sindex-stage-size", kind: Size, def: "1G", bounds: "128M-4G"},
		{name: "single-query-threads", kind: Int, def: "4", bounds: "1-128", flags: dyn},
		{name: "stop-writes-sys-memory-pct", kind: Int, def: "90", bounds: "0-100", flags: dyn | guard},
		{name: "strong-consistency", kind: Bool, def: "false", flags: ee},
		{name: "strong-consistency-allow-expunge", kind: Bool, def: "false", flags: ee},
		{name: "tomb-raider-eligible-age", kind: Seconds, def: "86400", bounds: u32, flags: eeIdle},
		{name: "tomb-raider-period", kind: Seconds, def: "86400", bounds: u32, flags: eeIdle},
		{name: "tomb-raider-unmark-threads", kind: Int, def: "0", bounds: "0-128", flags: eeIdle},
		{name: "transaction-pending-limit", kind: Int, def: "20", bounds: u32, flags: dyn},
		{name: "truncate-threads", kind: Int, def: "4", bounds: "1-128", flags: dyn},
		{name: "write-commit-level-override", kind: Enum, def: "off", bounds: "all|master|off", flags: dyn | guard},
		{name: "xdr-bin-tombstone-ttl", kind: Seconds, def: "86400", bounds: "0-315360000", flags: eeIdle},
		{name: "xdr-tomb-raider-period", kind: Seconds, def: "120", bounds: u32, flags: eeIdle},
		{name: "xdr-tomb-raider-threads", kind: Int, def: "1", bounds: "1-128", flags: eeIdle},
	}, blocks: []*block{
		{name: "geo2dsphere-within", params: []*param{
			{name: "strict", kind: Bool, def: "true"},
			{name: "min-level", kind: Int, def: "1", bounds: "0-30", flags: dyn},
			{name: "max-level", kind: Int, def: "20", bounds: "0-30", flags: dyn},
			{name: "max-cells", kind: Int, def: "12", bounds: "1-256", flags: dyn},
			{name: "level-mod", kind: Int, def: "1", bounds: "1-3"},
			{name: "earth-radius-meters", kind: Int, def: "6371000", bounds: u32},
		}},
		indexTypeBlock("index-type"), indexTypeBlock("sindex-type"),
		storageBlock(), setBlock(),
	}}
}

func indexTypeBlock(name string) *block {
	return &block{name: name, word: typeWord, types: []string{"mem", "shmem", "pmem", "flash"}, params: []*param{
		{name: "mount", kind: List, flags: ee | listed | hidden},
		{name: "evict-mounts-pct", kind: Int, def: "0", bounds: "0-100", flags: ee | hidden},
		{name: "mounts-budget", kind: Size, def: "0", bounds: i63, flags: ee | hidden},
	}}
}

func storageBlock() *block {
	return &block{name: "storage-engine", word: typeWord, types: []string{"memory", "device", "pmem"}, params: []*param{
		{name: "stripe", kind: List, flags: memory | listed | auto | dynOnly},
		{name: "device", kind: List, flags: listed},
		{name: "file", kind: List, flags: listed},
		{name: "cache-replica-writes", kind: Bool, def: "false", flags: dyn | device},
		{name: "cold-start-empty", kind: Bool, def: "false", flags: device | guard},
		{name: "commit-to-device", kind: Bool, def: "false", flags: ours | guard},
		{name: "compression", kind: Enum, def: "none", bounds: "none|lz4|snappy|zstd", flags: ee},
		{name: "compression-acceleration", kind: Int, def: "0", bounds: "1-65537", flags: ee},
		{name: "compression-level", kind: Int, def: "0", bounds: "1-9", flags: ee},
		{name: "data-size", kind: Size, def: "0", bounds: "512M-256T", flags: memory},
		{name: "defrag-lwm-pct", kind: Int, def: "50", bounds: "1-99", flags: dyn},
		{name: "defrag-queue-min", kind: Int, def: "0", bounds: u32, flags: dyn},
		{name: "defrag-sleep", kind: Micros, def: "1000", bounds: u32, flags: dyn},
		{name: "defrag-startup-minimum", kind: Int, def: "0", bounds: "0-99"},
		{name: "direct-files", kind: Bool, def: "false"},
		{name: "disable-odsync", kind: Bool, def: "false", flags: guard},
		{name: "enable-benchmarks-storage", kind: Bool, def: "false", flags: dyn},
		{name: "encryption", kind: Enum, def: "aes-128", bounds: "aes-128|aes-256", flags: ee | hidden},
		{name: "encryption-key-file", kind: Text, flags: ee},
		{name: "encryption-old-key-file", kind: Text, flags: ee},
		{name: "evict-used-pct", kind: Int, def: "0", bounds: "0-100", flags: dyn | guard},
		{name: "filesize", kind: Size, def: "0", bounds: "128M-2T"},
		{name: "flush-max-ms", kind: Millis, def: "1000", bounds: "0-1000", flags: dyn},
		{name: "flush-size", kind: Size, def: "1M", bounds: "4096-8M", flags: dyn | device},
		{name: "max-write-cache", kind: Size, def: "64M", bounds: "64M-9223372036854775807", flags: dyn},
		{name: "post-write-cache", kind: Size, def: "256M", bounds: i63, flags: dyn | device},
		{name: "read-page-cache", kind: Bool, def: "false", flags: dyn | device},
		{name: "serialize-tomb-raider", kind: Bool, def: "false", flags: eeIdle | device},
		{name: "sindex-startup-device-scan", kind: Bool, def: "false", flags: device},
		{name: "stop-writes-avail-pct", kind: Int, def: "5", bounds: "0-100", flags: dyn | guard},
		{name: "stop-writes-used-pct", kind: Int, def: "70", bounds: "0-100", flags: dyn | guard},
		{name: "tomb-raider-sleep", kind: Micros, def: "1000", bounds: u32, flags: eeIdle},
	}}
}

// setBlock is the context of one set, in the order of an entry of "sets".
func setBlock() *block {
	return &block{name: "set", word: nameWord, params: []*param{
		{name: "default-read-touch-ttl-pct", kind: Int, def: "0", bounds: "0-100", flags: dyn | signed | hidden},
		{name: "default-ttl", kind: Seconds, def: "0", bounds: "0-315360000", flags: dyn | signed | hidden},
		{name: "disable-eviction", kind: Bool, def: "false", flags: dyn | guard | hidden},
		{name: "enable-index", kind: Bool, def: "false", flags: dyn | guard | hidden},
		{name: "stop-writes-count", kind: Int, def: "0", bounds: i63, flags: dyn | guard | hidden},
		{name: "stop-writes-size", kind: Size, def: "0", bounds: i63, flags: dyn | guard | hidden},
	}}
}

func loggingBlock() *block {
	context := func() *param { return &param{name: "context", kind: List, flags: hidden} }
	return &block{name: "logging", blocks: []*block{
		{name: "console", params: []*param{context()}},
		{name: "file", word: nameWord, params: []*param{context()}},
		{name: "syslog", params: []*param{
			{name: "facility", kind: Text, def: "daemon", flags: hidden},
			{name: "path", kind: Text, flags: hidden},
			{name: "tag", kind: Text, flags: hidden},
			context(),
		}},
	}}
}
