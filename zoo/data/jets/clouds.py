"""The particles of jets as tensors, padded to the longest of the jets that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.data.jets.identities import CODES
from zoo.data.jets.packed import Jets

Fill = Callable[[Jets, np.ndarray, np.ndarray], np.ndarray]
"""Makes the values (m, ...) of particles, of the jet (m,) of each and its number (m,)."""


class JetTensor:
    """A tensor (n, particle, ...) of jets that is padded when it is indexed: what is kept is packed.

    Parameters
    ----------
    jets : Jets
        The jets.
    rows : ndarray of shape (n,)
        Which jet each row is.
    fill : callable
        Makes the values of particles.
    dtype : dtype
        Of the tensor.
    width : tuple of int
        Lengths of the axes after that of the particles.
    """

    def __init__(self, jets: Jets, rows: np.ndarray, fill: Fill, dtype: Any, width: tuple[int, ...] = ()) -> None:
        self.jets, self.rows, self.fill, self.dtype, self.width = jets, rows, fill, np.dtype(dtype), width

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all rows together."""
        return len(self.rows), _longest(self.jets.counts[self.rows]), *self.width

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return 2 + len(self.width)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some rows, as long as the longest of them."""
        chosen = self.rows[rows]
        starts, counts = self.jets.offsets[chosen], self.jets.counts[chosen]
        place = np.arange(_longest(counts))
        real = place < counts[:, None]
        found = np.zeros((*real.shape, *self.width), self.dtype)
        found[real] = self.fill(self.jets, np.repeat(chosen, counts), (starts[:, None] + place)[real])
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def _longest(counts: np.ndarray) -> int:
    """The most particles of some jets, at least one, since an axis has a length."""
    return max(1, int(counts.max(initial=0)))


def clouds(jets: Jets, rows: np.ndarray) -> dict[str, JetTensor]:
    """The tensors that networks of jets take.

    Parameters
    ----------
    jets : Jets
        The jets.
    rows : ndarray of shape (n,)
        Which of them are rows.

    Returns
    -------
    dict of str to JetTensor
        ``particles`` (n, particle, 3), transverse momentum [GeV], rapidity and azimuth [rad] in float32; ``identity``
        (n, particle), PDG codes in int32; ``real`` (n, particle), which elements are particles. Padding is 0 and False.
    """
    return {
        "particles": JetTensor(jets, rows, Jets.unpacked, np.float32, (3,)),
        "identity": JetTensor(jets, rows, lambda jets, _, particles: CODES[jets.identity[particles]], np.int32),
        "real": JetTensor(jets, rows, lambda jets, _, particles: np.ones(len(particles), bool), bool),
    }
