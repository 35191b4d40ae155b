# Every target sets up `.venv` by itself. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= $(shell for v in 13 12 11; do for p in "$$(command -v python3.$$v)" $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.$$v.*/bin/python3.$$v /usr/local/bin/python3.$$v /usr/bin/python3.$$v 2>/dev/null | sort -rV); do \
	[ -n "$$p" ] && "$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, '$$v'))' 2>/dev/null && { echo "$$p"; exit; }; done; done; \
	python3 -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null && echo python3)
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.ready
ARGS ?=
# Tests, demo and benches start hundreds of processes: none of them should compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help fuzz sensor sensor-image test-arm64 setup demo test lint lock bench clean

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

setup: $(STAMP) ## create .venv with everything a developer needs

$(STAMP): requirements/uv.lock requirements/dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "seawall: no Python 3.11 to 3.13 found; install one, or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PY) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { rm -rf $(VENV); echo "setting up $(VENV) with $(PYTHON)"; "$(PYTHON)" -m venv $(VENV); }
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@$(VENV)/bin/uv pip sync --quiet --python $(PY) --require-hashes requirements/dev.lock requirements/uv.lock
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup ## the whole way on this machine: make demo, or make demo ONCE=1
	@$(PY) -m demo $(if $(ONCE),--once) $(ARGS)

test: setup ## run every test, or some: make test ARGS="tests/oci -x"; says which real parts were missing
ifeq ($(strip $(ARGS)),)
	@# One more process than processors: some wait for servers. What fails is run once more, alone: a busy machine is no defect.
	@# The sensor watches the whole machine: its tests run last.
	@$(PY) -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not bpf"; first=$$?; \
	[ $$first -ne 1 ] || { $(PY) -m pytest --last-failed -m "not bpf"; first=$$?; }; \
	[ $$first -le 1 ] || exit $$first; \
	$(PY) -m pytest tests/sensor -m bpf; second=$$?; \
	[ $$second -ne 1 ] || { $(PY) -m pytest tests/sensor --last-failed -m bpf; second=$$?; }; \
	exit $$((first + second))
else
	@$(PY) -m pytest $(ARGS)
endif

lint: setup ## ruff, mypy (strict), import-linter
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

lock: setup ## resolve pyproject.toml again into requirements/*.lock
	@$(PY) -m requirements.lock $(ARGS)

bench: setup ## every benchmark, as ratios
	@short=; for f in tests/bench/bench_*.py; do echo "== $$f"; $(PY) $$f $(ARGS) || short="$$short $$f"; done; \
	[ -z "$$short" ] || { echo "short of a budget, or failed:$$short"; exit 1; }

bench-%: setup ## one benchmark: make bench-detection
	@$(PY) tests/bench/bench_$(subst -,_,$*).py $(ARGS)

score-%: setup ## one score against data that others made: make score-detection
	@$(PY) tests/score/score_$(subst -,_,$*).py $(ARGS)

fuzz: setup ## atheris over every parser, a minute each: make fuzz ARGS="--seconds 600"
	@$(VENV)/bin/uv pip install --quiet --python $(PY) atheris || { echo "atheris does not install for this Python; take 3.11 to 3.13 on Linux" >&2; exit 2; }
	@$(PY) -m tests.fuzz.run $(ARGS)

sensor: ## compile the sensor's eBPF programs for x86_64 and arm64
	@$(MAKE) --no-print-directory -C sensor/bpf

BASE ?= docker.io/library/debian:trixie-slim
IMAGE ?= seawall-sensor
sensor-image: ## the sensor's image, by podman: make sensor-image BASE=a Debian 12 or 13, ARGS="--platform linux/arm64"
	@podman build -f sensor/Containerfile --build-arg BASE=$(BASE) -t $(IMAGE) $(ARGS) .

test-arm64: setup sensor ## the sensor on an arm64 kernel in emulation (needs qemu-system-arm, cpio)
	@$(PY) -m tests.arm64

package-%: setup ## the deployable function app of one cloud: azure, azure-sync, aws, gcp
	@$(PY) functions/package.py $* $(ARGS)

clean: ## remove what was built
	@$(MAKE) --no-print-directory -C sensor/bpf clean
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
