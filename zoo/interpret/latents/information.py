"""Mutual information between continuous quantities, by a Gaussian mixture or by nearest neighbors, with its error.

The mixture is after GMM-MI (Piras et al. 2023, arXiv:2211.00024): one is fitted to the joint distribution, its number
of components chosen by cross-validated likelihood; its marginals are mixtures too, so that the integral needs nothing
but samples of the fit; refits on bootstrap samples give the error. Here every column is first mapped to normal scores:
mutual information does not change under monotone maps of one variable, and a mixture has then only the dependence left
to describe. That makes the estimate exactly invariant under such maps, and several times faster on skewed quantities.
Nearest neighbors (`zoo.interpret.latents.neighbors`) assume less and need more rows; they take normal scores too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from zoo.errors import InputError
from zoo.interpret.latents.neighbors import error_by_parts, ksg, ross
from zoo.jobs import expect_jobs
from zoo.model.handed_in.tensors import labels_alone, numbers_alone
from zoo.progress import track
from zoo.seeds import generator

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

LADDER = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of components that are tried."""
GAIN = 1e-3
"""Held-out log-likelihood per row, nat, that the next step must add."""
FOLDS = 2
ROWS_PER_COMPONENT = 10
ROWS_PER_NEIGHBOR = 15
SAMPLES = 100_000
"""Monte Carlo samples of the mixture for one integral: at 0.6 nat their error is 0.002."""
BOOTSTRAP_SAMPLES = 20_000


class MutualInformation(NamedTuple):
    """Mutual information in nat, its standard error, and the number of components of the mixture; 0 where there is none."""

    value: float
    error: float
    components: int = 0


def mutual_information(
    x: np.ndarray, y: np.ndarray, *, components: int | None = None, bootstrap: int = 20, rows: int = 5000, seed: int = 0
) -> MutualInformation:
    """Mutual information of two continuous quantities.

    The error is statistical. A mixture is smoother than a strongly curved relation, and comes out low there: by 1-4% for
    thin parabolas, rings and sines at 2,000 rows and more, by up to 40% at 200 rows.

    Parameters
    ----------
    x, y : ndarray
        Arrays of shape (n,) or (n, d), in any units.
    components : int, optional
        Components of the mixture; None chooses them by cross-validation.
    bootstrap : int
        Refits for the error.
    rows : int
        Larger samples are thinned to this many.
    seed : int
        Seed of thinning, initialization, integral and bootstrap.

    Raises
    ------
    InputError
        Different numbers of rows, NaN or infinity, a constant column, one in which most values repeat (discrete
        quantities have no density), fewer than ten rows a component, fewer than two refits.
    """
    from threadpoolctl import threadpool_limits

    rng = generator(seed)
    first, second = _columns("x", x), _columns("y", y)
    if len(first) != len(second):
        raise InputError(f"x and y must have the same number of rows, given {len(first)} and {len(second)}")
    joint, width = np.concatenate([first, second], axis=1), first.shape[1]
    if len(joint) > rows:
        joint = joint[rng.choice(len(joint), rows, replace=False)]
    most = len(joint) // ROWS_PER_COMPONENT
    if not 1 <= (components or 1) <= most:
        raise InputError(
            f"expected at least {ROWS_PER_COMPONENT} rows for each component of the mixture,"
            f" given {len(joint)} rows for {components or 1}"
        )
    if bootstrap < 2:
        raise InputError(f"bootstrap: expected at least 2 refits to give an error, given {bootstrap}")

    joint = _normal_scores(joint)
    with threadpool_limits(1):  # matrices of a few columns: more threads only wait for each other
        components = components or _choose_components(joint, most, rng)
        mixture = _fit(joint, components, rng, starts=2)
        refits = (_refit(joint[rng.integers(len(joint), size=len(joint))], mixture) for _ in range(bootstrap))
        values = [_integral(refit, width, BOOTSTRAP_SAMPLES, rng) for refit in refits]
        return MutualInformation(_integral(mixture, width, SAMPLES, rng), float(np.std(values, ddof=1)), components)


def neighbor_information(
    x: np.ndarray, y: np.ndarray, *, classes: bool = False, neighbors: int = 3, rows: int = 5000, seed: int = 0
) -> MutualInformation:
    """Mutual information from nearest neighbors: KSG's algorithm 1, or Ross's estimator where y is discrete.

    It may come out below zero: clipped, the average over independent quantities would not be zero. For Gaussians of rho = 0.6
    and 3 neighbors it is 0.004 to 0.006 nat (2%) high at 200 to 1,000 rows, a tenth of its scatter. It comes out low where
    the relation is tighter than the distance between neighbors, near log(n / neighbors) nat.

    Parameters
    ----------
    x, y : ndarray
        Arrays of shape (n,) or (n, d), in any units.
    classes : bool
        Whether y, of shape (n,), holds labels instead.
    neighbors : int
        Number of nearest neighbors; few for little bias, many for little scatter.
    rows : int
        Larger samples are thinned to this many.
    seed : int
        Seed of thinning and of the parts whose scatter gives the error.

    Raises
    ------
    InputError
        Different numbers of rows, NaN or infinity, a constant column, one in which most values repeat, rows that repeat more
        than ``neighbors`` times, fewer than 15 rows a neighbor, a class of at most ``neighbors`` rows.
    """
    first = _columns("x", x)
    second = _labels(y, neighbors) if classes else _columns("y", y)
    if len(first) != len(second):
        raise InputError(f"x and y must have the same number of rows, given {len(first)} and {len(second)}")
    rng = generator(seed)
    kept = _thinned(len(first), rows, neighbors, rng)
    first, second = first[kept], second[kept]
    first = _normal_scores(first)
    second = second if classes else _normal_scores(second)

    def estimate(part: np.ndarray | slice) -> float:
        if classes:
            return ross(first[part], second[part], neighbors)
        return ksg([first[part], second[part]], neighbors)

    return MutualInformation(estimate(slice(None)), error_by_parts(estimate, len(first), rng))


