# On a fresh machine with Python 3.11 two commands do all set-up: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed
PEER := .venv/.peer
S3 := .venv/s3
AZURITE := .venv/azurite
AZURITE_LOCK := tests/pushes/targets/azurite/package-lock.json
PROFILE ?= release
CORE := .venv/.core-$(PROFILE)
CORE_TRIED := .venv/.core.tried
CORE_FILES := $(shell find core -name target -prune -o -type f -print)
EXAMPLES ?= 20000
SEEDS ?= 5
PROCESSES ?= 2
# Which tests stay together: tests/distribution.py. A process that had to be ended (tests/time_limits.py) isn't
# started again, because pytest-xdist would give it the same test.
# Otherwise, where the environment asks for it, each process compiles a thousand modules again: 8 s, or half a second.
export PYTHONDONTWRITEBYTECODE :=
# What needs one core beside what needs another; each says what it has to say at its end.
BESIDE := $(MAKE) --no-print-directory --jobs=$(PROCESSES) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# Tests of the core that run once are compiled three times as fast, and run for seconds longer.
UNOPTIMIZED := CARGO_INCREMENTAL=0 CARGO_PROFILE_TEST_OPT_LEVEL=0 CARGO_PROFILE_TEST_DEBUG=0
PYTEST := $(BIN)/pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder --max-worker-restart=0

# The lock must not say where it was made: neither a package index nor a path of this machine.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --no-config --strip-extras \
	--generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	--no-emit-options

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(READY) $(CORE_TRIED) ## the virtual environment, from the lock; where cargo is, with the native engine

$(READY): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Turnstile needs Python 3.11 or newer; there is no python3 here." >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Turnstile needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V)." \
			"Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@# pip comes last into a new environment: without it an earlier start was interrupted.
	@if ! test -x $(BIN)/pip; then \
		echo "Making the virtual environment .venv ..."; \
		said=$$($(PYTHON) -m venv .venv 2>&1) || { \
			rm -rf .venv; echo "$$said" >&2; \
			echo "$(PYTHON) can't make virtual environments; on Debian and Ubuntu the package python3-venv is missing." >&2; \
			exit 1; }; fi
	@echo "Installing the locked packages into .venv: minutes at the first time, depending on the network."
	@$(BIN)/python -P app/installing.py requirements.lock
	@echo "Installing Turnstile itself ..."
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

# The native engine, where Rust is (docs/decisions/0039). Without it the Python engine runs.
.PHONY: core
core: $(CORE) ## the native engine, into .venv; again only when core/ changed; PROFILE=dev is built faster

$(CORE): $(CORE_FILES) requirements.core.lock | $(READY)
	@core/build.sh $(PROFILE)
	@touch $(CORE)

# Tried once for each state of core/, so that a machine that can't build it hears so once, not with every command.
$(CORE_TRIED): $(CORE_FILES) requirements.core.lock | $(READY)
	@$(MAKE) -q --no-print-directory core 2>/dev/null || { core/build.sh $(PROFILE) && touch $(CORE); } || \
		echo "So the Python engine runs: it does the same, slower. \`make core\` builds the native one."
	@touch $(CORE_TRIED)

# The Event Hub stand-in of the tests is C, to be had as sources only. Where it can't be built, all else works.
.PHONY: peer
peer: $(READY) ## the AMQP engine of the Event Hub tests, where there is a C compiler
	@if [ $(PEER) -nt requirements.peer.lock ]; then exit 0; fi; \
	if ! command -v $(CC) >/dev/null; then \
		echo "No C compiler ($(CC)) here: the Event Hub tests will be skipped."; exit 0; fi; \
	echo "Building the AMQP engine of the Event Hub tests, about a minute ..."; \
	if PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--no-build-isolation -r requirements.peer.lock >.venv/peer.log 2>&1; then touch $(PEER); \
	else echo "It could not be built (.venv/peer.log says why): the Event Hub tests will be skipped."; fi

# The S3 server of the tests needs other versions of what we use, so it has an environment of its own.
.PHONY: s3
s3: $(READY) ## the S3 server of the tests
	@if [ $(S3)/.installed -nt requirements.s3.lock ]; then exit 0; fi; \
	echo "Installing the S3 server of the tests ..."; \
	if $(PYTHON) -m venv $(S3) >.venv/s3.log 2>&1 && $(S3)/bin/python -m pip install --quiet \
		--disable-pip-version-check --require-hashes -r requirements.s3.lock >>.venv/s3.log 2>&1; \
	then touch $(S3)/.installed; \
	else echo "It could not be installed (.venv/s3.log says why): the tests with S3 will be skipped."; fi

