# make run: everything on this machine · make test: the whole suite · make lint · make soak · make bench
# The virtual environment and all data live in this folder (.venv/, var/); nothing outside it is touched.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The first that can make environments. A system's own is built with all optimizations, which is a fifth of the time.
PYTHON ?= $(or $(shell for one in /usr/bin/python3.11 python3.11 python3; do \
  "$$one" -c 'import ensurepip, venv' 2>/dev/null && command -v "$$one" && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONUNBUFFERED := 1
# A part starts in half the time where its code is compiled already, and the suite starts hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help tools venv requirements texts browser run test lint soak bench

help:
	@sed -n 1,2p Makefile

tools:
	@tools/check-machine "$(PYTHON)"

venv: tools $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt
	@tools/make-venv "$(PYTHON)" $(VENV)
	@touch $@

requirements: venv
	$(BIN)/uv pip compile -q --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make requirements" requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make requirements" requirements-dev.in -o requirements-dev.txt

# Brings locale/ up to date with the sources, and says what still has to be translated.
texts: venv
	@$(BIN)/python -m armor.texts

run: venv
	@exec $(BIN)/python -m armor.supervisor

test: venv
	@tools/run-tests $(PYTEST_ARGS)

lint: venv
	@tools/lint

soak: venv
	@tools/soak $(SOAK_ARGS)

bench: venv
	@exec $(BIN)/python -m bench
