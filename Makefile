# The two main commands are `make bench ALGO=fedmrg` and `make test`; `make help` lists all. Each installs what it needs.
# Every target calls the console script `fedmrg`, which also works without make.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV  := .venv
STAMP := $(VENV)/.stamp
RUN   := $(VENV)/bin/fedmrg
ALGO  ?= fedmrg
SUITE ?= phantom
JOBS  ?= 2

# make variable -> option; SET is split at blanks, so no value in it can have one
OPTIONS = $(if $(RESUME),,--algo '$(ALGO)') \
  $(if $(SPLIT),--split '$(SPLIT)') $(if $(PRESET),--preset '$(PRESET)') $(if $(SEED),--seed '$(SEED)') \
  $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(CLIENTS),--clients '$(CLIENTS)') $(if $(ACTORS),--actors '$(ACTORS)') \
  $(if $(DATA),--data '$(DATA)') $(if $(RESUME),--resume '$(RESUME)') \
  $(if $(SET),--set $(foreach word,$(SET),'$(word)')) $(ARGS)

.PHONY: help
help: ## this list
	@echo 'usage: make TARGET [NAME=value ..]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo 'of bench: ALGO=fedmrg SPLIT=phantom/group PRESET=tiny SEED=0 ROUNDS= CLIENTS= DATA=dir SET="k=v k=v"'
	@echo '          ACTORS= (0: no Ray) RESUME=run_id ARGS="any option of fedmrg bench"'

.PHONY: bench
bench: $(STAMP) ## run one experiment and print its scores: make bench ALGO=fedmrg
	@$(RUN) bench $(OPTIONS)

.PHONY: test
test: $(STAMP) ## lint, type check, tests (not those marked slow or gpu); JOBS=2 processes
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pytest -n $(JOBS) --dist loadgroup $(ARGS)

.PHONY: suite
suite: $(STAMP) ## run benchmark/configs/suites/$SUITE.toml: algorithm x split x seed; skips existing results
	@$(RUN) suite '$(SUITE)' $(ARGS)

.PHONY: leaderboard
leaderboard: $(STAMP) ## rebuild leaderboards/*.md, leaderboards/html/ and docs/img/board.png from leaderboards/results/
	@$(RUN) leaderboard $(ARGS)

.PHONY: regress
regress: $(STAMP) ## compare the small CI split with leaderboards/expected/ci.json; fails if a number moved
	@$(RUN) regress $(ARGS)

.PHONY: regress-update
regress-update: $(STAMP) ## renew leaderboards/expected/ci.json (refused on a dirty tree)
	@$(RUN) regress --update $(ARGS)

.PHONY: ui
ui: $(STAMP) ## MLflow UI on 127.0.0.1
	@$(RUN) ui $(ARGS)

.PHONY: splits
splits: $(STAMP) ## rebuild every split whose data is available
	@$(RUN) splits make $(ARGS)

.PHONY: verify-splits
verify-splits: $(STAMP) ## verify every split whose data is available
	@$(RUN) splits verify $(ARGS)

.PHONY: doctor
doctor: $(STAMP) ## check data, weights, Java, GPU and Ray, and say what each enables
	@$(RUN) doctor $(if $(DATA),'$(DATA)') $(ARGS)

.PHONY: setup
setup: $(STAMP) ## install into .venv only; the other targets do so themselves
	@:

.PHONY: clean
clean: ## remove caches and .venv, but not runs/ and mlflow.db
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt benchmark/bootstrap.py
	@for python in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    exec "$$python" benchmark/bootstrap.py $(VENV); \
	  fi; \
	done; \
	echo 'set-up: Python 3.11 or newer is needed and none is on PATH; install one or say make PYTHON=/path/to/python3.11' >&2; \
	exit 2
