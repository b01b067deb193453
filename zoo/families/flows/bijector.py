"""What a flow is made of."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


class Bijector(keras.layers.Layer):
    """An invertible map of (batch, D) variables, given (batch, C) features of the context or None."""

    def to_base(self, x, c=None):
        """Map to the base distribution: u (batch, D) and log abs(det du/dx) (batch,)."""
        raise NotImplementedError

    def from_base(self, u, c=None):
        """Map back to x (batch, D)."""
        raise NotImplementedError

    def call(self, x, c=None):
        return self.to_base(x, c)


class Elementwise:
    """A monotone map of single variables whose parameters a conditioner gives.

    Variables are (1, n) and parameters (``parameters``, n): with the parameters first, each step works on long contiguous rows.
    """

    parameters: int
    """How many each variable takes; all zero make the map the identity."""

    def to_base(self, x, parameters):
        """Map x to u, with log du/dx, both (1, n)."""
        raise NotImplementedError

    def from_base(self, u, parameters):
        """Map back to x (1, n)."""
        raise NotImplementedError


def order(dimensions: int, index: int) -> np.ndarray:
    """The order in which the bijector at ``index`` of a flow takes the variables.

    Reversed at every other one, so that the last becomes the first; shuffled in between, so that the halves of couplings mix.
    """
    if dimensions > 2 and index % 2:
        return np.random.default_rng(index).permutation(dimensions)
    return np.arange(dimensions)[::-1].copy()


def permute(x, indices: np.ndarray):
    """Columns of x (batch, D) in the order of ``indices``."""
    return ops.take(x, indices, axis=-1)


def as_row(x):
    """Lay variables (batch, D) in one row (1, D * batch), variable by variable."""
    return ops.reshape(ops.transpose(x), (1, -1))


def as_columns(row, variables: int):
    """Take one row (1, D * batch) apart into variables (batch, D)."""
    return ops.transpose(ops.reshape(row, (variables, -1)))
