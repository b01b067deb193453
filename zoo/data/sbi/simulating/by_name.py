"""Simulators that take parameters by their names, ``(rate, lifetime, rng)``, in place of one row of all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError

NOISE = ("rng", "seed")
"""Arguments that bring random numbers."""


class ByName:
    """A simulator of rows of parameters, of one that takes each parameter by its name.

    Parameters
    ----------
    simulator : callable
        Takes the parameters by name, and ``rng`` or ``seed``.
    names : sequence of str
        Names of the parameters, in the order of the prior.
    """

    def __init__(self, simulator: Callable[..., Any], names: Sequence[str]) -> None:
        self.simulator, self.names = simulator, list(names)
        taken = inspect.signature(simulator).parameters
        row = inspect.Parameter("theta", inspect.Parameter.POSITIONAL_ONLY)
        noise = [taken[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in NOISE if name in taken]
        self.__signature__ = inspect.Signature([row, *noise])

    def __call__(self, theta: np.ndarray, **given: Any) -> Any:
        """What the simulator answers to parameters (D,), or (n, D) if it is vectorized."""
        return self.simulator(**dict(zip(self.names, np.moveaxis(theta, -1, 0), strict=True)), **given)

    def fingerprinted(self) -> list[Any]:
        """What it is made of, for who compares simulators."""
        return [self.simulator, self.names]


def of_rows(simulator: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """A simulator that takes rows of parameters, whichever way it was written.

    Parameters
    ----------
    simulator : callable
        Takes a row of parameters; or, of several parameters, each by its name.
    names : sequence of str
        Names of the parameters.

    Returns
    -------
    callable
        The simulator itself, or one of rows around it.

    Raises
    ------
    InputError
        It takes several arguments that are neither the parameters nor random numbers.
    """
    try:
        signature = inspect.signature(simulator).parameters
    except (TypeError, ValueError):  # a compiled function often has no signature
        return simulator
    kinds = inspect.Parameter
    named = {key: one for key, one in signature.items() if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)}
    if len(names) > 1 and all(name in named for name in names):
        return ByName(simulator, names)
    # A keyword without a default is as much in the way as a second position.
    required = [
        key
        for key, one in signature.items()
        if one.default is one.empty and one.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]
    others = [key for key in required if key not in NOISE or signature[key].kind is kinds.POSITIONAL_ONLY]
    if len(others) > 1:
        raise InputError(
            f"the simulator takes ({', '.join(others)}): expected (theta), one row of the parameters {', '.join(names)}, or"
            f" ({', '.join(names)}), each by its name; and rng or seed if it draws random numbers. Give other arguments a"
            " default, or bind them with functools.partial"
        )
    return simulator
