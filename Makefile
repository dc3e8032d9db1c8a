# Everything here works on a machine that has Python 3.11, make and git, and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= auto
TESTS  ?= tests
MINUTES ?= 10
SEED   ?= 1000
COUNT  ?= 40
ONLY   ?=
SEEDS  ?= 3
ROUNDS ?= 21
WORKERS ?= $(shell nproc)

# An optional uv looks where pip looks.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: help setup demo test lint bench study fuzz trust mutants lock clean
.DEFAULT_GOAL := help

## help    this list
help:
	@sed -n 's/^## /  make /p' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "cogseedc needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "could not make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) (once; torch is the big part) ..."
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,demo]'
	@touch $@

## setup   makes the virtual environment in .venv
setup: $(STAMP)

## demo    trains, compiles, verifies and runs an early-exit digit classifier
demo: setup
	$(BIN)/python examples/demo.py --output build/demo

## test    runs the tests (TESTS=tests/cli for a part, JOBS=1 for one process)
test: setup
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

## lint    ruff, mypy --strict, and the layers
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## bench   measures compiled networks and the compiler, row by row (ONLY=P1, ROUNDS=21)
bench: setup
	$(BIN)/python -m tests.bench --only '$(ONLY)' --rounds $(ROUNDS)

## fuzz    random programs and mutated sources, longer than the tests do (MINUTES=10, SEED=1000)
fuzz: setup
	COGSEEDC_FUZZ=1 COGSEEDC_FUZZ_MINUTES=$(MINUTES) COGSEEDC_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -n $(JOBS) tests/fuzz

## trust   faults, altered artifacts and hostile input in full figures (PROMISES="kills tampering", SEED=1000)
trust: setup
	$(BIN)/python -m tests.trust $(PROMISES) --seed $(SEED)

## study   real data through the whole way: train, calibrate, measure (ONLY=digits, SEEDS=3; data: COGSEEDC_DATA)
study: setup
	$(BIN)/python -m examples.study --only "$(ONLY)" --seeds $(SEEDS) --output build/study

## mutants mutation testing of the compiler (AREAS="gates plan", COUNT=40, SEED=1000, WORKERS=2)
mutants: setup
	$(BIN)/python -m tests.trust.mutation $(AREAS) --count $(COUNT) --seed $(SEED) --jobs $(WORKERS)

## lock    resolves all dependencies anew and writes constraints.txt
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install -q --disable-pip-version-check -e '.[dev,demo]'
	{ echo "# Exact versions of everything that \`make setup\` installs; \`make lock\` writes this file."; \
	  build/lock/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude wheel \
	  | sed 's/+[a-z0-9.]*$$//'; } > build/lock/constraints.txt
	mv build/lock/constraints.txt constraints.txt

## clean   removes what was built; the virtual environment stays
clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find cogseedc tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
