# 云采盾. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# PKCS#11 modules are C libraries.
export CGO_ENABLED := 1

GOLANGCI_LINT_VERSION := v2.15.0
GOTESTSUM_VERSION     := v1.13.0
GOVULNCHECK_VERSION   := v1.9.0
STEP_CA_VERSION       := v0.30.2

# Tools are kept per version, so that a new version here is a new file there.
GOLANGCI_LINT := bin/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
GOTESTSUM     := bin/tools/gotestsum-$(GOTESTSUM_VERSION)/gotestsum
# What our issuing is measured beside; no part of the product.
STEP_CA       := bin/tools/step-ca-$(STEP_CA_VERSION)/step-ca

# Fetched by npm, pinned by hash, embedded by go build.
HTMX := templates/static/vendor/htmx.min.js
# What the tests ask whether pages can be used by everybody; no part of the product.
AXE  := templates/node_modules/axe-core/axe.min.js

# The mini-program: npm packages by the hash of their lock file, and the H5 build
# that the playground shows and go build embeds.
MINI         := miniprogram
MINI_SOURCES := $(shell find $(MINI)/src $(MINI)/index.html $(MINI)/package.json $(MINI)/vite.config.mts -type f 2>/dev/null)
MINI_NPM     := $(MINI)/node_modules/.installed
MINI_H5      := $(MINI)/h5/index.html

# make demo
STORY ?=
FAULT ?=
# make fuzz: time per target
FUZZTIME ?= 10s
# make keyhelper: the portals that may use it, separated by spaces
ORIGINS ?= http://127.0.0.1:8080
# make bench: flags of the program, see bin/bench -h
BENCHFLAGS ?=
# make test, make e2e: packages and further flags of go test
PKG ?= ./...
TESTFLAGS ?=
# SQLite is C turned into Go: its memory is outside the heap that the race detector
# watches, so that asking about each access to it takes long and tells nothing. Only that
# one package, which has no generics: what others instantiate of the library's (sync.Map)
# would stand for everybody's, and the detector would miss its locks and see races.
RACE := -race -gcflags='modernc.org/sqlite/lib=-race=false'
# CI runs a test that failed a second time, at most three of them and never after a
# data race, and its report names them: a browser that a loaded machine starved
# holds up nobody, and is seen.
RERUN := $(if $(CI),--rerun-fails=1 --rerun-fails-run-root-test --rerun-fails-max-failures=3 --rerun-fails-abort-on-data-race)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '%s\n' '' \
	  'make demo STORY=NAME plays one story; bin/yuncaidun demo --help lists them.' \
	  'FAULT=skip-sign, drop-job or wrong-amount plants a fault, which must make the demo exit 1.' \
	  'YCD_DATA_DIR keeps the data of a demo; without it a temporary folder is used.'

.PHONY: setup
setup: ## install what running, testing and checking need on this machine
	@scripts/setup test

.PHONY: run
run: setup-run build ## build and start the product at http://127.0.0.1:8080, data in ./var; Ctrl-C stops it
	@exec bin/yuncaidun serve

.PHONY: build
build: setup-run $(HTMX) $(MINI_H5) ## bin/yuncaidun and bin/keyhelper with everything embedded
	go build -trimpath -o bin/yuncaidun .
	go build -trimpath -o bin/keyhelper ./keyhelper

.PHONY: keyhelper
keyhelper: ## the subscribers' program for this system and for Windows; ORIGINS=https://… names the portal
	@scripts/setup keyhelper
	go build -trimpath -ldflags '-X "main.defaultOrigins=$(ORIGINS)"' -o bin/keyhelper ./keyhelper
	GOOS=windows CC=x86_64-w64-mingw32-gcc go build -trimpath -ldflags '-X "main.defaultOrigins=$(ORIGINS)"' -o bin/keyhelper.exe ./keyhelper

.PHONY: demo
demo: build ## play the stories over HTTP against a private instance and check them
	@scripts/setup demo
ifneq ($(FAULT),)
	go build -trimpath -tags fault_$(subst -,_,$(FAULT)) -o bin/yuncaidun-fault .
