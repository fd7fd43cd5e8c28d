# Two commands do everything: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
COMET_VENV := .venv-comet
BIN := $(VENV)/bin
DEMO := runs/demo
SPEC ?= benchmarks/specs/office-zh-en.yaml
PYTEST_OPTIONS ?= -q -n 2 --dist worksteal --timeout 600
# Two test processes with two threads each would fight over two cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS)

# Where the environment forbids bytecode files, each process of the tests would compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE
# Data and trained tokenizers stay inside the checkout.
export ZOO_HOME ?= $(CURDIR)/.zoo
# Oracles that must not lie in the environment: transformers would take this for a whole torchvision, which timm wants.
ORACLES := $(VENV)/oracles
export ZOO_ORACLES ?= $(CURDIR)/$(ORACLES)

# Bytecode of what is imported is written when it is first imported: of all that is installed it takes pip a minute.
# As long it takes pip to make an environment for the build of each of our packages, so what builds them is installed.
PIP_INSTALL := -m pip install --quiet --no-compile --no-build-isolation
BUILD := hatchling editables

PLUGINS := $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
EDITABLE := $(foreach plugin,$(PLUGINS),-e ./$(plugin))
PROJECTS := pyproject.toml $(addsuffix pyproject.toml,$(PLUGINS))

# What never meets transformers is tested on one of its lines.
ONE_LINE := tests/bench tests/site tests/spec tests/registry tests/scaffold tests/external tests/statistics tests/tasks \
	tests/measure/test_memory.py tests/measure/test_probe.py tests/measure/test_latency.py \
	plugins/zoo-tasks-text/tests/corpora plugins/zoo-tasks-vision plugins/zoo-executors plugins/zoo-objectives \
	plugins/zoo-iou-losses plugins/zoo-ocr-peers tests/test_atomic.py tests/test_startup.py \
	tests/images tests/testing/test_kit.py plugins/zoo-detection/tests/test_matchers.py \
	$(foreach name,bench_compare leaderboard main plugin_commands records torch_free,tests/cli/test_$(name).py) \
	$(foreach name,hardware language_table presets sources,tests/export/test_$(name).py) \
	$(foreach name,averaging box_loss measuring peer record update_clipping,tests/testing/test_$(name)_catches.py) \
	$(foreach name,collapse device_time distribution environment interleaved machine warmup,tests/measure/test_$(name).py) \
	$(filter-out %test_pieces.py %test_registration.py %test_runs.py %test_schedules.py %test_schedules_with_floors.py,\
		$(wildcard plugins/zoo-optimizers/tests/test_*.py))

# Three at once: much of the slow part waits for processes that it has started or killed.
# Every component is tested (and compiled) in tests/testing already; executors have slow tests of another kind there.
COMPILED_ELSEWHERE := $(filter-out %/zoo-executors/tests/test_conformance.py,$(wildcard plugins/*/tests/test_conformance.py))

# Files of which the slow part may run something, by their text: collecting the others takes as long as a few tests.
# tests/conftest.py fails where a test is marked in any other file.
SLOW_FILES := $(sort $(shell grep -rlE "mark\.(slow|network|browser)|Suite|conformance_suites" --include="test_*.py" tests plugins benchmarks))

# Each of three processes is dealt a third of the slow part in this order, and who is done takes from the ends of the
# others'. So each third begins with long tests and ends with short ones: all are done at about the same time.
LATER := $(addprefix tests/,$(addsuffix /%,testing models training site statistics tasks))
SLOW_IN_ORDER := $(filter-out $(LATER),$(SLOW_FILES)) $(foreach part,$(LATER),$(filter $(part),$(SLOW_FILES)))

# What jobs that run side by side say is not mixed (an older make does not know how).
UNMIXED := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help env environments demo test prepared quick slow soak comet check check-style check-types check-imports check-records \
	format clean

help:
	@echo "make demo    environment, real data, three models trained and measured, a leaderboard page"
	@echo "make test    checks and tests on both transformers lines (5.x, and 4.57.6 with COMET)"
	@echo "make quick   the quick part of the tests;  make slow: the rest;  make comet: the 4.57.6 line"
	@echo "make soak    tests of minutes, which make test leaves out"
	@echo "make check   ruff, mypy, import-linter, records;   make format: ruff format"

env: $(VENV)/.installed

$(VENV)/.installed: .ci/constraints.txt $(PROJECTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --upgrade pip $(BUILD)
	$(BIN)/python $(PIP_INSTALL) -c .ci/constraints.txt -e ".[bench,test,check]" $(EDITABLE)
	-$(BIN)/python $(PIP_INSTALL) --no-deps --upgrade --target $(ORACLES) torchvision==0.28.0 timm==1.0.31
	touch $@

$(COMET_VENV)/.installed: .ci/constraints-comet.txt $(PROJECTS)
	$(PYTHON) -m venv $(COMET_VENV)
	$(COMET_VENV)/bin/python $(PIP_INSTALL) --upgrade pip $(BUILD)
	$(COMET_VENV)/bin/python $(PIP_INSTALL) -c .ci/constraints-comet.txt -e ".[bench,test,comet,optimum]" $(EDITABLE)
	touch $@

demo: env
	$(BIN)/zoo bench $(SPEC) --store $(DEMO)/records
	$(BIN)/zoo leaderboard build --store $(DEMO)/records --out leaderboard/site
	@echo "Open leaderboard/site/index.html"

test: prepared quick slow comet

environments:
	$(MAKE) --jobs=2 $(UNMIXED) $(VENV)/.installed $(COMET_VENV)/.installed

# One process each, so two at a time. The tests fill two cores by themselves.
prepared:
	$(MAKE) --jobs=2 $(UNMIXED) $(COMET_VENV)/.installed check

quick: env
	$(PYTEST) -m "not slow and not network and not browser and not soak"

slow: env
	$(PYTEST) -n 3 -m "(slow or network or browser) and not soak" $(filter-out $(COMPILED_ELSEWHERE),$(SLOW_IN_ORDER))

soak: env
	$(PYTEST) -m soak

comet: $(COMET_VENV)/.installed
	OMP_NUM_THREADS=1 $(COMET_VENV)/bin/python -m pytest $(PYTEST_OPTIONS) $(addprefix --ignore=,$(ONE_LINE) $(COMPILED_ELSEWHERE)) \
		-m "(not slow or both) and not network and not browser and not once and not soak"

check: check-types check-style check-imports check-records

check-types: env
	$(BIN)/mypy

check-style: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

check-imports: env
	$(BIN)/lint-imports

check-records: env
	if [ -d leaderboard/records ]; then $(BIN)/zoo records check; fi

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf runs leaderboard/site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
