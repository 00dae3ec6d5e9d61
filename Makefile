# Everything a person or CI runs. `make help` lists it.

GO      ?= go
BIN     := bin/pcapwarden
APP     := build/app
export CGO_ENABLED := 0

# The race detector needs a C compiler, which a machine with Go alone lacks.
RACE := $(shell command -v gcc >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help
.PHONY: help build stage package program profile run test check vuln bench bench-walk fuzz lab broker-check docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1|/' | column -t -s '|'

build: ## the program, as bin/pcapwarden
	$(GO) build -trimpath -buildvcs=auto -o $(BIN) ./handler

stage: build ## the app as the Functions host wants it, in build/app
	rm -rf $(APP)
	mkdir -p $(APP)
	cp $(BIN) host.json policy.sample.yaml $(APP)/
	for f in functions/*/function.json; do d=$(APP)/$$(basename $$(dirname $$f)); mkdir $$d && cp $$f $$d/; done

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
POLICY  ?= policy.sample.yaml
VCS     ?= auto
PACKAGE ?= build/pcapwarden-$(VERSION)-linux-amd64.zip
PROGRAM ?= build/package/pcapwarden
package: TARGET := GOOS=linux GOARCH=amd64
package: program ## what is deployed, as build/pcapwarden-VERSION-linux-amd64.zip; POLICY=FILE is its policy
	$(GO) run ./infra/pack -version $(VERSION) -program $(PROGRAM) -policy $(POLICY) -out $(PACKAGE)

# The compiler is told where the time goes, which costs a minute of its own.
program:
	$(TARGET) $(GO) build -trimpath -buildvcs=$(VCS) -pgo=handler/cpu.pgo -ldflags "-s -w" -o $(PROGRAM) ./handler

profile: ## where the time goes, as handler/cpu.pgo; again when much of the analysis has changed
	$(GO) run ./test/bench -profile handler/cpu.pgo

run: stage ## play an incident on this machine: alert, capture, findings
	$(BIN) local --scenario partner-tls --app $(APP)

test: ## all tests; they install the npm packages that they need
	$(GO) vet ./...
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -shuffle=on -timeout 15m ./...

check: ## formatting, static checks, tidy modules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) fix -diff ./...
	$(GO) mod tidy -diff
	GOOS=darwin $(GO) vet ./...
	$(GO) tool -modfile=internal/tools/go.mod staticcheck ./...

vuln: ## known vulnerabilities in what the program calls; asks vuln.go.dev
	$(GO) tool -modfile=internal/tools/go.mod govulncheck ./...

bench: ## speed and memory against tcpdump and tshark; writes docs/BENCHMARKS.md
	$(GO) run ./test/bench -out docs/BENCHMARKS.md

bench-walk: ## 1 GiB from where it lands into the vault, against a bare copy (Azurite)
	PCAPWARDEN_WALK=1024 $(GO) test -count=1 -v -timeout 20m -run TestWalk ./test/walk

FUZZTIME ?= 10s
fuzz: ## every fuzz target for FUZZTIME (10s) each, and captures cut at every byte
	@for f in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$f); do \
			echo "$$f: $$target"; \
			$(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x || exit 1; \
		done; \
	done
	PCAPWARDEN_LONG=1 $(GO) test -count=1 -timeout 60m -run TestDamaged ./internal/analysis

lab: ## real faults on real TCP stacks in network namespaces (root)
	$(GO) test -count=1 -v -run TestLab ./test/lab

broker-check: ## azservicebus's own live tests against the test broker (6 min)
	test/servicebus/conformance.sh

docs: ## docs/FINDINGS.md and docs/VERDICTS.md, made from the code
	$(GO) test ./internal/detect/suite ./internal/verdict ./internal/telemetry -run Page -update

clean: ## what building left behind
	rm -rf bin build .local
