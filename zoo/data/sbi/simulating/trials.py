"""Sets of trials: many answers of a simulator at the same parameters, as an experiment that is repeated gives them."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from zoo.data.sbi.simulating.read_answer import Answer, read_answer
from zoo.errors import InputError


class Trials:
    """A simulator of sets of trials (k, C), of a simulator of one trial (C,).

    The number of trials is drawn anew for each set, evenly in its logarithm: an estimate gets better with the square root of
    the number, so that from 10 to 20 trials there is as much to learn as from 50 to 100. A simulator that takes many rows at
    once is asked for a whole set in one call.

    Parameters
    ----------
    simulator : callable
        Makes one trial of parameters, ``(D,) -> (C,)``, or ``(k, D) -> (k, C)`` if vectorized. It may take ``rng`` or ``seed``.
    trials : int or sequence of int
        The fewest and the most of a set, or the one number that all sets have.
    vectorized : bool
        Whether the simulator takes many rows at once.

    Raises
    ------
    InputError
        There are no such numbers of trials.
    """

    def __init__(self, simulator: Callable[..., Any], trials: int | Sequence[int], vectorized: bool = False) -> None:
        self.least, self.most = trial_bounds(trials)
        self.simulator, self.vectorized = simulator, vectorized
        with suppress(TypeError, ValueError):  # a compiled function often has no signature
            # Whether it takes a generator or a seed is looked up here, and not only by who calls it.
            self.__signature__ = inspect.signature(simulator)

    def __call__(self, theta: np.ndarray, **given: Any) -> Answer:
        """A set of trials (k, C) at parameters (D,), with ``rng`` and ``seed`` if the simulator takes them."""
        draw: Any = given.get("rng", np.random)  # whose state follows from the row
        count = self._count(float(draw.random()))
        if self.vectorized:
            answer = read_answer(self.simulator(np.repeat(theta[None], count, axis=0), **given))
            found, labels = answer.array, {answer.labels}
            if found.ndim == 1:
                found = found[:, None]
            if found.shape[:1] != (count,):
                raise ValueError(f"expected ({count}, C) for {count} rows of parameters, given {found.shape}")
        else:
            seeds = np.random.default_rng(given["seed"]).integers(2**31, size=count).tolist() if "seed" in given else None
            each = [given if seeds is None else given | {"seed": seeds[place]} for place in range(count)]
            answers = [read_answer(self.simulator(np.array(theta), **own)) for own in each]
            shapes, labels = {answer.array.shape for answer in answers}, {answer.labels for answer in answers}
            for what, several in (("shape", shapes), ("kind", labels)):
                if len(several) > 1:
                    raise ValueError(f"expected trials of one {what}, given {', '.join(map(str, several))}")
            found = np.stack([answer.array for answer in answers])
        if found.ndim != 2:
            raise ValueError(f"expected one row of numbers (C,) of each trial, given shape {found.shape[1:]}")
        return Answer(found, labels.pop())

    def fingerprinted(self) -> list[Any]:
        """What a set of trials is made of, for who compares simulators."""
        return [self.simulator, self.least, self.most, self.vectorized]

    def _count(self, share: float) -> int:
        """The number of trials below which a share of all sets lies."""
        return min(self.most, int(self.least * ((self.most + 1) / self.least) ** share))


def trial_bounds(trials: int | Sequence[int]) -> tuple[int, int]:
    """Fewest and most trials of a set.

    Parameters
    ----------
    trials : int or sequence of int
        The two numbers, or the one that all sets have.

    Returns
    -------
    tuple of int
        The two.

    Raises
    ------
    InputError
        They are no such numbers.
    """
    try:
        low, high = (trials, trials) if isinstance(trials, int) else trials
        least, most = operator.index(low), operator.index(high)
    except (TypeError, ValueError):
        raise InputError(f"trials: expected the fewest and the most of a set, such as (1, 100), given {trials!r}") from None
    if not 1 <= least <= most:
        raise InputError(f"trials: expected the fewest and the most of a set, such as (1, 100), given {trials!r}")
    return least, most
