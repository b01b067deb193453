"""Whether posteriors mean what they say: simulation-based calibration, expected coverage, posterior predictive checks.

A flow here is anything with ``draw(n, c, seed)``: one observation c gives (n, D) samples, m of them give (m, n, D).
Observations are rows (m, C), arrays of any other shape (m, ...), or, of different lengths, a list or an array of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError, UnknownNameError
from zoo.families.contracts import Generates, any_range
from zoo.model.handed_in.tensors import numbers_alone
from zoo.progress import track
from zoo.seeds import generator

SAMPLES_PER_CALL = 2**17
BOOTSTRAPS = 1000


def sbc_ranks(
    flow: Generates, theta: np.ndarray, x: np.ndarray, draws: int = 999, seed: int = 0, *, allow_out_of_range: bool = False
) -> np.ndarray:
    """Rank of each true parameter among draws from the posterior of its own data (Talts et al. 2018, arXiv:1804.06788).

    Right posteriors give uniform ranks. So does the prior in place of the posterior: look at `tarp` with "predicted"
    references too.

    Parameters
    ----------
    flow : Flow
        A posterior p(theta | x).
    theta : ndarray
        Parameters drawn from the prior, of shape (n, D).
    x : ndarray
        Data simulated at them, not used in training, of shape (n, C), or n of any shape or of several lengths.
    draws : int
        Posterior draws of each row; independent, so that no thinning is needed.
    seed : int
        Seed of the draws.
    allow_out_of_range : bool
        Let data outside the flow's trained range through.

    Returns
    -------
    ndarray
        Integers from 0 to ``draws``, of shape (n, D).

    Raises
    ------
    InputError
        Different numbers of rows, no rows, values that are not finite, draws of another shape than the parameters'; data that
        the flow refuses.
    """
    theta, x = _pairs(theta, x, draws)
    return np.concatenate(
        [
            (samples < theta[rows, None, :]).sum(axis=1)
            for rows, samples in _posteriors(flow, theta, x, draws, seed, "SBC ranks", allow_out_of_range)
        ]
    )


@dataclass(frozen=True, eq=False)
class RankUniformity:
    """How far ranks are from uniform, one value a parameter.

    Attributes
    ----------
    distance : ndarray
        Kolmogorov-Smirnov distance, in [0, 1], of shape (D,).
    p_value : ndarray
        The p-value of that distance under uniform ranks, of shape (D,).
    n : int
        Number of ranks of each parameter.
    """

    distance: np.ndarray
    p_value: np.ndarray
    n: int


def rank_uniformity(ranks: np.ndarray, draws: int, seed: int = 0) -> RankUniformity:
    """Kolmogorov-Smirnov test of ranks against the uniform distribution on 0 to ``draws``.

    Each rank is spread uniformly over its own step, which makes the test exact for discrete ranks.

    Parameters
    ----------
    ranks : ndarray
        Integers from 0 to ``draws``, of shape (n, D).
    draws : int
        Number of draws that they were ranked among.
    seed : int
        Seed of the spreading.

    Raises
    ------
    InputError
        If the ranks are of another shape or outside 0 to ``draws``.
    """
    ranks = checked_ranks(ranks, draws)
    tests = [_uniform(column) for column in _spread(ranks, draws, generator(seed)).T]
    distance, p_value = np.array(tests).T
    return RankUniformity(distance, p_value, len(ranks))


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often credible regions hold the truth.

    Attributes
    ----------
    levels : ndarray
        Credibility levels from 0 to 1, of shape (k,).
    expected : ndarray
        Fraction of rows whose region of that level holds the truth, of shape (k,).
    low, high : ndarray
        95% interval of ``expected``, from a bootstrap over the rows, of shape (k,).
    distance : float
        Largest ``|coverage - level|`` over all levels, the Kolmogorov-Smirnov distance.
    p_value : float
        The p-value of that distance under right posteriors.
    n : int
        Number of rows.
    """

    levels: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    distance: float
    p_value: float
    n: int


