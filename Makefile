# Each target is one call. `make` alone lists them.
STACK ?= lab
BASE ?= origin/main
BRANCH ?= main
WORKERS := -n 2 --dist loadgroup --no-loadscope-reorder

help:          ## list the targets
	@sed -n 's/^\([a-z-]*\): *## */\1\t/p' Makefile | expand -t 16

up:            ## set up, run `pulumi up` of STACK (default: lab), prove it with a training job
	@tools/run platform-iac up $(STACK)

down:          ## remove everything of STACK: machines, networks, mounts
	@tools/run --as-is platform-iac down $(STACK)

test:          ## set up, run the whole test suite
	@tools/run --tests pytest $(WORKERS)

test-fast:     ## the tests that need neither machines nor the Pulumi CLI
	@tools/run --plan pytest -n 2 -m "not twin and not engine"

test-touched:  ## the tests on machines that what changed since BASE (default: origin/main) can break; build/twin.xml
	@tools/run --tests python -m tests.touched "$(BASE)" $(WORKERS) --junitxml build/twin.xml

check:         ## ruff, mypy --strict, ansible-lint, the forges' workflows
	@tools/run --plan tools/check

review:        ## what the change since BASE does to every stack, and whether it may: build/review; JUNIT: its proof
	@tools/run --plan platform-iac review --base "$(BASE)" --out build/review $(addprefix --junit ,$(wildcard $(JUNIT)))

evidence:      ## push what a promotion wrote down to BRANCH (default: main); KEY: where its log grew meanwhile
	@tools/evidence "$(BRANCH)" $(KEY)

demo-promotion: ## from a pull request to production on twins, with drift mended; removes everything again
	@tools/run python -m demo

bench:         ## measure; prints each result as a ratio, with its method
	@tools/run python -m bench

lock:          ## pin the Python packages anew; what still fits stays
	@tools/run --plan tools/lock

audit:         ## ask for known vulnerabilities of the pinned packages, and whether the pins are those of pyproject.toml
	@tools/run --plan tools/audit

release:       ## wheel, source, SBOM and sums of this commit in build/release; KEY: the SSH key that signs them
	@tools/run --plan python tools/release.py --out build/release $(addprefix --key ,$(KEY))

.PHONY: help up down test test-fast test-touched check review evidence demo-promotion bench lock audit release
