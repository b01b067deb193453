"""What of a model travels along with its graphs: the part of its spec and of its test tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.atomic import whole_file, write_whole
from zoo.model.integrity import InMemory
from zoo.model.spec import ModelSpec
from zoo.model.test_tensors import TestTensors, read_npz, read_test_tensors


def with_endpoints(spec: ModelSpec, endpoints: Sequence[str]) -> ModelSpec:
    """A spec with some of its endpoints only; UnknownNameError for one that it does not have."""
    export, reduced = spec.export, spec.export.reduced
    if reduced is not None:
        kept = {name: differences for name, differences in reduced.differences.items() if name in endpoints}
        reduced = reduced.model_copy(update={"differences": kept})
    parity = {name: largest for name, largest in export.parity.items() if name in endpoints}
    export = export.model_copy(update={"parity": parity, "reduced": reduced})
    return spec.model_copy(update={"endpoints": {name: spec.endpoint(name) for name in endpoints}, "export": export})


def write_test_tensors(source: InMemory, target: Path, spec: ModelSpec, rows: int | None = None) -> None:
    """The test tensors of a spec's endpoints, their first rows or all; IntegrityError where one is missing.

    A file that needs no change is copied.
    """
    kept = _flat(read_test_tensors(source, spec), rows)
    if rows is None and kept.keys() == read_npz(source).keys():
        write_whole(target, source.getvalue())
        return
    with whole_file(target) as file:
        np.savez(file, allow_pickle=False, **kept)


def add_test_tensors(path: Path, tensors: TestTensors, rows: int | None = None) -> None:
    """Add test tensors of further endpoints to a file, their first rows or all."""
    together = read_npz(path) | _flat(tensors, rows)
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **together)


def _flat(tensors: TestTensors, rows: int | None) -> dict[str, np.ndarray]:
    return {
        f"{endpoint}/{way}/{name}": array[:rows]
        for endpoint, pair in tensors.items()
        for way, arrays in zip(("in", "out"), pair, strict=True)
        for name, array in arrays.items()
    }
