# Two commands on a fresh machine: `make demo`, `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo quick test check format clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@# torch first and by itself: where a CPU build is provided, the exact version finds it.
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: setup
	$(BIN)/mixopt data demo --out demo/data --vocabulary 1024
	$(BIN)/mixopt ddo experiments/demo.yaml --verify
	$(BIN)/mixopt report --results demo/results --out demo/report.html

quick: setup
	@# What neither trains nor starts Ray nor opens a browser nor takes long: for after every edit.
	@# Two processes of one thread each: numpy's own threads would only get in their way.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quick -n 2 --dist worksteal

test: setup
	@# Tests of Ray look at what it leaves in the machine, and use all of it: one after the other.
	@# Hypothesis tries the same examples each time (its profile `ci`); a plain `pytest` tries new ones.
	$(BIN)/python -m pytest --hypothesis-profile=ci -m "ray and not gpu"
	$(BIN)/python -m pytest --hypothesis-profile=ci -n 2 --dist worksteal -m "not ray and not gpu"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist
