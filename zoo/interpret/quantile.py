"""Quantiles of values that have event weights, of either sign."""

from __future__ import annotations

import numpy as np


def quantile(values: np.ndarray, level: float, weights: np.ndarray | None = None) -> float:
    """The value below which a share of all values, or of the sum of weights, lies."""
    if weights is None:
        return float(np.quantile(values, level))
    weights = np.broadcast_to(weights.reshape(-1, *[1] * (values.ndim - 1)), values.shape).ravel()
    order = np.argsort(values, axis=None)
    below = np.maximum.accumulate(np.cumsum(weights[order]))  # negative weights take back what is below
    return float(values.ravel()[order][min(np.searchsorted(below, level * weights.sum()), len(order) - 1)])