def tarp(
    flow: Generates,
    theta: np.ndarray,
    x: np.ndarray,
    draws: int = 999,
    seed: int = 0,
    references: Literal["uniform", "predicted"] = "uniform",
    levels: int = 51,
    *,
    allow_out_of_range: bool = False,
) -> Coverage:
    """Tests of accuracy with random points: coverage of balls around reference points (Lemos et al. 2023, arXiv:2302.03026).

    Right posteriors cover each level as often as it says. Distances are in units of the standard deviation of ``theta``.

    Parameters
    ----------
    flow : Flow
        A posterior p(theta | x).
    theta : ndarray
        Parameters drawn from the prior, of shape (n, D).
    x : ndarray
        Data simulated at them, not used in training, of shape (n, C), or n of any shape or of several lengths.
    draws : int
        Posterior draws of each row.
    seed : int
        Seed of the draws, references and bootstrap.
    references : str
        "uniform" in the box of ``theta``, as in the paper's examples, or "predicted": a ridge regression of theta on x fitted
        on the other half of the rows, scattered by its residuals. The test is sufficient only where references depend on x
        (the paper's theorem 3): with "uniform", the prior passes as a posterior.
    levels : int
        Number of levels of the curve, evenly from 0 to 1.
    allow_out_of_range : bool
        Let data outside the flow's trained range through.

    Raises
    ------
    InputError
        What `sbc_ranks` refuses, and a parameter that is the same in all rows.
    UnknownNameError
        References of another name.
    """
    theta, x = _pairs(theta, x, draws)
    if references not in REFERENCES:
        raise UnknownNameError("kind of references", references, REFERENCES)
    scale = theta.std(axis=0)
    if not (scale > 0).all():
        raise InputError(f"theta: parameters {np.flatnonzero(scale == 0).tolist()} are the same in all rows, leave them out")
    rng = generator(seed)
    reference = REFERENCES[references](theta, x, rng)
    nearer = [
        (_distance(samples, reference[rows, None], scale) < _distance(theta[rows, None], reference[rows, None], scale)).sum(
            axis=1
        )
        for rows, samples in _posteriors(flow, theta, x, draws, seed, "expected coverage", allow_out_of_range)
    ]
    credibility = _spread(np.concatenate(nearer), draws, rng)
    grid = np.linspace(0, 1, levels)
    held = credibility[:, None] <= grid
    weights = rng.multinomial(len(theta), np.full(len(theta), 1 / len(theta)), size=BOOTSTRAPS) / len(theta)
    low, high = np.percentile(weights @ held, [2.5, 97.5], axis=0)
    distance, p_value = _uniform(credibility)
    return Coverage(grid, held.mean(axis=0), low, high, distance, p_value, len(theta))


@dataclass(frozen=True, eq=False)
class PredictiveCheck:
    """An observation beside data simulated at draws from its posterior.

    Attributes
    ----------
    observed : ndarray
        The observation, of shape (C,).
    replicated : ndarray
        Simulated data, of shape (draws, C).
    theta : ndarray
        Parameters that they were simulated at, of shape (draws, D).
    p_value : ndarray
        Two-sided tail probability of each element of the observation among the replicated, of shape (C,).
    discrepancy : float
        Squared Mahalanobis distance of the observation from the replicated data.
    discrepancy_p_value : float
        Fraction of replicated data that are as far.
    failed : int
        Simulations that were not finite and were left out.
    """

    observed: np.ndarray
    replicated: np.ndarray
    theta: np.ndarray
    p_value: np.ndarray
    discrepancy: float
    discrepancy_p_value: float
    failed: int = 0


