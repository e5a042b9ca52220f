# Every target makes what it needs itself; on a fresh machine only Python 3.11+ and make are required.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
INSTALLED := .venv/.installed

CHAOS_S ?= 300
# Most tests wait for real processes most of the time. Each job starts a broker and a ClickHouse of its own.
JOBS ?= 3
LOCK := --universal --generate-hashes --no-header --no-annotate --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help install demo up down test chaos bench check contract docs image-check manifests sbom format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 16

install: $(INSTALLED) ## the environment in .venv, every package by its locked hash

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=…"; exit 1; }
	@echo "installing into .venv (some minutes the first time; most of it is the ClickHouse engine)"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## the main job from nothing: services emit, real Kafka and ClickHouse, aggregates; then stops
	$(BIN)/python -m scoreline_local.demo

up: $(INSTALLED) ## a local stack that keeps running (scoreline status, scoreline down)
	$(BIN)/scoreline up

down: $(INSTALLED) ## stop it
	$(BIN)/scoreline down

test: $(INSTALLED) ## unit, integration and end-to-end tests on real parts
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

chaos: $(INSTALLED) ## kill and freeze everything under load for CHAOS_S seconds, then account for every score
	$(BIN)/python -m tests.faults.chaos --seconds $(CHAOS_S) $(if $(SEED),--seed $(SEED))

bench: $(INSTALLED) ## every benchmark, and build/bench.json with what it found
	$(BIN)/python -m tests.benchmarks

check: $(INSTALLED) ## format, lint, types, import layers, dead links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m tests.documents

contract: $(INSTALLED) ## write the schemas, the AsyncAPI document and the tables under docs/ from the models
	$(BIN)/python -m tests.contract

sbom: $(INSTALLED) ## build/sbom.json (CycloneDX) and docs/licences.md from the lock and what is installed
	$(BIN)/python -m deploy.supply

docs: $(INSTALLED) ## run every command of docs/analytics.md and write its output and pictures into it
	$(BIN)/python -m tests.analytics_doc

image-check: $(INSTALLED) ## install by the Dockerfile's own lines into build/image, check, start and weigh what the image would hold
	$(BIN)/python -m tests.deploy.docker.image

manifests: $(INSTALLED) ## write what is generated of the Helm chart: topics and rights, its README, deploy/helm/rendered (needs helm)
	$(BIN)/python -m deploy.helm

format: $(INSTALLED) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## resolve pyproject.toml anew into the locks (all; what runs; what builds), by hash and without addresses
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv==0.13.9
	build/lock/bin/uv pip compile $(LOCK) --upgrade --extra dev pyproject.toml --output-file requirements.lock --quiet
	build/lock/bin/uv pip compile $(LOCK) --extra all pyproject.toml --constraint requirements.lock \
		--output-file deploy/docker/run.lock --quiet
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' | \
		build/lock/bin/uv pip compile $(LOCK) - --constraint requirements.lock \
		--output-file deploy/docker/build.lock --quiet

clean: ## delete the environment and everything built
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
