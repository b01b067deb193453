"""Which latents a model uses, and how much they share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from zoo.errors import InputError
from zoo.interpret.latents.information import MutualInformation, mutual_information_matrix, total_correlation
from zoo.interpret.latents.traversal import kl_per_latent, sample
from zoo.model.handed_in.tensors import numbers_alone

ACTIVE_VARIANCE = 0.01
"""Variance of the posterior mean over inputs, above which Burda et al. call a unit active."""


def activity(mean: np.ndarray) -> np.ndarray:
    """Cov_x(E[z|x]) of each latent: the variance over inputs of its posterior mean (n, latents), from n - 1.

    Burda et al. 2016 (arXiv:1509.00519), appendix C.

    Raises
    ------
    InputError
        Not (n, latents) with at least two rows, or NaN or infinity.
    """
    return _rows("mean", mean).var(axis=0, ddof=1)


def active_units(mean: np.ndarray, threshold: float = ACTIVE_VARIANCE) -> np.ndarray:
    """Indices of the latents whose `activity` exceeds the threshold, ascending."""
    return np.flatnonzero(activity(mean) > threshold)


def gaussian_total_correlation(latents: np.ndarray) -> float:
    """Total correlation, nat, of the Gaussian with the covariance of latents (n, latents).

    As in disentanglement_lib (Locatello et al. 2019, arXiv:1811.12359, app. B), which gives it means. It sees linear dependence
    only: for other marginals or relations it is neither an upper nor a lower bound. Infinite where a latent is a linear
    function of others; constant latents add nothing.

    Raises
    ------
    InputError
        What `activity` refuses.
    """
    array = _rows("latents", latents)
    moving = array[:, np.ptp(array, axis=0) > 0]
    if moving.shape[1] < 2:
        return 0.0
    strengths = np.linalg.eigvalsh(np.corrcoef(moving, rowvar=False))
    if strengths.min() < len(strengths) * np.finfo(float).eps:
        return float("inf")
    return float(-0.5 * np.log(strengths).sum())


def information_between(
    latents: np.ndarray,
    *,
    estimator: Literal["mixture", "neighbors"] = "neighbors",
    rows: int = 5000,
    seed: int = 0,
    jobs: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information of every two latents (n, latents): values and errors, symmetric (latents, latents), nat.

    The diagonal, infinite for continuous latents, is NaN. Give samples (`zoo.interpret.latents.traversal.sample`), not means.

    Raises
    ------
    InputError
        What `activity` and `zoo.interpret.latents.information.mutual_information_matrix` refuse.
    """
    array = _rows("latents", latents)
    width = array.shape[1]
    values, errors = np.full((width, width), np.nan), np.full((width, width), np.nan)
    pairs = [(i, j) for i in range(width) for j in range(i + 1, width)]
    columns = {str(i): column for i, column in enumerate(array.T)}
    found = mutual_information_matrix(
        columns,
        columns,
        pairs=[(str(i), str(j)) for i, j in pairs],
        estimator=estimator,
        rows=rows,
        seed=seed,
        jobs=jobs,
    )
    for (i, j), one in zip(pairs, found.values(), strict=True):
        values[[i, j], [j, i]], errors[[i, j], [j, i]] = one.value, one.error
    return values, errors


@dataclass(frozen=True, eq=False)
class LatentUse:
    """What the latents of a model carry and share, in nat.

    Attributes
    ----------
    kl : ndarray
        KL of each posterior from the prior, mean over inputs, of shape (latents,).
    activity : ndarray
        Variance of each posterior mean over inputs, of shape (latents,).
    active : ndarray
        Indices of the active units.
    total_correlation_of_means : float
        Gaussian total correlation of the means of the active units, as disentanglement_lib has it.
    total_correlation_of_samples : float
        Gaussian total correlation of samples of all latents.
    total_correlation : MutualInformation
        Total correlation of samples of the active units, by nearest neighbors, with its error; 0 for fewer than two.
    information, information_error : ndarray
        Information between samples of every two latents and its error, of shape (latents, latents).
    """

    kl: np.ndarray
    activity: np.ndarray
    active: np.ndarray
    total_correlation_of_means: float
    total_correlation_of_samples: float
    total_correlation: MutualInformation
    information: np.ndarray
    information_error: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything by name, to be saved."""
        return {name: np.asarray(value) for name, value in asdict(self).items()}


def use_of_latents(
    mean: np.ndarray,
    log_variance: np.ndarray,
    *,
    threshold: float = ACTIVE_VARIANCE,
    rows: int = 5000,
    seed: int = 0,
    jobs: int = 1,
) -> LatentUse:
    """KL, active units, total correlation and shared information of the latents of one model.

    Parameters
    ----------
    mean, log_variance : ndarray
        Mean and log-variance of the Gaussian posterior of each input, of shape (n, latents).
    threshold : float
        The least activity of an active unit.
    rows : int
        Setting that `zoo.interpret.latents.information.mutual_information_matrix` takes.
    seed : int
        Seed of the samples and the estimators.
    jobs : int
        Setting that `zoo.interpret.latents.information.mutual_information_matrix` takes.

    Raises
    ------
    InputError
        Different shapes, NaN or infinity, too few rows for nearest neighbors.
    """
    kl, drawn = kl_per_latent(mean, log_variance), sample(mean, log_variance, seed)
    active = active_units(mean, threshold)
    shared = MutualInformation(0.0, 0.0)
    if len(active) > 1:
        shared = total_correlation(drawn[:, active], rows=rows, seed=seed)
    information, error = information_between(drawn, rows=rows, seed=seed, jobs=jobs)
    return LatentUse(
        kl=kl,
        activity=activity(mean),
        active=active,
        total_correlation_of_means=gaussian_total_correlation(np.asarray(mean)[:, active]) if len(active) else 0.0,
        total_correlation_of_samples=gaussian_total_correlation(drawn),
        total_correlation=shared,
        information=information,
        information_error=error,
    )


def _rows(name: str, values: np.ndarray) -> np.ndarray:
    array = numbers_alone(values, name).astype(float)
    if array.ndim != 2 or len(array) < 2 or not array.shape[1] or not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers of shape (n, latents) with n > 1, given shape {array.shape}")
    return array
