"""Which extra of this package brings what is missing, said in one line, and before anything that takes long."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from zoo.errors import MissingExtraError

BESIDE_KERAS = ("sklearn", "scipy", "h5py", "matplotlib", "joblib", "corner")
"""What comes with Keras, on whatever backend it runs: all that trains and judges models takes some of them."""
EXTRAS = {
    "cpu": ["onnxruntime"],
    "serve": ["uvicorn", "httptools", "grpc", "grpc_health", "grpc_reflection", "prometheus_client"],
    "train": ["keras", *BESIDE_KERAS, "tensorflow", "tensorboard"],
    "export,cpu": ["onnx", "tf2onnx", "skl2onnx", "tritonclient"],
    "interpret": ["shap", "sympy"],
    "tables": ["pyarrow"],
    "fits": ["astropy"],
    "root": ["uproot"],
    "mcmc": ["tensorflow_probability", "tf_keras"],
    "posteriors": ["arviz", "getdist"],
    "sim": ["camb", "numba"],
    "jets": ["pythia8mc", "pythia8", "fastjet", "awkward", "vector"],
    "hls": ["hls4ml", "qonnx", "hgq", "da4ml"],
    "ray": ["ray"],
    "jax": ["jax"],
    "torch": ["torch"],
}
"""Modules that each extra brings, of which the smallest extra is named."""
_EXTRA_OF = {module: extra for extra, modules in EXTRAS.items() for module in modules}


def missing(error: ImportError) -> ImportError:
    """The error of an import as one that names the extra.

    Parameters
    ----------
    error : ImportError
        What an import raised.

    Returns
    -------
    ImportError
        A `MissingExtraError`; the error itself where no extra of ours brings the module.
    """
    module = (error.name or "").partition(".")[0]
    return MissingExtraError(module, _EXTRA_OF[module]) if module in _EXTRA_OF else error


def with_extras(imported: Callable[[str], Any]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names are imported when they are first used.

    Parameters
    ----------
    imported : callable
        Imports a name, as ``lazy_loader`` makes it.

    Returns
    -------
    callable
        Imports it, and names the extra that brings what is not installed.
    """

    def get(name: str) -> Any:
        try:
            return imported(name)
        except ModuleNotFoundError as error:
            raise missing(error) from error

    return get


def import_keras() -> Any:
    """Import Keras with its backend, for code that is below all that needs them.

    Returns
    -------
    module
        Keras.

    Raises
    ------
    ImportError
        One of the two is not installed; with the extra that brings it.
    """
    return with_extras(importlib.import_module)("keras")


def expect_trainable() -> None:
    """Ask for what trains and judges models and draws what came of it, before the first step.

    Raises
    ------
    MissingExtraError
        A package is not installed.
    """
    backend = import_keras().backend.backend()
    expect_installed(*BESIDE_KERAS, *(["tensorboard"] if backend == "tensorflow" else []))


def expect_installed(*modules: str) -> None:
    """Ask for modules before work begins at whose end they are imported.

    Parameters
    ----------
    *modules : str
        Names of top-level modules, each of which an extra brings.

    Raises
    ------
    MissingExtraError
        One is not installed.
    """
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ValueError:  # a module in sys.modules without a spec
            found = None
        if found is None:
            raise MissingExtraError(module, _EXTRA_OF[module])
