PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Folder with Planck's public binned spectra; without it the demo says so and uses a simulated sky.
PLANCK ?=
DEMO ?= demo

.PHONY: demo test slow lint wheel clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	PLANCK="$(PLANCK)" $(RUN)/python examples/demo.py $(DEMO)

test: $(VENV)/installed
	$(RUN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

slow: $(VENV)/installed
	$(RUN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	# mypy and import-linter read folders as they are; only an installed copy has the wings inside zoo/.
	rm -rf build
	$(RUN)/python -m pip install --quiet --no-deps --target build/lint .
	cp pyproject.toml build/lint
	cd build/lint && ../../$(RUN)/mypy -p zoo && PYTHONPATH=. ../../$(RUN)/lint-imports

wheel: $(VENV)/installed
	rm -rf build dist
	$(RUN)/python -m build --quiet --wheel --outdir dist

clean:
	rm -rf $(VENV) build dist demo exports *.egg-info
