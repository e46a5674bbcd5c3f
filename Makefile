# Zegel. `make help` lists the targets; on a fresh machine, `make demo` and `make test` install what they need.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The first one that runs and is new enough: a command in PATH may be a shim for a version that is not installed.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$name && break; done)
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# Variables that targets accept: make demo PDF=contract.pdf OUT=folder, make bench NAME=rpc SIZE=large, ...
PDF ?=
OUT ?= demo-out
NAME ?=
SIZE ?= small
JOBS ?= 2
TESTS ?= tests
ARGS ?=
REASON ?=

# The tests that `make check` runs after lint (tests/conftest.py sets the marks): those of the contracts, and those of the
# SDK, the edge and the domains that start no program and open no database. `make check CHECKS=tests/server/pdf` runs
# those of another folder. Many of them wait for a deadline or a pause, so one more runs than there are cores.
QUICK := unit or (contract and not postgresql and not slow)
CHECK_JOBS := $(shell echo $$(($(JOBS) + 1)))
CHECKS ?= tests/contract tests/clients $(addprefix tests/server/,audit documents edge identity jobs keys permissions signing)

FUZZ_COUNT := $(if $(filter large,$(SIZE)),10000000,200000)

# The virtual environment follows the lock files: a stamp file older than its lock file triggers a new installation.
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PROJECTS := pyproject.toml clients/python/pyproject.toml

$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "Zegel needs Python 3.11 or newer; name one with make PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)" >&2
	@"$(PYTHON)" -m venv $(VENV)

$(RUNTIME): locks/runtime.txt $(PROJECTS) | $(VENV)/pyvenv.cfg
	@echo "Installing what running Zegel takes (locks/runtime.txt)" >&2
	@$(PIP) install --require-hashes -r locks/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e clients/python -e .
	@touch $@

$(DEV): locks/dev.txt $(RUNTIME)
	@echo "Installing what testing Zegel takes (locks/dev.txt)" >&2
	@$(PIP) install --require-hashes -r locks/dev.txt
	@touch $@

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNTIME) ## a document goes in, a sealed one comes out and is verified (PDF=file, OUT=folder)
	@$(PY) scripts/demo.py $(if $(PDF),--pdf "$(PDF)") --out "$(OUT)"

.PHONY: check
check: $(DEV) ## while writing: lint, and the unit and contract tests in two minutes (CHECKS=path)
	@scripts/lint
	@$(PY) -m pytest -n $(CHECK_JOBS) --dist worksteal -m "$(QUICK)" $(ARGS) $(CHECKS)

.PHONY: test
test: $(DEV) ## every test; ends with what was left out and why (TESTS=path, ARGS=..., JOBS=2)
	@$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS) $(TESTS)

.PHONY: stranger
stranger: $(DEV) ## the tests that may read the shared folder, as in a clone without it: left out by name, none fails
	@ZEGEL_REQUIRE_ALL=0 ZEGEL_SHARED=/nonexistent $(PY) -m pytest -n $(JOBS) --dist worksteal -m shared $(ARGS) $(TESTS)

.PHONY: lint
lint: $(DEV) ## contracts, style, types, layers, generated code, locks, tree
	@scripts/lint

.PHONY: run
run: $(RUNTIME) ## a development server to play with; prints how to reach it
	@exec $(VENV)/bin/zegel-server serve --development $(ARGS)

.PHONY: bench
bench: $(DEV) ## one benchmark (NAME=rpc|job|..., SIZE=small|large); ends with a line of JSON
	@test -n "$(NAME)" || { echo "Name one: make bench NAME=..., of: $$(cd bench && ls *.py | grep -v '^_' | sed 's/\.py$$//' | paste -sd' ')" >&2; exit 2; }
	@$(PY) -m bench.$(NAME) --size $(SIZE) $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## property tests with many more examples, and the mutation fuzzers (SIZE=small|large)
	@for program in tests/fuzz/fuzz_*.py; do echo "$$program"; $(PY) $$program --count $(FUZZ_COUNT); done
	@HYPOTHESIS_PROFILE=fuzz-$(SIZE) $(PY) -m pytest -n $(JOBS) -m hypothesis $(ARGS) $(TESTS)

.PHONY: protos
protos: $(DEV) ## write the SDK's generated modules and docs/reference from protos/
	@$(PY) scripts/generate_protos.py
	@$(PY) scripts/reference.py

.PHONY: baseline
baseline: $(DEV) ## let the contracts of now be what a change may not break (REASON="what breaks, and why")
	@$(PY) scripts/contract_baseline.py --move "$(REASON)"

.PHONY: format
format: $(DEV) ## format the code and mend what ruff can
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format .
	@test ! -d protos || $(VENV)/bin/buf format -w protos

.PHONY: locks
locks: $(DEV) ## resolve the dependencies anew within what pyproject.toml allows
	@$(PY) scripts/lockfiles.py

.PHONY: licences
licences: $(DEV) ## check each installed distribution's licence against the allow list
	@$(PY) scripts/licences.py

.PHONY: loc
loc: $(DEV) ## lines of code by folder, and the longest files
	@$(PY) scripts/loc.py

.PHONY: tools
tools: ## install the tools that the tests drive (root on Debian; grpcurl from its Go module)
	@scripts/install-tools

.PHONY: clean
clean: ## remove caches and what the demo wrote; keeps .venv and .zegel
	@rm -rf build dist demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
