# `make demo` and `make test` install what they need. `make help` lists all targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
FILE ?=
PORT ?= 8000
DATA ?= ../shared/data
ROUNDS ?= 10
# Most tests wait for servers, so two cores run three workers. `make test WORKERS=0` runs them in one process.
WORKERS ?= 3

# A test run starts hundreds of processes: without byte code, each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-quick test-faults test-attack lint bench bench-scale bench-tuning bench-engines bench-cluster opensearch tools screenshot clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The service with its packaged model needs neither torch nor CUDA: 0.8 GB instead of 6.4 GB.
$(VENV)/service: requirements/service.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps -r requirements/service.lock
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

# Tests compare our encoder with sentence-transformers, so they need all of it.
$(VENV)/dev: $(VENV)/service requirements/torch.lock requirements/dev.lock
	$(PIP) install --quiet --no-deps -r requirements/torch.lock -r requirements/dev.lock
	@touch $@

demo: $(VENV)/service  ## run the service with a catalogue (FILE=products.jsonl for yours, PORT=8000)
	$(BIN)/searchsvc demo --data-dir .demo --port $(PORT) $(FILE)

test: $(VENV)/dev tools opensearch  ## all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

test-quick: $(VENV)/dev  ## unit, property and golden tests
	$(BIN)/python -m pytest tests/unit tests/property tests/golden tests/simulation

test-faults: $(VENV)/dev tools  ## faults, random requests and the log's model, ROUNDS=10 times as long as in `make test`
	SEARCHSVC_TEST_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -s tests/integration/test_faults.py \
		tests/integration/test_damage.py tests/integration/test_clocks_and_writers.py \
		tests/integration/test_fuzz.py tests/property/test_log_machine.py tests/property/test_facet_laws.py

test-attack: $(VENV)/dev tools  ## an hour of random attacks on a running service, for each of three seeds
	for seed in 1 2 3; do $(BIN)/python -m tests.attack --seed $$seed --seconds 3600 || exit 1; done

lint: $(VENV)/dev  ## style, types and import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev  ## the figures of docs/explanation/benchmarks.md, written to benchmarks/results/
	$(BIN)/searchsvc bench relevance $(DATA)/electronics $(DATA)/movies --reference --json benchmarks/results/relevance.json
	$(BIN)/searchsvc bench pages $(DATA)/electronics tests/relevance/electronics.jsonl --json benchmarks/results/pages-electronics.json
	$(BIN)/searchsvc bench pages $(DATA)/movies tests/relevance/movies.jsonl --json benchmarks/results/pages-movies.json
	for name in electronics movies; do $(BIN)/searchsvc bench neighbours $(DATA)/$$name \
		--paraphrases benchmarks/paraphrases/$$name.txt --json benchmarks/results/neighbours-$$name.json; done
	$(BIN)/searchsvc bench latency $(DATA)/electronics --json benchmarks/results/latency-electronics.json
	$(BIN)/searchsvc bench events $(DATA)/electronics --json benchmarks/results/events-electronics.json
	$(BIN)/searchsvc bench recovery $(DATA)/electronics --json benchmarks/results/recovery-electronics.json
	$(BIN)/searchsvc bench propagation --json benchmarks/results/propagation.json
	$(BIN)/searchsvc bench isolation --json benchmarks/results/isolation.json
	$(BIN)/searchsvc bench worst-requests $(DATA)/electronics --json benchmarks/results/worst-requests.json
	$(BIN)/searchsvc bench updates $(DATA)/electronics --json benchmarks/results/updates.json
	$(BIN)/searchsvc bench rules --json benchmarks/results/rules.json

TUNING := $(BIN)/searchsvc bench tuning $(DATA)/learning-to-rank/movies.npz --learner default
BOTS := inverse:0.1,inverse:0.3,random:0.1,random:0.3,spam:0.1,spam:0.3

bench-tuning: $(VENV)/dev  ## learning from simulated clicks: shoppers, bots, behind the gate, and a live service (50 minutes)
	$(TUNING) --clicks all --json benchmarks/results/tuning-movies.json
	$(TUNING) --attack $(BOTS) --impressions 10000 --json benchmarks/results/tuning-bots-movies.json
	$(TUNING) --clicks navigational,informational,near-random,pbm,pbm-trust-low --optimal --json benchmarks/results/tuning-optimal-movies.json
	$(TUNING) --attack drift:10000 --json benchmarks/results/tuning-drift-movies.json
	$(TUNING) --attack inverse:0.3 --pipeline --impressions 6000 --seeds 100 --json benchmarks/results/tuning-pipeline-movies.json
	$(BIN)/searchsvc bench gate $(DATA)/learning-to-rank/movies.npz --seeds 1000 --json benchmarks/results/gate-movies.json
	$(BIN)/searchsvc bench tuning --live $(DATA)/movies --impressions 8000 \
		--svg benchmarks/results/tuning-live-movies.svg --json benchmarks/results/tuning-live-movies.json

bench-scale: $(VENV)/dev  ## 10,000 to a million documents: an hour of encoding, kept in .bench for the next time
	$(BIN)/searchsvc bench scale $(DATA)/electronics --vectors .bench/vectors --json benchmarks/results/scale.json

bench-engines: $(VENV)/dev opensearch  ## both engines on the same queries, with an OpenSearch node of its own
	$(BIN)/python -m tests.opensearch $(BIN)/searchsvc bench engines $(DATA)/movies --json benchmarks/results/engines-movies.json

bench-cluster: $(VENV)/dev opensearch  ## a full reindex and a killed node under load
	$(BIN)/python -m tests.opensearch $(BIN)/searchsvc bench cluster $(DATA)/movies --json benchmarks/results/cluster-movies.json

# Programs that tests run besides Python, installed from Debian if we may; tests without their program are skipped.
tools:
	@for program in chromium faketime strace unzip mvn:maven; do \
		package=$${program#*:}; command -v $${program%:*} >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
			&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$package >/dev/null; } \
			|| echo "no $$package and no right to install it: tests that need it will be skipped"; \
	done

opensearch: $(VENV)/dev  ## a real OpenSearch node for tests, kept outside the checkout
	@$(BIN)/python -m tests.opensearch || echo "OpenSearch cannot be fetched: tests that need it will be skipped"

screenshot: $(VENV)/dev tools  ## make the picture of the README from a running service
	$(BIN)/python -m tests.e2e.browser docs/images/demo.png

clean:  ## remove the environment and the demo's data
	rm -rf $(VENV) .demo .bench
