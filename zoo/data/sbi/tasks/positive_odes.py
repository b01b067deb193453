"""Ordinary differential equations of positive quantities, many at once, in their logarithms.

In u = ln X a population that dies out goes to minus infinity and never below zero, and exponential growth and decay, which
make such systems stiff, are straight lines.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEP = 0.1
"""Size of a step times the sum of the rates: no rate changes by more than a factor e^0.1 in it."""

Growth = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Makes du/dt (n, k), and the sum (n,) of the sizes of all its terms, of u (n, k) and parameters (n, D)."""


def integrate(growth: Growth, start: np.ndarray, theta: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Solve du/dt = growth(u, theta) by the classical Runge-Kutta method, every row with steps of its own.

    A step is ``STEP`` divided by the sum of the rates at its start. The error of u is below 1e-5 for the tasks of this package.

    Parameters
    ----------
    growth : callable
        The right-hand side and how fast it is.
    start : ndarray
        Logarithms at the first time, the same for all rows, of shape (k,).
    theta : ndarray
        Parameters of each row, of shape (n, D).
    times : ndarray
        Increasing times, of shape (T,).

    Returns
    -------
    ndarray
        Logarithms at each time, of shape (n, k, T).
    """
    u = np.tile(np.asarray(start, dtype=np.float64), (len(theta), 1))
    found = [u.copy()]
    for length in np.diff(times):
        left, rows = np.full(len(theta), float(length)), np.arange(len(theta))
        while len(rows):
            at, given = u[rows], theta[rows]
            first, speed = growth(at, given)
            step = np.minimum(STEP / speed, left[rows])
            h = step[:, None]
            second, _ = growth(at + h / 2 * first, given)
            third, _ = growth(at + h / 2 * second, given)
            fourth, _ = growth(at + h * third, given)
            u[rows] = at + h / 6 * (first + 2 * second + 2 * third + fourth)
            left[rows] -= step
            rows = rows[left[rows] > 0]
        found.append(u.copy())
    return np.stack(found, axis=-1)
