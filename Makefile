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

quoted = '$(subst ','\'',$(1))'
# make variable -> option; SET is split at blanks, so no value in it can have one
OPTIONS = $(if $(RESUME),,--algo $(call quoted,$(ALGO))) \
  $(if $(SPLIT),--split $(call quoted,$(SPLIT))) $(if $(PRESET),--preset $(call quoted,$(PRESET))) \
  $(if $(SEED),--seed $(call quoted,$(SEED))) $(if $(ROUNDS),--rounds $(call quoted,$(ROUNDS))) \
  $(if $(CLIENTS),--clients $(call quoted,$(CLIENTS))) $(if $(ACTORS),--actors $(call quoted,$(ACTORS))) \
  $(if $(DATA),--data $(call quoted,$(DATA))) $(if $(RESUME),--resume $(call quoted,$(RESUME))) \
  $(if $(SET),--set $(foreach word,$(SET),$(call quoted,$(word)))) $(ARGS)

# A variable of the command line that is nearly one of ours is a typing error
KNOWN = ALGO SPLIT PRESET SEED ROUNDS CLIENTS ACTORS DATA RESUME SET ARGS SUITE JOBS PYTHON
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
OTHER := $(filter-out $(KNOWN) VENV MAKEFLAGS,$(GIVEN))
ifneq ($(OTHER),)
  TYPO := $(shell python3 -c 'import difflib, sys; \
    known = sys.argv[1].split(); \
    near = [(name, *difflib.get_close_matches(name.upper(), known, 1, 0.75)) for name in sys.argv[2:]]; \
    print(*["unknown variable %s: did you mean %s?" % pair for pair in near if len(pair) == 2][:1])' \
    '$(KNOWN)' $(OTHER))
  ifneq ($(TYPO),)
    $(error $(TYPO) The variables are: $(KNOWN))
  endif
endif

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
	@$(VENV)/bin/mypy & types=$$!; $(VENV)/bin/pytest -n $(JOBS) --dist loadfile $(ARGS); tests=$$?; \
	  wait $$types && exit $$tests

.PHONY: test-slow
test-slow: $(STAMP) ## the tests marked slow: whole runs, Ray's failures, compared implementations
	@$(VENV)/bin/pytest -n $(JOBS) --dist loadfile -m 'slow and not gpu' $(ARGS)

.PHONY: suite
suite: $(STAMP) ## run benchmark/configs/suites/$SUITE.toml: algorithm x split x seed; skips existing results
	@$(RUN) suite $(call quoted,$(SUITE)) $(ARGS)

.PHONY: leaderboard
leaderboard: $(STAMP) ## rebuild leaderboards/*.md, leaderboards/html/ and docs/img/board.png from leaderboards/results/
	@$(RUN) leaderboard $(ARGS)

.PHONY: screenshots
screenshots: $(STAMP) ## the pictures of README and docs, from boards and runs (needs Chromium)
	@$(VENV)/bin/python -m benchmark.reading.screenshots docs/img
	@$(VENV)/bin/python -m fedmrg_core.data.phantom.sheet --seed 0 --out docs/img/phantom_hospitals.png

.PHONY: regress
regress: $(STAMP) ## has a number moved? small runs against leaderboards/expected/gate.json
	@$(RUN) regress $(ARGS)

.PHONY: regress-update
regress-update: $(STAMP) ## renew leaderboards/expected/gate.json and its spread (refused on a dirty tree)
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
	@$(RUN) doctor $(if $(DATA),$(call quoted,$(DATA))) $(ARGS)

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
