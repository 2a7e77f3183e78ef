# Two commands: `make demo` runs the main job, `make test` proves the code. Both make .venv first.
PYTHON ?= python3
# the miniature has a folder of its own: a run does not go on with other sizes
OUT ?= runs/demo$(if $(SMOKE),-smoke)
VENV := .venv
RUN := $(VENV)/bin/python
# one thread for each test process: pytest-xdist uses the cores
export OMP_NUM_THREADS ?= 1

.PHONY: demo test docs bench clean help

help:
	@echo "make demo          train a tiny model on TextWorld, write runs/demo/report.html"
	@echo "make demo SMOKE=1  the same path in miniature"
	@echo "make test          lint, types, tests"
	@echo "make docs          reference pages in site/"
	@echo "make bench         speeds of this machine in runs/bench.json"
	@echo "make clean         remove what these commands made, runs/ excepted"

demo: $(VENV)/.installed
	$(RUN) -m algorithms.demo --out $(OUT) $(if $(SMOKE),--smoke)

test: $(VENV)/.installed
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m basedpyright
	$(RUN) -m pytest -q -n auto --maxprocesses 8 --dist worksteal -m "not slow and not gpu"

docs: $(VENV)/.installed
	$(RUN) -m pdoc --output-directory site lmenvs agents algorithms

bench: $(VENV)/.installed
	$(RUN) -m algorithms.cli bench all --out runs/bench.json

# No stamp means that nothing was installed or that an install broke off: begin from nothing. The
# stamp goes away while an install runs, so that a broken update is noticed too.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "expected Python >= 3.11, got `$(PYTHON) --version 2>&1`; install one and say make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "expected Python's venv module, found none; install it (Debian and Ubuntu: apt install python3-venv)"; exit 2; }
	@cc --version >/dev/null 2>&1 || gcc --version >/dev/null 2>&1 || clang --version >/dev/null 2>&1 || { \
	  echo "expected a C compiler for TextWorld's interpreter, found none; install build-essential (Debian, Ubuntu), gcc (Fedora) or run xcode-select --install (macOS)"; exit 2; }
	@test -f $@ || { echo "making $(VENV) (a few minutes the first time)"; $(PYTHON) -m venv --clear $(VENV); }
	@rm -f $@
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis
