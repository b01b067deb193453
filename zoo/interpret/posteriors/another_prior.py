"""A posterior with another prior of some parameters: draws that are made with the prior of training count anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from zoo.data.dataset import HasPrior, get_dataset
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.priors.rows_prior import is_of_rows
from zoo.effective_number import effective_number
from zoo.errors import InputError, UnknownNameError, ZooError
from zoo.interpret.posteriors.annealed import resampled
from zoo.model.spec import ModelSpec
from zoo.seeds import generator

FEWEST = 1000
"""Effective number of draws below which an answer would be that of a few draws alone."""

OWN_SIMULATIONS = ("simulations", "simulator")
"""Data sets of a user's simulations, whose parameters name their prior."""


class Reweighted(NamedTuple):
    """Draws by another prior.

    Attributes
    ----------
    theta : ndarray of shape (n, D)
        As many draws, those that count much more than once.
    effective : float
        Effective number of draws, (sum w)^2 / sum w^2 of their weights (Kish 1965).
    """

    theta: np.ndarray
    effective: float


def trained_prior(spec: ModelSpec) -> Prior:
    """The prior that a posterior was trained with.

    Parameters
    ----------
    spec : ModelSpec
        Spec of the model, whose data source has the prior.

    Returns
    -------
    Prior
        The prior, of independent parameters.

    Raises
    ------
    InputError
        The data source is not there any more, has no prior, or one whose parameters are not independent.
    """
    prior = _of_own_simulations(spec) if spec.data.source in OWN_SIMULATIONS else _of_made_data(spec)
    if prior is None:
        raise InputError(
            f"{spec.name}: another prior takes the place of one of independent parameters, which its data have not"
        )
    return prior


def _of_own_simulations(spec: ModelSpec) -> Prior | None:
    """The prior that a spec records, as simulations of a user's lie where the model was trained; None for one of rows."""
    plain: Any = spec.data.parameters["prior"]
    return None if is_of_rows(plain) else Prior(plain)


def _of_made_data(spec: ModelSpec) -> Prior | None:
    try:
        dataset = get_dataset(spec.data.source, None, **spec.data.parameters)
    except (ZooError, OSError, TypeError) as error:
        raise InputError(f"{spec.name}: its own prior is not known, as its data cannot be made again: {error}") from error
    prior = dataset.prior if isinstance(dataset, HasPrior) else None
    return prior if isinstance(prior, Prior) else None


def reweighted(theta: np.ndarray, trained: Prior, other: Mapping[str, Any], seed: int = 0) -> Reweighted:
    """Draws from the posterior that another prior gives.

    Each draw has the weight p_other / p_trained of its parameters, by which as many are drawn again.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        Draws from the posterior as trained, in the order of the prior.
    trained : Prior
        The prior of training.
    other : mapping of str to object
        Laws that take the place of those of some parameters, as `Prior` takes them.
    seed : int
        Seed of the order and of what is drawn again.

    Returns
    -------
    Reweighted
        The draws, and how many count.

    Raises
    ------
    UnknownNameError
        There is no parameter of a name.
    InputError
        Fewer than a thousand draws count.
    """
    for name in other:
        if name not in trained.names:
            raise UnknownNameError("parameter", name, trained.names)
    laws = Prior(other).laws
    log_weight = np.zeros(len(theta))
    for name, law in laws.items():
        column = np.asarray(theta[:, trained.names.index(name)], np.float64)
        with np.errstate(divide="ignore"):
            log_weight += law.law.logpdf(column) - trained.laws[name].law.logpdf(column)
    weight = np.exp(log_weight - log_weight.max()) if np.isfinite(log_weight.max()) else np.zeros(len(theta))
    effective = effective_number(weight)
    if effective < FEWEST:
        raise InputError(
            f"prior of {', '.join(laws)}: {effective:.0f} of {len(theta):,} draws count, expected at least {FEWEST:,}: make"
            " more draws, or train a posterior with this prior where it reaches beyond the one that was trained"
        )
    return Reweighted(redrawn(theta, weight, generator(seed)), effective)


def redrawn(theta: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many of the draws (n, D), in any order, each as often as its weight says."""
    return theta[rng.permutation(resampled(theta, weight / weight.sum(), len(theta), rng))]
