# Everything a user or a developer does with the clone. `make help` lists the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Whole files to each worker: fixtures of a module are made once. Each test computes with one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile
SOURCES := recrun models tests examples benchmarks setup.py

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

# One stamp per set of packages: made again when the metadata or the pins change.
$(VENV)/made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and "recrun needs Python 3.10 or newer, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made setup.cfg setup.py pyproject.toml constraints.txt
	@echo "Installing recrun and what it needs (torch, numpy, scipy, polars, matplotlib, tensorboard, ...) into $(VENV)."
	@echo "That takes minutes: torch alone is hundreds of megabytes, its CUDA build several gigabytes (see README.md)."
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing the tools of developers (pytest, ruff, mypy, ...) into $(VENV)."
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: install
install: $(VENV)/installed ## make .venv and install recrun into it

.PHONY: demo
demo: $(VENV)/installed ## install, and train matrix factorisation on the embedded data set
	@echo "Training matrix factorisation on generated data, for about half a minute: recrun train configs/bprmf.yaml"
	$(BIN)/recrun train configs/bprmf.yaml

.PHONY: test
test: $(VENV)/installed-dev ## install with the developer's extras, and run the tests that are not marked slow
	$(PYTEST) -m 'not slow'

.PHONY: test-slow
test-slow: $(VENV)/installed-dev ## run the tests that are marked slow
	$(PYTEST) --dist worksteal -m slow $$(grep -rl 'mark\.slow' tests --include='test_*.py')

# The lowest numpy and scipy have wheels for Python 3.10 and 3.11 only. The lowest engines are tested by
# `make test-lowest LOWEST_TESTS=tests/engines RECRUN_TEST_ENGINES=1`.
LOWEST_TESTS := tests
.PHONY: test-lowest
test-lowest: ## run the fast tests (LOWEST_TESTS) with the lowest versions that setup.cfg allows
	@python=$$(for each in $(PYTHON) python3.11 python3.10; do \
	  $$each -c 'import sys; sys.exit(sys.version_info[:2] > (3, 11))' 2>/dev/null && echo $$each && break; done); \
	[ -n "$$python" ] || { echo "test-lowest needs Python 3.10 or 3.11" >&2; exit 1; }; \
	$$python -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-lowest.txt --editable '.[dev,ray,slurm]'
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest -n auto --dist loadfile -m 'not slow' $(LOWEST_TESTS)

# Chromium and its driver are no packages of Python: `apt-get install chromium chromium-driver`.
.PHONY: test-browser
test-browser: $(VENV)/installed-dev ## run the tests of pages in Chromium, where it is installed
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  echo "test-browser needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)" >&2; exit 1; }
	$(PIP) install --quiet --constraint constraints.txt --constraint constraints-browser.txt --editable '.[dev,browser]'
	RECRUN_TEST_BROWSER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser

# Jupyter's kernel with its debugger is 100 MB that nothing else needs.
$(VENV)/installed-jupyter: $(VENV)/installed-dev constraints-jupyter.txt
	$(PIP) install --quiet --constraint constraints.txt --constraint constraints-jupyter.txt ipykernel nbclient
	@touch $@

.PHONY: test-jupyter
test-jupyter: $(VENV)/installed-jupyter ## run the tests of notebooks in a kernel of Jupyter
	RECRUN_TEST_JUPYTER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/jupyter

.PHONY: notebooks
notebooks: $(VENV)/installed-jupyter ## execute the notebooks in examples/ and store their outputs
	$(BIN)/python tests/jupyter/execute.py

# A virtual environment of its own: what MLflow's server needs would narrow the versions of everything else.
.PHONY: test-trackers
test-trackers: ## run the tests with real trackers (MLflow, W&B offline, Trackio), in .venv-trackers
	$(PYTHON) -m venv $(VENV)-trackers
	$(VENV)-trackers/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --constraint constraints-trackers.txt \
	  --editable '.[mlflow,wandb,trackio]' mlflow hypothesis pytest pytest-xdist
	RECRUN_TEST_TRACKERS=1 OMP_NUM_THREADS=1 $(VENV)-trackers/bin/python -m pytest -n 2 --dist loadfile tests/trackers

