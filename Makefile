# Two commands for a fresh Debian machine, as root: `make run` and `make test`.
# `make help` lists the rest.

PYTHON := .venv/bin/python
BOOTSTRAP := @bin/bootstrap
BOOTSTRAP_TESTS := @bin/bootstrap --tests
PYTEST := $(PYTHON) -m pytest
# Every file stays in one process, so that its tests share their daemons. Three processes for two
# cores: nearly half of the time they wait for daemons. Long files first (tests/conftest.py).
IN_PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
# Tested with their coverage, and only once.
PURE := tests/unit/pki tests/unit/issuance tests/unit/mailconf

.DEFAULT_GOAL := help
.PHONY: run test help lint types imports unit web integration browser coverage fuzz bench lock demo-reset

run: ## start the panel with a mail server of its own; Ctrl-C ends it all
	$(BOOTSTRAP)
	@exec setpriv --pdeathsig TERM $(PYTHON) -m mailadmin.demo

test: ## check everything: style, types, import rules, the whole test suite, coverage
	$(BOOTSTRAP_TESTS)
	@checks=passed; $(MAKE) --no-print-directory --keep-going lint types imports || checks=failed; \
	$(MAKE) --no-print-directory coverage; pure=$$?; \
	$(PYTEST) $(IN_PARALLEL) $(PURE:%=--ignore=%); tests=$$?; \
	[ $$checks = passed ] || { echo "The checks before the tests found something; see above."; exit 1; }; \
	[ $$pure = 0 ] || { echo "The tests of the pure parts failed, or miss a branch; see above."; exit 1; }; \
	exit $$tests

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' Makefile | \
		awk '{ printf "  %s %-12s", $$1, $$2; for (i = 3; i <= NF; i++) printf " %s", $$i; print "" }'

lint: ## check the style of Python and templates
	$(BOOTSTRAP_TESTS)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m djlint --quiet --lint templates

types: ## check the types
	$(BOOTSTRAP_TESTS)
	$(PYTHON) -m mypy

imports: ## check who imports whom
	$(BOOTSTRAP_TESTS)
	.venv/bin/lint-imports --no-logo

unit: ## test the pure parts
	$(BOOTSTRAP_TESTS)
	$(PYTEST) $(IN_PARALLEL) tests/unit

web: ## test the pages
	$(BOOTSTRAP_TESTS)
	$(PYTEST) $(IN_PARALLEL) tests/web

integration: ## test against real Postfix, Dovecot and Redis
	$(BOOTSTRAP_TESTS)
	$(PYTEST) tests/integration

browser: ## test in a real Chromium
	$(BOOTSTRAP_TESTS)
	$(PYTEST) tests/browser

coverage: ## check that every branch of the pure parts is tested
	$(BOOTSTRAP_TESTS)
	$(PYTEST) -n 2 $(PURE) --cov=mailadmin.pki --cov=mailadmin.issuance --cov=mailadmin.mailconf \
		--cov-branch --cov-report=term:skip-covered --cov-fail-under=100

fuzz: ## look for inputs that break the pure parts, with new examples each time
	$(BOOTSTRAP_TESTS)
	MAILADMIN_EXAMPLES=fresh MAILADMIN_FUZZ_SECONDS=600 \
		$(PYTEST) -n 2 --timeout 1200 $(PURE) tests/fuzz

bench: ## measure applying, queueing and the number of queries per page
	$(BOOTSTRAP_TESTS)
	$(PYTHON) -m tests.bench

lock: ## write requirements*.txt anew from requirements*.in
	$(BOOTSTRAP_TESTS)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(PYTHON) -m uv pip compile --quiet --no-strip-extras --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --output-file requirements.txt requirements.in
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(PYTHON) -m uv pip compile --quiet --no-strip-extras --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --output-file requirements-dev.txt requirements-dev.in

demo-reset: ## remove the state of the demo, its mailbox included
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m mailadmin.demo reset; \
	else rm -rf var && echo "var was removed."; fi
