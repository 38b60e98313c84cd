# Two commands on a fresh machine: `make site` and `make test`. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
NETWORK := tests/network/node_modules/.installed
NEXT := tests/network-next/node_modules/.installed
ARROBA := .venv-arroba/.installed
ATDATA := .venv-atdata/.installed
BROWSER := .venv/.browser
JUDGES := tests/browser/node_modules/.installed
FRAMEWORKS := .venv/.frameworks
TYPESCRIPT := tests/typescript/node_modules/.installed
JAVASCRIPT := tests/javascript/node_modules/.installed
WORKERS ?= 2
# tests/suite.py orders the files, the slowest first.
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
ONLY ?=
OPTIONS ?=
TORCH := torch==2.13.0 torchdata==0.11.0
ARROBA_WANTED := arroba[flask,datastore]==3.1
ATDATA_WANTED := atdata==0.7.0b1
# It needs Python 3.12 or later, which uv downloads where there is none.
ATDATA_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.12*/bin/python /usr/bin/python3.12) 3.12)
LOCKED := pyproject.toml --extra site --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help site serve test check lint format reference bench soak bounds lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

site: $(INSTALLED) ## crawl the example sources and build site/
	$(BIN)/catalog build
	@echo 'Built site/. Preview it with: make serve'

serve: $(INSTALLED) ## preview the example catalog with live reload
	$(BIN)/catalog serve

test: lint $(NETWORK) $(NEXT) $(ARROBA) $(ATDATA) $(BROWSER) $(JUDGES) $(FRAMEWORKS) $(TYPESCRIPT) ## install the test tools, then run linters and all tests
	$(BIN)/python -m pytest $(PARALLEL)

check: lint $(FRAMEWORKS) ## lint, then the tests that need neither servers nor browsers (about a minute)
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL)

lint: $(INSTALLED) $(JAVASCRIPT) ## check style, types and the import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	JS=tests/javascript; $$JS/node_modules/.bin/eslint --config $$JS/eslint.config.js site_templates $$JS; $$JS/node_modules/.bin/tsc --project $$JS

format: $(INSTALLED) ## format the code
	$(BIN)/ruff format

bounds: $(INSTALLED) ## test the oldest and the latest dependencies that pyproject.toml allows, each in its own environment
	UV=$(CURDIR)/$(BIN)/uv tests/bounds.sh $(PYTHON) lowest-direct
	UV=$(CURDIR)/$(BIN)/uv tests/bounds.sh $(PYTHON) highest

reference: $(INSTALLED) ## regenerate docs/reference/ from the code
	$(BIN)/python -m docs.generate_reference

# All benchmarks run, even if one misses its target. Hugo is compared if it is installed.
bench: $(INSTALLED) $(NETWORK) $(BROWSER) $(FRAMEWORKS) ## run the benchmarks (about an hour) and write docs/benchmarks.md; ONLY=car,import
	$(BIN)/python benchmarks/rerun.py --only "$(ONLY)" --options "$(OPTIONS)"

soak: $(INSTALLED) $(NETWORK) ## run the long tests: every benchmarks/soak_*.py
	@shopt -s nullglob; for script in benchmarks/soak_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

# The lock files contain no registry or local path; review the difference before you commit.
lock: $(INSTALLED) ## update the lock files from pyproject.toml
	$(BIN)/uv pip compile $(LOCKED) --group dev --group frameworks --output-file requirements-frameworks.lock
	$(BIN)/uv pip compile $(LOCKED) --group dev --constraint requirements-frameworks.lock --output-file requirements.lock
	echo '$(ARROBA_WANTED)' | $(BIN)/uv pip compile - $(filter-out pyproject.toml --extra site,$(LOCKED)) --output-file requirements-arroba.lock
	echo '$(ATDATA_WANTED)' | $(BIN)/uv pip compile - $(subst 3.11,3.12,$(filter-out pyproject.toml --extra site,$(LOCKED))) --output-file requirements-atdata.lock

clean: ## remove built and installed files
	rm -rf .venv .venv-arroba .venv-atdata site dist tests/*/node_modules

# Stamp files are written last, so that an interrupted installation is repeated.
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

# In a separate environment: it pins versions of packages that this project also uses.
$(ARROBA): requirements-arroba.lock $(INSTALLED)
	$(PYTHON) -m venv --clear .venv-arroba
	$(BIN)/uv pip sync --quiet --python .venv-arroba/bin/python --require-hashes requirements-arroba.lock
	@touch $@

# In a separate environment: it is of another Python.
$(ATDATA): requirements-atdata.lock $(INSTALLED)
	$(BIN)/uv venv --quiet --clear --python $(ATDATA_PYTHON) .venv-atdata
	$(BIN)/uv pip sync --quiet --python .venv-atdata/bin/python --require-hashes requirements-atdata.lock
	@touch $@

$(TYPESCRIPT): tests/typescript/package.json tests/typescript/package-lock.json
	cd tests/typescript && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(JAVASCRIPT): tests/javascript/package.json tests/javascript/package-lock.json
	cd tests/javascript && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Without install scripts: axe-core, html-validate and Lighthouse need none, and Puppeteer's downloads a browser.
$(JUDGES): tests/browser/package.json tests/browser/package-lock.json
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# pip installs PyTorch, because a local wheel source is configured only for pip.
$(FRAMEWORKS): requirements-frameworks.lock $(INSTALLED)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-frameworks.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

$(BROWSER): tests/browser.sh $(INSTALLED)
	tests/browser.sh $(BIN)/python
	@touch $@
