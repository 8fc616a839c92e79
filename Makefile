# Everything here works on a machine that has Python, make, a C++ compiler and a package registry:
# cmake, ninja and the Python packages come into environments of the project's own.
#
#   make demo            train the two examples; pictures and printed losses in build/demo
#   make test            the tests, in .venv
#   make test-sanitized  the tests again, with the native part under the address and undefined-behaviour sanitizers
#   make bench PYTHON=/path/to/python   against the torch of that Python (BENCH_ARGS: see benchmarks/run.py)
#   make conformance PYTHON=...         against torch's own test databases
#   make clients         run torchviz, torchdiffeq, torchinfo and others unmodified, in an environment without torch
#   make lint            ruff and clang-format
#   make check-aarch64   compile every native source for 64-bit ARM (Debian: g++-aarch64-linux-gnu)
#   make clean

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CROSS_CXX ?= aarch64-linux-gnu-g++
PYTEST_ARGS ?=
BENCH_ARGS ?=

VENV := .venv
BIN := $(abspath $(VENV))/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES := CMakeLists.txt pyproject.toml README.md \
           $(shell find native pullback -type f \( -name '*.py' -o -name '*.cpp' -o -name '*.h' -o -name '*.pyi' \) | sort)
# .venv is made by this Python even where `make bench PYTHON=` names another.
BASE_PYTHON ?= python3

.PHONY: help demo test test-sanitized bench conformance clients lint format check-aarch64 wheel clean

help:
	@sed -n 's/^#  *\(make .*\)/  \1/p' Makefile

# A list of pyproject.toml, one requirement a line (tomllib came with Python 3.11).
requirements = $(BIN)/python -c 'import importlib, sys; \
  toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "pip._vendor.tomli"); \
  print(*toml.load(open("pyproject.toml", "rb"))$(1), sep="\n")'

# The environment, with the build requirements of pyproject.toml in it: without build isolation their paths
# stay the same, and with them the object files.
$(STAMPS)/env: pyproject.toml
	test -x $(BIN)/python || $(BASE_PYTHON) -m venv $(VENV)
	$(call requirements,["build-system"]["requires"]) > $(VENV)/build.txt
	$(PIP) install -r $(VENV)/build.txt
	mkdir -p $(STAMPS) && touch $@

# An ordinary install, once for each extra and again only when a source has changed.
$(STAMPS)/install-%: $(STAMPS)/env $(SOURCES)
	PATH="$(BIN):$$PATH" $(PIP) install --no-build-isolation ".[$*]"
	touch $@

demo: $(STAMPS)/install-demo
	$(BIN)/python examples/demo/linear_regression.py --out build/demo
	$(BIN)/python examples/demo/digits.py --out build/demo

test: $(STAMPS)/install-test
	$(BIN)/pytest $(PYTEST_ARGS)

# Tools only: no install of the package, so that lint never waits for the compiler.
$(STAMPS)/tools: $(STAMPS)/env
	$(call requirements,["project"]["optional-dependencies"]["dev"]) > $(VENV)/dev.txt
	$(PIP) install -r $(VENV)/dev.txt
	touch $@

NATIVE = find native tests -name '*.cpp' -o -name '*.h'

lint: $(STAMPS)/tools
	$(BIN)/ruff check .
	$(NATIVE) | xargs -r $(BIN)/clang-format --dry-run -Werror

format: $(STAMPS)/tools
	$(BIN)/ruff check --fix .
	$(NATIVE) | xargs -r $(BIN)/clang-format -i

# The sanitized package lies in front of the installed one. libstdc++ is preloaded too: the sanitizer's wrapper
# of throw must find it before the module is loaded. Python's own allocator would hide uses after free.
SAN := build/sanitized
$(SAN)/stamp: $(STAMPS)/install-test
	PATH="$(BIN):$$PATH" $(PIP) install --no-build-isolation --no-deps --upgrade --target $(SAN)/site . \
	  -C build-dir=$(SAN)/cmake -C cmake.define.PULLBACK_SANITIZE=ON -C install.strip=false
	touch $@

CXX_FOR_LIBS ?= c++
test-sanitized: $(SAN)/stamp
	LD_PRELOAD="$$($(CXX_FOR_LIBS) -print-file-name=libasan.so) $$($(CXX_FOR_LIBS) -print-file-name=libstdc++.so)" \
	  PYTHONPATH=$(abspath $(SAN))/site PYTHONMALLOC=malloc PULLBACK_SANITIZED=1 \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	  $(BIN)/pytest -p no:cacheprovider $(PYTEST_ARGS)

wheel: $(STAMPS)/install-test
	rm -rf build/wheel
	PATH="$(BIN):$$PATH" $(PIP) wheel --no-build-isolation --no-deps -w build/wheel .
	@ls -l build/wheel

# The wheel and the BLAS beside the other packages of $(PYTHON), without changing that environment.
SIDE := build/side
$(SIDE)/stamp: $(STAMPS)/install-test
	$(MAKE) wheel
	$(PYTHON) -m pip -q --disable-pip-version-check install --upgrade --no-deps --target $(SIDE) \
	  build/wheel/*.whl scipy-openblas64
	touch $@

bench: $(SIDE)/stamp
	PYTHONPATH=$(abspath $(SIDE)) $(PYTHON) benchmarks/run.py $(BENCH_ARGS)

conformance: $(SIDE)/stamp
	PYTHONPATH=$(abspath $(SIDE)) $(PYTHON) conformance/run.py --module pullback --only @conformance/ops.txt

clients: wheel
	$(BIN)/python conformance/clients.py --pullback build/wheel/pullback-*.whl

# Only the types are checked, which is where ports break: an intrinsic without its #if, a size, a signed char.
check-aarch64:
	@command -v $(CROSS_CXX) > /dev/null || { echo "$(CROSS_CXX) is missing: apt-get install g++-aarch64-linux-gnu"; exit 1; }
	$(MAKE) $(STAMPS)/env
	includes="-I native -isystem $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	  -isystem $$($(BIN)/python -m nanobind --include_dir)"; \
	find native -name '*.cpp' | sort | xargs -P 2 -I{} sh -c "echo {}; \
	  $(CROSS_CXX) -std=gnu++20 -fsyntax-only -ffp-contract=off -fno-math-errno -Wall -Wextra -Wno-psabi -DPB_ISA=baseline $$includes {}"

clean:
	rm -rf build $(VENV)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
