# squall: `make up` starts it, `make test` tests it, `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SQUALL := $(BIN)/squall
PYTEST_ARGS ?=
BENCH_ARGS ?=

# rewritten when what is to be installed changes, so that a second `make` installs nothing
INSTALLED := $(VENV)/.installed
INSTALLED_FOR_TESTS := $(VENV)/.installed-for-tests

# the distribution's own nginx if there is one, else the one that pip has
HAS_NGINX := $(shell PATH="$$PATH:/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin" command -v nginx)
EXTRA := $(if $(HAS_NGINX),,[nginx])

.DEFAULT_GOAL := help
.PHONY: help up down test bench clean .first-job

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-6s  %s\n", $$1, $$2}' Makefile

up: $(INSTALLED) ## install into .venv, start everything, run a first job
	@if $(SQUALL) status >/dev/null 2>&1; then \
	    $(SQUALL) up; \
	else \
	    $(SQUALL) up && $(MAKE) --no-print-directory .first-job; \
	fi

.first-job:
	@echo; echo '$$ squall run -- uname -sr'
	@$(SQUALL) run -- uname -sr
	@echo; echo '$$ squall show ID'
	@$(SQUALL) show "$$($(SQUALL) ps -n 1 --json | grep -o '"id": *"[^"]*"' | head -1 | cut -d'"' -f4)"
	@echo; echo "more: $(SQUALL) --help        stop: make down"

down: ## stop everything that `make up` started
	@if test -x $(SQUALL); then $(SQUALL) down; else echo "not installed, so not up"; fi

test: $(INSTALLED_FOR_TESTS) ## install what tests need, check style and types, run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q $(PYTEST_ARGS)

bench: $(INSTALLED_FOR_TESTS) ## measure, beside others where they are installed
	$(BIN)/python -m bench $(BENCH_ARGS)
	$(BIN)/python bench/library.py

clean: ## stop, remove .venv and caches; jobs and logs stay in the state directory
	@if test -x $(SQUALL); then $(SQUALL) down; fi
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.cfg pyproject.toml
	@$(call install,.$(EXTRA))
	@touch $@

$(INSTALLED_FOR_TESTS): setup.cfg pyproject.toml
	@$(call install,.[test$(comma)nginx])
	@touch $@ $(INSTALLED)

comma := ,

# Debian's python3 comes without ensurepip unless python3-venv is there: make the environment without
# pip, and have the pip of the machine install into it (`--python`, from pip 22.3 on).
define install
	set -e; \
	command -v $(PYTHON) >/dev/null || \
	    { echo "there is no $(PYTHON): squall needs Python 3.11 or newer (apt install python3)" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("squall needs Python 3.11 or newer, this is " \
	    + sys.version.split()[0] + ": name another one with `make PYTHON=python3.12 up`")'; \
	echo "installing into $(VENV) ..."; \
	$(PYTHON) -m venv --without-pip $(VENV); \
	if $(PYTHON) -m pip --python $(BIN)/python --version >/dev/null 2>&1; then \
	    pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	elif $(BIN)/python -m ensurepip >/dev/null 2>&1; then \
	    pip="$(BIN)/python -m pip"; \
	else \
	    echo "there is no pip: apt install python3-pip" >&2; exit 1; \
	fi; \
	$$pip install --quiet --disable-pip-version-check --no-warn-script-location -e '$(1)' || \
	    { echo "pip could not install '$(1)'; where it has no nginx for this machine: apt install nginx" >&2; exit 1; }
endef
