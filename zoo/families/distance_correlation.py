"""Distance correlation of two variables, zero only where they are independent (Szekely et al. 2007, arXiv:0803.4101)."""

from __future__ import annotations

from typing import Any

from keras import ops

LEAST = 1e-12
"""What stands for no spread, where the correlation is zero and has a gradient of zero."""


def distance_correlation(x: Any, y: Any, weight: Any) -> Any:
    """Squared distance correlation of weighted draws, in [0, 1], with a gradient.

    The V-statistic of the definition, sums over draws being sums of weights. It is that of (x, y) and of (a x + b, c y + d).

    Parameters
    ----------
    x, y : Tensor of shape (n,)
        The draws.
    weight : Tensor of shape (n,)
        Weights, none negative and some positive.

    Returns
    -------
    Tensor
        The number dCov^2(x, y) / sqrt(dCov^2(x, x) dCov^2(y, y)), a scalar; 0 where x or y is the same in all draws.
    """
    share = weight / ops.maximum(ops.sum(weight), LEAST)
    pairs = share[:, None] * share[None, :]
    a, b = _centered(x, share), _centered(y, share)
    together, of_x, of_y = (ops.sum(pairs * product) for product in (a * b, a * a, b * b))
    return together / ops.sqrt(ops.maximum(of_x * of_y, LEAST))


def _centered(x: Any, share: Any) -> Any:
    """Distances (n, n) of draws in units of their mean, less the means of both rows."""
    distance = ops.absolute(x[:, None] - x[None, :])
    of_row = ops.sum(distance * share[None, :], axis=1)
    mean = ops.sum(of_row * share)
    unit = ops.maximum(mean, LEAST)
    return (distance - of_row[:, None] - of_row[None, :] + mean) / unit