endif
	STORY='$(STORY)' FAULT='$(FAULT)' bin/yuncaidun$(if $(FAULT),-fault) demo

.PHONY: test
test: setup $(HTMX) $(AXE) $(MINI_H5) $(GOTESTSUM) ## every test, with the race detector, on both databases
	cd $(MINI) && npm test --silent
	go test -tags faults -run TestFailpoints ./issuance
	scripts/with-servers $(GOTESTSUM) --format pkgname-and-test-fails $(RERUN) --packages '$(PKG)' -- $(RACE) -timeout 30m $(TESTFLAGS)

.PHONY: e2e
e2e: setup $(HTMX) $(AXE) $(MINI_H5) $(GOTESTSUM) ## the whole-system stories and the browser tests
	scripts/with-servers $(GOTESTSUM) --format testname -- -count=1 -timeout 30m $(TESTFLAGS) ./e2e/...

.PHONY: lint
lint: setup-run $(HTMX) $(MINI_NPM) $(GOLANGCI_LINT) ## golangci-lint with our import rules, go vet, go mod verify
	go mod verify
	go vet ./...
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...
	scripts/lint-rules $(GOLANGCI_LINT)
	cd $(MINI) && npm run --silent type-check && npm run --silent lint
	$(MAKE) --no-print-directory miniprogram

.PHONY: miniprogram
miniprogram: $(MINI_H5) ## build the mini-program: miniprogram/dist/build/mp-weixin to upload, h5 for the playground
	cd $(MINI) && npm run --silent build:mp-weixin && node scripts/check.mjs

.PHONY: bench
bench: setup setup-bench build $(STEP_CA) ## our routes beside their peers, as ratios of one run; BENCHFLAGS=-strict fails on a missed aim
	go build -o bin/bench ./e2e/bench
	scripts/with-servers bin/bench -step-ca $(STEP_CA) $(BENCHFLAGS)

.PHONY: fuzz
fuzz: setup-run $(HTMX) ## every fuzz target for FUZZTIME each
	scripts/fuzz $(FUZZTIME)

.PHONY: vuln
vuln: setup-run $(HTMX) ## known vulnerabilities of our dependencies; needs the database online
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...

.PHONY: generate
generate: ## rewrite the generated pages: docs/lifecycle.md, docs/problems.md and docs/bot.md
	go test ./order -run Diagram -update
	go test ./docs -update
	go test ./bot/intent -run Page -update

.PHONY: setup-bench
setup-bench:
	@scripts/setup bench

.PHONY: setup-run
setup-run:
	@scripts/setup run

$(HTMX) $(AXE) &: templates/package.json templates/package-lock.json
	@echo "fetching htmx and axe-core from npm"
	cd templates && npm ci --no-audit --no-fund
	mkdir -p $(dir $(HTMX))
	cp templates/node_modules/htmx.org/dist/$(notdir $(HTMX)) $(HTMX)
	@touch $(AXE)

# Installed again only when the lock file says something else.
$(MINI_NPM): $(MINI)/package-lock.json
	@sum=$$(sha256sum <$< | cut -d' ' -f1); \
	if [ "$$(cat $@ 2>/dev/null)" != "$$sum" ]; then \
		echo "fetching the mini-program's packages from npm"; \
		(cd $(MINI) && npm ci --silent) && echo "$$sum" >$@; \
	else touch $@; fi

$(MINI_H5): $(MINI_NPM) $(MINI_SOURCES)
	@echo "building the mini-program's H5"
	cd $(MINI) && npm run --silent build:h5
	find $(@D) -mindepth 1 ! -name README.md -delete
	cp -r $(MINI)/dist/build/h5/. $(@D)
	@touch $@

$(GOLANGCI_LINT):
	@echo "building golangci-lint $(GOLANGCI_LINT_VERSION)"
	GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(GOTESTSUM):
	@echo "building gotestsum $(GOTESTSUM_VERSION)"
	GOBIN=$(CURDIR)/$(@D) go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)

$(STEP_CA):
	@echo "building step-ca $(STEP_CA_VERSION)"
	GOBIN=$(CURDIR)/$(@D) go install github.com/smallstep/certificates/cmd/step-ca@$(STEP_CA_VERSION)
