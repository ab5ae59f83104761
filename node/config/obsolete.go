package config

// successor says what became of a name of older versions.
type successor struct {
	target string // mapped to this parameter of the same block (or "block.name")
	hint   string // shown with the warning or the mistake
	idle   bool   // accepted with a warning, without effect
	only   string // harmless only with this value; any other is a mistake
}

// obsolete lists names that older versions knew, by block. What has a plain
// successor is mapped, what only tuned machinery that no longer exists is
// accepted, both with a warning; what would change what happens to data is a
// mistake with a hint.
var obsolete = map[string]map[string]successor{
	"service": {
		"nsup-period":                   {hint: "set nsup-period in each namespace"},
		"transaction-queues":            {idle: true, hint: "service-threads is the only number of threads for transactions"},
		"transaction-threads-per-queue": {idle: true, hint: "service-threads is the only number of threads for transactions"},
		"transaction-pending-limit":     {hint: "set transaction-pending-limit in each namespace"},
		"scan-max-done":                 {target: "query-max-done"},
		"scan-threads-limit":            {target: "query-threads-limit"},
		"scan-threads":                  {target: "query-threads-limit"},
		"scan-max-active":               {idle: true},
		"scan-max-udf-transactions":     {idle: true},
		"batch-threads":                 {target: "batch-index-threads"},
		"batch-without-digests":         {idle: true},
		"query-threads":                 {target: "query-threads-limit"},
		"query-batch-size":              {idle: true},
		"query-priority":                {idle: true},
		"query-worker-threads":          {idle: true},
		"sindex-gc-max-rate":            {idle: true, hint: "sindex-gc-period is the setting now"},
		"paxos-protocol":                {idle: true},
		"paxos-recovery-policy":         {idle: true},
		"paxos-single-replica-limit":    {idle: true},
		"paxos-max-cluster-size":        {idle: true},
		"paxos-retransmit-period":       {idle: true},
		"auto-dun":                      {idle: true},
		"auto-undun":                    {idle: true},
		"prole-extra-ttl":               {idle: true},
		"nsup-delete-sleep":             {idle: true},
		"nsup-startup-evict":            {idle: true},
		"fabric-workers":                {idle: true},
		"fabric-dump-msgs":              {idle: true},
		"replication-fire-and-forget":   {hint: "set write-commit-level-override master in each namespace"},
		"client-fd-max":                 {target: "proto-fd-max"},
	},
	"network.service": {
		"external-address":       {target: "access-address"},
		"alternate-address":      {target: "alternate-access-address"},
		"network-interface-name": {hint: "write the interface's name in address"},
		"reuse-address":          {idle: true},
		"enable-fastpath":        {idle: true},
		"tls-mode":               {hint: "TLS is not available in this version"},
	},
	"network.heartbeat": {
		"interface-address": {target: "address"},
		"mesh-address":      {hint: "write mesh-seed-address-port ADDRESS PORT"},
		"mesh-port":         {hint: "write mesh-seed-address-port ADDRESS PORT"},
	},
	"namespace": {
		"memory-size":             {idle: true, hint: "indexes-memory-budget limits the index; storage-engine memory takes data-size"},
		"high-water-memory-pct":   {target: "evict-indexes-memory-pct"},
		"high-water-disk-pct":     {target: "storage-engine.evict-used-pct"},
		"stop-writes-pct":         {hint: "use stop-writes-sys-memory-pct, or storage-engine's stop-writes-used-pct"},
		"stop-writes-used-pct":    {target: "storage-engine.stop-writes-used-pct"},
		"evict-sys-memory-pct":    {hint: "use evict-indexes-memory-pct with indexes-memory-budget"},
		"single-bin":              {only: "false", hint: "records always have named bins"},
		"data-in-index":           {only: "false", hint: "values are kept with their record"},
		"allow-nonxdr-writes":     {only: "true", hint: "use reject-non-xdr-writes"},
		"allow-xdr-writes":        {only: "true", hint: "use reject-xdr-writes"},
		"disable-nsup":            {only: "false", hint: "write nsup-period 0"},
		"background-scan-max-rps": {target: "background-query-max-rps"},
		"single-scan-threads":     {target: "single-query-threads"},
		"max-ttl":                 {idle: true, hint: "ten years is the limit of a time to live"},
		"cold-start-evict-ttl":    {idle: true},
		"partition-tree-locks":    {idle: true},
		"ldt-enabled":             {only: "false", hint: "large data types are gone"},
		"set-disable-eviction":    {hint: "write disable-eviction true in the set's block"},
		"enable-xdr":              {only: "false", hint: "shipping between data centres is not available in this version"},
		"xdr-remote-datacenter":   {hint: "shipping between data centres is not available in this version"},
		"sets-enable-xdr":         {idle: true},
	},
	"namespace.storage-engine": {
		"write-block-size":     {target: "flush-size"},
		"post-write-queue":     {idle: true, hint: "post-write-cache takes bytes"},
		"data-in-memory":       {only: "false", hint: "use storage-engine memory with a file or device behind it"},
		"min-avail-pct":        {target: "stop-writes-avail-pct"},
		"max-used-pct":         {target: "stop-writes-used-pct"},
		"memory-size":          {hint: "use data-size"},
		"scheduler-mode":       {idle: true},
		"write-threads":        {idle: true},
		"fsync-max-sec":        {idle: true, hint: "flush-max-ms is the setting now"},
		"disable-odirect":      {target: "read-page-cache"},
		"load-at-startup":      {idle: true},
		"persist":              {idle: true},
		"readonly":             {idle: true},
		"enable-osync":         {target: "commit-to-device", hint: "a write is answered when it is on the device"},
		"defrag-period":        {idle: true},
		"defrag-max-blocks":    {idle: true},
		"disk-write-smoothing": {idle: true},
		"flush-files":          {idle: true},
	},
	"namespace.set": {
		"set-disable-eviction":  {target: "disable-eviction"},
		"set-stop-writes-count": {target: "stop-writes-count"},
		"set-enable-xdr":        {idle: true},
		"set-stop-write-count":  {target: "stop-writes-count"},
	},
}
