"""What simulated observations are like, beside a posterior that was learned from them: measured as it is released, and read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.misspecification import ARRAYS, BLOCKS, TAIL, Reference, blocks_of, scaled_numbers
from zoo.model.spec import REFERENCE, Endpoint, Tensor
from zoo.model.store import ModelFolder
from zoo.model.summaries import numbers_of, widths
from zoo.model.test_tensors import read_npz

FITTED, RANKED, FEWEST = 10_000, 1000, 20
"""Simulations at most that the distance is measured with; held-out ones that p-values are ranks among, at most and at least."""
MAX_BYTES = 2**20
"""Bytes that the arrays of a reference may take in memory, at most."""


def make_reference(tensor: Tensor, simulated: Any, held_out: Any, masks: tuple[Any, Any] = (None, None)) -> Reference | None:
    """Measure what simulated observations are like.

    Parameters
    ----------
    tensor : Tensor
        The observation, as a spec describes it.
    simulated : ndarray
        Simulated observations, of shape (n, ...), or what makes arrays of the rows that it is indexed with.
    held_out : ndarray
        Others, which p-values are ranks among, of shape (m, ...).
    masks : tuple of ndarray
        Which elements of the two are real, None where all are.

    Returns
    -------
    Reference or None
        What they are like; None for fewer held-out simulations than 20.
    """
    from sklearn.covariance import LedoitWolf

    if len(held_out) < FEWEST:
        return None
    ends = [(part.min(axis=0), part.max(axis=0)) for part in _parts(tensor, simulated, masks[0])]
    fitted = np.concatenate([*_parts(tensor, simulated, masks[0], FITTED)])
    low, center, high = np.quantile(fitted, [0.16, 0.5, 0.84], axis=0)
    scale = np.where(high > low, (high - low) / 2, fitted.std(axis=0))
    scale = np.where(scale > 1e-12 * np.abs(center), scale, 1.0)  # what never changes counts in its own unit
    covariance = LedoitWolf().fit(blocks_of(scaled_numbers(fitted, center, scale)))
    made = Reference(
        tensor=tensor,
        rows=np.array([len(simulated), len(fitted)], np.float64),
        low=np.min([least for least, _ in ends], axis=0),
        high=np.max([greatest for _, greatest in ends], axis=0),
        center=center,
        scale=scale,
        mean=covariance.location_,
        inverse=covariance.get_precision(),
        ends=np.quantile(scaled_numbers(fitted, center, scale), [0.005, 0.995], axis=0),
        usual=np.zeros(1),
        tails=np.empty((2, TAIL)),
        scores=np.empty(0),
    )
    made = replace(made, usual=made.far(fitted)[0].mean(keepdims=True))
    made = replace(made, tails=np.quantile(made.far(fitted)[1], 1 - np.exp(made.levels(TAIL)), axis=1).T)
    _, far, *_ = made.far(np.concatenate([*_parts(tensor, held_out, masks[1], RANKED)]))
    return replace(made, scores=np.sort(made.rarity(far).max(axis=0)))


def observed_tensors(endpoint: Endpoint) -> tuple[Tensor, Tensor | None] | None:
    """The observation among the inputs of an endpoint ``sample``, and its mask where it has one.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint, whose first input is noise.

    Returns
    -------
    tuple or None
        The two; None where nothing is observed, or several tensors are.
    """
    observed = [tensor for tensor in endpoint.inputs[1:] if tensor.dtype != "bool"]
    if len(observed) != 1:
        return None
    return observed[0], next((tensor for tensor in endpoint.inputs if tensor.name == observed[0].mask), None)


def read_reference(folder: ModelFolder) -> Reference | None:
    """What simulated observations are like, as a model's folder has it.

    Parameters
    ----------
    folder : ModelFolder
        The model's folder.

    Returns
    -------
    Reference or None
        None where the folder has none, as those of models that were released before there were such.

    Raises
    ------
    IntegrityError
        The file is missing or damaged, or its arrays do not belong together.
    """
    spec = folder.spec
    found = observed_tensors(spec.endpoints["sample"]) if "sample" in spec.endpoints else None
    if spec.file(REFERENCE) is None or found is None:
        return None
    file, tensor = folder.read(REFERENCE), found[0]
    arrays = read_npz(file, MAX_BYTES)
    known, *older = widths(tensor)
    width = next((one for one in older if np.shape(arrays.get("low", ())) == (one,)), known)
    blocks = min(width, BLOCKS)
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("low", "high", "center", "scale"), (width,)),
        "rows": (2,),
        "mean": (blocks,),
        "inverse": (blocks, blocks),
        "ends": (2, width),
        "usual": (1,),
        "tails": (2, TAIL),
        "scores": np.shape(arrays.get("scores", ()))[:1],
    }
    for name in ARRAYS:
        given = arrays.get(name, np.empty(0, bool))
        shape = shapes[name]
        if given.dtype != np.float64 or given.shape != shape or not np.isfinite(given).all():
            raise IntegrityError(f"{file}: {name}: expected finite float64 numbers {shape}, found {given.dtype} {given.shape}")
    measured: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    return Reference(tensor, **measured)


def _parts(tensor: Tensor, rows: Any, mask: Any, most: int | None = None) -> Iterator[np.ndarray]:
    """Numbers (k, F) of some rows after others, of all, or of ``most`` evenly among them."""
    chosen = np.arange(len(rows)) if most is None or len(rows) <= most else np.linspace(0, len(rows) - 1, most).astype(int)
    size = max(1, 2**21 // max(1, math.prod(np.shape(rows[:1])[1:])))
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        yield numbers_of(tensor, rows[part], None if mask is None else mask[part])
