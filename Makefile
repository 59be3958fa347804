# Every verb sets up what it needs: `make demo` in a fresh clone is enough. Python 3.11+ and make are all it asks for.

PYTHON ?= python3
TORCH_BACKEND ?= cpu
VENV := .venv
BIN := $(VENV)/bin

# The set-up is repeated only when what it installs has changed: the stamp carries the digest of both files.
STAMP := $(VENV)/installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

# Beside the others, but not for everybody.
ORCHESTRATE := $(VENV)/orchestrate-$(shell cksum < orchestrate.lock | cut -d' ' -f1)
DEVELOPMENT := $(VENV)/development-$(shell cksum < development.lock | cut -d' ' -f1)

# Which domains of compose.yaml come up.
PROFILES ?= data,development,endpoint,orchestration

# A demo must not outlive a killed make; setpriv (util-linux) makes the kernel see to that.
LEASH := $(shell command -v setpriv >/dev/null 2>&1 && echo setpriv --pdeathsig TERM --)

.DEFAULT_GOAL := help
.PHONY: help venv_pip venv_orchestrate venv_development test test-torchserve test-orchestrate test-image docker compose-up compose-down check format demo serve bench docs lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv_pip: $(STAMP) ## make the virtual environment in .venv and install everything that requirements.lock names
$(STAMP): requirements.lock pyproject.toml tools/install
	@tools/install $(PYTHON) $(VENV) $(STAMP) $(TORCH_BACKEND)

venv_orchestrate: $(ORCHESTRATE) ## install Dagster too (90 MB), for `demlopment schedule`
$(ORCHESTRATE): orchestrate.lock | $(STAMP)
	@echo "Installing the $$(grep -c == orchestrate.lock) packages of orchestrate.lock"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r orchestrate.lock
	@touch $@

venv_development: $(DEVELOPMENT) ## install MLflow's server, JupyterLab and Optuna's dashboard too (900 MB)
$(DEVELOPMENT): development.lock | $(STAMP)
	@echo "Installing the $$(grep -c == development.lock) packages of development.lock"
	@tools/packages $(BIN)/uv $(TORCH_BACKEND) --python $(BIN)/python --no-deps -r development.lock
	@touch $@

test: $(STAMP) $(VENV)/prometheus ## run all tests: offline, on this machine only, warnings are errors
	$(BIN)/python -m pytest tests --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Tried once in an environment: where it cannot be had, its tests are skipped and say so.
$(VENV)/prometheus: $(STAMP) tools/prometheus
	@tools/prometheus $(VENV)
	@touch $@

test-torchserve: $(STAMP) ## compare with the real TorchServe 0.12.0, which is installed into .torchserve (needs Java 17)
	@tests/torchserve/install $(PYTHON) .torchserve
	TORCHSERVE_VENV=$(CURDIR)/.torchserve $(BIN)/python -m pytest tests/torchserve

test-orchestrate: $(ORCHESTRATE) ## run the tests of what Dagster runs; `make test` skips them without it
	$(BIN)/python -m pytest tests/test_orchestrate.py

test-image: $(STAMP) ## build every container image with buildah and run it, without Docker (needs root, ten minutes, 20 GB)
	TEST_IMAGE=1 $(BIN)/python -m pytest tests/image -v

docker: ## build the container images demlopment:latest and demlopment:serve with Docker
	docker build --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) --tag demlopment:latest .
	docker build --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) --target serve --tag demlopment:serve .

compose-up: .env ## build and start the services of compose.yaml: all, or PROFILES=data,development,endpoint,orchestration
	COMPOSE_PROFILES=$(PROFILES) docker compose up --build --detach --wait

compose-down: ## stop them; the volumes with data, models and runs stay
	COMPOSE_PROFILES=data,development,endpoint,orchestration docker compose down

.env:
	@deploy/compose/secrets .env

check: $(STAMP) ## check format, lint, types, the import rule and spelling; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py
	$(BIN)/typos

format: $(STAMP) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(STAMP) ## turn the whole loop once on real digits and write a report (under 3 minutes)
	@$(LEASH) $(BIN)/demlopment demo

serve: $(STAMP) ## serve the champion on ports 8080, 8081 and 8082 until Ctrl-C
	@$(LEASH) $(BIN)/demlopment serve

bench: $(STAMP) ## measure and write benchmarks/results/
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## build the documentation into docs/_build/html, warnings are errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

lock: $(STAMP) ## resolve pyproject.toml anew into requirements.lock
	@tools/lock $(VENV)

clean: ## remove the environment, caches and built documents; var/ with your data and models stays
	rm -rf $(VENV) docs/_build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
