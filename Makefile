# Everything runs in .venv, from the versions pinned in constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run demo test check format constraints clean

run: $(VENV)/.installed  ## start the platform; Ctrl-C ends it
	@exec $(BIN)/thatdam up --sample-footage

demo: $(VENV)/.installed  ## the main job without a server: drop footage, find the moment
	@$(BIN)/thatdam demo

test: $(VENV)/.installed-dev  ## the whole test suite, in two processes
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.installed-dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: $(VENV)/.installed-dev  ## write the installed versions down
	{ head -1 constraints.txt; $(BIN)/pip freeze --exclude-editable --exclude thatdam; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache

$(VENV)/bin/python:
	@echo "Setting up $(VENV) (several GB for torch: some minutes the first time)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[pipelines,capture,webrtc]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[pipelines,capture,webrtc,dev]'
	@touch $@
