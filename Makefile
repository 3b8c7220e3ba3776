# Everything here works on a clean clone with nothing but Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
LATEST := .venv-latest
PEERS := .venv-peers
SPARK := .venv-spark
BIN := $(VENV)/bin
EXTRAS := s3,gcs,azure,demo,interop,dev

.PHONY: help setup emulators demo test test-latest interop-spark soak soak-damage soak-bytes soak-schedules soak-processes soak-jobs soak-queries check format lint types imports bench bench-smoke clean

help:  ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## a virtual environment with every dependency, pinned by constraints.txt

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lakefmt needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]' -r tests/requirements.txt
	touch $@

AZURITE := node_modules/.bin/azurite-blob

emulators: $(AZURITE)  ## Azurite, for the tests of Azure storage (they skip without it); needs npm

$(AZURITE):
	npm install --no-save --no-audit --no-fund --silent azurite@3.35.0

demo: setup  ## the main job on real data: 336,776 flights, four writers, time travel, DuckDB
	$(BIN)/lakefmt demo

test: setup  ## all tests
	$(BIN)/python -m pytest -n 2

soak: setup  ## long runs from seeds of the clock, some fifteen minutes: damaged tables, writers under faults, killed processes, jobs that lose workers and files, queries
	-VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet -c constraints.txt -e '.[soak]'
	$(MAKE) --keep-going soak-damage soak-bytes soak-schedules soak-processes soak-jobs soak-queries

soak-damage:
	LAKEFMT_SOAK=15 $(BIN)/python -m pytest -n 2 -q --timeout 3600 $(wildcard tests/properties/test_fuzz_*.py) tests/stateful

soak-bytes:
	$(BIN)/python -m tests.soak.fuzz_bytes

soak-schedules:
	$(BIN)/python -m tests.soak.schedules

soak-processes:
	$(BIN)/python -m tests.soak.histories

soak-jobs:
	LAKEFMT_SOAK=15 $(BIN)/python -m pytest -q --timeout 3600 tests/properties/test_job_faults.py

soak-queries:
	LAKEFMT_TPC_SCALE=0.1 $(BIN)/python -m pytest -n 2 -q --timeout 3600 tests/end_to_end/test_tpc_queries.py
	LAKEFMT_SOAK=15 $(BIN)/python -m pytest -q --timeout 3600 tests/properties/test_sql_properties.py

check: format lint types imports test  ## format, lint, types, import contract and tests

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

$(LATEST)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LATEST)
	$(LATEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	VIRTUAL_ENV=$(LATEST) $(LATEST)/bin/uv pip install --quiet --upgrade -e '.[$(EXTRAS)]'
	touch $@

test-latest: $(LATEST)/.ready  ## the tests on the newest release of every dependency
	$(LATEST)/bin/python -m pytest -n 2

$(SPARK)/.ready: tests/interop_spark/requirements.txt
	$(PYTHON) -m venv $(SPARK)
	$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/interop_spark/requirements.txt
	touch $@

interop-spark: setup $(SPARK)/.ready  ## real Spark writes for us and reads ours; needs Java 17 and Maven Central
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/interop_spark

$(PEERS)/.ready: benchmarks/requirements-peers.txt  # engines that the benchmarks compare with, in an environment of their own
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements-peers.txt
	touch $@

bench: setup  ## side-by-side measurements against peers -> docs/benchmarks.md
	-$(MAKE) $(PEERS)/.ready
	$(BIN)/python -m benchmarks

bench-smoke: setup  ## the benchmarks on small data, to see that they run
	-$(MAKE) $(PEERS)/.ready
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf $(VENV) $(LATEST) $(PEERS) $(SPARK) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
