# make reproduce   set up .venv if needed and run the whole workflow at micro scale
# make test        set up .venv if needed and run the tests, unless they passed and nothing changed since
# make check       formatting, types, import order, workflow lint
# make bench       timings, written to results/micro/bench.json
# make lock        recompile requirements/*.lock from pyproject.toml
# make clean-results  delete what the workflow made at micro scale
#
# Settings: CORES=N (default: all), PYTHON=/path/to/python3.11, TESTS='-k name' (then always run)
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

CORES ?= $(shell nproc)
BIN := .venv/bin
SETUP := .venv/.stamp
PASSED := .cache/tests-passed
TESTED := $(shell find src tests config workflow scripts -type f ! -name '*.pyc') \
	Snakefile Makefile dvc.yaml pyproject.toml

.PHONY: help reproduce test check bench lock clean-results

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

reproduce: $(SETUP)
	@$(BIN)/snakemake --cores $(CORES) all

ifdef TESTS
test: $(SETUP)
	@$(BIN)/python -m pytest $(TESTS)
else
test: $(PASSED)
	@tail -n 1 $(PASSED)
endif

$(PASSED): $(SETUP) $(TESTED)
	@mkdir -p $(@D)
	@$(BIN)/python -m pytest | tee $@

check: $(SETUP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy src
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python workflow/lint.py

bench: $(SETUP)
	@$(BIN)/python -m raml.bench

lock: $(SETUP)
	requirements/lock.sh

clean-results: $(SETUP)
	@$(BIN)/snakemake --cores 1 --delete-all-output all

$(SETUP): pyproject.toml requirements/core.lock scripts/setup.sh
	@scripts/setup.sh
