"""Parameters whose draws lie at an end of their prior, beyond which nothing was simulated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.model.spec import Tensor

STRIP = 0.02
"""Part of the range of a prior, at either end, that is looked at."""
MANY = 0.1
"""Share of the draws within it that is told: five times that of a posterior which knows nothing."""
DECADES = 100.0
"""Ratio of two positive ends from which on a range is one of logarithms."""


def at_ends(theta: np.ndarray, parameters: Tensor, names: Sequence[str]) -> list[str]:
    """What is to be said of parameters whose draws crowd at an end of the range that was simulated.

    An observation of a universe beyond the prior is answered by the nearest one within it, as sure as any, and so is one of
    other cells or units that looks like such. A limit on what cannot be negative, say, lies at an end by right.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        Draws from the posterior.
    parameters : Tensor
        The output that they are, whose ends are those of the prior.
    names : sequence of str
        Names of the parameters.

    Returns
    -------
    list of str
        A sentence for each such end; none of priors without ends.
    """
    if parameters.low is None or parameters.high is None:
        return []
    lows, highs = (np.broadcast_to(np.asarray(end, np.float64), len(names)) for end in (parameters.low, parameters.high))
    found = []
    for name, draws, low, high in zip(names, theta.T.astype(np.float64), lows, highs, strict=True):
        if low > 0 and high > DECADES * low:
            draws, low_at, high_at = np.log(np.maximum(draws, low)), np.log(low), np.log(high)
        else:
            low_at, high_at = low, high
        strip = STRIP * (high_at - low_at)
        for share, end in ((np.mean(draws < low_at + strip), low), (np.mean(draws > high_at - strip), high)):
            if share > MANY:
                found.append(
                    f"{share:.0%} of the draws of {name} lie at the end {end:.6g} of its prior, beyond which nothing was"
                    " simulated: the truth may lie there, or the data may be in other units or cells"
                )
    return found
