# Everything below sets itself up: a virtual environment in .venv, Docker from the distribution for the throwaway nodes.
# `make help` lists what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Relative, so that the checkout may lie at any path.
VENV := .venv
PYTHON := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.cache/collections
export PYTHONDONTWRITEBYTECODE := 1

step = @printf '\n\033[1m== %s\033[0m\n' '$(1)'

.PHONY: help
help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

.PHONY: demo
demo: venv ## Boot six nodes, run a node exporter on three and a log collector in containers on two
	@$(PYTHON) scripts/demo.py

.PHONY: demo-down
demo-down: venv ## Remove what the demo started
	@$(PYTHON) scripts/demo.py down

# One after the other they leave the machine waiting half of the time, so there are two at a time. The real nodes come last
# and have the machine to themselves: there two workers share the tests.
CHECKS := sanity newest lint types unit conformance archive molecule

.PHONY: test
test: venv ## Everything that must pass, as CI runs it
	@echo 'Two checks at a time; what each has to say comes when it has ended.'
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(CHECKS)
	@$(MAKE) --no-print-directory nodes-test

.PHONY: lint
lint: venv ## ruff, yamllint, ansible-lint
	$(call step,lint)
	ruff check --quiet --output-format concise .
	yamllint --strict .
	ansible-lint -q --strict

.PHONY: types
types: venv ## mypy --strict
	$(call step,types)
	mypy

.PHONY: sanity
sanity: venv ## ansible-test sanity
	$(call step,sanity)
	scripts/sanity.sh $(VENV)

.PHONY: unit
unit: venv ## Unit tests: the code that decides, without any node
	$(call step,unit)
	$(PYTHON) -m pytest -q tests/unit

.PHONY: conformance
conformance: venv ## Kubernetes' rules, case by case
	$(call step,conformance)
	$(PYTHON) -m pytest -q tests/conformance

.PHONY: archive
archive: venv ## Build the Galaxy archive, install it into an empty folder, use it from there
	$(call step,archive)
	$(PYTHON) -m pytest -q tests/archive

.PHONY: newest
newest: venv ## Unit tests, conformance and sanity on the newest ansible-core, where there is a Python for it
	$(call step,newest ansible-core)
	scripts/setup.sh newest
	@if [ -e .venv-newest/ready ]; then set -ex; \
	    .venv-newest/bin/python -m pytest -q tests/unit tests/conformance tests/archive; \
	    scripts/sanity.sh .venv-newest; \
	fi

.PHONY: nodes-test
nodes-test: venv ## Real daemons on real nodes
	$(call step,nodes)
	$(PYTHON) -m pytest -q --numprocesses=2 --dist=loadfile -m 'not soak' tests/system

.PHONY: soak
soak: venv ## The long tests on nodes: engines, hand damage, kills, restarts at random; a fleet of 20 in a storm
	$(PYTHON) -m pytest -q --numprocesses=2 --dist=loadfile -m soak tests/system

.PHONY: molecule
molecule: venv ## The Molecule scenario: create, converge, idempotence, verify, destroy
	$(call step,molecule)
	molecule test

.PHONY: bench
bench: venv ## Measure an apply against a ping and a hand-written role, on 20 nodes (ENGINE=docker: in containers)
	@$(PYTHON) -m tests.benchmarks $(if $(ENGINE),--engine $(ENGINE))

.PHONY: bench-update
bench-update: venv ## Measure updates of 20 nodes, likewise
	@$(PYTHON) -m tests.benchmarks --update

.PHONY: docs
docs: venv ## Write docs/fields.md from the table in the code
	@$(PYTHON) -m scripts.document_fields

.PHONY: build
build: venv ## Build the Galaxy archive
	ansible-galaxy collection build --force

.PHONY: venv
venv:
	@scripts/setup.sh
