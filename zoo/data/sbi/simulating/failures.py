"""What goes wrong with simulations, said with the parameters that it went wrong at."""

from __future__ import annotations

import numpy as np

from zoo.data.sbi.simulating.answers import Part
from zoo.errors import ZooError


class SimulationError(ZooError):
    """A simulator that raised, or whose answers are no rows of finite numbers of one width."""


def described(theta: np.ndarray) -> str:
    """Parameters as a message has them."""
    return f"theta = {np.array2string(np.asarray(theta), separator=', ', threshold=20, floatmode='unique')}"


def raise_error(part: Part, theta: np.ndarray) -> None:
    """Raise what ended a part, if anything did.

    Parameters
    ----------
    part : Part
        A part, whose answers are kept by now.
    theta : ndarray of shape (n, D)
        Parameters of all rows.

    Raises
    ------
    SimulationError
        The simulator raised; says at which parameters.
    KeyboardInterrupt
        As it came.
    """
    error = part.error
    if error is None:
        return
    if isinstance(error, KeyboardInterrupt):
        raise error
    kind, words = error.args[:2] if isinstance(error, Elsewhere) else (type(error).__name__, error)
    where = "" if part.at is None else f" at {described(theta[part.at])}"
    raise SimulationError(f"simulator{where}: {kind}: {words}") from error


class Elsewhere(Exception):
    """What a simulator raised in another process: the name of its class, its words, and where it was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[2]}"
