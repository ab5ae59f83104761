#!/bin/sh
# arm64.sh: run the tests of packages that only compute as arm64 code under
# qemu-user. Without qemu-user it says so and succeeds: the cross vet of
# "make lint" still holds the assembly to its Go declarations.
set -eu
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if [ -z "$qemu" ]; then
	echo "arm64: SKIPPED, no qemu-aarch64 on this machine"
	exit 0
fi
GOARCH=arm64 CGO_ENABLED=0 go test -short -timeout 10m -exec "$qemu" \
	./arch ./arch/hash ./engine/record ./engine/msgpack ./node/proto
