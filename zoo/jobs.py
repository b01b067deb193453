"""How many processes a user asks for."""

from __future__ import annotations

from typing import Any

from zoo.errors import InputError


def expect_jobs(jobs: Any) -> None:
    """Refuse a number of processes that there cannot be, before any is started.

    Parameters
    ----------
    jobs : int or None
        What was given: -1 for one per core, or at least 1. None stands for what a function does without a number.

    Raises
    ------
    InputError
        It is another number.

    Examples
    --------
    >>> expect_jobs(0)
    Traceback (most recent call last):
    zoo.errors.InputError: jobs: expected -1, for one process per core, or a whole number of at least 1, given 0
    """
    if jobs is None:
        return
    if isinstance(jobs, bool) or not hasattr(jobs, "__index__") or (jobs != -1 and jobs < 1):
        raise InputError(f"jobs: expected -1, for one process per core, or a whole number of at least 1, given {jobs!r}")
