# `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
LOCK := --universal --generate-hashes --no-emit-index-url --no-header --quiet --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help run env dev test e2e unit lint format lock settings clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: env ## install what is missing, then start the whole stack; Ctrl-C stops it
	@exec $(BIN)/parley up $(ARGS)

env: ## the environment in .venv, from requirements.lock
	@$(PYTHON) stack/bootstrap.py

dev: ## the same with what the tests need, Debian packages and the LiveKit server included
	@$(PYTHON) stack/bootstrap.py --dev
	@$(BIN)/python -m stack.livekit_server

test: dev lint ## everything: linters, types, layers, and all tests, end-to-end included
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

unit: ## only the fast tests
	@$(PYTHON) stack/bootstrap.py --dev --without-system
	@$(BIN)/python -m pytest -m unit $(ARGS)

e2e: dev ## only the end-to-end tests
	@$(BIN)/python -m pytest -m e2e $(ARGS)

lint: ## ruff, mypy, import-linter
	@$(PYTHON) stack/bootstrap.py --dev --without-system
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: ## write the code as ruff wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## renew the lock files; UPGRADE=1 takes the newest versions
	@$(BIN)/uv pip compile pyproject.toml --group build $(LOCK) $(if $(UPGRADE),--upgrade) -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --group build --group dev $(LOCK) $(if $(UPGRADE),--upgrade) -c requirements.lock -o requirements-dev.lock

settings: ## write .env.example and docs/settings.md from the settings classes
	@$(BIN)/python -m stack.settings_pages

clean: ## remove the environment and caches; settings, keys and data stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './web/*' -prune -exec rm -rf {} +
