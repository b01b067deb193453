"""Whole numbers that a user hands in, such as how many draws."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from zoo.errors import InputError


def expect_counts(least: int = 1, **counts: Any) -> None:
    """Refuse what are no whole numbers, or too small.

    Parameters
    ----------
    least : int
        What each has to be at least.
    **counts : object
        Each by its name.

    Raises
    ------
    InputError
        Naming the first that is none.

    Examples
    --------
    >>> expect_counts(draws=0)
    Traceback (most recent call last):
    zoo.errors.InputError: draws: expected a whole number of at least 1, given 0
    """
    for name, count in counts.items():
        if not isinstance(count, Integral) or isinstance(count, bool) or count < least:
            raise InputError(f"{name}: expected a whole number of at least {least}, given {count!r}")
