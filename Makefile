# Two commands: `make bench` runs the losses grid, `make test` the tests. Both make .venv first, once.
SUPPORTED := 3.11 3.12 3.13
VENV      := .venv
PY        := $(VENV)/bin/python

# The interpreter: PYTHON=..., else python3 when it is a supported version, else the first python3.x that is.
PYTHON ?= $(shell for p in python3 $(SUPPORTED:%=python%); do \
	v=$$($$p -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	case " $(SUPPORTED) " in (*" $$v "*) command -v $$p; break;; esac; done)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
STACK   := $(if $(filter 3.11,$(VERSION)),tf2.15,tf2.21)
# CUDA=1 or CUDA=0 overrules the look for a GPU. An environment with CUDA stays one: a login node may share its folder.
CUDA    ?= $(shell grep -qs -- -cuda.txt $(VENV)/.made || nvidia-smi >/dev/null 2>&1 && echo 1 || echo 0)
LOCK    := locks/$(STACK)-$(if $(filter 1,$(CUDA)),cuda,cpu).txt
PIP     := PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install --quiet --no-build-isolation
ARGS    ?=
# An environment for TFX alone. TFX 1.15.1 declares Python below 3.11; what is used of it runs on 3.11.
TFX_VENV    := .venv-tfx
TFX_LOCK    := locks/tfx1.15-cpu.txt
TFX_PYTHON  ?= $(shell command -v python3.11)
TFX_VERSION  = $(shell $(TFX_PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
TFX_PIP     := PIP_DISABLE_PIP_VERSION_CHECK=1 $(TFX_VENV)/bin/python -m pip install --quiet --no-build-isolation

.PHONY: help bench test test-slow audit venv tfx lint lock clean print-python
.DEFAULT_GOAL := help

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo '  PYTHON=python3.12 chooses the interpreter ($(SUPPORTED)); CUDA=1 takes CUDA along; ARGS="--dry-run" is handed on'

bench: venv ## run the losses grid and write its report
	$(PY) -m bench.run --grid losses $(ARGS)

test: venv ## run the tests
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: venv ## run the checks that take minutes of training or real data
	$(PY) -m pytest -m slow $(ARGS)

audit: ## let TensorFlow Model Analysis count a trial of the tests, in .venv-tfma (Python 3.12 or 3.13)
	$(MAKE) VENV=.venv-tfma LOCK=locks/tf2.21-tfma.txt test-slow ARGS=tests/audit

lint: venv ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

venv: ## make the environment in .venv: locked dependencies and this project
	@test -n "$(VERSION)" || { echo 'error: no Python $(SUPPORTED: =, ) found; install one (e.g. `apt-get install python3.11 python3.11-venv`, `uv python install 3.12`) or name it: make PYTHON=/path/to/python3.12' >&2; exit 2; }
	@case " $(SUPPORTED) " in *" $(VERSION) "*) ;; *) echo 'error: $(PYTHON) is Python $(VERSION); supported are $(SUPPORTED): choose one with make PYTHON=python3.12' >&2; exit 2;; esac
	@set -e; want="$$($(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)') $(LOCK) $$(cat $(LOCK) pyproject.toml | cksum)"; \
	if [ "$$want" != "$$(cat $(VENV)/.made 2>/dev/null)" ]; then \
		echo 'Making $(VENV) with Python $(VERSION) from $(LOCK): about two minutes and 3 GB; extras have to be installed again'; \
		rm -rf $(VENV); $(PYTHON) -m venv $(VENV); \
		sed -n '/^setuptools==/,/^[a-z]/{/^setuptools==/p;/^ /p;}' $(LOCK) >$(VENV)/setuptools.txt; \
		$(PIP) --require-hashes --no-deps -r $(VENV)/setuptools.txt; \
		$(PIP) --require-hashes --no-deps -r $(LOCK); \
		$(PIP) --no-deps --editable .; \
		printf '%s' "$$want" >$(VENV)/.made; \
	fi

tfx: ## make .venv-tfx: TFX 1.15 on Python 3.11, whose packages do not fit beside the project's
	@test "$(TFX_VERSION)" = 3.11 || { echo 'error: TFX 1.15 needs Python 3.11, and $(TFX_PYTHON) is none; name one: make TFX_PYTHON=/path/to/python3.11 tfx' >&2; exit 2; }
	@set -e; want="$$($(TFX_PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)') $$(cksum <$(TFX_LOCK))"; \
	if [ "$$want" != "$$(cat $(TFX_VENV)/.made 2>/dev/null)" ]; then \
		echo 'Making $(TFX_VENV) from $(TFX_LOCK): a few minutes and 3 GB'; \
		rm -rf $(TFX_VENV); $(TFX_PYTHON) -m venv $(TFX_VENV); \
		sed -n '/^\(setuptools\|wheel\)==/,/^[a-z]/{/^\(setuptools\|wheel\)==/p;/^ /p;}' $(TFX_LOCK) >$(TFX_VENV)/first.txt; \
		$(TFX_PIP) --require-hashes --no-deps -r $(TFX_VENV)/first.txt; \
		$(TFX_PIP) --require-hashes --no-deps --ignore-requires-python -r $(TFX_LOCK); \
		printf '%s\n' "$(CURDIR)" >"$$(echo $(TFX_VENV)/lib/python3.11/site-packages)/segmentation-bench.pth"; \
		printf '%s' "$$want" >$(TFX_VENV)/.made; \
	fi

lock: ## resolve pyproject.toml anew into locks/ (needs uv; locks/lock.sh says how)
	locks/lock.sh

print-python:
	@echo $(PYTHON)

clean: ## remove the environment and caches; runs stay
	rm -rf $(VENV) .venv-tfma $(TFX_VENV) .pytest_cache .mypy_cache .ruff_cache
