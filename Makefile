# Everything sets itself up: `make demo` and `make test` need only Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PYTEST := $(PY) -m pytest
SIDE_BY_SIDE := --numprocesses 2 --dist worksteal

.PHONY: setup demo test test-full test-cluster check format clean

setup: $(VENV)/.test

# The runtime alone: what `make demo` needs.
$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "figclip needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up $(VENV): about 5.5 GB, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) --no-build-isolation --editable '.[test]'
	@touch $@

demo: $(VENV)/.run
	$(PY) -m jobs.quickstart

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(PYTEST) $(SIDE_BY_SIDE) -m "not slow and not cluster and not ray"
	$(PYTEST) -m "ray and not slow and not cluster"
	$(PYTEST) -m "cluster and not slow"

test-full: $(VENV)/.test
	$(PYTEST) -m slow
	OMP_NUM_THREADS=1 $(PYTEST) $(SIDE_BY_SIDE) -m "not slow and not cluster and not ray" --hypothesis-profile full

test-cluster: $(VENV)/.test
	$(PYTEST) -m cluster

check: $(VENV)/.test
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.test
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean:
	rm -rf $(VENV) artifacts build dist
