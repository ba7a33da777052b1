# Two commands are enough: `make sweep` and `make test`; both set up what they need and do it once.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.current

STUDIES ?= safety_tax gap_correlation activation_study
SEEDS   ?=
FIGURES ?= docs/studies

.PHONY: setup sweep studies test test-browser test-slurm lint bench faults wheel clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dgr needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

sweep: setup
	$(BIN)/python -m dgr.run -m refine=dgr,vanilla n_samples=10,100,1000

# Finished points are skipped; failed ones are counted in what is written. SEEDS=100,101 for other seeds than a study's own.
studies: setup
	for study in $(STUDIES); do \
	  $(BIN)/python -m dgr.run +experiment=$$study $(if $(SEEDS),seed=$(SEEDS)) || true; \
	done
	$(if $(filter activation_study,$(STUDIES)),$(BIN)/python -m dgr.probe sweep=activation_study evaluation=micro)
	$(BIN)/python -m dgr.compare.document $(addprefix $${DGR_OUTPUTS:-outputs}/,$(STUDIES)) --out $(FIGURES)

test: setup lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile

test-browser: setup
	$(BIN)/python -m pytest tests/compare -m browser -rs

test-slurm: setup
	$(BIN)/python -m pytest tests/slurm -m slurm -rs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m pytest tests/perf -m '' -s

faults: setup
	$(BIN)/python tests/faults/test_faults.py --trials 5
	$(BIN)/python tests/slurm/slurm_faults.py --trials 5

wheel: setup
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf $(VENV) dist build
