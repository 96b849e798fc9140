# Everything happens in .venv, which is made when first needed.

.DEFAULT_GOAL := help
.PHONY: help install run guests c-guests test lint types check conform stress bench bench-full clean
PYTHON ?= python3
STRESS ?= 60
BIN := .venv/bin
INSTALLED := .venv/.installed
TESTING := .venv/.testing
QILING := build/bench-qiling/.installed
DEMO := $(patsubst guest_programs/demo/%.s,build/%.bin,$(wildcard guest_programs/demo/*.s))

help:      ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install:   ## Make .venv and install vkemu into it, in editable mode.
install: $(INSTALLED)

run:       ## Assemble the demo programs and run the demo virtual kernel.
run: guests
	$(BIN)/vkemu run build/minivk.bin

guests:    ## Assemble guest_programs/demo into build/.
guests: $(DEMO)

c-guests:  ## Compile guest_programs/c into build/c/, where there is a C compiler.
c-guests: $(INSTALLED)
	@$(MAKE) --no-print-directory -C guest_programs/c BUILD=$(CURDIR)/build/c VKEMU=$(CURDIR)/$(BIN)/vkemu

test:      ## Check everything: linters, types, all tests.
test: lint types check

lint:      ## Run the linter and the formatter's check.
lint: $(TESTING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:     ## Check the types.
types: $(TESTING)
	$(BIN)/mypy

check:     ## Run the tests.
check: $(TESTING)
	$(BIN)/pytest

conform:   ## Run the conformance suite in all versions.
conform: $(INSTALLED)
	$(BIN)/vkemu conform

stress:    ## Run the stress tests for a minute each (STRESS=60, in seconds).
stress: $(TESTING)
	$(BIN)/pytest -o faulthandler_timeout=0 --stress $(STRESS) \
		tests/test_stress.py tests/test_idle.py tests/test_fuzz.py tests/test_fuzz_machine.py \
		tests/test_against_hardware.py tests/test_vkernel_model.py

bench:     ## Measure how fast it is, in about a minute.
bench: $(TESTING)
	PYTHONPATH=tests $(BIN)/python -m bench

bench-full: ## The same, longer and beside Qiling: what the README's table is made of.
bench-full: $(TESTING) $(QILING)
	PYTHONPATH=tests $(BIN)/python -m bench --full --json build/bench.json --markdown build/bench.md

clean:     ## Remove what the other targets made.
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

build/%.bin: guest_programs/demo/%.s $(wildcard guest_programs/*.inc guest_programs/demo/*.inc) $(INSTALLED)
	@mkdir -p build
	$(BIN)/vkemu asm $< -o $@

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(QILING):
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet qiling==1.4.6
	@touch $@

$(TESTING): $(INSTALLED)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@
