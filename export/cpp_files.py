"""What C++ and JavaScript read of a model folder: the spec as lines of text and the test tensors as .npy.

There is no YAML and no zlib there. ``export/cpp/physzoo.hpp`` and ``export/web/physzoo.mjs`` are the readers. The graphs beside
stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.spec import TEST_TENSORS, Bound, ModelSpec, Tensor
from zoo.model.test_tensors import read_npz

CPP = "cpp"
"""Subfolder of an exported folder."""
SPEC_FILE = "model.txt"
FORMAT = 1


def write_cpp_files(folder: Path, spec: ModelSpec) -> None:
    """Write ``cpp/model.txt`` and ``cpp/<endpoint>/{in,out}/<tensor>.npy`` into a folder that holds ``test_tensors.npz``.

    Raises
    ------
    IntegrityError
        When the test tensors are damaged or lack one of the spec's.
    """
    stored = read_npz(folder / TEST_TENSORS)
    for name, endpoint in spec.endpoints.items():
        for side, tensors in (("in", endpoint.inputs), ("out", endpoint.outputs)):
            (folder / CPP / name / side).mkdir(parents=True, exist_ok=True)
            for tensor in tensors:
                key = f"{name}/{side}/{tensor.name}"
                if key not in stored:
                    raise IntegrityError(
                        f"{folder / TEST_TENSORS}: expected the tensor {key}, found {', '.join(stored) or 'none'}"
                    )
                np.save(folder / CPP / f"{key}.npy", np.ascontiguousarray(stored[key], dtype="<f4"))
    (folder / CPP / SPEC_FILE).write_text("".join(f"{line}\n" for line in _lines(spec)), encoding="utf-8", newline="\n")


def _lines(spec: ModelSpec) -> Iterator[str]:
    yield f"physzoo {FORMAT}"
    yield f"model {spec.name} {spec.revision}"
    yield f"tolerance {spec.tolerance.absolute!r} {spec.tolerance.relative!r}"
    for name, endpoint in spec.endpoints.items():
        yield f"endpoint {name}"
        for side, tensors in (("input", endpoint.inputs), ("output", endpoint.outputs)):
            for tensor in tensors:
                yield " ".join([side, tensor.name, *map(str, tensor.shape)])
                yield from _details(tensor)
    yield "end"


def _details(tensor: Tensor) -> Iterator[str]:
    yield f"unit {' '.join(tensor.unit.split())}"
    if tensor.tolerance is not None:
        yield f"tolerance {tensor.tolerance.absolute!r} {tensor.tolerance.relative!r}"
    for key, bound in (("low", tensor.low), ("high", tensor.high)):
        if bound is not None:
            yield " ".join([key, *_numbers(bound)])


def _numbers(bound: Bound) -> list[str]:
    limit = float(np.finfo(np.float32).max)  # C++ reads no infinity
    return [repr(float(value)) for value in np.clip(np.atleast_1d(np.asarray(bound, dtype=np.float64)), -limit, limit)]