def total_correlation(variables: np.ndarray, *, neighbors: int = 3, rows: int = 5000, seed: int = 0) -> MutualInformation:
    """Total correlation KL(p(x) || prod p(x_i)) of the columns, by KSG's algorithm 1 for more than two variables.

    Parameters
    ----------
    variables : ndarray
        Variables of shape (n, d), in any units; the estimate comes out low as d and the dependence grow.
    neighbors, rows, seed : int
        Settings of the estimator, as `neighbor_information` takes them.

    Raises
    ------
    InputError
        Fewer than two columns, and as for `neighbor_information`.
    """
    columns = _columns("variables", variables)
    if columns.shape[1] < 2:
        raise InputError(f"variables: expected at least two columns, given {columns.shape[1]}")
    rng = generator(seed)
    columns = columns[_thinned(len(columns), rows, neighbors, rng)]
    columns = _normal_scores(columns)

    def estimate(part: np.ndarray | slice) -> float:
        return ksg(np.split(columns[part], columns.shape[1], axis=1), neighbors)

    return MutualInformation(estimate(slice(None)), error_by_parts(estimate, len(columns), rng))


def mutual_information_matrix(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    estimator: Literal["mixture", "neighbors", "classes"] = "mixture",
    rows: int = 5000,
    seed: int = 0,
    jobs: int = 1,
) -> dict[tuple[str, str], MutualInformation]:
    """Mutual information of pairs of named quantities, with a progress bar.

    Parameters
    ----------
    first, second : mapping of str to ndarray
        Name -> (n,) values: latents, say, and the physical quantities that they may carry. Give samples of the latents
        (`zoo.interpret.latents.traversal.sample`), not means: the mean of a dead latent is a small but noiseless function of
        the input, so that it shares much information that no sample of it has.
    pairs : sequence of tuple of str, optional
        Names of those that are asked for, default each of the first with each of the second.
    estimator : str
        "mixture" for `mutual_information`, "neighbors" for `neighbor_information`, "classes" for the latter where the second
        quantities are labels.
    rows, seed : int
        Settings of the estimator.
    jobs : int
        Processes; the answers do not depend on it.
    """
    import joblib

    expect_jobs(jobs)
    estimators = {
        "mixture": mutual_information,
        "neighbors": neighbor_information,
        "classes": partial(neighbor_information, classes=True),
    }
    if estimator not in estimators:
        raise InputError(f"estimator: expected one of {', '.join(estimators)}, given {estimator!r}")
    estimate = joblib.delayed(estimators[estimator])
    pairs = [(a, b) for a in first for b in second] if pairs is None else pairs
    tasks = (estimate(first[a], second[b], rows=rows, seed=seed) for a, b in pairs)
    answers = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
    return {pair: next(answers) for pair in track(pairs, "mutual information")}