# Only an npm package. Scripts of packages don't run.
.PHONY: azurite
azurite: $(READY) ## the Azure Blob Storage server of the tests, where npm is
	@if [ $(AZURITE)/.installed -nt $(AZURITE_LOCK) ]; then exit 0; fi; \
	if ! command -v npm >/dev/null; then echo "No npm here: the tests with Azure will be skipped."; exit 0; fi; \
	echo "Installing the Azure Blob Storage server of the tests ..."; \
	rm -rf $(AZURITE); mkdir -p $(AZURITE); cp $(dir $(AZURITE_LOCK))package*.json $(AZURITE); \
	if npm ci --prefix $(AZURITE) --omit=optional --ignore-scripts --no-audit --no-fund --prefer-offline \
		--fetch-retries=1 --fetch-timeout=60000 >.venv/azurite.log 2>&1; then touch $(AZURITE)/.installed; \
	else echo "It could not be installed (.venv/azurite.log says why): the tests with Azure will be skipped."; fi

.PHONY: demo
demo: venv ## broker, worker, real data and a live view in the terminal; Ctrl-C ends it
	@$(BIN)/turnstile demo

.PHONY: test
test: $(READY) ## everything: linters, types, layers and the whole test suite; PROCESSES=2
	@$(BESIDE) $(CORE_TRIED) lint-python s3 azurite
	@$(BESIDE) peer lint-core test-core
	$(PYTEST)

.PHONY: test-core
test-core:
	@if [ -z "$$(core/lacks.sh)" ]; then echo "cargo test"; cd core && $(UNOPTIMIZED) cargo test --locked --quiet; fi

.PHONY: test-quick
test-quick: venv peer s3 azurite ## the tests that need no broker and wait for nothing, with a quarter of the random examples
	TURNSTILE_TEST_QUICK=1 $(PYTEST) -m "not slow and not broker and not kafka"

.PHONY: fuzz
fuzz: venv ## the whole language against its model for longer, both engines, and kills; EXAMPLES=20000 SEEDS=5
	TURNSTILE_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -o timeout=0 tests/agents/evaluate/test_language_against_model.py \
		tests/agents/evaluate/test_pipeline_against_model.py tests/agents/evaluate/test_grafts.py tests/core
	TURNSTILE_FUZZ_SEEDS=$(SEEDS) $(BIN)/pytest tests/faults/past

.PHONY: docs
docs: $(READY) ## the generated tables of the documentation
	$(BIN)/python docs/generate.py

.PHONY: lint
lint: lint-python lint-core ## style, format, types, and which layer may import which

.PHONY: lint-python
lint-python: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lint-core
lint-core: $(READY)
	@lacks=$$(core/lacks.sh); if [ -n "$$lacks" ]; then echo "The core is not linted: $$lacks."; exit 0; fi; \
	export PYO3_PYTHON="$(CURDIR)/$(BIN)/python"; cd core; set -x; \
	cargo fmt --check; cargo clippy --locked --quiet --all-targets --all-features -- -D warnings

.PHONY: bench
bench: venv ## the benchmarks; ARGS are passed on
	$(BIN)/turnstile bench $(ARGS)

.PHONY: lock
lock: $(READY) ## the locks, newly resolved where pyproject.toml asks for it; UPGRADE=1 for the newest of all
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra dev --extra broker -o requirements.lock pyproject.toml
	cp requirements.lock requirements.runtime.lock
	$(COMPILE) -o requirements.runtime.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) $(if $(UPGRADE),--upgrade) -c requirements.lock -o requirements.build.lock -
	$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*extras["optional-dependencies"]["peer"], sep="\n")' \
		| $(COMPILE) $(if $(UPGRADE),--upgrade) -c requirements.lock -o requirements.peer.lock -
	$(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("core/pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) $(if $(UPGRADE),--upgrade) -c requirements.lock -o requirements.core.lock -
	$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*extras["optional-dependencies"]["s3"], sep="\n")' \
		| $(COMPILE) $(if $(UPGRADE),--upgrade) -o requirements.s3.lock -

.PHONY: clean
clean: ## what was built here; the cache of test brokers in the home folder stays
	rm -rf .venv core/target build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find app agents tables rules bench tests turnstile_segmentation -name __pycache__ -type d -prune -exec rm -rf {} +
