"""Data sets of a likelihood p(x | theta): pairs of a data set for posteriors, with the parts changed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.dataset import Dataset, Rows, Split, get_dataset, register_dataset
from zoo.errors import InputError
from zoo.seeds import generator

REPEATED = 0.02
"""Share of rows, beside what a few rows have by chance, that may have one value of a variable with a density."""
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@register_dataset("likelihood")
class LikelihoodRows:
    """Data as the variables of a density and parameters as its context.

    Counts have no density. Spread evenly over the interval of 1 around each (Theis et al. 2016, arXiv:1511.01844), anew each
    epoch, they have one, and its value at a count is the probability of the count.

    Parameters
    ----------
    pairs : mapping
        The data set of theta and x, as a recipe's ``data`` has it: its ``source`` and ``parameters``.
    counts : sequence of int
        Columns of x that are counts.
    folder : Path, optional
        Folder of the recipe.
    """

    def __init__(self, pairs: Mapping[str, Any], counts: Sequence[int] = (), folder: Path | None = None) -> None:
        self._pairs: Dataset = get_dataset(pairs["source"], folder, **pairs.get("parameters", {}))
        self._counts = list(counts)
        self.description = f"{self._pairs.description}; x given theta"
        self.simulator, self.seed, self.units = self._pairs.simulator, self._pairs.seed, self._pairs.units
        self.axes, self.notes = getattr(self._pairs, "axes", {}), getattr(self._pairs, "notes", ())

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        rows = self._pairs.rows(split, epoch)
        theta, x = (np.asarray(array, np.float64) for array in rows.inputs.values())
        if self._counts:
            rng = generator([self.seed, SPLITS.index(split), epoch if split == "train" else 0])
            x = spread(x, self._counts, rng)
        return Rows(inputs={"x": x, "theta": theta}, target=rows.target, group=rows.group, truth=rows.truth)


def counts_of(x: np.ndarray) -> list[int]:
    """Columns of data that hold whole numbers alone.

    Parameters
    ----------
    x : ndarray
        Simulated data, of shape (n, C).

    Returns
    -------
    list of int
        The columns, counted from 0.

    Raises
    ------
    InputError
        A column that is no count has one value again and again, and so no density.
    """
    whole = (x == np.round(x)).all(axis=0)
    for column in np.flatnonzero(~whole):
        values, times = np.unique(x[:, column], return_counts=True)
        if times.max() > max(4, REPEATED * len(x)):
            raise InputError(
                f"column {column} of x is {values[times.argmax()]:g} in {times.max()} of {len(x)} simulations: a likelihood"
                " needs data with a density. Let the simulator add the noise of rounding or of the instrument, give counts as"
                " whole numbers, or estimate the posterior itself with train_npe, which takes any data"
            )
    return np.flatnonzero(whole).tolist()


def spread(x: np.ndarray, counts: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Counts spread evenly over the interval of 1 around each.

    Parameters
    ----------
    x : ndarray
        Data, of shape (n, C).
    counts : sequence of int
        Columns that are counts.
    rng : Generator
        What draws.

    Returns
    -------
    ndarray
        The data, (n, C), float64.
    """
    x = np.array(x, np.float64)
    x[:, list(counts)] += rng.uniform(-0.5, 0.5, (len(x), len(counts)))
    return x
