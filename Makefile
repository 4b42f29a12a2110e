# Two commands: `make demo` asks a small model two questions and another what a picture shows, `make test` passes the tests.
# Both set everything up in .venv first; they need Python 3.11+ and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint setup clean

demo: $(VENV)/.run
	@$(BIN)/python -m tools.demo --installed-in "$$(cat $(VENV)/.seconds 2>/dev/null)"

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

setup: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Hearth needs Python 3.11 or newer; found %s. Try: make PYTHON=python3.11" % sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up $(VENV): about 930 MB on the disk, most of it a C compiler and TVM. That takes some minutes, once."
	@begin=$$(date +%s); $(PIP) -e '.[compile,serve,vision]' && echo $$(($$(date +%s) - begin)) > $(VENV)/.seconds
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP) -e '.[compile,serve,vision,dev]'
	@touch $(VENV)/.run $@

clean:
	@rm -rf $(VENV) build dist
