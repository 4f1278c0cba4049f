# On a fresh machine with Python 3.11 two commands do all set-up: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed
PEER := .venv/.peer
EXAMPLES ?= 20000
PROCESSES ?= 2
# Which tests stay together: tests/distribution.py.
PYTEST := $(BIN)/pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder

# The lock must not say where it was made: neither a package index nor a path of this machine.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --no-config --strip-extras \
	--generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	--no-emit-options

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(READY) ## the virtual environment, from the lock; again only when the lock changed

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

.PHONY: demo
demo: $(READY) ## broker, worker, real data and a live view in the terminal; Ctrl-C ends it
	@$(BIN)/turnstile demo

.PHONY: test
test: lint peer ## everything: linters, types, layers and the whole test suite; PROCESSES=2
	$(PYTEST)

.PHONY: test-quick
test-quick: $(READY) peer ## the tests that need no broker and wait for nothing
	$(PYTEST) -m "not slow and not broker and not kafka"

.PHONY: fuzz
fuzz: $(READY) ## the whole language against its model for longer; EXAMPLES=20000
	TURNSTILE_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/agents/evaluate/test_language_against_model.py

.PHONY: docs
docs: $(READY) ## the generated tables of the documentation
	$(BIN)/python docs/generate.py

.PHONY: lint
lint: $(READY) ## style, format, types, and which layer may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(READY) ## the benchmarks; ARGS are passed on
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

.PHONY: clean
clean: ## what was built here; the cache of test brokers in the home folder stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find app agents tables rules bench tests turnstile_segmentation -name __pycache__ -type d -prune -exec rm -rf {} +
