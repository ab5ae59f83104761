#!/bin/sh
# fuzz.sh DURATION: run every fuzz target of the repository for DURATION each.
set -eu
time=${1:-20s}
for file in $(git ls-files '*_test.go'); do
	dir=$(dirname "$file")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== ./$dir $target"
		go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time"
	done
done
