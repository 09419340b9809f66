# make help: the targets and what they do
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 3
# even if the environment says otherwise: tests start hundreds of processes, each of which would compile every module
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup demo dev test versions lint format bench corpus faults lock clean bench-backfill backfill-big planted
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(STAMP) ## a virtual environment with everything pinned, and the command `crossfade`
$(STAMP): requirements/dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: $(STAMP) ## the main job on real records: history, live traffic, mirror, backfill, shadow, flip, rollback, a kill
	$(BIN)/crossfade demo

dev: $(STAMP) ## the local stack in the foreground: PostgreSQL, a development ArangoDB, the proxy
	$(BIN)/crossfade dev

lint: $(STAMP) ## style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## fixes the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: reference
reference: $(STAMP) ## writes the pages of docs/ that are generated from the code
	$(BIN)/python -m proxy.operator.reference

test: lint ## lint, then every test
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: coverage
coverage: $(STAMP) ## every test with branch coverage, of which there must be 90 %: half as long again
	$(BIN)/coverage erase
	$(BIN)/pytest -n $(JOBS) --dist worksteal --cov --cov-report= $(ARGS)
	$(BIN)/coverage report

PYTHONS ?= python3.11 python3.12 python3.13 python3.14
versions: ## the unit tests on every Python of PYTHONS that is present
	@for python in $(PYTHONS); do \
		"$$python" -c "" 2>/dev/null || { echo "$$python: not present"; continue; }; \
		folder=$(VENV)-$$("$$python" -c "import sys; print('%d.%d' % sys.version_info[:2])"); \
		test -x $$folder/bin/python || "$$python" -m venv $$folder; \
		$$folder/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt && \
		$$folder/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . && \
		echo "$$python: $$($$folder/bin/python --version)" && \
		$$folder/bin/python -m pytest -q -n $(JOBS) tests/unit || exit 1; \
	done

bench: $(STAMP) ## measures the proxy beside nginx and beside a naive proxy
	$(BIN)/python -m bench.proxy

CORPUS ?= ../shared/conformance/aql-corpus.jsonl
corpus: $(STAMP) ## how much of AQL is spoken: parsed, evaluated, compiled, on the queries of the file CORPUS
	$(BIN)/python -m bench.corpus $(CORPUS)

.PHONY: aql-long
CASES ?= 20000
aql-long: $(STAMP) ## evaluator and compiled SQL agree on random queries; mutants of CORPUS crash nothing: CASES=20000
	AQL_CASES=$(CASES) AQL_SEED=$$(date +%j) $(BIN)/pytest -q tests/property/test_aql_compile.py
	$(BIN)/python -m bench.corpus.fuzz $(CORPUS) --number $(CASES) --seed $$(date +%j)

faults: $(STAMP) ## each named point × fault × stage on real processes: what was lost, what was read old (an hour, both cores)
	$(BIN)/python -m tests.faults.matrix

bench-backfill: $(STAMP) ## backfill and verification beside psql COPY and the origin's own speed; DOCUMENTS=200000
	$(BIN)/python -m bench.backfill $(or $(DOCUMENTS),200000)

backfill-big: $(STAMP) ## a million documents beside live writes, workers killed, compared; DOCUMENTS=1000000
	$(BIN)/python -m bench.backfill_big $(or $(DOCUMENTS),1000000)

planted: $(STAMP) ## faults of every class among many documents: all found, nothing else; DOCUMENTS=100000
	$(BIN)/python -m bench.planted $(or $(DOCUMENTS),100000)

.PHONY: model
model: $(STAMP) ## explores the protocols of mirror, promotion and reverse mirror: every state within bounds (minutes, both cores)
	$(BIN)/python -m tests.model.explore

.PHONY: mutants
mutants: $(STAMP) ## seeded faults in the mirror's code and in its model, each against the test that must catch it
	$(BIN)/python -m tests.faults.mutants

.PHONY: soak
MINUTES ?= 10
soak: $(STAMP) ## three proxies, eight writers, a backfill, kills and outages, then both databases compared: MINUTES=10
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

.PHONY: faults-alone races-alone stores-long
faults-alone: $(STAMP) ## PostgreSQL alone: clients that remember beside kills, crashes, a new timeline: MINUTES=10
	$(BIN)/python -m tests.faults.alone --minutes $(MINUTES)

races-alone: $(STAMP) ## PostgreSQL alone: 8 clients insert 1,000 equal unique values each through two proxies
	$(BIN)/python -m tests.faults.alone.races

