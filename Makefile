# Every target does its own set-up; nothing has to be installed first but Python 3.11, 3.12 or 3.13.
# Another one: make test PYTHON=python3.13. Each version has its own environment, so switching is safe.

PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do $$each -c '' 2>/dev/null && echo $$each && break; done)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venvs/$(VERSION)
BIN := $(VENV)/bin
DEMO ?= demo
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo model test check fix bench docs lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-6s %s\n", $$1, $$2}'

demo: $(VENV)/.core ## Draw people, index and search them (under 2 minutes); make demo CROPS=folder searches yours
	$(BIN)/pickout demo --out $(DEMO) $(if $(CROPS),--crops $(CROPS))

model: $(VENV)/.dev ## Make the model that comes with the package again (docs/default-model.md; hours)
	$(BIN)/python models/pickout_small.py build/pickout-small $(if $(AVATARS),--avatars $(AVATARS))

test: $(VENV)/.dev ## Run every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

check: $(VENV)/.dev ## Lint, types, import directions, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini benchmarks/*.py models/*.py
	$(BIN)/python -m pytest -q tests/architecture
	$(BIN)/python docs/generate.py --check

fix: $(VENV)/.dev ## Format and mend what a machine can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Run every benchmark; each prints a ratio measured in one run
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.dev ## Write the generated documents anew
	$(BIN)/python docs/generate.py

lock: $(VENV)/.dev ## Write constraints.txt from what is installed now
	@{ echo "# Exact versions that were installed and tested together (Python $(VERSION)). Written by 'make lock'."; \
	   $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > constraints.txt

clean: ## Remove what the targets made, except the demo's results
	rm -rf .venv .venvs dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# `.venv` is a link to the environment in use, so that the README's commands stay the same.
.PHONY: link
link: | $(VENV)/bin/python
	@test -L .venv || rm -rf .venv
	@ln -sfn $(VENV) .venv

$(VENV)/bin/python:
	@test -n "$(VERSION)" || { echo "no Python found; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | link
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | link
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.core
