# Everything that people and CI run. What is longer than a few lines is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help run check test outer release bench

# The newest Python that the official clients' pinned versions are tested with.
PYTHON ?= $(shell command -v python3.11 || command -v python3)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Build and serve: the demo model, or what ARGS say (ARGS="--config config.yaml")
	cargo build -p tollway-cli
	target/debug/tollway $(ARGS)

check: ## Format, lints, unit tests: the inner loop
	scripts/check

test: .venv/.complete .venv-litellm/.complete ## Everything: check, doc tests, and the outer suite with the official clients
	scripts/install-servers
	scripts/check --all

outer: .venv/.complete .venv-litellm/.complete ## The outer suite alone; ARGS go to pytest (ARGS="-k gemini -x")
	cargo build -p tollway-cli
	.venv/bin/pytest tests $(or $(ARGS),-n auto)

release: ## Build target/release/tollway as it is shipped, laid out by a profile
	scripts/build-release

bench: release ## Against nginx and a mock provider, in one table
	target/release/bench --gateway target/release/tollway $(ARGS)
	cargo run --quiet --release -p tollway-routing --example choice

.venv/.complete: tests/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

.venv-litellm/.complete: tests/requirements-litellm.txt
	$(PYTHON) -m venv .venv-litellm
	.venv-litellm/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-litellm.txt
	touch $@
