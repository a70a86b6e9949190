# `make` shows what there is. Everything runs in .venv, which is made once and again when pyproject.toml or constraints.txt change.
# The first that runs and is of a version that matbind takes; another one by make run PYTHON=/path/to/python.
PYTHONS := python3.13 python3.12 python3.11 python3 python
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for name in $(PYTHONS); do "$$name" -c '$(IN_RANGE)' 2> /dev/null && echo "$$name" && break; done)
# Installs, if it is there, in place of pip; which it does not when pip is told of packages that uv is not: make run UV=
UV ?= $(shell command -v uv)
PORT ?= 5000
PREFECT_PORT ?= 4200
# A file's tests share what they make, so a file stays with one process; files begin in the order tests/conftest.py gives them.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
PYTEST_FLAGS ?= --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 20
VENV := .venv
INSTALLED := $(VENV)/.installed

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DO_NOT_TRACK ?= true

.DEFAULT_GOAL := help
.PHONY: help run test pytest lint audit ui prefect experiment smoke bench-data clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{ printf "make %-10s %s\n", $$1, $$2 }'

run: $(INSTALLED) data ## train and compare all combinations, from whatever is there already to the report and the registered models
	@matbind settings > /dev/null
	dvc repro
	@matbind status
	@echo "Report: reports/index.html (its figures and their numbers: reports/figures/). Runs and models: make ui"

test: data ## lint beside all tests in WORKERS processes (one more than cores: some wait), the real pipeline on 150 materials among them
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest:
	python -m pytest $(PYTEST_FLAGS)

lint: $(INSTALLED) ## ruff, mypy, the arrows between rooms, and declared against imported packages
	ruff check
	ruff format --check
	mypy
	lint-imports
	deptry .

audit: $(INSTALLED) ## ask the advisories of the package index about every version in constraints.txt; needs a network
	pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

ui: $(INSTALLED) ## open the MLflow pages on PORT (5000)
	matbind ui --port $(PORT)

prefect: $(INSTALLED) ## open Prefect's page of the flows on PREFECT_PORT (4200)
	PREFECT_SERVER_API_PORT=$(PREFECT_PORT) prefect server start --host 127.0.0.1

experiment: $(INSTALLED) ## the flow to schedule: pull the data, run what is stale, tell what came out
	@python -m pipelines.experiment

smoke: $(INSTALLED) ## the real pipeline on 150 materials, in a copy of the project that is left for you to look at
	@copy=$$(mktemp -d) && \
	git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -C "$$copy" -xf - && \
	cd "$$copy" && git init --quiet && \
	sed -i.before 's/^preset: [a-z]*/preset: smoke/' params.yaml && rm params.yaml.before && \
	export PYTHONPATH="$$copy/src" && \
	dvc pull --remote sample data.dvc && dvc repro && python -m matbind.cli status && \
	echo "The copy is $$copy"

bench-data: data ## speed of data preparation beside public tools, to benchmarks/results/data.json; STRUCTURES=FILE for more
	@mkdir -p benchmarks/results
	OMP_NUM_THREADS=1 python -m benchmarks.data --json benchmarks/results/data.json $(if $(STRUCTURES),--structures $(STRUCTURES))

clean: ## remove results and caches; DVC's cache, the runs and .venv stay (`dvc checkout` brings the results back)
	git clean -fdqX artifacts models metrics reports .prefect .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The sample comes out of .dvcstore; data that are there already are left as they are.
data: | $(INSTALLED)
	dvc pull --remote sample data.dvc

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(VENV)/bin/python || test -n '$(PYTHON)' || { echo 'matbind needs Python 3.11, 3.12 or 3.13, and none of' \
		'$(PYTHONS) is one that runs here: install one, or name it, as in make run PYTHON=/path/to/python3.12' >&2; exit 1; }
	test -x $(VENV)/bin/python || $(if $(UV),$(UV) venv --python '$(PYTHON)','$(PYTHON)' -m venv) $(VENV)
	@echo "Installing into $(VENV), which takes some minutes"
	$(if $(UV),$(UV) pip install --python $(VENV)/bin/python,$(VENV)/bin/python -m pip install) --quiet \
		--constraint constraints.txt --editable '.[dev]'
	touch $@
