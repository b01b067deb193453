"""Known factors of variation: drawn, shown to an encoder, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.tensors import numbers_alone
from zoo.seeds import generator

BATCH = 1024
"""Rows that are observed and encoded at a time."""

Encode = Callable[[Any], np.ndarray]
"""Makes latents (n, latents) of what a sampler shows: the means of the posterior, as all published scores take them."""


class Sampler(Protocol):
    """A world whose factors are independent and known, and can be set one by one."""

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Factors (rows, factors), integers for classes or floats for continuous ones."""

    def observe(self, factors: np.ndarray, rng: np.random.Generator) -> Any:
        """What the encoder takes, one row for each row of factors; noise is drawn anew."""


@dataclass(frozen=True)
class Grid:
    """Uniform factors on a grid, each given by its index, as in dSprites and Shapes3D.

    Where the whole grid can be encoded once, in C order, ``render`` may look its latents up,
    ``lambda index: latents[np.ravel_multi_index(index.T, sizes)]``, with the identity as the encoder: far fewer passes than
    the two scores that hold factors fixed ask for.

    Attributes
    ----------
    sizes : tuple of int
        Number of values of each factor.
    render : callable
        Makes what the encoder takes of indices of shape (n, factors).
    """

    sizes: tuple[int, ...]
    render: Callable[[np.ndarray], Any]

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Indices (rows, factors)."""
        return rng.integers(self.sizes, size=(rows, len(self.sizes)))

    def observe(self, factors: np.ndarray, rng: np.random.Generator) -> Any:
        """The rendered rows; ``rng`` is not used."""
        return self.render(factors)


def encoded(encode: Encode, sampler: Sampler, factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Latents (n, latents) of observations with these factors (n, factors), batch by batch.

    Raises
    ------
    InputError
        Latents that are not finite numbers of shape (n, latents).
    """
    batches = [factors[start : start + BATCH] for start in range(0, len(factors), BATCH)]
    return np.concatenate([_checked(encode(sampler.observe(batch, rng)), len(batch)) for batch in batches])


def encoded_sample(encode: Encode, sampler: Sampler, rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Latents (rows, latents) and factors (rows, factors) of random observations, for the scores that take arrays."""
    rng = generator(seed)
    factors = sampler.draw(rows, rng)
    return encoded(encode, sampler, factors, rng), factors


def paired(latents: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of n rows, checked.

    Raises
    ------
    InputError
        Different numbers of rows, NaN or infinity, fewer than two latents, a constant factor.
    """
    factors = numbers_alone(factors, "factors")
    if factors.ndim != 2 or factors.dtype.kind not in "iuf" or not np.isfinite(factors).all():
        raise InputError(f"factors: expected finite numbers of shape (n, factors), given {factors.dtype} {factors.shape}")
    latents = _checked(latents, len(factors))
    if latents.shape[1] < 2:
        raise InputError("latents: expected at least two, since scores compare them; given one")
    constant = np.flatnonzero(np.ptp(factors, axis=0) == 0) if len(factors) else np.arange(factors.shape[1])
    if constant.size:
        raise InputError(f"factors: columns {constant.tolist()} are constant; leave them out")
    return latents, factors


def _checked(latents: Any, rows: int) -> np.ndarray:
    array = numbers_alone(latents, "latents").astype(float)
    if array.ndim != 2 or len(array) != rows or not array.shape[1]:
        raise InputError(f"latents: expected shape ({rows}, latents), given {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"latents: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
    return array
