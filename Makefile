# make demo       set up, then photos in, avatars out on the embedded base
# make test       set up, then lint, types and tests (minutes)
# make test-all   the slow tests too (up to an hour)
# make setup      the environment alone, in .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Read before a wheel is built: what is installed follows from these files alone.
INPUTS := pyproject.toml constraints.txt mini/pyproject.toml tests/aws_image/requirements.txt
STAMP := $(VENV)/.installed

# On few cores OpenMP's idle threads take the time of the working ones.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A process a core; the tests of one file stay together, for what they share.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test test-all lint format clean

setup: $(STAMP)

$(STAMP): $(INPUTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lensa needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ./mini --editable '.[local,photos,faces,testing,dev]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement tests/aws_image/requirements.txt
	@touch $@

demo: setup
	$(BIN)/lensa demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest $(PARALLEL)

test-all: lint
	$(BIN)/python -m pytest $(PARALLEL) -m ''

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
