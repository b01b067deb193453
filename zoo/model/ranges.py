"""The arrays of a spec: in ``model.json`` each stands by its name in ``ranges.npz``.

An array is a trained range with a bound for each element, or the coordinates of an axis. What is one number stays in
``model.json``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from zoo.errors import IntegrityError
from zoo.model.spec import RANGES

if TYPE_CHECKING:
    from zoo.model.integrity import InMemory

MAX_BYTES = 2**26
"""Most bytes that the arrays of a spec may take in memory."""


def taken_out(fields: dict[str, Any]) -> dict[str, list[float]]:
    """Replace the arrays of a spec by names.

    Parameters
    ----------
    fields : dict
        A spec as plain data, which is changed in place.

    Returns
    -------
    dict
        Name -> array; equal arrays have one name.
    """
    names: dict[tuple[float, ...], str] = {}
    for holder, key, name in _places(fields):
        if isinstance(holder.get(key), list):
            holder[key] = names.setdefault(tuple(map(float, holder[key])), name)
    return {name: list(values) for values, name in names.items()}


def put_back(fields: dict[str, Any], read: Callable[[], dict[str, list[float]]]) -> None:
    """Replace the names in a spec by the arrays that they stand for.

    Parameters
    ----------
    fields : dict
        A spec as plain data, which is changed in place. What is not as expected is left for the validation to name.
    read : callable
        Gives the arrays by name; called when the first is needed.

    Raises
    ------
    ValueError
        There is no array of a name.
    """
    arrays: dict[str, list[float]] | None = None
    for holder, key, _ in _places(fields):
        name = holder.get(key)
        if isinstance(name, str):
            arrays = read() if arrays is None else arrays
            if name not in arrays:
                raise ValueError(f"{RANGES} holds no array {name!r}: it has {', '.join(arrays) or 'none'}")
            holder[key] = arrays[name]


def _places(fields: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Where arrays may stand: the mapping, its key, and the name of an array there."""
    for endpoint_name, endpoint in _items(fields.get("endpoints")):
        for tensor in [*_mappings(endpoint.get("inputs")), *_mappings(endpoint.get("outputs"))]:
            prefix = f"{endpoint_name}/{tensor.get('name')}"
            for bound in ("low", "high"):
                yield tensor, bound, f"{prefix}/{bound}"
            for axis in _mappings(tensor.get("axes")):
                if isinstance(coordinates := axis.get("coordinates"), dict):
                    yield coordinates, "values", f"{prefix}/{axis.get('name')}"


def _items(value: object) -> list[tuple[str, dict[str, Any]]]:
    return [(key, item) for key, item in value.items() if isinstance(item, dict)] if isinstance(value, dict) else []


def _mappings(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def to_bytes(arrays: dict[str, list[float]]) -> bytes:
    """The content of ``ranges.npz``; the same arrays give the same bytes.

    Raises
    ------
    IntegrityError
        A number is NaN or infinite.
    """
    import numpy as np

    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise IntegrityError(f"{name}: expected finite numbers, given NaN or infinity")
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **{name: np.asarray(values, np.float64) for name, values in arrays.items()})
    return file.getvalue()


def read_ranges(file: InMemory) -> dict[str, list[float]]:
    """The arrays of a ``ranges.npz`` whose hash has agreed.

    Raises
    ------
    IntegrityError
        The file is damaged or larger than is allowed, a name is in it twice, or an array is no row of finite numbers.
    """
    import numpy as np

    from zoo.model.test_tensors import read_npz

    arrays = read_npz(file, MAX_BYTES)
    for name, array in arrays.items():
        if array.dtype != np.float64 or array.ndim != 1 or not np.isfinite(array).all():
            raise IntegrityError(f"{file}: {name}: expected a row of finite float64 numbers, found {array.dtype} {array.shape}")
    return {name: array.tolist() for name, array in arrays.items()}
