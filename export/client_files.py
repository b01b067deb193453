"""What C++ and JavaScript read of a model folder: the spec as JSON and the test tensors as .npy.

There is no YAML and no zlib there. ``export/cpp/physzoo.hpp`` and ``export/web/physzoo.mjs`` are the readers. The graphs beside
stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from zoo.atomic import whole_file, write_whole
from zoo.errors import IntegrityError
from zoo.model.spec import TEST_TENSORS, Endpoint, ModelSpec, Tensor
from zoo.model.test_tensors import read_npz

CLIENTS = "clients"
"""Subfolder of an exported folder."""
SPEC_FILE = "model.json"
FORMAT = 2
"""Version of the file, which readers of another version refuse; version 1 was lines of text, ``cpp/model.txt``."""


def write_client_files(folder: Path, spec: ModelSpec) -> None:
    """Write the spec as JSON and the test tensors as .npy into a folder that holds ``test_tensors.npz``.

    The files are ``clients/model.json`` and ``clients/<endpoint>/{in,out}/<tensor>.npy``.

    Parameters
    ----------
    folder : Path
        The exported folder.
    spec : ModelSpec
        The spec of the exported model.

    Raises
    ------
    IntegrityError
        The test tensors are damaged, lack one of the spec's, or have one of another kind of numbers.
    """
    stored = read_npz(folder / TEST_TENSORS)
    for name, endpoint in spec.endpoints.items():
        for side, tensors in (("in", endpoint.inputs), ("out", endpoint.outputs)):
            (folder / CLIENTS / name / side).mkdir(parents=True, exist_ok=True)
            for tensor in tensors:
                key = f"{name}/{side}/{tensor.name}"
                if key not in stored:
                    raise IntegrityError(
                        f"{folder / TEST_TENSORS}: expected the tensor {key}, found {', '.join(stored) or 'none'}"
                    )
                with whole_file(folder / CLIENTS / f"{key}.npy") as file:
                    np.save(file, _little_endian(folder, key, stored[key], tensor))
    content = json.dumps(_described(spec), ensure_ascii=False, allow_nan=False)
    write_whole(folder / CLIENTS / SPEC_FILE, f"{content}\n")


def _little_endian(folder: Path, key: str, array: np.ndarray, tensor: Tensor) -> np.ndarray:
    dtype = np.dtype(tensor.dtype)
    if not np.can_cast(array.dtype, dtype, casting="same_kind" if dtype.kind == "f" else "safe"):
        raise IntegrityError(f"{folder / TEST_TENSORS}: expected {dtype} as {key}, found {array.dtype}")
    return np.ascontiguousarray(array, dtype=dtype.newbyteorder("<"))


def _described(spec: ModelSpec) -> dict[str, object]:
    return {
        "format": FORMAT,
        "name": spec.name,
        "revision": spec.revision,
        "tolerance": spec.tolerance.model_dump(),
        "endpoints": {name: _endpoint(endpoint) for name, endpoint in spec.endpoints.items()},
    }


def _endpoint(endpoint: Endpoint) -> dict[str, object]:
    return {
        "description": endpoint.description,
        "inputs": [_tensor(tensor) for tensor in endpoint.inputs],
        "outputs": [_tensor(tensor) for tensor in endpoint.outputs],
    }


def _tensor(tensor: Tensor) -> dict[str, object]:
    fields = tensor.model_dump(mode="json", exclude_none=True, exclude={"low", "high"})
    for side, bound in (("low", tensor.low), ("high", tensor.high)):
        if bound is not None:
            fields[side] = _finite(bound, np.dtype(tensor.dtype))
    return fields


def _finite(bound: object, dtype: np.dtype) -> object:
    """The bound as numbers of the dtype: JSON has no infinity, and a whole number no fraction."""
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    numbers = np.clip(np.asarray(bound, dtype=np.float64), float(limits.min), float(limits.max))
    return (numbers if dtype.kind == "f" else np.trunc(numbers)).tolist()
