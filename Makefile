# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
FILE ?=
PORT ?= 8000
DATA ?= ../shared/data

.PHONY: help demo test test-quick lint bench browser clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The service with its packaged model needs neither torch nor CUDA: 0.6 GB instead of 6.2 GB.
$(VENV)/service: requirements/service.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps -r requirements/service.lock
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

# Tests hold our encoder against sentence-transformers itself, so they need all of it.
$(VENV)/dev: $(VENV)/service requirements/torch.lock requirements/dev.lock
	$(PIP) install --quiet --no-deps -r requirements/torch.lock -r requirements/dev.lock
	@touch $@

demo: $(VENV)/service  ## a running service with a catalogue (FILE=products.jsonl for yours, PORT=8000)
	$(BIN)/searchsvc demo --data-dir .demo --port $(PORT) $(FILE)

test: $(VENV)/dev browser  ## all tests
	$(BIN)/python -m pytest

test-quick: $(VENV)/dev  ## unit, property and golden tests
	$(BIN)/python -m pytest tests/unit tests/property tests/golden

lint: $(VENV)/dev  ## style, types and import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev  ## the figures of README, written to benchmarks/results/
	$(BIN)/searchsvc bench relevance $(DATA)/movies --reference --json benchmarks/results/relevance-movies.json
	$(BIN)/searchsvc bench latency $(DATA)/electronics --json benchmarks/results/latency-electronics.json

# The storefront is tested in a real browser: Debian's, where we may install it; the tests say so where there is none.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
		|| echo "no chromium and no right to install it: browser tests will be skipped"

clean:  ## remove the environment and the demo's data
	rm -rf $(VENV) .demo .bench
