# The few verbs that people type. Works with GNU make 3.81 and the bash of macOS.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo up down package test test-fast lint format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/run.stamp ## Install what the demo needs: pinned and hash-checked, without PyTorch

demo: setup ## Everything on this machine, then stopped again; IMAGES=DIR or DATA=ARCHIVE for real pictures
	@$(BIN)/scones demo $(if $(IMAGES),--images '$(IMAGES)') $(if $(DATA),--data '$(DATA)')

up: setup ## Start the same stack and leave it running
	@$(BIN)/scones up

down: setup ## Stop it
	@$(BIN)/scones down

package: setup ## Build the functions' zips for AWS; `terraform plan` needs them
	@$(BIN)/scones package

test: .venv/test.stamp ## Every test (one applied stack; real pictures if SCONES_TEST_DATA or ../shared/data has them)
	$(BIN)/python -m pytest

test-fast: .venv/test.stamp ## The tests that need no stack, in under a minute
	$(BIN)/python -m pytest -m "not stack and not slow"

lint: .venv/test.stamp ## Formatting, linting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	terraform fmt -check -recursive terraform

format: .venv/test.stamp ## Format Python and Terraform
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	terraform fmt -recursive terraform

lock: ## Renew requirements/*.txt (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--extra build pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--extra build --extra test -c requirements/run.txt pyproject.toml -o requirements/test.txt

clean: ## Remove what was built, the virtual environment included
	rm -rf .venv .scones build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": set PYTHON=python3.13, say.")'
	@$(PYTHON) -m scripts.terraform_cli
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements/run.txt pyproject.toml | .venv/bin/python
	@echo "Installing pinned dependencies (about a minute) ..." >&2
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test.stamp: requirements/test.txt .venv/run.stamp
	@echo "Installing the test tools ..." >&2
	@$(INSTALL) --require-hashes -r requirements/test.txt
	@touch $@
