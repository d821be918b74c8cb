# Needs make (3.81 or later) and Python 3.11 or later; everything else goes into .venv.
PYTHON  ?= python3
VENV    ?= .venv
PROFILE ?= laptop
PORT    ?= 8000

ifneq ($(words $(VENV)),1)
$(error VENV: expected a path without spaces, got "$(VENV)")
endif

# A variable as it was given, as one word of a shell's: spaces, quotes and dollars stay.
quoted = '$(subst ','\'',$(value $1))'

BIN   := $(VENV)/bin
READY := $(VENV)/.installed
BUSY  := $(VENV)/.installing

# This environment's kernel and packages, never the user's own.
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONNOUSERSITE := 1

.PHONY: help env book pdf test rerun experiments bench lab serve lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## */\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do \
	  printf '%-11s %s\n' "$$name" "$$text"; done

env: $(READY)  ## make .venv from requirements.lock

book: $(READY)  ## run every chapter and build _build/html [PROFILE=smoke|laptop|paper|mine.yaml DATASET=folder DATA=tags.csv]
	@$(BIN)/python -m companion.build --profile $(call quoted,PROFILE) --dataset $(call quoted,DATASET) --data $(call quoted,DATA) --clips $(call quoted,CLIPS)

pdf: book  ## print the whole book into _build/multiscale.pdf, with chromium [as book]
	@$(BIN)/python -m companion.pdf

test: $(READY)  ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest

rerun: $(READY)  ## run one chapter into _runs: CHAPTER=03_2_gaussian_pyramid P="n_levels=4 seed=1"
	@$(BIN)/python -m companion.rerun $(call quoted,CHAPTER) --profile $(call quoted,PROFILE) --parameters $(call quoted,P)

experiments: $(READY)  ## compute the 28 architectures on both tasks [PROFILE=...]
	@$(BIN)/multiscale run --profile $(call quoted,PROFILE)

bench: $(READY)  ## measure speed and memory beside peers, into benchmarks/results.csv [DEVICE=cuda: a GPU alone]
	@for file in benchmarks/bench_$(if $(DEVICE),device,*).py; do \
	  $(BIN)/python $$file $(if $(DEVICE),--device $(call quoted,DEVICE)) || exit 1; done

lab: $(READY)  ## open the chapters in JupyterLab
	@$(BIN)/python -m jupyterlab book $$(test $$(id -u) != 0 || echo --allow-root)

serve: $(READY)  ## show _build/html at http://localhost:8000 [PORT=8001]
	@test -f _build/html/index.html || { echo "no book is there to serve: make book" >&2; exit 1; }
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || \
	  { echo "port $(PORT) cannot be had; name another: make serve PORT=8001" >&2; exit 1; }
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lint: $(READY)  ## check style and docstrings
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m numpydoc.hooks.validate_docstrings $$(find lib extras -name '*.py')

clean:  ## remove _build and _runs; .venv stays, and data and results in their cache
	rm -rf _build _runs

# One make at a time: others wait, then find all installed, so the rule is looked at again.
# A killed install can leave half a package that looks whole to pip: begin anew then. One that
# failed by itself was undone by pip and may go on.
# Most Linux wheels of torch need CUDA packages that the lock does not name: torch comes first,
# with what it depends on.
# Ready is as new as what it was made from, even if that is dated in the future.
$(READY): requirements.lock pyproject.toml
ifndef LOCKED
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@exec 9<requirements.lock && $(PYTHON) -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' && \
	  exec $(MAKE) --no-print-directory $@ LOCKED=1
else
	@if test -e $(BUSY) -a -e $(VENV)/pyvenv.cfg; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && touch $(BUSY)
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@set -x; $(BIN)/python -m pip install -c requirements.lock torch && \
	  $(BIN)/python -m pip install --no-deps -r requirements.lock && \
	  $(BIN)/python -m pip install --no-deps --no-build-isolation -e . || \
	  { rm -f $(BUSY); exit 1; }
	@rm $(BUSY) && touch $(READY)
	@for file in $^; do test $(READY) -nt $$file || touch -r $$file $(READY); done
endif
