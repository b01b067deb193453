"""Rows on which an exported graph is compared with its model, made from its test rows: mixed, resized, padded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo.errors import InputError
from zoo.model.spec import Endpoint, Tensor

Tensors = Mapping[str, np.ndarray]
CAP = 128
"""The most elements of a free axis at which a graph is compared, where the spec allows more."""


def in_range_rows(test_inputs: Tensors, n: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
    """Make realistic inputs of an endpoint from its test tensors.

    The test rows themselves come first, then convex mixtures of random pairs of them: every number lies in the hull of real
    ones, so inside the trained range. All tensors of a row share pair and weight, which keeps them consistent. Masks, positions
    and other whole numbers cannot be mixed: pairs are of rows that agree in them all, if need be of a row and itself.

    Parameters
    ----------
    test_inputs : mapping of str to ndarray
        Arrays (rows, ...) by the input's name.
    n : int
        The number of rows to return.
    seed : int
        The seed of pairs and weights.

    Returns
    -------
    dict of str to ndarray
        Arrays (n, ...) of the same dtype by the input's name.

    Raises
    ------
    InputError
        Without a test row, or for less than one row.
    """
    arrays = {name: np.asarray(array) for name, array in test_inputs.items()}
    rows = len(next(iter(arrays.values())))
    if rows < 1 or n < 1:
        raise InputError(f"expected at least one row, given {rows} test rows to make {n} from")
    rng = np.random.default_rng(seed)
    mixed = max(n - rows, 0)
    first, second = rng.integers(rows, size=(2, mixed))
    weight = rng.random(mixed, dtype=np.float32)
    if whole := [array for array in arrays.values() if array.dtype.kind != "f"]:
        second = _partners(whole, first, rng)

    def mix(tensor: np.ndarray) -> np.ndarray:
        if tensor.dtype.kind != "f":
            return np.concatenate([tensor[:n], tensor[first]])
        a, b = tensor[first], tensor[second]
        w = weight.astype(tensor.dtype).reshape(-1, *[1] * (tensor.ndim - 1))
        # Rounding may leave the hull by one unit in the last place.
        mixtures = np.clip(w * a + (1 - w) * b, np.minimum(a, b), np.maximum(a, b))
        return np.concatenate([tensor[:n], mixtures]).astype(tensor.dtype)

    return {name: mix(array) for name, array in arrays.items()}


def _partners(whole: list[np.ndarray], first: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row one that has the same whole numbers and truth values."""
    keys = [b"".join(array[row].tobytes() for array in whole) for row in range(len(whole[0]))]
    alike = {key: [row for row, other in enumerate(keys) if other == key] for key in set(keys)}
    return np.array([rng.choice(alike[keys[row]]) for row in first], dtype=int)


def sizes_to_try(endpoint: Endpoint) -> list[dict[str, int]]:
    """Sizes of an endpoint's free axes at which its graph is compared: fewest, some between, and most or ``CAP`` elements."""
    limits = {name: (axis.least or 1, max(axis.least or 1, min(axis.most or CAP, CAP))) for name, axis in endpoint.free.items()}
    tried = [
        {name: least for name, (least, _) in limits.items()},
        {name: round((least * most) ** 0.5) for name, (least, most) in limits.items()},
        {name: most for name, (_, most) in limits.items()},
    ]
    return [sizes for place, sizes in enumerate(tried) if sizes and sizes not in tried[:place]]


def resized(endpoint: Endpoint, inputs: Tensors, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The same rows with other sizes of free axes: their first elements, or all of them over and over.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint that takes the inputs.
    inputs : mapping of str to ndarray
        Arrays (n, ...) by the input's name.
    sizes : mapping of str to int
        The new size of each axis; other axes stay.

    Returns
    -------
    dict of str to ndarray
        The inputs; positions along an axis that became shorter are taken modulo its new size.
    """
    found = {}
    for tensor in endpoint.inputs:
        array = np.asarray(inputs[tensor.name])
        for place, axis in enumerate(tensor.axes, start=1):
            if axis.free and axis.name in sizes:
                array = np.take(array, np.arange(sizes[axis.name]) % array.shape[place], axis=place)
        if tensor.index_of is not None and tensor.index_of in sizes:
            array = array % np.asarray(sizes[tensor.index_of], array.dtype)
        found[tensor.name] = np.ascontiguousarray(array)
    return found


def padded(endpoint: Endpoint, inputs: Tensors, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None:
    """Make rows twice, which differ in nothing but their padding.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint that takes the inputs.
    inputs : mapping of str to ndarray
        Arrays (n, ...) by the input's name.
    seed : int
        The seed of the values in the padding.

    Returns
    -------
    tuple of dict or None
        The rows, shortened where they leave no room for more, with some padding along masked axes that cannot grow; and the
        same rows with further elements that their masks call padding, along every free axis that has a mask, and with other
        values in all padding. None where no input has a mask.
    """
    masks = {tensor.mask for tensor in endpoint.inputs if tensor.mask}
    if not masks:
        return None
    free = {name: axis for name, axis in endpoint.free.items() if _has_masks(endpoint, name, masks)}
    sizes = sizes_of(endpoint, inputs)
    short = {name: max(axis.least or 1, min(sizes[name], 2 * (axis.most or sizes[name]) // 3)) for name, axis in free.items()}
    long = {name: min(free[name].most or 2 * size, size + 1 + size // 2) for name, size in short.items()}
    before = {name: array.copy() for name, array in resized(endpoint, inputs, short).items()}
    for name in masks:
        for place, axis in enumerate(_tensor(endpoint, name).axes, start=1):
            if axis.name not in short:
                size = before[name].shape[place]
                np.moveaxis(before[name], place, 0)[max(1, 2 * size // 3) :] = False
    after = {name: array.copy() for name, array in resized(endpoint, before, long).items()}
    for name in masks:
        for place, axis in enumerate(_tensor(endpoint, name).axes, start=1):
            np.moveaxis(after[name], place, 0)[short.get(axis.name, after[name].shape[place]) :] = False
    rng = np.random.default_rng(seed)
    for tensor in endpoint.inputs:
        if tensor.mask and tensor.name not in masks:
            array, real = after[tensor.name], after[tensor.mask]
            known = before[tensor.name][before[tensor.mask]]
            if len(known):
                array[~real] = known[rng.integers(len(known), size=np.count_nonzero(~real))]
    return before, after


def _has_masks(endpoint: Endpoint, axis: str, masks: set[str]) -> bool:
    """Whether a mask says of every input along an axis which of its elements are real."""
    along = [tensor for tensor in endpoint.inputs if axis in tensor.free and tensor.name not in masks]
    return all(tensor.mask is not None and axis in _tensor(endpoint, tensor.mask).free for tensor in along)


def _tensor(endpoint: Endpoint, name: str) -> Tensor:
    return next(tensor for tensor in endpoint.inputs if tensor.name == name)


def sizes_of(endpoint: Endpoint, inputs: Tensors) -> dict[str, int]:
    """Sizes of the free axes of some inputs."""
    return {
        axis.name: inputs[tensor.name].shape[place]
        for tensor in endpoint.inputs
        for place, axis in enumerate(tensor.axes, start=1)
        if axis.free
    }
