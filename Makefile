# What people do with siptwist, a word each.  All of it lives in .venv.

CONFIG = etc/siproxd.conf
TESTS = tests
PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
TRIAL = $(BIN)/python -m twisted.trial --temp-directory=$(VENV)/trial

# COMPILED=1 behind a word: the same with what setup.py names compiled by mypyc, which
# needs a C compiler, the headers of Python and two minutes.
COMPILED =
LIBRARY = build/compiled
ifneq ($(COMPILED),)
READY = $(LIBRARY)/made
export PYTHONPATH = $(CURDIR)/$(LIBRARY):$(CURDIR)
# The folder that a program is started in is not looked at first.
export PYTHONSAFEPATH = 1
endif

# "compat" puts this folder on Python's path as a whole: twistd then finds
# twisted/plugins here, and a changed source file needs no new installation.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--config-settings editable_mode=compat --editable

.PHONY: help run check test fuzz lint interop man bench compiled clean venv-module

help:
	@echo "make run      start the proxy with $(CONFIG); CONFIG=FILE for another"
	@echo "make check    say what is wrong with that file, start nothing"
	@echo "make test     run the unit tests; TESTS=tests.sip for some of them"
	@echo "make fuzz     damaged messages, more of them than make test sends, timed"
	@echo "make lint     style and types"
	@echo "make interop  real calls between real programs in namespaces, as root"
	@echo "make man      the manual pages, from the options"
	@echo "make bench    measure"
	@echo "make compiled compile what mypyc can; then make run COMPILED=1, test, interop"
	@echo "make clean    remove what all this has made"

run: $(VENV)/installed $(READY)
	@exec $(BIN)/twistd -n --pidfile= siproxy --config $(CONFIG)

check: $(VENV)/installed
	@$(BIN)/twistd -n --pidfile= siproxy --config $(CONFIG) --check

test: $(VENV)/installed-dev $(READY)
	$(TRIAL) -j2 $(TESTS)

fuzz: $(VENV)/installed-dev $(READY)
	SIPTWIST_MUTATIONS=200000 $(TRIAL) tests.test_fuzz

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What loads or measures has the machine for itself; the others mostly wait, and two
# of them do so at a time.
ALONE = $(patsubst %,tests.interop.test_%,load crash faults next_hops jitter learning) \
	tests.services.test_endurance
TOGETHER = $(filter-out $(ALONE),$(subst /,.,$(basename $(wildcard tests/interop/test_*.py))))

interop: $(VENV)/installed-dev $(READY)
	@SIPTWIST_INTEROP=1 $(TRIAL) -j2 $(TOGETHER); together=$$?; \
	SIPTWIST_INTEROP=1 $(TRIAL) $(ALONE) && exit $$together

man: $(VENV)/installed-dev
	$(BIN)/python docs/man/build.py

bench: $(VENV)/installed-dev
	@$(MAKE) --no-print-directory compiled >&2 || echo "measuring without the compiled rooms" >&2
	@$(BIN)/python -m bench

compiled: $(LIBRARY)/made

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache _trial_temp*
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache siptwist/plugins/dropin.cache siptwist/plugins/*/dropin.cache

$(LIBRARY)/made: $(VENV)/installed-dev setup.py $(shell find siptwist -name '*.py')
	rm -rf $(LIBRARY)
	SIPTWIST_COMPILE=1 $(BIN)/python setup.py --quiet build --build-lib $(LIBRARY)
	cd $(LIBRARY) && $(CURDIR)/$(BIN)/python -c 'from siptwist.sip import message; \
		print("compiled:", message.__file__); assert not message.__file__.endswith(".py")'
	@touch $@

$(VENV)/installed: $(VENV)/made setup.cfg pyproject.toml
	$(INSTALL) '.[all]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) '.[all,dev]'
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "siptwist needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory venv-module
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Debian keeps this part of Python in a package of its own.
venv-module:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			python3-venv; \
	else \
		echo "Python cannot make a virtual environment: apt-get install python3-venv"; exit 1; \
	fi