def posterior_predictive(
    flow: Generates,
    simulator: Callable[[np.ndarray], np.ndarray],
    x_observed: np.ndarray,
    draws: int = 1000,
    seed: int = 0,
    *,
    allow_out_of_range: bool = False,
) -> PredictiveCheck:
    """Posterior predictive check (Rubin 1984; Gelman, Meng & Stern 1996) of whether the model could have made these data.

    A p-value near 0 says no. The data are used twice, to fit and to judge, so p-values are conservative: crowded around 0.5
    rather than uniform under a right model.

    Parameters
    ----------
    flow : Flow
        A posterior p(theta | x).
    simulator : callable
        Makes data with their noise, of shape (draws, C), of parameters of shape (draws, D).
    x_observed : ndarray
        Observation, of shape (C,) or any other.
    draws : int
        Number of draws from the posterior.
    seed : int
        Seed of the draws; the simulator keeps its own.
    allow_out_of_range : bool
        Let an observation outside the flow's trained range through.

    Raises
    ------
    InputError
        An observation that is not finite or not one row; fewer than 20 draws or fewer finite simulations; simulations of
        another shape.
    """
    observed = numbers_alone(x_observed, "x_observed").astype(float)
    if observed.ndim < 1 or not np.isfinite(observed).all():
        raise InputError(f"x_observed: expected finite numbers, one row (C,) or more, given shape {observed.shape}")
    theta = np.asarray(flow.draw(draws, observed, seed, **(any_range(flow.draw) if allow_out_of_range else {})))
    if theta.ndim != 2:
        raise InputError(f"x_observed: expected one row (C,), or what the flow takes as one, given shape {observed.shape}")
    replicated = np.asarray(simulator(theta), dtype=float)
    if replicated.shape != (draws, *observed.shape):
        raise InputError(f"simulator: expected data of shape {(draws, *observed.shape)}, given {replicated.shape}")
    good = _finite_rows(replicated)
    if good.sum() < FEWEST:
        raise InputError(f"expected at least {FEWEST} finite simulations, given {good.sum()} of {draws}: raise draws")
    theta, replicated = theta[good], replicated[good]
    at_most, at_least = (
        (compared.sum(axis=0) + 1) / (len(replicated) + 1) for compared in (replicated <= observed, replicated >= observed)
    )
    fitted, judged = np.array_split(replicated, 2)
    distance = _mahalanobis(_numbers(fitted), _numbers(np.concatenate([observed[None], judged])))
    return PredictiveCheck(
        observed=observed,
        replicated=replicated,
        theta=theta,
        p_value=np.minimum(1.0, 2 * np.minimum(at_most, at_least)),
        discrepancy=float(distance[0]),
        discrepancy_p_value=float((distance >= distance[0]).mean()),
        failed=int((~good).sum()),
    )


FEWEST = 20
"""Simulations below which no tail probability is told."""


def checked_ranks(ranks: np.ndarray, draws: int) -> np.ndarray:
    """Ranks (n, D) from 0 to ``draws``; InputError otherwise."""
    ranks = numbers_alone(ranks, "ranks")
    if ranks.ndim != 2 or not ranks.size or ranks.dtype.kind not in "iu":
        raise InputError(f"ranks: expected integers of shape (n, D), given {ranks.dtype} of shape {ranks.shape}")
    if ranks.min() < 0 or ranks.max() > draws:
        raise InputError(f"ranks: expected 0 to {draws} among {draws} draws, given {ranks.min()} to {ranks.max()}")
    return ranks


