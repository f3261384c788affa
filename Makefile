# Everything a developer runs; `make help` lists it. Only `setup`, `up`, `down`, `demo`, `test` and `soak` need root.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Sandboxes are namespaces, mounts and network rules, so what starts them runs as root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
APART := tests/unit tests/functional tests/integration tests/conformance
PYTHON_CODE := layers/application functions cli local bench base_template tests
STACK := $(AS_ROOT) $(BIN)/python -m local.stack
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup demo up down top test faults fair kills check bench drain soak template build openapi schema lock

help:  ## Show what can be made
	@sed -n 's/^\([a-z]*\):[^#]*##/\1/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

setup:  ## Install what this machine lacks; quick when there is nothing to do
	@sh local/setup.sh

demo: export CASTARI_DEMO_STARTED = $(shell date +%s.%N)
demo: setup  ## From an empty machine to answers out of fresh sandboxes, step by step
	@$(AS_ROOT) $(BIN)/python -m local.demo

up: setup  ## Start the whole platform on this machine, or bring changed code to a running one
	@$(STACK) up

down:  ## End it and leave nothing behind
	@if [ -x $(BIN)/python ]; then $(STACK) down; else echo "Nothing is set up here, so nothing runs."; fi

top:  ## Show the sandboxes that run on this machine
	@$(BIN)/python -m local.sandboxes.top

test: up  ## Run every test; TESTS=path or any other pytest arguments run some
ifdef TESTS
	@$(AS_ROOT) $(BIN)/python -m pytest $(TESTS)
else
	@# Each worker has an AWS and sandbox servers of its own; what waits for these leaves a core to another worker.
	@$(AS_ROOT) $(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(APART)
	@$(AS_ROOT) $(BIN)/python -m pytest --ignore=tests/attack $(addprefix --ignore=,$(APART))
	@# In a process of their own: they use the SDK in another network, and its threads stay where they began.
	@$(AS_ROOT) $(BIN)/python -m pytest tests/attack
endif

faults: up  ## Five hundred invocations while AWS and the sandbox service fail at each tenth call
	@FAULTS_COUNT=500 $(AS_ROOT) $(BIN)/python -m pytest tests/faults

fair: up  ## Two users with ten to one demand on a stack whose plan allows four sandboxes
	@FAIR_RUNS=20 $(AS_ROOT) $(BIN)/python -m pytest tests/e2e/product/test_shares.py

kills: up  ## A deploy worker killed with SIGKILL at each of its steps
	@DEPLOY_KILLS=1 $(AS_ROOT) $(BIN)/python -m pytest tests/e2e/product/test_deploy_kills.py

check: setup  ## Everything that needs no running platform: format, lint, types, template, build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy $(PYTHON_CODE)
	$(BIN)/sam validate --lint
	@$(MAKE) build

build:  ## Build the template's functions and layers for AWS into .aws-sam
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sam build

bench: up  ## Measure, print and write bench/results/latest.json; ONLY=sandbox runs a part
	@$(AS_ROOT) $(BIN)/python -m bench $(ONLY)

drain: setup  ## Simulate the limits of an E2B plan with ten times as many runs as the tests do
	CASTARI_TIMES_AS_MANY=10 $(BIN)/python -m pytest tests/functional/test_capacity.py --timeout 3600

soak: up  ## Ten thousand sandboxes in a row, then count what is left
	@$(AS_ROOT) $(BIN)/python -m bench soak

template: setup  ## Build the sandboxes' template on E2B; needs E2B_API_KEY
	@$(BIN)/python -m base_template.build

openapi:  ## Write the OpenAPI document again after a change of routes or shapes
	$(BIN)/python -m functions.openapi

schema:  ## Write the JSON Schema of castari.json again after a change of its model
	$(BIN)/python -m castari.manifest_schema > castari.schema.json

lock:  ## Resolve every dependency again into the one lock file
	$(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --quiet \
		--all-extras --group dev --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --quiet --constraint requirements.lock \
		--custom-compile-command "make lock" pyproject.toml -o layers/dependencies/requirements.txt
