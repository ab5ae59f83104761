#!/bin/sh
# benchreport.sh: run the benchmarks behind BENCHMARKS.md and write it anew.
# Takes about a quarter of an hour on two cores and wants them to itself.
set -eu
cd "$(dirname "$0")/.."
out=BENCHMARKS.md
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT

say() { printf '%s\n' "$@" >>"$tmp"; }

# run COMMAND: run it and keep the lines of its benchmarks, under the command.
run() {
	echo "== $*" >&2
	say '' '```' "\$ $*"
	sh -c "$*" 2>&1 | grep -E '^Benchmark|SKIP|skipped|FAIL' |
		sed -E 's/[[:space:]]+/ /g; s/-[0-9]+ / /; s/ [0-9.]+ B\/op//; s/ 1 [0-9]+ ns\/op//' >>"$tmp" || true
	say '```'
}

say '# Benchmarks' '' \
	'Written by `make bench-report`: every figure below is from one run of it, with the command above it.' \
	'Machines for such runs are shared and noisy, so each comparison alternates its sides within one run and the figures to' \
	'quote are the ratios and the CPU time per operation; absolute rates are not.' '' \
	"| | |" "|---|---|" \
	"| date | $(date -u '+%Y-%m-%d %H:%M UTC') |" \
	"| commit | $(git describe --always --dirty) |" \
	"| processor | $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) CPUs, virtual machine |" \
	"| kernel | $(uname -sr) |" \
	"| Go | $(go env GOVERSION) |" \
	"| file system of the test files | $(df --output=fstype "$PWD" | tail -1) on a virtual disk |" \
	"| load average at the start | $(cut -d' ' -f1-3 /proc/loadavg) |"

say '' '## Ring against fio' '' \
	'4 KiB O_DIRECT random reads and 1 MiB writes of one file, our queue and fio'"'"'s io_uring engine (registered files, fixed buffers)' \
	'in turn. `cpu-ratio` and `io/s-ratio` are ours over theirs. Targets: CPU per I/O at most 1.05 of fio at depth 8, 32 and 128, IOPS at' \
	'least 0.90, 0.85 and 0.95; writes at least 1.0 at depth 2. NOPs show the ring alone.'
run "go test ./ioring -run '^\$' -bench Fio -benchtime 1x"
run "go test ./ioring -run '^\$' -bench Nop"

say '' '## A request to the node' '' \
	'The node against the simplest server in Go that parses the same header: a goroutine a connection, for device reads with a `pread` of 4 KiB.' \
	'Both are pinned to one CPU, the driver (closed loop, 256-byte records) to the other; server CPU from the kernel'"'"'s accounting.' \
	'Targets: CPU at most 0.85 of the responder in memory; with one device read 0.43, and p99.9 at most 0.5, of the responder with `pread`.'
run "go test ./testbed/floor -run '^\$' -bench . -benchtime 1x -rounds 5 -timeout 30m"

say '' '## Engine and storage' '' \
	'One worker, records of 256 bytes, without sockets. `TestHotPathDoesNotAllocate` and its like assert zero allocations.'
run "go test ./engine -run '^\$' -bench . -benchmem"
run "go test ./engine/storage -run '^\$' -bench . -benchmem"
run "go test ./internal/epoch -run '^\$' -bench ."

say '' '## Index' '' \
	'Times are of the thread'"'"'s CPU clock, structures alternating in one process; `map` is a Go map of the same digests. Memory counts' \
	'everything mapped for records, allocator waste included: target 76 bytes a record at 50 million. `GetBatch(32)` should take at most half' \
	'of single look-ups. The collector'"'"'s time must not grow with the number of records.'
run "go test ./engine/index -run '^\$' -bench Ratio -benchtime 1x -records 1000000"
run "go test ./engine/index -run '^\$' -bench Ratio -benchtime 1x -records 10000000"
run "go test ./engine/index -run '^\$' -bench Memory -benchtime 1x -records 50000000 -timeout 20m"
run "go test ./engine/index -run '^\$' -bench GC -benchtime 30x -timeout 20m"

say '' '## Digests and checksums' '' \
	'Each path'"'"'s time as a share of golang.org/x/crypto/ripemd160, reused and without allocations, for keys of one block: the median of' \
	'601 ratios of neighbouring slices. The number behind the slash is the batch. Targets: generic 0.80, bmi 0.55, avx2 0.20 from 16 keys on,' \
	'avx512 0.08 from 32 on (aim 0.045). CRC32C as a share of hash/crc32. The NEON kernel was only run under emulation.'
run "go test ./arch/hash -run '^\$' -bench Ratio -benchtime 1x"

say '' '## Lists and maps' '' \
	'On the flat bytes of values of 10, 1,000 and 100,000 elements. Bits and HyperLogLog have no benchmarks yet.'
run "go test ./engine/cdt -run '^\$' -bench . -benchmem -benchtime 200x"

say '' '## The load generator' '' \
	'64 connections from one CPU against a null responder on the other. `cpu/floor`: CPU per operation over that of a ring client that re-sends' \
	'one request (target 1.15); `cpu/goclient` and `rate/goclient`: over a goroutine-per-worker generator on the official client (targets 0.45 and 1.5).'
run "go test ./bench -run '^\$' -bench Generator -benchtime 1x"

say '' '## Not measured' '' \
	'Anything on real NVMe drives, on more than two cores, over a real network, on arm64 hardware or on several NUMA nodes: this' \
	'machine has none of them.'
mv "$tmp" "$out"
chmod 644 "$out"
trap - EXIT
echo "wrote $out" >&2
