"""Values and their errors as people read them."""

from __future__ import annotations

import numpy as np

MOST = 12
"""Digits after the point at most."""
SMALL, LARGE = 1e-3, 1e4
"""What is all smaller, and an error that is larger, is told with a power of ten."""


def to_two_digits(value: float, *errors: float) -> tuple[list[str], int]:
    """A value and its errors, to two digits of the smallest error.

    Parameters
    ----------
    value : float
        The value.
    *errors : float
        Its errors.

    Returns
    -------
    list of str
        The value, then each error.
    int
        The power of ten that all of them are to be multiplied by, 0 for most.

    Examples
    --------
    >>> to_two_digits(67.2731, 0.6012)
    (['67.27', '0.60'], 0)
    >>> to_two_digits(1.234e-17, 4.4e-18)
    (['1.23', '0.44'], -17)
    """
    largest = max(map(abs, (value, *errors)))
    least = min((error for error in errors if error > 0), default=0.0)
    told = 0 < largest < SMALL or least >= LARGE
    exponent = int(np.floor(np.log10(largest))) if told else 0
    least /= 10.0**exponent
    digits = 6 if least == 0 else int(np.clip(1 - np.floor(np.log10(least)), 0, MOST))
    return [f"{one / 10.0**exponent:.{digits}f}" for one in (value, *errors)], exponent
