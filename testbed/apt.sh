#!/bin/sh
# apt.sh PACKAGE...: install Debian packages that are missing, if this machine
# lets us. Never fails: the tests that want a missing tool skip and say so.
missing=
for p in "$@"; do
	dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "apt.sh: cannot install$missing here; tests that need them will skip" >&2
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086
if { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	echo "apt.sh: installed$missing"
else
	echo "apt.sh: could not install$missing; tests that need them will skip:" >&2
	tail -3 "$log" >&2
fi
rm -f "$log"
exit 0
