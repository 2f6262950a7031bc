# The few verbs that people type. Works with GNU make 3.81 and the bash of macOS.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-quick setup-train demo up down train package plan destroy diagrams screenshots test test-fast bench faults chaos fuzz lint format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/run.stamp ## Install what the demo needs: pinned and hash-checked, without PyTorch

setup-quick: .venv/quick.stamp ## Install what learning from photographs needs as well

setup-train: .venv/train.stamp ## Install what training needs as well: PyTorch

demo: $(if $(LEARN),.venv/quick.stamp,setup) ## Everything on this machine, then stopped again; IMAGES=DIR or DATA=ARCHIVE for real pictures, LEARN=DIR first
	@$(BIN)/scones demo $(if $(LEARN),--learn '$(LEARN)') $(if $(IMAGES),--images '$(IMAGES)') $(if $(DATA),--data '$(DATA)')

up: setup ## Start the same stack and leave it running
	@$(BIN)/scones up

down: setup ## Stop it
	@$(BIN)/scones down

# The shipped model's recipe learns from CIFAR-10's pictures first, here from those that lie beside DATA.
PRETRAIN ?= $(wildcard $(dir $(DATA))cifar-10-jpeg.tar.xz)

# A folder of photographs needs no PyTorch.
QUICK := $(wildcard $(DATA)/.)

train: named-DATA $(if $(QUICK),.venv/quick.stamp,.venv/train.stamp) ## Learn from DATA=FOLDER (or an archive), evaluate, promote, deploy here; CLASSES=a,b
	@$(BIN)/python -m scripts.cli.train_pipeline '$(DATA)' $(if $(CLASSES),--classes '$(CLASSES)') \
		$(if $(PRETRAIN),$(if $(QUICK),,--pretrain '$(PRETRAIN)')) $(foreach each,$(SET),--set '$(each)')

package: setup ## Build the functions' zips for AWS; `terraform plan` needs them
	@$(BIN)/scones package

diagrams: setup ## Draw statemachine/*.asl.json anew into docs/workflow.md
	@$(BIN)/python -m scripts.devtools.state_diagrams

screenshots: .venv/test.stamp ## Make docs/images anew: a run of drawn pictures on this machine, its report, a headless Chromium
	@$(BIN)/python -m scripts.devtools.screenshots

plan: named-ENV package ## What an apply would do, break and cost: ENV=dev|prod|local; OFFLINE=1 without an account
	@$(BIN)/scones plan --env '$(ENV)' $(if $(OFFLINE),--offline)

destroy: named-ENV package ## Remove an environment with all its data, after showing it and asking: ENV=dev|local; YES=1 does not ask
	@$(BIN)/scones destroy --env '$(ENV)' $(if $(YES),--yes)

test: .venv/test.stamp .venv/quick.stamp ## Every test (one applied stack; real pictures if SCONES_TEST_DATA or ../shared/data has them)
	$(BIN)/python -m pytest

test-fast: .venv/test.stamp .venv/quick.stamp ## The tests that need no stack, in under a minute
	$(BIN)/python -m pytest -m "not stack and not slow"

bench: setup ## Tables of what the parts and the whole chain cost; COUNTS="1000 10000" PICTURES=FOLDER_OR_ARCHIVE
	@for table in import_cost decoder_speed serving_speed; do $(BIN)/python tests/performance/benchmarks/$$table.py && echo; done
	@$(BIN)/python -m tests.performance.benchmarks.chain_speed $(if $(PICTURES),--pictures '$(PICTURES)') $(COUNTS)

.PHONY: policy permissions inventory mutations licences
policy: .venv-policy/stamp ## The gates on security, all offline: what each looked at and found (docs/security.md)
	@.venv-policy/bin/python -m scripts.policy check

permissions: .venv-policy/stamp ## Write docs/permissions.md anew, after a change of policies was reviewed
	@.venv-policy/bin/python -m scripts.policy permissions

inventory: .venv-policy/stamp ## Write tests/terraform/inventory.yaml anew, after a change of what production sets was reviewed
	@.venv-policy/bin/python -m scripts.policy inventory

faults: .venv/test.stamp ## Break everything that can break; writes the table in docs/reliability.md
	FAULTS_TABLE=1 $(BIN)/python -m pytest -q tests/end_to_end/faults

