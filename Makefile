# Everything a change has to pass is `make test`; it needs Go, Node and, for the
# browser tests, Chromium. The rest are its parts and conveniences.

GO      ?= go
NPM     ?= npm
MVN     ?= mvn
TOOL    := bin/golangci-lint
CLIENTS := integration/clients
OTHERS  := integration/others
# The generated TypeScript of the sample contract, and its compiler and linter.
CONTRACT := integration/contract
# The checkers of deploy/ that are Python packages.
CHECKERS := bin/checkers

# Per package: a test that hangs must not take the whole run with it.
TEST_TIMEOUT ?= 20m
# Of a package: tests wait more than they work, so more run at once than there are processors.
AT_ONCE      ?= 8
# Per target. Not a time: at its end go test takes inputs that still run for failures.
FUZZ_RUNS    ?= 300000x
BENCH        ?= .

# The race detector needs a C compiler; without one, go env says so.
RACE := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

.PHONY: all build release test vet lint fmt go-test servers generator 32bit cross allocations clients checkers fuzz bench clean

all: build

build:
	$(GO) build -o bin/gateway ./cmd/gateway

# The archives of the tagged commit for all platforms.
release:
	deploy/release bin/release

test: clients checkers vet lint go-test servers generator 32bit cross

# For Windows, too, on which the tests do not run.
vet:
	$(GO) vet ./...
	GOOS=windows CGO_ENABLED=0 $(GO) vet ./...

lint: $(TOOL)
	$(TOOL) run --allow-parallel-runners --timeout 15m ./...
	cd cmd/carillon-gen && ../../$(TOOL) run --allow-parallel-runners --timeout 15m ./...

fmt: $(TOOL)
	$(TOOL) fmt ./...

go-test: allocations
	$(GO) test $(RACE) -parallel $(AT_ONCE) -timeout $(TEST_TIMEOUT) ./...

# An endpoint inside other people's routers and middleware, which are the dependencies of a
# module of its own. Its tests wait most of the time, so many run at once.
servers:
	cd integration/servers && $(GO) vet ./... && $(GO) test -parallel 64 -timeout $(TEST_TIMEOUT) ./...

# The generator of typed contracts is a module of its own.
generator:
	cd cmd/carillon-gen && $(GO) vet ./... && $(GO) test -bench . -benchtime 1x -timeout $(TEST_TIMEOUT) ./...

# What reads numbers and lengths from the wire, on a system whose int has 32 bits. It
# needs an x86 processor to run; no C compiler.
32BIT := ./auth/... ./backplane ./client ./clock ./cluster ./forwarded ./frame ./hub ./internal/connection ./internal/dispatch ./internal/httpreq ./internal/loadgen ./internal/negotiation ./negotiate ./protocol ./transports/...

32bit:
	GOARCH=386 CGO_ENABLED=0 $(GO) vet ./...
	GOARCH=386 CGO_ENABLED=0 $(GO) test -short -parallel $(AT_ONCE) -timeout $(TEST_TIMEOUT) $(32BIT)
	@set -e; for target in FuzzNext FuzzMessagePackParse FuzzBind; do \
	  GOARCH=386 CGO_ENABLED=0 $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime 100000x ./protocol; \
	done

# Systems that the tests do not run on. With -trimpath the build cache serves deploy/release, too.
cross:
	@set -e; for platform in linux/arm64 darwin/arm64 windows/amd64; do \
	  echo "build for $$platform"; \
	  GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/gateway; \
	done

# The race detector allocates by itself, so these run without it; and each benchmark
# once, to see that it works. bench/ is a module of its own.
allocations:
	$(GO) test -run 'Allocations$$' -bench . -benchtime 1x -timeout $(TEST_TIMEOUT) ./hub ./endpoint ./protocol
	cd bench && $(GO) vet ./... && $(GO) build -o /dev/null ./server

# The clients that the integration tests drive: the newest official ones, older ones and other
# people's. Without Python or Maven the tests of theirs are skipped, or fail under CI.
clients: $(CLIENTS)/node_modules/.package-lock.json $(CONTRACT)/node_modules/.package-lock.json $(OTHERS)/javascript/node_modules/.package-lock.json \
  $(OTHERS)/python/venv/.installed $(OTHERS)/java/jars/.installed

%/node_modules/.package-lock.json: %/package-lock.json
	$(NPM) ci --prefix $* --no-audit --no-fund --fetch-timeout 60000
	@touch $@

$(OTHERS)/python/venv/.installed: $(OTHERS)/python/requirements.txt
	@if python3 -m venv $(@D) && $(@D)/bin/pip install -q --disable-pip-version-check -r $<; \
	  then touch $@; else echo "no Python: its clients are not tested"; fi

$(OTHERS)/java/jars/.installed: $(OTHERS)/java/pom.xml
	@if $(MVN) -q -B -f $< dependency:copy-dependencies -DoutputDirectory=jars/9 && \
	  $(MVN) -q -B -f $< dependency:copy-dependencies -DoutputDirectory=jars/3 -Dsignalr.version=3.1.0; \
	  then touch $@; else echo "no Maven: the Java client is not tested"; fi

# Without Python the tests of deploy/ that need them are skipped, or fail under CI.
checkers: $(CHECKERS)/.installed

$(CHECKERS)/.installed: deploy/requirements.txt
	@if python3 -m venv $(CHECKERS) && $(CHECKERS)/bin/pip install -q --disable-pip-version-check -r $<; \
	  then touch $@; else echo "no Python: deploy/ is checked in part"; fi

# tools/ is a module of its own, so that the linter's dependencies are not ours.
$(TOOL): tools/go.mod tools/go.sum
	$(GO) build -modfile tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

# go test fuzzes one target of one package at a time.
fuzz:
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_RUNS) -timeout 5m $$package; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout $(TEST_TIMEOUT) ./...

clean:
	rm -rf bin $(CLIENTS)/node_modules $(CONTRACT)/node_modules $(OTHERS)/javascript/node_modules $(OTHERS)/python/venv $(OTHERS)/java/jars