SEQUENCES ?= 20000
# half of them are writes; 15 % AQL on small collections, 15 % on large ones; 20 % all endpoints
stores-long: $(STAMP) ## random sequences of requests on the development server and on PostgreSQL alone, new ones each day: SEQUENCES=20000
	STORE_SEQUENCES=$$(($(SEQUENCES) / 2)) MODIFICATION_SEQUENCES=$$(($(SEQUENCES) * 3 / 20)) \
		ENDPOINT_SEQUENCES=$$(($(SEQUENCES) / 5)) STORE_SEED=$$(date +%j) ENDPOINT_SEED=$$(date +%j) \
		$(BIN)/pytest -n $(JOBS) --dist worksteal --timeout=0 \
		tests/property/test_two_stores.py tests/property/test_two_stores_aql.py tests/property/test_every_endpoint.py

.PHONY: out-of-band
WRITES ?= 10000
out-of-band: $(STAMP) ## writes through three proxies under faults, none of which the watch may name; then some out-of-band writes: WRITES=10000
	$(BIN)/python -m tests.faults.out_of_band --writes $(WRITES)

.PHONY: flips
ROUNDS ?= 100
flips: $(STAMP) ## flips and rollbacks under clients that judge each answer; lines cut, proxies frozen: ROUNDS=100
	$(BIN)/python -m tests.faults.flips --rounds $(ROUNDS)

.PHONY: promotes
promotes: $(STAMP) ## promotions and demotions under clients that judge each answer; lines cut, processes frozen and killed: ROUNDS=100
	$(BIN)/python -m tests.faults.promotions --rounds $(ROUNDS)

.PHONY: bench-promote
bench-promote: $(STAMP) ## how long writes wait for a promotion and a demotion, at 500 writes/s through two proxies
	$(BIN)/python -m bench.promote

.PHONY: false-alarms
false-alarms: $(STAMP) ## the shadow under heavy writes through three proxies: no false alarm; then planted faults, none missed: MINUTES=10
	$(BIN)/python -m tests.faults.false_alarms --minutes $(MINUTES)

.PHONY: rehearsal-mutants
rehearsal-mutants: $(STAMP) ## seeded differences in the rules of writes: the next write that touches one is rehearsed as different
	$(BIN)/python -m tests.faults.rehearsal

.PHONY: rehearsal-soak
rehearsal-soak: $(STAMP) ## random writes on few keys through two proxies: no rehearsal gives a false alarm: MINUTES=10
	$(BIN)/python -m tests.faults.rehearsal.soak --minutes $(MINUTES)

.PHONY: bench-shadow
bench-shadow: $(STAMP) ## what comparing reads costs: latency, throughput, CPU, a storm of mismatches
	$(BIN)/python -m bench.shadow

.PHONY: bench-burn
bench-burn: $(STAMP) ## what others notice of one client that burns: regular expressions, loops, large bodies and results
	$(BIN)/python -m bench.burn

.PHONY: fuzz
fuzz: $(STAMP) ## requests, bytes and frames as nobody should send them, against both servers: MINUTES=10
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

.PHONY: bench-wire
bench-wire: $(STAMP) ## what understanding a request costs, and key reads of the development server
	$(BIN)/python -m bench.wire

.PHONY: soak-api
soak-api: $(STAMP) ## sixteen clients with random operations beside a model: shadow, flipped, PostgreSQL alone: MINUTES=2 each
	$(BIN)/python -m tests.acceptance.soak --minutes $(or $(filter-out 10,$(MINUTES)),2)

.PHONY: drivers
DRIVERS ?= ../drivers
drivers: $(STAMP) ## drivers' own test suites on the development server, in the shadow, flipped: DRIVERS=folder with their checkouts
	$(BIN)/python -m tests.acceptance.drivers $(DRIVERS) $(ARGS)

.PHONY: bench-mirror
bench-mirror: $(STAMP) ## what the mirror costs a write, its lag, and an outage of PostgreSQL
	$(BIN)/python -m bench.mirror

.PHONY: bench-reverse
bench-reverse: $(STAMP) ## what the reverse mirror carries, its lag, and an outage of ArangoDB
	$(BIN)/python -m bench.reverse

.PHONY: bench-alone
bench-alone: $(STAMP) ## a proxy over PostgreSQL alone beside the same statements by hand
	$(BIN)/python -m bench.postgres_alone

lock: $(STAMP) ## pins requirements/*.txt with hashes
	$(BIN)/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --extra demo pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --extra demo pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate -c requirements/dev.txt requirements/build.in -o requirements/build.txt

clean: ## removes what make made
	rm -rf $(VENV) $(VENV)-3.* build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
