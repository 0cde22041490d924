# `make run` and `make test` set everything up themselves, from Python 3.11 or newer, make and a network.

PYTHON ?= python3
BIN := .venv/bin
TOOLS := .venv-tools
# This machine's uv where it has one that works, otherwise one of our own.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo $(TOOLS)/bin/uv)
BOOTSTRAP := $(filter $(TOOLS)/%,$(UV))

export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
# Where Python may write no bytecode, every start of a command would compile again what it imports.
ifdef PYTHONDONTWRITEBYTECODE
export UV_COMPILE_BYTECODE := 1
endif
unexport VIRTUAL_ENV

# --inexact: `make run` after `make test` leaves the test tools where they are.
SYNC = $(UV) sync --frozen --inexact --no-default-groups --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

.PHONY: run up test test-all chaos soak lint audit bench clean-venv python

run: python $(BOOTSTRAP) ## bring the demo market up to date and print its signals
	@$(SYNC)
	$(BIN)/breadthflow run

up: python $(BOOTSTRAP) ## keep Postgres, Dagster's UI and its daemon running until Ctrl-C
	@$(SYNC)
	$(BIN)/breadthflow up

PYTEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# COVERAGE=yes, as .ci/run has it, measures what they reach and takes a third longer.
test: python $(BOOTSTRAP) ## the tests that somebody waits for
	@$(SYNC) --group test
	$(PYTEST) $(if $(COVERAGE),--cov) -m "not slow"

test-all: python $(BOOTSTRAP) ## every test, and new invented examples: whole markets, servers that are killed; half an hour
	@$(SYNC) --group test
	$(PYTEST) --cov -m "not chaos" --hypothesis-profile search

FAULTS ?= 200
chaos: python $(BOOTSTRAP) ## kill, fill and cut a deployment FAULTS times, and see that nothing is lost; two hours
	@$(SYNC) --group test
	CHAOS_FAULTS=$(FAULTS) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -m chaos breadthflow_pipelines_tests/chaos/test_commands.py breadthflow_pipelines_tests/chaos/test_services.py

SESSIONS ?= 1000
soak: python $(BOOTSTRAP) ## a daily run after each of SESSIONS sessions, and what they leave behind; two hours
	@$(SYNC) --group test
	SOAK_SESSIONS=$(SESSIONS) $(BIN)/python -m pytest -m chaos breadthflow_pipelines_tests/chaos/test_soak.py

lint: python $(BOOTSTRAP) ## style, types, who may know whom, and the container and workflow files
	@$(SYNC) --group dev --group bench
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile docker/pgbouncer/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

audit: python $(BOOTSTRAP) ## known holes in the packages that run, by the advisories of PyPI
	@$(UV) export --quiet --frozen --no-dev --all-extras --no-emit-project --format requirements-txt --output-file requirements.audit
	$(UV) tool run pip-audit --strict --disable-pip --require-hashes --requirement requirements.audit; \
	  status=$$?; rm requirements.audit; exit $$status

SIZE ?= default

bench: python $(BOOTSTRAP) ## every benchmark on a quiet machine, figures into benchmarks.json; SIZE=full for the largest
	@$(SYNC) --group test --group bench
	$(BIN)/python benchmarks --size $(SIZE)

clean-venv: ## remove what the targets above installed
	rm -rf .venv $(TOOLS)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make run PYTHON=python3.12" >&2; exit 2; }

$(TOOLS)/bin/uv: | python
	@$(PYTHON) -m venv $(TOOLS) || { \
	  echo "$(PYTHON) cannot make a virtual environment; install its venv module (Debian: apt-get install python3-venv)" \
	    "or uv." >&2; exit 2; }
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv
