"""Rows of a user's arrays that are read as they are cut, so that they may be larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.model.handed_in.units import Convert


class OnDisk:
    """Rows of arrays that stay on disk, cut as they are asked for, as (n, *shape).

    Parameters
    ----------
    sources : sequence of object
        One array (m, *shape), or one (m,) for each element of a row.
    converters : sequence of callable or None
        What converts the unit of each source.
    rows : ndarray of shape (n,)
        Which of the m rows these are.
    shape : tuple of int
        Shape of a row.
    dtype : str
        What they are cut as.
    """

    def __init__(
        self,
        sources: Sequence[Any],
        converters: Sequence[Convert | None],
        rows: np.ndarray,
        shape: tuple[int, ...],
        dtype: str = "float32",
    ) -> None:
        self.sources, self.converters, self.rows, self.dtype = list(sources), list(converters), rows, dtype
        self.shape = (len(rows), *shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, back = np.unique(self.rows[index], return_inverse=True)  # h5py takes rising indices only
        read = joined([np.asarray(source[rows]) for source in self.sources], self.converters)
        return read.astype(self.dtype)[back].reshape(-1, *self.shape[1:])

    def of(self, rows: np.ndarray) -> OnDisk:
        """Some of its rows."""
        return OnDisk(self.sources, self.converters, self.rows[rows], self.shape[1:], self.dtype)

    def astype(self, dtype: str) -> OnDisk:
        """The same rows, cut as another dtype."""
        return OnDisk(self.sources, self.converters, self.rows, self.shape[1:], dtype)


def joined(parts: Sequence[np.ndarray], converters: Sequence[Convert | None]) -> np.ndarray:
    """Columns as one array, each in the unit that is wanted of it.

    Parameters
    ----------
    parts : sequence of ndarray
        The columns.
    converters : sequence of callable or None
        What converts the unit of each.

    Returns
    -------
    ndarray
        The one column, or several beside each other.
    """
    found = [part if convert is None else convert(part) for part, convert in zip(parts, converters, strict=True)]
    if len(found) == 1:
        return found[0]
    return np.stack([part.reshape(len(part)) for part in found], axis=-1)
