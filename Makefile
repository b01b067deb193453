PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Folder with Planck's public binned spectra; without it the demo says so and uses a simulated sky.
PLANCK ?=
DEMO ?= demo
# Length of make fuzz.
MINUTES ?= 10
# ONNX Runtime with its headers, and nlohmann_json's, for the C++ tests. No wheel has the headers of ONNX Runtime; a package for
# iOS of the npm registry has.
ORT := $(VENV)/onnxruntime
JSON := $(VENV)/nlohmann_json
JSON_HEADERS := nlohmann-json==3.12.0
ORT_HEADERS := com.github.asus4.onnxruntime@0.4.9
# onnxruntime-web, and for the page a Chromium with what drives it. The Chromium, of a package meant for servers, is for Linux.
WEB := $(VENV)/web
WEB_TOOLS := playwright-core@1.65.1 @sparticuz/chromium@147.0.0
CHROMIUM ?= $(CURDIR)/$(WEB)/chromium/chromium

# Ray with what the server needs, apart from the rest.
RAY := $(VENV)/ray

# Keras on JAX without TensorFlow, apart from the rest.
JAX := $(VENV)/jax

# Where this is set, each of the workers and of the programs that tests start compiles every module of the zoo anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test pages slow soak fuzz cpp web docs ray jax lint wheel clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	PLANCK="$(PLANCK)" $(RUN)/python examples/demo.py $(DEMO)

test: $(VENV)/installed
	$(RUN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# Pages of docs/, examples and the plugin, as their readers run them.
pages: $(VENV)/installed
	$(RUN)/python -m pytest -m pages

slow: $(VENV)/installed
	$(RUN)/python -m pytest -m slow

soak: $(VENV)/installed
	$(RUN)/python -m pytest -m slow tests/test_server_soak.py -n0 -s --minutes 10

# Files and requests of strangers, changed at random; what is found is kept in tests/corpus, which make test tries.
fuzz: $(VENV)/installed
	TF_CPP_MIN_LOG_LEVEL=3 $(RUN)/python tests/fuzz.py --minutes $(MINUTES)

$(ORT)/include:
	rm -rf $(ORT).new && mkdir -p $(ORT) $(ORT).new
	cd $(ORT).new && npm pack --silent $(ORT_HEADERS) && tar -xzf *.tgz --wildcards '*/ios-arm64/*/Headers/*.h'
	mv $(ORT).new/package/*/*/*/ios-arm64/*/Headers $@
	rm -rf $(ORT).new

$(JSON): | $(VENV)/installed
	rm -rf $(JSON).new
	$(RUN)/python -m pip install --quiet --no-deps --target $(JSON).new $(JSON_HEADERS)
	mv $(JSON).new/nlohmann_json $@
	rm -rf $(JSON).new

cpp: $(VENV)/installed $(ORT)/include $(JSON)
	mkdir -p $(ORT)/lib
	ln -sf "$$(ls $$($(RUN)/python -c 'import onnxruntime; print(*onnxruntime.__path__)')/capi/libonnxruntime.so.*)" $(ORT)/lib/libonnxruntime.so.1
	ln -sf libonnxruntime.so.1 $(ORT)/lib/libonnxruntime.so
	ONNXRUNTIME_ROOT=$(CURDIR)/$(ORT) CMAKE_PREFIX_PATH=$(CURDIR)/$(JSON) CMAKE_BUILD_PARALLEL_LEVEL=2 \
		$(RUN)/python -m pytest tests/test_cpp.py tests/test_cmssw_cpp.py

$(WEB)/installed: export/web/package.json
	rm -rf $(WEB) && mkdir -p $(WEB)/chromium
	cp export/web/package.json $(WEB)
	cd $(WEB) && npm install --silent --ignore-scripts --cache cache --no-save $(WEB_TOOLS)
	cd $(WEB) && TMPDIR=$(CURDIR)/$(WEB)/chromium node --eval 'import("@sparticuz/chromium").then((it) => it.default.executablePath())'
	touch $@

web: $(VENV)/installed $(WEB)/installed
	PHYSZOO_WEB=$(CURDIR)/$(WEB) CHROMIUM=$(CHROMIUM) $(RUN)/python -m pytest tests/test_web.py

# The site, docs/_build, and its demonstrations in Chromium. To read it: python -m http.server --directory docs/_build
docs: $(VENV)/installed $(WEB)/installed
	PHYSZOO_WEB=$(CURDIR)/$(WEB) $(RUN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	PHYSZOO_WEB=$(CURDIR)/$(WEB) PHYSZOO_SITE=$(CURDIR)/docs/_build CHROMIUM=$(CHROMIUM) $(RUN)/python -m pytest tests/test_site.py

$(RAY)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,serve,ray]' \
		pytest pytest-timeout 'tritonclient[http]' onnx
	touch $@

ray: $(RAY)/installed
	$(RAY)/bin/python -m pytest tests/test_ray_serve.py

$(JAX)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(JAX)
	$(JAX)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[jax,cpu]' \
		pytest pytest-timeout filelock
	touch $@

jax: $(JAX)/installed
	KERAS_BACKEND=jax $(JAX)/bin/python -m pytest tests/test_backends.py

lint: $(VENV)/installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/numpydoc lint $$(find zoo training export serving -name '*.py')
	# mypy and import-linter read folders as they are; only an installed copy has the wings inside zoo/.
	rm -rf build
	$(RUN)/python -m pip install --quiet --no-deps --target build/lint .
	cp pyproject.toml build/lint
	cd build/lint && ../../$(RUN)/mypy -p zoo && PYTHONPATH=. ../../$(RUN)/lint-imports

# Three wheels: the code with what describes the models, and two with their large files.
wheel: $(VENV)/installed
	rm -rf build dist packages/*/build
	$(RUN)/python -m build --quiet --wheel --outdir dist
	$(RUN)/python -m build --quiet --wheel --outdir dist packages/physzoo-models
	$(RUN)/python -m build --quiet --wheel --outdir dist packages/physzoo-models-large

clean:
	rm -rf $(VENV) build dist demo exports *.egg-info packages/*/build packages/*/*.egg-info