# Slurm is no package of Python: `apt-get install slurmctld slurmd slurm-client munge`; without it, its tests are skipped.
$(VENV)/installed-engines: $(VENV)/installed-dev constraints-engines.txt
	$(PIP) install --quiet --constraint constraints.txt --constraint constraints-engines.txt --editable '.[dev,ray,slurm]'
	@touch $@

.PHONY: test-engines
test-engines: $(VENV)/installed-engines ## run studies on real engines (Slurm, Ray, this machine) that crash and are killed
	RECRUN_TEST_ENGINES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rsP tests/engines

.PHONY: test-gpu
test-gpu: $(VENV)/installed-dev ## run the tests on an NVIDIA GPU, with a torch that is built for it
	RECRUN_TEST_GPU=1 $(BIN)/python -m pytest tests/gpu

.PHONY: bench-gpu
bench-gpu: $(VENV)/installed-dev ## measure training and evaluation on an NVIDIA GPU, against its bandwidth and arithmetic
	$(BIN)/python benchmarks/gpu.py

.PHONY: check
check: $(VENV)/installed-dev ## check format, lint and types
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/installed-dev ## format the sources and mend what lint can mend
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

.PHONY: coverage
coverage: $(VENV)/installed-dev ## run the tests and report which lines they reach
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine
	$(BIN)/coverage report

.PHONY: bench
bench: $(VENV)/installed-dev ## run the benchmarks and print one table of the targets
	$(BIN)/python benchmarks/all.py

# Needs the data of `recrun data fetch` in DATA. Each of VERIFIED takes less than ten minutes on one core.
DATA := data
RUNS := runs
VERIFIED := $(patsubst %,gowalla/%,popularity rp3beta gfcf userknn itemknn itemknn_bars puresvd ials slim_bars bprmf) \
  beauty/popularity ml100k/bprmf sessions/popularity sessions/gru4rec sessions/stamp
.PHONY: verify
verify: $(VENV)/installed ## run the configs of results that take minutes, and compare with what they say (DATA=data)
	$(BIN)/recrun verify $(VERIFIED:%=configs/%.yaml) root=$(DATA) --runs $(RUNS)

# Finished runs are not repeated and interrupted ones continue, so that it may be stopped and started again.
SEEDS := 5
RESULTS := $(patsubst %,beauty/%,neumf sasrec_recboard caser lightgcn narm gru4rec stamp bert4rec hstu bsarec fmlprec) \
  $(patsubst %,gowalla/%,simgcl xsimgcl youtubednn cml enmf multvae lightgcl ultragcn simplex ccl neumf ngcf macridvae dgcf bsl) \
  $(patsubst %,ml1m/%,sasrec_one_negative gsasrec duorec)
.PHONY: results
results: $(VENV)/installed ## train configs of published numbers over SEEDS seeds, and write docs/results.* (days; RESULTS="beauty/caser")
	@failed=; for config in $(RESULTS); do \
	  $(BIN)/recrun sweep configs/$$config.yaml --seeds $(SEEDS) root=$(DATA) --runs $(RUNS) || failed="$$failed $$config"; done; \
	$(BIN)/recrun board docs/results.json $(RUNS) --runs $(RUNS) --to docs/results.json && \
	$(BIN)/recrun board docs/results.json --to docs/results.md && \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

.PHONY: wheel
wheel: $(VENV)/installed-dev ## build a wheel into dist/
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

.PHONY: sdist
sdist: $(VENV)/installed-dev ## build an sdist into dist/
	$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('dist')"

.PHONY: clean
clean: ## remove what was made: .venv, caches, builds
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-trackers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
