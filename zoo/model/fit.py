"""Whether the best of a posterior's draws predicts what was observed, where a model is known that predicts observations.

A posterior that was learned from simulations lies within their prior, whatever it is given. An observation that no parameters
of it predict may look much like simulations in every number; its chi-squared tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zoo.errors import InputError, MisspecificationWarning, option, warn
from zoo.model.misspecification import LEVEL, REFUSED, more_than_by_chance
from zoo.model.spec import Tensor
from zoo.registration import Register

Emulator = Callable[[str, dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Asks a model by its name what it predicts of parameters, in whatever runtime."""


class Predicts(Protocol):
    """Knows what predicts the observations of a data source, and how far predictions are from one."""

    emulator: str
    """Name of the model that predicts them, whose tensors are called as those of the source's models."""

    def chi_squared(self, predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Squared distance (n,) of one observation (C,) from predictions (n, C), by the covariance of its noise."""
        ...


PREDICTORS: Register[type[Predicts]] = Register(
    "predictor of observations", "zoo.predictors", {"cmb-posterior": "zoo.data.cmb.planck"}
)
"""The class that knows what predicts the observations of a data source; a package names its own in the entry point group."""
predicts = PREDICTORS.register


@dataclass(frozen=True)
class Fit:
    """How well the best of a posterior's draws predicts an observation.

    Attributes
    ----------
    chi_squared : float
        The least of the draws.
    degrees : int
        Numbers of the observation less parameters, of which that chi-squared has the distribution.
    p_value : float
        Share of observations that the best parameters would fit as badly.
    """

    chi_squared: float
    degrees: int
    p_value: float

    def __str__(self) -> str:
        return f"chi-squared {self.chi_squared:.4g} for {self.degrees} degrees of freedom: p = {self.p_value:.2g}"


def best_fits(
    source: str, emulate: Emulator, parameters: Tensor, observed: Tensor, theta: np.ndarray, observations: np.ndarray
) -> list[Fit] | None:
    """Hold the best of the draws of each observation against it.

    Parameters
    ----------
    source : str
        The data source of the posterior.
    emulate : callable
        Asks a model by its name.
    parameters, observed : Tensor
        What is drawn, and what the posterior is given.
    theta : ndarray
        Draws of each observation, (m, n, D).
    observations : ndarray
        The observations, (m, C).

    Returns
    -------
    list of Fit or None
        One for each; None where nothing predicts observations of the source.
    """
    if source not in PREDICTORS.names():
        return None
    known = PREDICTORS.get(source)()
    predicted = np.asarray(emulate(known.emulator, {parameters.name: theta.reshape(-1, theta.shape[-1])})[observed.name])
    predicted = predicted.reshape(*theta.shape[:2], -1)
    degrees = math.prod(observed.fixed_shape) - parameters.fixed_shape[-1]
    least = [float(known.chi_squared(of_one, one).min()) for of_one, one in zip(predicted, observations, strict=True)]
    return [Fit(value, degrees, survival(value, degrees)) for value in least]


def expect_predicted(fits: list[Fit], draws: int) -> None:
    """Refuse observations that no draw predicts, and warn of those that are predicted badly.

    Parameters
    ----------
    fits : list of Fit
        One for each observation.
    draws : int
        Of how many draws each is the best.

    Raises
    ------
    InputError
        A thousandth of observations at most is fitted as badly; of several, more of them than by chance.

    Warns
    -----
    MisspecificationWarning
        The same of a hundredth.
    """
    p_value = np.array([fit.p_value for fit in fits])
    worst = fits[int(p_value.argmin())]
    who = "the observation" if len(fits) == 1 else f"observation {int(p_value.argmin())} of {len(fits)}, the worst"
    told = (
        f"the best of {draws:,} draws does not predict {who}: {worst}; look at units, cuts and noise, and at what the model"
        " leaves out"
    )
    if more_than_by_chance(p_value <= REFUSED, REFUSED):
        raise InputError(f"{told}; {option('allow_out_of_range')} takes it all the same")
    if more_than_by_chance(p_value <= LEVEL, LEVEL):
        warn(told, MisspecificationWarning)


def survival(chi_squared: float, degrees: int) -> float:
    """Probability of a larger chi-squared, by its cube root, which is close to normal (Wilson & Hilferty 1931)."""
    variance = 2 / (9 * degrees)
    return 0.5 * math.erfc((math.cbrt(chi_squared / degrees) - 1 + variance) / math.sqrt(2 * variance))
