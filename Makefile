# make run   set up here and run the default experiment (handwritten digits, minutes on a CPU)
# make test  set up here and run every check
CORES ?= 2
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)

.PHONY: run test setup

run: setup
	snakemake --cores $(CORES)

test: setup
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile rules
	snakemake --lint
	mypy
	pytest

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable .[dev]
	touch $@
