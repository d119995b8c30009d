# One command does what CI does: `make check`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 300
FROM ?= 0
RUNS ?= 1000
MINUTES ?= 60
SPEED ?= 60

.PHONY: setup demo test check format lint types shape kill-test soak mutate simulate sandbox-day strangers bench lock lock-peers lock-strangers clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "lemon_trader needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which one to use: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/lemon-trader demo $(if $(MARKET),--market $(MARKET)) $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 2

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

shape: setup
	$(BIN)/python -m pytest tests/shape

simulate: setup
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM) $(if $(FAULTS),--faults $(FAULTS),) $(if $(BUG),--bug "$(BUG)",)

sandbox-day: setup
	$(BIN)/python -m tests.simulation.sandbox_day $(ARGS)

strangers: setup .venv-strangers/.ready
	$(BIN)/python tests/strangers/run.py $(ARGS)

# Other people's clients live apart from the program and from each other's wishes.
.venv-strangers/.ready: tests/strangers/requirements.txt
	$(PYTHON) -m venv --clear .venv-strangers
	.venv-strangers/bin/python -m pip install --quiet --require-hashes -r tests/strangers/requirements.txt
	@touch $@

kill-test: setup
	LEMON_TRADER_KILLS=$(RUNS) $(BIN)/python -m pytest -s tests/recovery/test_kill_process.py

soak: setup
	$(BIN)/python -m tests.process.soak --minutes $(MINUTES) --speed $(SPEED)

mutate: setup
	$(BIN)/python -m tests.mutation $(ARGS)

# Thousands of days; the seeds of `simulate` are the first of them.
simulate-long: setup
	$(BIN)/python -m tests.simulation --seeds $(LONG) --from $(FROM)

# How many seeds it takes to find each of the planted bugs, one table line each.
simulate-planted: setup
	$(BIN)/python -m tests.simulation --planted $(if $(BUG),"$(BUG)",)

check: format lint types shape test simulate strangers

bench: setup .venv-strangers/.ready
	$(BIN)/python benchmarks/run.py $(ARGS)

lock: setup
	$(BIN)/python -m pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe -o requirements.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --extra notify -c requirements.txt -o requirements-notify.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --extra analysis -c requirements.txt -o requirements-analysis.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --extra cluster -c requirements.txt -o requirements-cluster.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --extra keyring -c requirements.txt -o requirements-keyring.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe -o requirements-dev.txt requirements-dev.in

lock-peers: setup
	$(BIN)/python -m pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND="make lock-peers" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe -o benchmarks/requirements-peers.txt benchmarks/requirements-peers.in

lock-strangers: setup
	$(BIN)/python -m pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND="make lock-strangers" $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe -o tests/strangers/requirements.txt tests/strangers/requirements.in

clean:
	rm -rf $(VENV) .venv-strangers benchmarks/.venv-peers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
