"""From the physical variables of a density to unbounded ones around zero."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from zoo.errors import InputError
from zoo.families.flows.bijector import Bijector
from zoo.families.layers import Standardize

EDGE = 1e-6
"""Least distance from an end, as a fraction of the interval, that single precision tells from zero."""


class Support(Bijector):
    """Take the logit of variables that have bounds, then scale all to zero mean and unit variance.

    The density is zero outside the bounds, and no sample leaves them.

    Parameters
    ----------
    bounds : sequence of sequence of float
        Ends (low, high) of each variable, None where it has none.

    Raises
    ------
    ValueError
        An interval is empty or not finite.
    """

    def __init__(self, bounds: Sequence[Sequence[float] | None], **kwargs) -> None:
        super().__init__(**kwargs)
        for bound in bounds:
            if bound is not None and not (len(bound) == 2 and np.all(np.isfinite(bound)) and bound[0] < bound[1]):
                raise ValueError(f"expected [low, high] with low < high, or null, as a variable's support, given {bound}")
        self.bounded = np.array([bound is not None for bound in bounds])
        self.low = np.array([0.0 if bound is None else bound[0] for bound in bounds], np.float32)
        self.high = np.array([1.0 if bound is None else bound[1] for bound in bounds], np.float32)
        self.lowest = np.where(self.bounded, self.low, -np.inf).astype(np.float32)
        self.highest = np.where(self.bounded, self.high, np.inf).astype(np.float32)
        self.standardize = Standardize((len(bounds),), name="standardize")
        self.built = True

    def adapt(self, x: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure mean and scale on training rows (n, D), by their event weights.

        Raises
        ------
        InputError
            A value lies outside the support, is not finite, or is the same in every row.
        """
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.low):
            raise InputError(f"expected training rows of {len(self.low)} variables, given shape {x.shape}")
        outside = self.bounded & ((x < self.low) | (x > self.high)) | ~np.isfinite(x)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            where = f"within [{self.low[column]:g}, {self.high[column]:g}]" if self.bounded[column] else "finite"
            raise InputError(
                f"variable {column} must be {where}: {outside.any(axis=1).sum()} of {len(x)} training rows are not,"
                f" row {row} holds {x[row, column]:g}"
            )
        constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
        if constant.size:
            raise InputError(
                f"variable {constant[0]} is {x[0, constant[0]]:g} in every training row: it has no density, leave it out"
            )
        share = np.clip((x - self.low) / (self.high - self.low), EDGE, 1 - EDGE)
        self.standardize.adapt(np.where(self.bounded, np.log(share / (1 - share)), x), weight)

    def to_base(self, x, c=None):
        log_det = -ops.sum(ops.log(self.standardize.scale))
        if not self.bounded.any():
            return self.standardize(x), log_det + ops.zeros_like(x[:, 0])
        start, width, lowest, highest, log_width = self._constants()
        share = ops.clip((x - start) / width, EDGE, 1 - EDGE)
        low, high = ops.log(share), ops.log(1 - share)
        slope = -low - high - log_width
        logit = low - high
        inside = ops.all(ops.logical_and(x >= lowest, x <= highest), axis=-1)
        if not self.bounded.all():
            bounded = ops.convert_to_tensor(self.bounded.astype(np.float32))
            slope, logit = bounded * slope, bounded * logit + (1 - bounded) * x
        return self.standardize(logit), ops.where(inside, log_det + ops.sum(slope, axis=-1), -np.inf)

    def from_base(self, u, c=None):
        x = u * self.standardize.scale + self.standardize.mean
        if not self.bounded.any():
            return x
        start, width, *_ = self._constants()
        inside = start + width * ops.sigmoid(x)
        if self.bounded.all():
            return inside
        bounded = ops.convert_to_tensor(self.bounded.astype(np.float32))
        return bounded * inside + (1 - bounded) * x

    def _constants(self):
        """Start, width, ends and log width of each variable's interval; torch computes with none but its own tensors."""
        width = self.high - self.low
        found = (self.low, width, self.lowest, self.highest, np.log(width))
        return tuple(map(ops.convert_to_tensor, found)) if keras.backend.backend() == "torch" else found
