# Two commands are enough: `make quickstart` and `make test`. Each makes its own environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2

# Threads that spin for long while they wait make a busy machine many times slower.
export GOMP_SPINCOUNT ?= 10000

.PHONY: quickstart test docs notebooks lint format clean

quickstart: $(VENV)/.installed
	$(BIN)/gnnlab reproduce quickstart

test: $(VENV)/.installed-test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

docs: export NO_MKDOCS_2_WARNING = 1
docs: export DISABLE_MKDOCS_2_WARNING = true
docs: $(VENV)/.installed-test
	$(BIN)/python -m mkdocs build --strict

notebooks: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/build.py $(NOTEBOOKS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable ".[cpu]"
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@
	touch $(VENV)/.installed
