"""Shared fixtures. TensorFlow's own log lines are kept out of the output."""

from __future__ import annotations

import functools
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: more threads would only wait for each other
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(variable, "1")


# What is imported is never garbage: to look for it again and again took a sixth of the time of the imports.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage, and what has been imported is left out of the search for it."""
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=0.5, help="length of the soak test of the server")


@pytest.fixture
def minutes(request: pytest.FixtureRequest) -> float:
    """How long the soak test runs."""
    return request.config.getoption("--minutes")


@pytest.fixture(scope="session")
def load() -> Callable[[str], Any]:
    """``zoo.load``, once in a worker for each name: for tests that leave the model as it is.

    It is not compared with its test tensors, which takes seconds of many operations; tests/test_released.py does that once.
    """
    import zoo

    return functools.cache(functools.partial(zoo.load, verify=False))


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are loaded without being compared with their test tensors, for pages and cards that load them as users do."""
    monkeypatch.setattr("zoo.loading.verify_model", lambda model, tensors: None)


@pytest.fixture(scope="session")
def exported(load: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The export of a released model with the options of ``zoo.export.export``, for tests that leave the folder as it is.

    Each is made once in a run, by the worker that asks for it first: the folder lies where all workers of the run see it.
    """
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "exports"
    root.mkdir(exist_ok=True)

    def make(name: str, **options: object) -> Path:
        from zoo.export import export

        folder = root / "-".join([name, *(f"{option}-{value}" for option, value in sorted(options.items()))])
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                export(load(name), folder, **options)
        return folder

    return make


@pytest.fixture(scope="session")
def planck_folder() -> Path:
    """Folder with Planck's public binned spectra: $PLANCK, or shared/ beside the checkout; the test skips without."""
    candidates = [os.environ.get("PLANCK"), Path(__file__).parents[2] / "shared" / "data" / "planck2018"]
    for folder in filter(None, candidates):
        if list(Path(folder).glob("COM_PowerSpect_CMB-*.txt")):
            return Path(folder)
    pytest.skip("Planck's public spectra are not here: set PLANCK to their folder")


class _Kept:
    """One process of a worker that tries the graphs of all its servers: each would else start one of its own."""

    trials: Any = None

    def __call__(self, *arguments: Any) -> None:
        from zoo.serving.trial import Trials

        if _Kept.trials is None:
            _Kept.trials = Trials()
        _Kept.trials(*arguments)

    def rest(self) -> None:
        """Keep it."""

    def close(self) -> None:
        """Keep it."""


@pytest.fixture(autouse=True, scope="session")
def one_process_of_trials() -> Iterator[None]:
    """Servers in a test's own process try their graphs in one process of the worker."""
    try:
        import zoo.serving.repository as module
        import zoo.serving.verify as other
    except ImportError:  # without ONNX Runtime
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for where in (module, other):
            patch.setattr(where, "Trials", _Kept)
        yield
    if _Kept.trials is not None:
        _Kept.trials.close()


@pytest.fixture(scope="session")
def onnxruntime_root() -> Path:
    """ONNX Runtime's headers and library; the test skips without them or a compiler."""
    if not (root := os.environ.get("ONNXRUNTIME_ROOT")):
        pytest.skip("no ONNX Runtime headers: make cpp, or set ONNXRUNTIME_ROOT to a folder with include/ and lib/")
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return Path(root).resolve()
