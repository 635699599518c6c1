# Each target sets itself up: a virtual environment in .venv with pinned dependencies, and for those that need them
# Prometheus, Alertmanager and libfaketime from the system's packages; for the tests Chromium too.
#
#   make gameday   three drills on the embedded lab, with a report
#   make prove     every drill of chaos/ against every alert
#   make test      lint, types and all tests but the slow ones and the mutants
#   make slow      the slow tests
#   make mutants   change every number of every rule: a test must notice
#   make soak      kill 1,000 controllers of faults at random moments; SOAK_SEED and SOAK_ROUNDS repeat or shorten it
#   make lint      ruff and mypy alone
#   make interop   fetch what the tests run against that is not ours: oidc-provider from npm, where there is node
#   make build     write alerts/, dashboards/ and docs/catalog.md anew from the catalogue
#   make bench     benchmarks as ratios to a reference in the same run
#   make constraints   pin new dependencies, and all anew with UPGRADE=-U

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SYSTEM := $(VENV)/.system
PACKAGES := prometheus prometheus-alertmanager libfaketime
BROWSER := $(VENV)/.browser
BROWSER_PACKAGES := chromium chromium-driver fonts-dejavu-core

OIDC := tests/interop/oidc_provider
INTEROP := $(OIDC)/node_modules/.installed

# Tests that start real processes run one by one, for what they measure is time; all others two at a time.
TIMED := tests/integration tests/interop tests/load tests/processes tests/soak
ALONE := tests $(TIMED:%=--ignore=%)

.PHONY: gameday prove test slow mutants soak interop lint build bench constraints clean

gameday: $(STAMP) $(SYSTEM)
	$(BIN)/jwtdrill gameday clock_skew jwks_outage rotation_without_overlap $(GAMEDAY)

prove: $(STAMP) $(SYSTEM)
	$(BIN)/jwtdrill prove $(PROVE)

test: lint $(SYSTEM) $(BROWSER) interop
	@$(call tested,not slow and not mutants)

slow: $(STAMP) $(SYSTEM) $(BROWSER)
	@$(call tested,slow)

mutants: $(STAMP) $(SYSTEM)
	@$(call tested,mutants)

soak: $(STAMP) $(SYSTEM)
	$(BIN)/python -m tests.soak

interop: $(INTEROP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

build: $(STAMP)
	$(BIN)/jwtdrill build
	$(BIN)/jwtdrill catalog --markdown > docs/catalog.md.new && mv docs/catalog.md.new docs/catalog.md

bench: $(STAMP) $(SYSTEM)
	@$(call system-packages,$(PACKAGES) wrk,$(SYSTEM))
	$(BIN)/python -m benchmarks

constraints:
	@command -v uv >/dev/null || { echo "make constraints needs uv: pip install uv" >&2; exit 2; }
	cp $@.txt $@.new
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header -q $(UPGRADE) -o $@.new
	{ echo '# Made by `make constraints`: every dependency with its hashes, for Python 3.11 to 3.13.'; grep -v '^# Made' $@.new; } > $@.txt
	rm $@.new

clean:
	rm -rf $(VENV)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "jwtdrill needs Python 3.11 to 3.13: run make with PYTHON=python3.11" >&2; exit 2; }
	@$(call make-venv)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Without node the tests against oidc-provider are skipped, and say so.
$(INTEROP): $(OIDC)/package-lock.json
	@command -v npm >/dev/null || { echo "no npm: the tests against oidc-provider are skipped" >&2; exit 0; }; \
	  cd $(OIDC) && npm ci --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error >/dev/null && touch node_modules/.installed

$(SYSTEM): $(STAMP)
	@$(call system-packages,$(PACKAGES),$(SYSTEM))

# A browser needs too many libraries to be unpacked anywhere: without root the tests in one are skipped, and say so.
$(BROWSER): $(STAMP)
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then touch $@; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "no chromium and chromedriver: the tests in a browser are skipped" >&2; \
	else $(call system-packages,$(BROWSER_PACKAGES),$(BROWSER)); fi

# Both halves run whatever becomes of the first. Nothing to run (5) is no failure: PYTEST="-k …" may choose from one alone.
define tested
	status=0; \
	for half in "-n 2 $(ALONE)" "$(TIMED)"; do \
	  $(BIN)/pytest -m "$(1)" $$half $(PYTEST); code=$$?; [ $$code = 0 ] || [ $$code = 5 ] || status=1; \
	done; \
	exit $$status
endef

# A Debian without python3-venv has the module but not pip's wheel: installed as root, else said.
define make-venv
	[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null && $(PYTHON) -m venv --clear $(VENV); \
	  else echo "$(PYTHON) cannot make a virtual environment: run apt-get install python3-venv" >&2; exit 2; fi; }
endef

# Packages (1), and the stamp to set once all are there (2). As root they are installed, with services kept from
# starting; otherwise they are unpacked inside .venv.
define system-packages
	missing=""; \
	for package in $(1); do \
	  case $$package in libfaketime) found=$$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 $(VENV)/system/usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -1);; \
	    chromium-driver) found=$$(command -v chromedriver);; \
	    fonts-*) found=$$(dpkg -L $$package 2>/dev/null | head -1);; \
	    *) found=$$(PATH="$$PATH:$(VENV)/system/usr/bin" command -v $$package);; esac; \
	  [ -n "$$found" ] || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || { touch $(CURDIR)/$(2); exit 0; }; \
	command -v apt-get >/dev/null || { echo "please install:$$missing" >&2; exit 0; }; \
	if [ "$$(id -u)" = 0 ]; then \
	  echo "installing with apt-get:$$missing" >&2; \
	  policy=/usr/sbin/policy-rc.d; \
	  [ -e $$policy ] || { printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; made=1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; status=$$?; \
	  [ -z "$$made" ] || rm -f $$policy; \
	else \
	  echo "unpacking into $(VENV)/system:$$missing" >&2; \
	  mkdir -p $(VENV)/system/deb && cd $(VENV)/system/deb && apt-get download -qq $$missing && \
	  for deb in *.deb; do dpkg-deb -x $$deb ..; done; status=$$?; \
	fi; \
	[ $$status = 0 ] && touch $(CURDIR)/$(2) || \
	  echo "could not install:$$missing; tests that need them are skipped; jwtdrill gameday runs --without-alerts" >&2
endef
