# Everything a machine needs, from Python 3.11+, git and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
PEERS := benchmarks/.venv
BIN := $(VENV)/bin

.PHONY: demo test reliability check lint types audit docs benchmark clean

demo: $(VENV)/core  ## train a small video model on the built-in shapes and sample from it
	$(BIN)/filmgrain demo

test: $(VENV)/test  ## the test suite
	$(BIN)/python -m pytest -n 2

reliability: $(VENV)/test  ## every promise of docs/reliability.md put to the test, and its table written
	trials=$$(mktemp -d) && OMP_NUM_THREADS=1 $(BIN)/python tests/reliability/suite.py $$trials --page docs/reliability.md; \
	  code=$$?; rm -rf $$trials; exit $$code

check: lint types test  ## all that CI runs

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test
	$(BIN)/mypy

audit: $(VENV)/test  ## known vulnerabilities of what is installed, where their list can be had
	.ci/audit

docs: $(VENV)/docs
	$(BIN)/mkdocs build --strict

benchmark: $(PEERS)/ready  ## ours against its peers, in turn: docs/performance.md
	$(PEERS)/bin/python benchmarks/run.py

# The virtual environment, in three sizes. constraints.txt keeps to the small CPU build of PyTorch, here and in CI only.
$(VENV)/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/test: $(VENV)/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,lint]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/reference.txt
	touch $@

$(VENV)/docs: $(VENV)/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

# Of their own, since the peers need a torch for which there is a torchvision.
$(PEERS)/ready: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt -e ".[plots]"
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) site
