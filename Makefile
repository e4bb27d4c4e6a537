# Each target makes its own virtual environment and installs what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Processes that run tests at once, about 1.5 GB each.
WORKERS ?= 2
TORCH := $(VENV)/.torch
DEMO := $(VENV)/.demo
STAMP := $(VENV)/.installed
TESTED := $(VENV)/.tested

.PHONY: demo test test-fast coverage lint types docs ci clean

demo: $(DEMO)
	$(BIN)/htnet demo --out out/demo

test: $(STAMP) $(TESTED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# What does not take long; covers almost all lines that `make test` covers.
test-fast: $(STAMP) $(TESTED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

# Lines of htnet/ that test-fast covers, and that all tests cover, in percent.
coverage: $(STAMP) $(TESTED)
	COVERAGE_FILE=.coverage.fast $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" --cov --cov-report=
	COVERAGE_FILE=.coverage.slow $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow --cov --cov-report=
	$(BIN)/coverage combine --quiet --keep --data-file=.coverage.all .coverage.fast .coverage.slow
	@echo "test-fast: $$($(BIN)/coverage report --data-file=.coverage.fast --format=total --precision=1) %"
	@echo "test:      $$($(BIN)/coverage report --data-file=.coverage.all --format=total --precision=1) %"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/zensical build --strict

ci: lint types test docs

# A CPU build carries the local version +cpu. Where pip can give one it is taken, so that the
# gigabytes of a CUDA build are not fetched; elsewhere pip's own choice is as good as any.
$(TORCH):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch==2.13.0+cpu" || $(BIN)/python -m pip install --quiet "torch>=2.4"
	touch $(TORCH)

# What the demo uses, without the tools of developers, which take longer to install than the demo runs.
$(DEMO): pyproject.toml | $(TORCH)
	$(BIN)/python -m pip install --quiet --editable ".[fast,plots]"
	touch $(DEMO)

$(STAMP): pyproject.toml | $(TORCH)
	$(BIN)/python -m pip install --quiet --editable ".[dev,docs]"
	touch $(STAMP)

# What only tests need. face-alignment comes without its dependencies, because it asks for the build of OpenCV that collides with ours; what else it needs
# and the dev extra does not bring is named here.
$(TESTED): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[triton]"
	$(BIN)/python -m pip install --quiet "tqdm>=4"
	$(BIN)/python -m pip install --quiet --no-deps "face-alignment>=1.5,<1.6"
	touch $(TESTED)

clean:
	rm -rf $(VENV) out