chaos: setup ## Pictures by the thousand while things are killed, throttled and doubled; COUNT=10000
	@$(BIN)/python -m tests.performance.benchmarks.chaos $(COUNT)

fuzz: .venv/test.stamp ## Damaged and hostile files against the picture decoder; INPUTS=1000000 is the nightly run
	$(BIN)/python tests/performance/benchmarks/decoder_fuzz.py $(INPUTS)

mutations: .venv-policy/stamp ## Weaken the configuration, one thing at a time: which gate notices? ONLY=TEXT SAMPLE=N EVERY=1
	@.venv-policy/bin/python -m scripts.policy mutations $(if $(ONLY),--only '$(ONLY)') \
		$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(EVERY),--every-gate)

licences: .venv/run.stamp ## Write docs/licences.md anew, after a change of what is handed on
	@$(BIN)/python -m scripts.deployment.licences

lint: .venv/test.stamp ## Formatting, linting, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	terraform fmt -check -recursive terraform

format: .venv/test.stamp ## Format Python and Terraform
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	terraform fmt -recursive terraform

COMPILE := uv pip compile -q --universal --generate-hashes --no-annotate --no-header

lock: ## Renew requirements/*.txt and the serving image's (needs uv)
	$(COMPILE) --python-version 3.11 --extra build pyproject.toml -o requirements/run.txt
	$(COMPILE) --python-version 3.11 --extra build --extra test -c requirements/run.txt pyproject.toml \
		-o requirements/test.txt
	$(COMPILE) --python-version 3.11 -c requirements/run.txt requirements/job.in -o requirements/job.txt
	$(COMPILE) --python-version 3.11 -c requirements/job.txt requirements/train.in -o requirements/train.all
	awk -f requirements/train.awk requirements/job.txt requirements/train.all > requirements/train.txt
	rm requirements/train.all
	$(COMPILE) --python-version 3.13 -c requirements/run.txt training_scripts/serving-requirements.in \
		-o training_scripts/serving-requirements.txt
	grep -E '^(rich|ruff|typer)==' requirements/test.txt | cut -d ' ' -f 1 > requirements/policy.pins
	$(COMPILE) --python-version 3.11 -c requirements/policy.pins requirements/policy.in -o requirements/policy.txt
	rm requirements/policy.pins

# Asked for before anything is installed or built.
.PHONY: named-DATA named-ENV
named-DATA:
	@test -n "$(DATA)" || { echo 'Name the pictures: make train DATA=cifar-100-python.tar.gz' >&2; exit 2; }

named-ENV:
	@test -n "$(ENV)" || { echo 'Name the environment: make $(MAKECMDGOALS) ENV=dev' >&2; exit 2; }

clean: ## Remove what was built, the virtual environment included
	@for file in .scones/*/local_aws.json; do test ! -e "$$file" || { \
		echo "$$file: a stack runs there, or has crashed. Run make down, or remove this file." >&2; exit 1; }; done
	rm -rf .venv .venv-policy .scones build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": set PYTHON=python3.13, say.")'
	@$(PYTHON) -m scripts.deployment.terraform
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

.venv-policy/stamp: requirements/policy.txt | .venv/bin/python
	@echo "Installing the tools of the gates (about a minute) ..." >&2
	@.venv/bin/python -m venv .venv-policy
	@.venv-policy/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
		-r requirements/policy.txt
	@touch $@

.venv/quick.stamp: requirements/job.txt .venv/run.stamp
	@$(INSTALL) --require-hashes -r requirements/job.txt
	@touch $@

# Complete lists: --no-deps keeps pip from asking for the CUDA packages of a PyTorch that has none.
.venv/train.stamp: requirements/job.txt requirements/train.txt requirements/torch.txt requirements/torch-cpu.txt .venv/run.stamp
	@$(INSTALL) --require-hashes -r requirements/job.txt -r requirements/train.txt
	@echo "Installing PyTorch (the registry's build for Linux has several GB) ..." >&2
	@$(INSTALL) --require-hashes --no-deps -r requirements/torch-cpu.txt 2> .venv/torch-cpu.log \
		|| $(INSTALL) --require-hashes --no-deps -r requirements/torch.txt
	@touch $@
