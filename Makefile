# Each target is one call. `make` alone lists them.
STACK ?= lab

help:       ## list the targets
	@sed -n 's/^\([a-z-]*\): *## */\1\t/p' Makefile | expand -t 12

up:         ## set up, run `pulumi up` of STACK (default: lab), prove it with a training job
	@tools/run platform-iac up $(STACK)

down:       ## remove everything of STACK: machines, networks, mounts
	@tools/run --as-is platform-iac down $(STACK)

test:       ## set up, run the whole test suite
	@tools/run --tests pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-fast:  ## the tests that need neither machines nor the Pulumi CLI
	@tools/run pytest -n 2 -m "not twin and not engine"

check:      ## ruff, mypy --strict, ansible-lint
	@tools/run tools/check

bench:      ## measure; prints each result as a ratio, with its method
	@tools/run python -m bench

lock:       ## pin the Python packages anew; what still fits stays
	@tools/run uv pip compile pyproject.toml --group dev --generate-hashes --no-header --python-version 3.11 -q -o requirements.lock

.PHONY: help up down test test-fast check bench lock
