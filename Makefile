# Ashlar. `make` alone prints this list.

GO      ?= go
BIN     := bin/ashlar
TOOL    := $(GO) tool -modfile=tools.mod
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
# What several threads touch. The packages of values compute on one.
RACE_PKGS := ./internal/epoch ./internal/hist ./arch/numa ./ioring/... ./engine ./engine/index ./engine/storage ./engine/simtest ./node/... ./bench

.DEFAULT_GOAL := help
.PHONY: help run build test unit race lint fmt fuzz sim bench-report conformance crash arm64 gen-check tools-apt vuln

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build ashlar and start a node on 127.0.0.1:3000 with its data under ./data
	$(BIN) node

build: ## build bin/ashlar
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) .

test: tools-apt lint gen-check unit race conformance arm64 ## everything that CI runs
	@echo "make test: all passed"

unit: build ## all tests once, without the race detector
	$(GO) test -timeout 10m ./...

race: ## the tests of everything concurrent under the race detector
	$(GO) test -race -short -timeout 15m $(RACE_PKGS)

lint: ## formatting, vet (amd64 and arm64), staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(TOOL) staticcheck ./...

fmt: ## format all sources with gofumpt
	$(TOOL) gofumpt -w $$(git ls-files '*.go')

fuzz: ## every fuzz target for FUZZTIME (default 20s) each
	@./testbed/fuzz.sh $(or $(FUZZTIME),20s)

sim: ## the engine under the simulator, SEEDS=1000 fresh seeds
	$(GO) test ./engine/simtest -run '^TestSim$$' -count=1 -timeout 0 -seeds $(or $(SEEDS),1000)

crash: build ## kill -9 the real node ROUNDS=100 times under load and check what it kept
	$(GO) test ./testbed/crash -count=1 -timeout 0 -v -rounds $(or $(ROUNDS),100)

conformance: build ## the official Go client's own suite against a fresh node, held to the ratchet
	$(GO) test ./testbed/conformance -count=1 -timeout 30m -suite

arm64: ## pure-compute packages as arm64 code, under qemu-user where it can be had
	@./testbed/arm64.sh

bench-report: ## run the benchmarks and write BENCHMARKS.md anew (a quarter of an hour, wants a quiet machine)
	./testbed/benchreport.sh

gen-check: ## the generated kernels are what their generator writes
	$(GO) generate ./arch/hash
	@git diff --exit-code --stat -- arch/hash

vuln: ## known vulnerabilities in what we import
	$(TOOL) govulncheck ./...

# What the tests use beyond Go, gcc and make. A machine without apt or without
# the right to install goes on; what needs the missing tool says that it skips.
tools-apt:
	@./testbed/apt.sh fio qemu-user-static chromium
