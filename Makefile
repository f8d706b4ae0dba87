# Every command of the project: `make` lists them.

# python3.11, or python3 where there is none: scripts/set_up.py says so when that is no Python 3.11.
PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
# GPU=1 sets up for NVIDIA GPUs, GPU=0 for the CPU; unset, .venv stays what it is, a new one is for the CPU.
GPU ?=
VARIANT = $(if $(filter 1,$(GPU)),--variant gpu,$(if $(filter 0,$(GPU)),--variant cpu))
BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --python-platform linux

.DEFAULT_GOAL := help
.PHONY: help setup demo check test lint format lock clean

help: ## List the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1@\2/p' Makefile | awk -F@ '{ printf "%-12s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables: GPU=1 (with CUDA_HOME=DIR: where the CUDA 12 toolkit is), PYTHON=python3.11"

setup: ## Make .venv with everything in it (GPU=1: for NVIDIA GPUs)
	@$(PYTHON) scripts/set_up.py $(VARIANT)

demo: setup ## Show the whole way from volumes to a segmentation
	@$(BIN)/python scripts/demo.py

check: lint ## Lint, check the types, run the tests that are not slow: in two minutes
	$(PYTEST) -m "not slow"

test: lint ## Lint, check the types, run all tests
	$(PYTEST)

lint: setup ## Lint and check the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup ## Make the lock files in requirements/ anew from the .in files; pins that still fit are kept
	$(COMPILE) requirements/cpu.in requirements/runtime.in requirements/development.in -o requirements/cpu.txt
	$(COMPILE) requirements/gpu.in requirements/runtime.in requirements/development.in -o requirements/gpu.txt
	$(COMPILE) --no-deps requirements/horovod.in -o requirements/horovod.txt
	$(COMPILE) --no-deps requirements/dali-tf-plugin.in -o requirements/dali-tf-plugin.txt
	$(COMPILE) --no-deps requirements/cuda-headers.in -o requirements/cuda-headers.txt
	$(COMPILE) requirements/uv.in -o requirements/uv.txt

clean: ## Remove .venv, what the demo wrote, and the tools' caches; results and the download cache stay
	rm -rf .venv demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
