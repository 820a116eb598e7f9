# make demo · make console · make test · make bench · make check
# Everything works from an empty clone; what is missing on the machine is installed or named by
# deploy/setup.sh.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# rustup's folder, for shells that do not look there.
export PATH := $(PATH):$(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
# The tests' clients in other languages.
export LOA_CLIENTS := $(abspath $(TARGET))/clients
# As in `make demo ARGS="--citizens 5000 --once"`.
ARGS ?=
# The release before, for `make upgrade`; until there are tags, the state that was landed last, which
# knows no vault.
PREVIOUS ?= $(shell git describe --tags --abbrev=0 2>/dev/null || echo 492be67)
# The parts first; `city` measures the whole paths and prints the table at the end. `soak` takes half
# an hour and is not among them.
BENCHES := geofence registry bus vault push sockets city
# The browser suite drives the unoptimised program, which takes the pages from their folder.
BROWSER := LOA_BIN=$(abspath $(TARGET))/debug/loa node --test --test-concurrency=1
PAGES_TESTS := $(wildcard console/e2e/*.test.mjs)

.PHONY: help demo console e2e crowd test chaos schemathesis fuzz upgrade bench soak check manifests rehearse clean

help: ## what there is
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

demo: ## a node with 20,000 simulated citizens, alerts, and the funnel live (ARGS="--once --json")
	@deploy/setup.sh build
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory console; else \
	  echo "demo: npm is not here (Node 18 or newer): /console and / will say how to build their pages" >&2; fi
	cargo build --locked --profile demo --bin loa
	$(TARGET)/demo/loa demo $(ARGS)

console: ## the web pages, into console/dist, from where the next build takes them
	@deploy/setup.sh console
	npm --prefix console run --silent build
	@# Cargo follows the files a program holds, but not new names among them; names change with
	@# what is in the files.
	@mkdir -p $(TARGET)
	@ls -R console/dist | cmp -s - $(TARGET)/pages || \
	  { ls -R console/dist >$(TARGET)/pages; touch src/http/pages.rs; }

e2e: console ## the pages in a real browser against the real program (ARGS="desk")
	@deploy/setup.sh e2e
	cargo build --locked --bin loa
	$(BROWSER) $(if $(ARGS),$(ARGS:%=console/e2e/%.test.mjs),$(PAGES_TESTS))

crowd: console ## the console's fluency beside a million devices, on a machine at rest (ARGS=20000)
	@deploy/setup.sh e2e
	cargo build --locked --profile demo --bin loa
	CITIZENS=$(or $(ARGS),1000000) WEBSOCKETS_PER_MILLE=5 LOA_CLOCK=1 \
	  LOA_BIN=$(abspath $(TARGET))/demo/loa node --test console/e2e/crowd.test.mjs

test: console ## every test, with all it needs
	@deploy/setup.sh test
	npm --prefix console run --silent check
	cargo test --locked $(if $(ARGS),$(ARGS),-- --skip chaos:: --skip previous::)
	@$(if $(ARGS),,echo "test: of a cluster under fire this was the short form (under_fire::); all of it: make chaos" >&2)
	@# The program is built by then. `cargo build` would build some of its crates once more, without
	@# what the tests' own dependencies ask of them.
	$(if $(ARGS),,$(BROWSER) $(PAGES_TESTS))

chaos: ## the fault matrix with 100,000 devices a scenario, a cluster under fire with 200,000 (ARGS="phones::rows" for a piece)
	@deploy/setup.sh test
	LOA_FULL=1 cargo test --locked --profile demo --test it -- $(if $(ARGS),$(ARGS),phones:: chaos::) --nocapture --test-threads 1

schemathesis: ## what /openapi.json says, tried by schemathesis on a node of its own (ARGS="--max-examples 10")
	@deploy/setup.sh build
	cargo build --locked --bin loa
	deploy/schemathesis.sh $(ARGS)

fuzz: ## every reader of foreign input under libFuzzer, an hour each (ARGS="cap 60": one target, seconds)
	@deploy/setup.sh build
	deploy/fuzz.sh $(ARGS)

upgrade: ## nodes of the release before and of this one together (PREVIOUS=a commit or tag, ARGS as for chaos)
	@deploy/setup.sh test
	@mkdir -p $(TARGET)/previous
	rm -rf $(TARGET)/previous/source && git worktree prune
	git worktree add --force --detach $(TARGET)/previous/source $(PREVIOUS)
	@# The dependencies are this build's; only the package itself is built anew.
	cargo build --locked --manifest-path $(TARGET)/previous/source/Cargo.toml --target-dir $(TARGET) --bin loa
	cp $(TARGET)/debug/loa $(TARGET)/previous/loa
	LOA_TEST_PREVIOUS=$(abspath $(TARGET))/previous/loa cargo test --locked --test it -- previous:: --nocapture

bench: ## what the README quotes: one table, and target/bench/summary.json (ARGS="city")
	@deploy/setup.sh bench
	cargo bench --locked --profile demo $(if $(ARGS),$(ARGS:%=--bench %),$(BENCHES:%=--bench %))

soak: ## half an hour under load and faults: does anything grow? (LOA_SOAK_MINUTES=2 for a try)
	@deploy/setup.sh bench
	cargo bench --locked --profile demo --bench soak

check: ## format, lints, documentation, house rules, dependencies
	@deploy/setup.sh build
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	cargo test --locked --test it tidy::
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
	elif cargo audit --version >/dev/null 2>&1; then cargo audit; \
	else echo "check: DEPENDENCIES NOT CHECKED AGAINST ADVISORIES AND LICENCES: neither" \
	  "cargo-deny nor cargo-audit is here (cargo install --locked cargo-deny)" >&2; fi

manifests: ## the compose file, Kubernetes manifests and alert rules against others' validators
	@deploy/validate.sh

rehearse: ## the compose file, started for real, with things killed in it (STANDINS=1 without a registry of images)
	@deploy/setup.sh test
	$(if $(STANDINS),deploy/standins.sh)
	$(if $(shell command -v podman),podman,docker) build -t loa -f deploy/Containerfile .
	python3 deploy/rehearse.py

clean: ## drop what was built
	cargo clean