def _pairs(theta: np.ndarray, x: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    theta, x = numbers_alone(theta, "theta"), numbers_alone(x, "x")
    if theta.ndim != 2 or (x.ndim < 2 and x.dtype != object) or len(theta) != len(x) or not theta.size:
        raise InputError(f"expected theta (n, D) and x (n, C) of as many rows, given {theta.shape} and {x.shape}")
    for name, array in (("theta", theta), ("x", x)):
        if not (finite := _finite_rows(array)).all():
            raise InputError(f"{name}: {np.count_nonzero(~finite)} of {len(array)} rows are not finite")
    expect_counts(draws=draws)
    return theta, x


def _finite_rows(array: np.ndarray) -> np.ndarray:
    """Whether all numbers of a row (n,) are finite, of rows of one shape or of several lengths."""
    if array.dtype == object:
        return np.array([np.isfinite(row).all() for row in array])
    return np.asarray(_numbers(np.isfinite(array)).all(axis=1))


def _numbers(x: np.ndarray) -> np.ndarray:
    """Rows of numbers (n, C): all of each row, or of several lengths the mean and deviation of its elements and their count.

    Mean and deviation of no elements are zero, as those of an embedding are: their number tells such a row from others.
    """
    if x.dtype != object:
        return x.reshape(len(x), -1)
    filled = [row if len(row) else np.zeros((1, *row.shape[1:])) for row in x]
    told = [np.ravel([row.mean(axis=0), row.std(axis=0)]) for row in filled]
    return np.column_stack([told, [np.log1p(len(row)) for row in x]])


def _posteriors(
    flow: Generates,
    theta: np.ndarray,
    x: np.ndarray,
    draws: int,
    seed: int,
    description: str,
    allow_out_of_range: bool,
):
    """Draws for some rows at a time: (rows, (len(rows), draws, D))."""
    size = max(1, SAMPLES_PER_CALL // draws)
    parts = [np.arange(start, min(start + size, len(x))) for start in range(0, len(x), size)]
    seeds = generator(seed).integers(2**31, size=len(parts)).tolist()
    for rows, own in track(list(zip(parts, seeds, strict=True)), description):
        samples = np.asarray(flow.draw(draws, x[rows], own, **(any_range(flow.draw) if allow_out_of_range else {})))
        if samples.shape != (len(rows), draws, theta.shape[1]):
            raise InputError(f"draw: expected samples of shape {(len(rows), draws, theta.shape[1])}, given {samples.shape}")
        if not np.isfinite(samples).all():
            raise InputError(f"draw: {np.count_nonzero(~np.isfinite(samples))} values of the samples are not finite")
        yield rows, samples


def _spread(ranks: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform on [0, 1] where the ranks are uniform on 0 to ``draws``."""
    return (ranks + rng.random(ranks.shape)) / (draws + 1)


def _uniform(values: np.ndarray) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance from uniform on [0, 1], and its p-value."""
    from scipy.stats import kstest

    found = kstest(values, "uniform")
    return float(found.statistic), float(found.pvalue)


def _distance(a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.linalg.norm((a - b) / scale, axis=-1)


def _uniform_references(theta: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(theta.min(axis=0), theta.max(axis=0), size=theta.shape)


def _predicted_references(theta: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each half is predicted by a fit to the other, so that a reference knows x but not its own theta."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(theta) < FEWEST:
        raise InputError(f"predicted references: expected at least {FEWEST} rows, given {len(theta)}")
    reference, x = np.empty(theta.shape), _numbers(x)
    halves = np.array_split(rng.permutation(len(theta)), 2)
    for fitted, predicted in (halves, halves[::-1]):
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))).fit(x[fitted], theta[fitted])
        residual = (theta[fitted] - model.predict(x[fitted]).reshape(theta[fitted].shape)).std(axis=0)
        center = model.predict(x[predicted]).reshape(len(predicted), -1)
        reference[predicted] = center + residual * rng.normal(size=center.shape)
    return reference


REFERENCES: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "predicted": _predicted_references,
    "uniform": _uniform_references,
}


def _mahalanobis(fitted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared distance of rows from the Gaussian of ``fitted``, its covariance shrunk (Ledoit & Wolf 2004)."""
    from sklearn.covariance import LedoitWolf

    scale = fitted.std(axis=0)
    scale[scale == 0] = 1.0  # an element without scatter: any difference counts in its own unit
    return LedoitWolf().fit(fitted / scale).mahalanobis(rows / scale)
