"""The part of the kit that leaves the model's own library: ONNX graphs, and Keras' other backends."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.model.spec import Tolerance

if TYPE_CHECKING:
    from zoo.families.base import EndpointModel

Tensors = Mapping[str, tuple[np.ndarray, ...]]
"""Inputs or answers of each endpoint in the spec's order."""
BACKENDS = ("tensorflow", "jax", "torch")


def check_graphs(model: EndpointModel, examples: Tensors, opsets: Sequence[int]) -> None:
    """ONNX Runtime answers as the model does at every size, at each opset that the family does not excuse itself from."""
    opsets = [opset for opset in opsets if opset not in model.opset_reason]
    if not opsets:
        return
    from zoo.errors import ExportError, ParityError
    from zoo.export.onnx import to_onnx
    from zoo.export.parity import check_export, onnx_function

    for endpoint, tensors in examples.items():
        given = {tensor.name: array for tensor, array in zip(model.spec.endpoint(endpoint).inputs, tensors, strict=True)}
        for opset in opsets:
            try:
                graph = to_onnx(model, model.spec, endpoint, opset).SerializeToString()
                check_export(model, model.spec, endpoint, onnx_function(graph), given, rows=len(tensors[0]))
            except (ExportError, ParityError) as error:
                todo = f"write it otherwise, or state why not in {type(model).__name__}.opset_reason[{opset}]"
                raise AssertionError(f"{error}; {todo}") from error


_ON_ANOTHER_BACKEND = """
import importlib, json, sys
import numpy as np
module, name, config, weights, tensors = sys.argv[1:]
import keras
model = getattr(importlib.import_module(module), name)(**json.loads(config))
model.load_weights(weights)
stored = np.load(tensors, allow_pickle=False)
found = {}
for endpoint, method in model.endpoints.items():
    given = [stored[f"{endpoint}/{i}"] for i in range(sum(key.startswith(endpoint + "/") for key in stored.files))]
    answer = getattr(model, method)(*map(keras.ops.convert_to_tensor, given))
    for i, one in enumerate(answer if isinstance(answer, tuple) else (answer,)):
        found[f"{endpoint}/{i}"] = keras.ops.convert_to_numpy(one)
np.savez(weights + ".npz", **found)
"""


def other_backends() -> list[str]:
    """Backends of Keras that are installed beside the one in use."""
    import keras

    return [name for name in BACKENDS if name != keras.backend.backend() and importlib.util.find_spec(name) is not None]


def check_backends(
    model: EndpointModel,
    config: Mapping[str, Any],
    weights: Path,
    examples: Tensors,
    answers: Tensors,
    tolerance: Tolerance,
) -> None:
    """Every other backend of Keras that is installed answers the same from the same weights."""
    if model.library != "keras":
        return
    cls = type(model)
    inputs = weights.with_name("inputs.npz")
    arrays = {f"{name}/{i}": one for name, tensors in examples.items() for i, one in enumerate(tensors)}
    np.savez(inputs, allow_pickle=False, **arrays)
    for backend in other_backends():
        arguments = [cls.__module__, cls.__qualname__, json.dumps(config), str(weights), str(inputs)]
        environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        ran = subprocess.run(
            [sys.executable, "-c", _ON_ANOTHER_BACKEND, *arguments], env=environment, capture_output=True, text=True
        )
        where = f"{cls.__name__} on the backend {backend}"
        assert ran.returncode == 0, f"{where}: use keras.ops alone: {ran.stderr[-2000:]}"
        with np.load(f"{weights}.npz", allow_pickle=False) as found:
            for endpoint, expected in answers.items():
                for i, one in enumerate(expected):
                    expect_close(found[f"{endpoint}/{i}"], one, tolerance, f"{where}: {endpoint!r} answers otherwise")


def expect_close(found: np.ndarray, expected: np.ndarray, tolerance: Tolerance, said: str) -> None:
    """Raise an AssertionError with what is said where an array is not close to another."""
    assert found.shape == expected.shape, f"{said} (shape {found.shape}, expected {expected.shape})"
    if expected.dtype == bool:
        assert np.array_equal(found, expected), said
        return
    beyond = np.abs(found - expected) - tolerance.absolute - tolerance.relative * np.abs(expected)
    assert not (beyond > 0).any(), f"{said} (by up to {np.abs(found - expected).max():.3g})"
