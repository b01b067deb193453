"""Particles of a batch of jets one below another, as layers that treat each by itself take them."""

from __future__ import annotations

from typing import Any

from keras import ops


class AllRows:
    """Every element, padding too, in a number of rows that follows from the shape alone, as graphs and XLA ask.

    Parameters
    ----------
    real : Tensor
        Which elements are particles, (batch, particle), bool.
    """

    free = False
    """Whether their number is known to no shape, so that TensorFlow runs kernel by kernel."""

    def __init__(self, real) -> None:
        self.shape = ops.shape(real)[:2]
        self.real = self.pick(real)

    def pick(self, x) -> Any:
        """The rows (rows, ...) of x (batch, particle, ...)."""
        return ops.reshape(x, (-1, *ops.shape(x)[2:]))

    def renumber(self, index) -> Any:
        """Rows here, by their numbers among all elements."""
        return index

    def spread(self, x) -> Any:
        """Rows (rows, numbers) where they belong, (batch, particle, numbers); in padding stands what must be masked."""
        return ops.reshape(x, (*self.shape, x.shape[-1]))


class RealRows(AllRows):
    """Only what is a particle, in as many rows as there are: less than half the work where jets differ much in length.

    The first element always has a row, so that there is one.

    Parameters
    ----------
    real : Tensor
        Which elements are particles, (batch, particle), bool.
    """

    free = True

    def __init__(self, real) -> None:
        flat = ops.reshape(real, (-1,))
        kept = ops.logical_or(flat, ops.equal(ops.cumsum(ops.ones_like(flat, "int32")), 1))
        self.rows = ops.nonzero(kept)[0]
        self.place = ops.cumsum(ops.cast(kept, "int32")) - 1
        super().__init__(real)

    def pick(self, x) -> Any:
        return ops.take(super().pick(x), self.rows, axis=0)

    def renumber(self, index) -> Any:
        return ops.take(self.place, index, axis=0)

    def spread(self, x) -> Any:
        return super().spread(ops.take(x, self.place, axis=0))