def information_profile(
    latents: Mapping[str, np.ndarray],
    profile: np.ndarray,
    *,
    estimator: Literal["mixture", "neighbors"] = "mixture",
    rows: int = 5000,
    seed: int = 0,
    jobs: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information of each latent with a profile at each of its radii: values and errors, (latents, radii) in nat.

    Parameters
    ----------
    latents : mapping of str to ndarray
        Samples of the latents by name, of shape (n,).
    profile : ndarray
        Density at each radius, say, of shape (n, radii).
    estimator : str
        Settings that `mutual_information_matrix` takes.
    rows : int
        Settings that `mutual_information_matrix` takes.
    seed : int
        Settings that `mutual_information_matrix` takes.
    jobs : int
        Settings that `mutual_information_matrix` takes.

    Raises
    ------
    InputError
        A profile that is not (n, radii), and as for the estimator.
    """
    columns = numbers_alone(profile, "profile")
    if columns.ndim != 2:
        raise InputError(f"profile: expected shape (n, radii), given {columns.shape}")
    radii = {str(i): column for i, column in enumerate(columns.T)}
    found = mutual_information_matrix(latents, radii, estimator=estimator, rows=rows, seed=seed, jobs=jobs)
    table = np.array([[found[name, radius][:2] for radius in radii] for name in latents]).reshape(len(latents), len(radii), 2)
    return table[..., 0], table[..., 1]


def _thinned(given: int, rows: int, neighbors: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of at most ``rows`` random rows, if they are enough for nearest neighbors."""
    used, least = min(given, rows), ROWS_PER_NEIGHBOR * neighbors
    if neighbors < 1 or used < least:
        raise InputError(f"neighbors: expected at least 1, and {least} rows for {neighbors}, given {used} rows")
    return rng.choice(given, used, replace=False)


def _labels(values: np.ndarray, neighbors: int) -> np.ndarray:
    """Labels (n,) of classes with enough rows each."""
    array = labels_alone(values, "y")
    if array.ndim != 1:
        raise InputError(f"y: expected labels of shape (n,), given shape {array.shape}")
    kinds, sizes = np.unique(array, return_counts=True)
    if len(kinds) < 2:
        raise InputError("y: expected at least two classes")
    if sizes.min() <= neighbors:
        raise InputError(
            f"y: class {kinds[sizes.argmin()]} has {sizes.min()} rows; expected more than {neighbors}, the neighbors"
        )
    return array


def _columns(name: str, values: np.ndarray) -> np.ndarray:
    """Finite, continuous columns (n, d)."""
    array = numbers_alone(values, name)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise InputError(f"{name}: expected numbers of shape (n,) or (n, d), given {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
    array = array.reshape(len(array), -1).astype(float)
    for i, column in enumerate(array.T):
        different = len(np.unique(column))
        if different == 1:
            raise InputError(f"{name}: column {i} is constant")
        if different <= len(column) / 2:
            raise InputError(
                f"{name}: column {i} has only {different} different values in {len(column)} rows;"
                " expected a continuous quantity"
            )
    return array


def _normal_scores(joint: np.ndarray) -> np.ndarray:
    """Each column mapped to a standard normal by its ranks (van der Waerden)."""
    from scipy.stats import norm, rankdata

    return norm.ppf(rankdata(joint, axis=0) / (len(joint) + 1))


def _fit(joint: np.ndarray, components: int, rng: np.random.Generator, starts: int = 1) -> GaussianMixture:
    from sklearn.mixture import GaussianMixture

    seed = int(rng.integers(2**31))
    return GaussianMixture(components, n_init=starts, init_params="k-means++", random_state=seed).fit(joint)


def _refit(joint: np.ndarray, start: GaussianMixture) -> GaussianMixture:
    from sklearn.mixture import GaussianMixture

    known = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
    return GaussianMixture(start.n_components, **known, init_params="random", random_state=0).fit(joint)


def _choose_components(joint: np.ndarray, most: int, rng: np.random.Generator) -> int:
    """The number of components after which the held-out likelihood rises no more."""
    from sklearn.model_selection import KFold

    halves = list(KFold(FOLDS, shuffle=True, random_state=int(rng.integers(2**31))).split(joint))
    best, chosen = -np.inf, 1
    for components in (step for step in LADDER if step <= most):
        score = np.mean([_fit(joint[train], components, rng).score(joint[held_out]) for train, held_out in halves])
        if score < best + GAIN:
            break
        best, chosen = score, components
    return chosen


def _integral(mixture: GaussianMixture, width: int, samples: int, rng: np.random.Generator) -> float:
    """Mean of log p(x, y) / (p(x) p(y)) over samples of the mixture; x is the first ``width`` columns."""
    component = rng.choice(mixture.n_components, samples, p=mixture.weights_)
    noise = rng.standard_normal((samples, mixture.means_.shape[1]))
    spread = np.linalg.cholesky(mixture.covariances_)
    points = mixture.means_[component] + np.einsum("nij,nj->ni", spread[component], noise)
    everything, x, y = slice(None), slice(width), slice(width, None)
    ratio = _log_density(mixture, points, everything) - _log_density(mixture, points, x) - _log_density(mixture, points, y)
    return float(ratio.mean())


def _log_density(mixture: GaussianMixture, points: np.ndarray, columns: slice) -> np.ndarray:
    """Log-density of the marginal over some columns: a mixture of the components' marginals."""
    means = mixture.means_[:, columns]
    spread = np.linalg.cholesky(mixture.covariances_[:, columns, columns])
    whitening = np.linalg.inv(spread)
    # Rows of points last: every step is one matrix product or runs along contiguous memory.
    size = means.shape[1]
    apart = whitening.reshape(-1, size) @ points[:, columns].T
    apart -= np.einsum("kij,kj->ki", whitening, means).reshape(-1, 1)
    apart *= apart
    parts = -0.5 * apart.reshape(len(means), size, -1).sum(axis=1)
    logarithms = np.log(np.diagonal(spread, axis1=1, axis2=2)).sum(axis=1)
    parts += (np.log(mixture.weights_) - logarithms - 0.5 * size * np.log(2 * np.pi))[:, None]
    highest = parts.max(axis=0)
    parts -= highest
    return highest + np.log(np.exp(parts, out=parts).sum(axis=0))
