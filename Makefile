# make run         set up here and run the default experiment (handwritten digits, minutes on a CPU)
# make test        set up here and run every check but the next two
# make test-slurm  set up here and run the workflow on a Slurm of its own (as root)
# make test-gpu-script  set up here and run what measures a GPU in small, on the CPU (six minutes)
CORES ?= 2
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)

.PHONY: run test test-slurm test-gpu-script setup

run: setup
	snakemake --cores $(CORES)

test: setup
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile rules
	snakemake --lint
	mypy
	OMP_NUM_THREADS=1 pytest --numprocesses $(CORES) --dist worksteal

test-slurm: setup
	pytest -rs tests/slurm

test-gpu-script: setup
	rm -rf gpu/cpu-small*
	benchmarks/gpu.sh --small 1800  # seconds: a CPU may need more than a GPU gets

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable .[dev]
	touch $@
