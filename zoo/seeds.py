"""Seeds that a user hands in, and the random numbers that follow from them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from zoo.errors import InputError

SHORT = 2**32
"""What the seeds of scikit-learn and of trainings stay below, which NumPy's older generator takes."""


def expect_seed(seed: Any, *, below: int | None = None) -> None:
    """Refuse what is no seed, before anything is drawn.

    Parameters
    ----------
    seed : int or sequence of int or None
        What was given: whole numbers of at least 0. What NumPy makes a generator of besides, such as another generator, is left
        to it.
    below : int, optional
        What every seed has to stay below, where there is such a number.

    Raises
    ------
    InputError
        A seed is negative, not whole or too large.

    Examples
    --------
    >>> expect_seed(-3)
    Traceback (most recent call last):
    zoo.errors.InputError: seed: expected a whole number of at least 0, given -3
    """
    for one in seed if isinstance(seed, list | tuple | range | np.ndarray) else [seed]:
        whole = isinstance(one, Integral)
        if (whole and (one < 0 or (below is not None and one >= below))) or (not whole and isinstance(one, Real | str)):
            expected = "a whole number of at least 0" + ("" if below is None else f" and below {below:,}")
            raise InputError(f"seed: expected {expected}, given {one if whole else repr(one)}")


def generator(seed: Any) -> np.random.Generator:
    """NumPy's generator of a seed that was handed in.

    Parameters
    ----------
    seed : int or sequence of int
        What all its numbers follow from, whole numbers of at least 0.

    Returns
    -------
    numpy.random.Generator
        The same as of ``numpy.random.default_rng``.

    Raises
    ------
    InputError
        A seed is negative or not whole.
    """
    expect_seed(seed)
    return np.random.default_rng(seed)
