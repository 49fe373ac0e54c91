# make help lists the targets.
#
# `make run` makes what changed: CSV, PRESET and CONFIG are those of the last run where they are not
# given. Paths are relative to the folder that make runs in.
#
# Every target sets itself up: a virtual environment in .venv, and graphviz and Chromium by apt where
# that is allowed, or a sentence that says what to install.

PYTHON ?= python3
PRESET ?=
CONFIG ?=
CSV ?=
ARGS ?=

# Recipes see what is given as environment variables, so another name may mean something to a program.
NAMES := CSV PRESET CONFIG ARGS PORT BENCH PYTHON
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(filter-out $(NAMES),$(GIVEN)),$(if $(findstring _,$(name)),,$(warning \
    $(name) is no name of this Makefile and changes nothing here; there are $(NAMES))))

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
SYSTEM := .make/graphviz
SYSTEM_DEV := .make/chromium
PYSPARK := .make/pyspark

export PYTHONUNBUFFERED = 1
# Each of a run's and a test's processes would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test check ui docs bench test-thorough test-faults test-spark clean

# A target is listed with what follows `##` in its line.
help: ## this list
	@echo 'make TARGET [NAME=value ...]'
	@echo
	@sed -n 's/^\([a-z-]*\):[^#=]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo
	@echo 'make run CSV=log.csv PRESET=best   your log; `.venv/bin/din --help` has more'

# By way of the environment, and unexpanded: a name may hold blanks, quotes, `$` and `*`.
run: export RUN_CSV = $(value CSV)
run: export RUN_PRESET = $(value PRESET)
run: export RUN_CONFIG = $(value CONFIG)
run: $(INSTALLED) $(SYSTEM) ## make what changed [CSV=path] [PRESET=best] [CONFIG=my.yaml] [ARGS=--all]
	$(BIN)/din run $(if $(value CSV),--csv "$$RUN_CSV") $(if $(value PRESET),--preset "$$RUN_PRESET") \
		$(if $(value CONFIG),--config "$$RUN_CONFIG") $(ARGS)

ui: export DIN_CSV := $(if $(value CSV),$(value CSV),$(value DIN_CSV))
ui: $(INSTALLED) $(SYSTEM) ## the Dagster UI on http://localhost:3000 [PORT=3000]
	$(BIN)/din ui $(if $(value PORT),--port "$(PORT)")

# Two workers more than cores, since some wait for processes and browsers; four at most, each with one
# thread. Files go out in order: what takes longest comes first.
test: $(INSTALLED_DEV) $(SYSTEM) $(SYSTEM_DEV) ## the tests, the UI in a browser included
	$(BIN)/pytest -n $$(($$(nproc) + 2)) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test-thorough: $(INSTALLED_DEV) $(SYSTEM) ## more of what other tests show already
	$(BIN)/pytest -m thorough --timeout=3600
	$(BIN)/pytest tests/sql/test_against_oracle.py --hypothesis-profile=thorough --timeout=7200

# Its cases that are marked `thorough`, more of the same without drawing, are in test-thorough.
test-faults: $(INSTALLED_DEV) $(SYSTEM) ## kill -9 at 20 random moments
	DIN_FAULT_KILLS=20 $(BIN)/pytest tests/assets/test_faults.py --timeout=1800

# Sail runs in `make test`. Apache Spark has a folder of its own, before its thin client on the path.
test-spark: $(INSTALLED_DEV) $(PYSPARK) ## the tables and a whole run on Apache Spark (needs Java 17)
	PYTHONPATH=$(PYSPARK) $(BIN)/pytest tests/engines --engine spark -m ''
	rm -rf .make/run-on-spark
	PYTHONPATH=$(PYSPARK) DIN_HOME=.make/run-on-spark DIN_ENGINE=spark SPARK_REMOTE='local[2]' $(BIN)/din run

bench: $(INSTALLED_DEV) ## ours beside torch-rechub [BENCH=case]
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks $(BENCH)

docs: $(INSTALLED_DEV) ## the documentation as a site
	$(BIN)/python docs/options.py
	$(BIN)/mkdocs build

check: $(INSTALLED_DEV) ## linters, types, the architecture contract, the definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint sql
	$(BIN)/dg check defs

clean: ## remove the environment and the run history, not the results
	rm -rf $(VENV) .make .dagster

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(SYSTEM):
	@.ci/system-package dot graphviz
	@mkdir -p $(@D) && touch $@

$(SYSTEM_DEV):
	@.ci/system-package chromedriver chromium chromium-driver
	@mkdir -p $(@D) && touch $@

$(PYSPARK): | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-deps --target $@ 'pyspark>=4.1,<4.2' 'py4j>=0.10.9'

