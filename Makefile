# Every target makes the virtual environment itself, from nothing but Python and the package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOTS := core regions_data/lowtide_facts providers scheduler
EXAMPLES ?= 10000
KILLS ?= 200
ENGINE_TESTS := tests/contract/test_engines.py tests/integration/engines tests/faults/test_kubernetes_engine.py \
	tests/faults/test_ray_engine.py tests/docs/test_slurm_page.py tests/docs/test_engine_pages.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-engines lint format bench bench-sampler soak lock clean

help:
	@echo "make demo    show the whole path on this machine, in a minute"
	@echo "make test    run the tests, with coverage"
	@echo "make test-engines  install real engines, Slurm on Debian as root, and run their tests"
	@echo "make lint    style, types, import contracts"
	@echo "make format  put the sources in order"
	@echo "make bench   print how fast it is, each figure beside its bar"
	@echo "make bench-sampler  hold the sampler's figures against their bars, and codecarbon beside them; 15 minutes"
	@echo "make soak    the property and kill tests at full count (EXAMPLES=$(EXAMPLES), KILLS=$(KILLS))"
	@echo "make lock    resolve the dependencies anew"
	@echo "make clean   remove the virtual environment"

# Two stamps: the base environment is enough for the demo; the development one has the tools as well.
$(VENV)/.base: requirements/base.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lowtide needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/pip || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing $<"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q $(ROOTS)
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.base
	@echo "installing $<"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

demo: $(VENV)/.base
	@$(BIN)/lowtide demo

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n auto --cov --cov-report=term

# Ray has an environment of its own: three hundred megabytes that nothing else needs.
$(VENV)-ray/.done: requirements/ray.lock
	@$(PYTHON) -m venv $(VENV)-ray
	@echo "installing $<"
	@$(VENV)-ray/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# What cannot be installed here leaves its tests skipped, with the reason at the end; the rest runs all the same.
test-engines: $(VENV)/.dev
	@$(BIN)/python tests/integration/engines/slurm_lab.py install || true
	@$(MAKE) --no-print-directory $(VENV)-ray/.done || true
	@LOWTIDE_TEST_RAY=$(VENV)-ray/bin/ray $(BIN)/python -m pytest -q -n 2 --dist loadfile $(ENGINE_TESTS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/.dev
	@$(BIN)/python -m compileall -q $(ROOTS)
	@$(BIN)/python bench/commands.py
	@$(BIN)/python bench/planner.py

bench-sampler: $(VENV)/.dev
	@$(BIN)/python -m compileall -q $(ROOTS)
	@$(BIN)/python bench/sampler.py

soak: $(VENV)/.dev
	@LOWTIDE_EXAMPLES=$(EXAMPLES) LOWTIDE_KILLS=$(KILLS) $(BIN)/python -m pytest -q -n auto tests/property tests/faults

lock: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml requirements/build.in -o requirements/base.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml requirements/build.in --extra dev --extra parquet --extra kubernetes -o requirements/dev.lock -c requirements/base.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --all-extras -o requirements/all.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header requirements/ray.in -o requirements/ray.lock

clean:
	@rm -rf $(VENV) $(VENV)-ray
