# Two commands on a fresh machine: `make site` and `make test`. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
NETWORK := tests/network/node_modules/.installed
NEXT := tests/network-next/node_modules/.installed
ARROBA := .venv-arroba/.installed
BROWSER := .venv/.browser
JUDGES := tests/browser/node_modules/.installed
FRAMEWORKS := .venv/.frameworks
TYPESCRIPT := tests/typescript/node_modules/.installed
WORKERS ?= 2
# tests/suite.py orders the files, the slowest first.
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
ONLY ?=
OPTIONS ?=
TORCH := torch==2.13.0
ARROBA_WANTED := arroba[flask,datastore]==3.1
LOCKED := pyproject.toml --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help site serve test check lint format reference bench soak bounds lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

site: $(INSTALLED) ## crawl the example sources and build site/
	$(BIN)/catalog build
	@echo 'site/ is built; look at it with: make serve'

serve: $(INSTALLED) ## preview the example catalog, rebuilt when a file changes
	$(BIN)/catalog serve

test: lint $(NETWORK) $(NEXT) $(ARROBA) $(BROWSER) $(JUDGES) $(FRAMEWORKS) $(TYPESCRIPT) ## install what the tests need, then run linters and tests
	$(BIN)/python -m pytest $(PARALLEL)

check: lint $(FRAMEWORKS) ## lint, types, and the tests that need neither servers nor browsers: about a minute
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL)

lint: $(INSTALLED) ## style, types, and the four layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## set the code's format
	$(BIN)/ruff format

bounds: $(INSTALLED) ## try the oldest dependencies that pyproject.toml allows, and the newest, each in an environment of its own
	UV=$(CURDIR)/$(BIN)/uv tests/bounds.sh $(PYTHON) lowest-direct
	UV=$(CURDIR)/$(BIN)/uv tests/bounds.sh $(PYTHON) highest

reference: $(INSTALLED) ## write docs/reference/ anew, from the code
	$(BIN)/python -m docs.generate_reference

# Each of them runs, also when one before it missed what is wanted. Hugo is a peer where it is installed.
bench: $(INSTALLED) $(NETWORK) $(BROWSER) $(FRAMEWORKS) ## measure, an hour or so, and write docs/benchmarks.md; ONLY=car,import
	$(BIN)/python benchmarks/rerun.py --only "$(ONLY)" --options "$(OPTIONS)"

soak: $(INSTALLED) $(NETWORK) ## run what takes long: every benchmarks/soak_*.py
	@shopt -s nullglob; for script in benchmarks/soak_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

# The lock names no registry and no folder of this machine; look at the difference before you commit it.
lock: $(INSTALLED) ## bring the locks up to date with pyproject.toml
	$(BIN)/uv pip compile $(LOCKED) --group dev --group frameworks --output-file requirements-frameworks.lock
	$(BIN)/uv pip compile $(LOCKED) --group dev --constraint requirements-frameworks.lock --output-file requirements.lock
	echo '$(ARROBA_WANTED)' | $(BIN)/uv pip compile - $(filter-out pyproject.toml,$(LOCKED)) --output-file requirements-arroba.lock

clean: ## remove what was built and installed
	rm -rf .venv .venv-arroba site dist tests/*/node_modules

# Stamp files are the targets, each made last: an installation that broke is not taken for done.
$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(NETWORK): tests/network/package.json tests/network/package-lock.json
	cd tests/network && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(NEXT): tests/network-next.sh tests/network-next/package.json tests/network-next/package-lock.json
	tests/network-next.sh
	@touch $@

# In an environment of its own: it pins versions of packages that this project uses as well.
$(ARROBA): requirements-arroba.lock $(INSTALLED)
	$(PYTHON) -m venv --clear .venv-arroba
	$(BIN)/uv pip sync --quiet --python .venv-arroba/bin/python --require-hashes requirements-arroba.lock
	@touch $@

$(TYPESCRIPT): tests/typescript/package.json tests/typescript/package-lock.json
	cd tests/typescript && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# No scripts of theirs: axe-core, html-validate and Lighthouse need none, and Puppeteer's would fetch a browser.
$(JUDGES): tests/browser/package.json tests/browser/package-lock.json
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# pip for PyTorch: where a machine has wheels of its own for it, only pip is told of them.
$(FRAMEWORKS): requirements-frameworks.lock $(INSTALLED)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-frameworks.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

$(BROWSER): tests/browser.sh $(INSTALLED)
	tests/browser.sh $(BIN)/python
	@touch $@
