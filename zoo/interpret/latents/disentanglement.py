"""How far single latents stand for single known factors: five published scores, 1 for a perfect representation.

`beta_vae_score` and `factor_vae_score` hold factors fixed and take an encoder and a sampler (`zoo.interpret.latents.factors`);
`mig`, `sap` and `dci` take arrays of latents and factors. Factors of an integer type
are classes, of a float type continuous. Sizes, classifiers and bins are those of disentanglement_lib (Locatello et al. 2019,
arXiv:1811.12359) where not said otherwise, and latents are means of the posterior, as there. Each score is blind to
something: see its notes, and compare several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError
from zoo.interpret.latents.factors import BATCH, Encode, Sampler, encoded, encoded_sample, paired
from zoo.interpret.latents.use import ACTIVE_VARIANCE
from zoo.progress import track
from zoo.seeds import SHORT, expect_seed, generator

BINS = 20


@dataclass(frozen=True, eq=False)
class Gap:
    """How much better the best latent knows each factor than the second best.

    Attributes
    ----------
    score : float
        The mean of the gaps over factors.
    per_factor : ndarray
        The gap of each factor, of shape (factors,).
    matrix : ndarray
        What the gaps are taken of, of shape (latents, factors).
    """

    score: float
    per_factor: np.ndarray
    matrix: np.ndarray


@dataclass(frozen=True, eq=False)
class DCI:
    """Disentanglement, completeness and informativeness.

    Attributes
    ----------
    disentanglement : float
        Whether each latent serves one factor, 0 to 1.
    completeness : float
        Whether each factor is served by one latent, 0 to 1.
    informativeness : float
        Accuracy for classes, R^2 for continuous factors, on held-out rows, mean over factors.
    per_latent, per_factor : ndarray
        Disentanglement of each latent, of shape (latents,), and completeness of each factor, of shape (factors,), before
        averaging.
    importance : ndarray
        The importance of each latent for predicting each factor, of shape (latents, factors).
    """

    disentanglement: float
    completeness: float
    informativeness: float
    per_latent: np.ndarray
    per_factor: np.ndarray
    importance: np.ndarray


def beta_vae_score(
    encode: Encode, sampler: Sampler, *, train: int = 10_000, test: int = 5000, pairs: int = 64, seed: int
) -> float:
    """Accuracy of a linear classifier that names the factor that pairs of observations share.

    Higgins et al. 2017, section 3: a point is the mean of ``|z1 - z2|`` over pairs that share one random factor. scikit-learn's
    logistic regression. Chance is 1/factors. Rotated latents may score 1 where the factors' spreads differ, and so
    do duplicated and mixed ones.

    Parameters
    ----------
    encode : Encode
        The encoder and the source of observations, as `zoo.interpret.latents.factors` describes them.
    sampler : Sampler
        The encoder and the source of observations, as `zoo.interpret.latents.factors` describes them.
    train, test : int
        Number of points to fit and to judge the classifier on.
    pairs : int
        Number of pairs for each point.
    seed : int
        Seed of factors, noise and choices.

    Raises
    ------
    InputError
        Fewer points than factors, latents of a wrong shape or not finite.
    """
    from sklearn.linear_model import LogisticRegression

    rng = generator(seed)

    def features(held: np.ndarray) -> np.ndarray:
        row, column = np.arange(len(held) * pairs), np.repeat(held, pairs)
        first, second = sampler.draw(len(row), rng), sampler.draw(len(row), rng)
        second[row, column] = first[row, column]
        apart = np.abs(encoded(encode, sampler, first, rng) - encoded(encode, sampler, second, rng))
        return apart.reshape(len(held), pairs, -1).mean(axis=1)

    number = _number_of_factors(sampler, min(train, test), rng)
    held = _held(train + test, number, train, rng)
    points = np.concatenate([features(some) for some in _batches(held, pairs, "beta-VAE score")])
    fitted = LogisticRegression(max_iter=1000).fit(points[:train], held[:train])
    return float(fitted.score(points[train:], held[train:]))


def factor_vae_score(
    encode: Encode,
    sampler: Sampler,
    *,
    train: int = 10_000,
    test: int = 5000,
    rows: int = 64,
    variance_rows: int = 10_000,
    active: float = ACTIVE_VARIANCE,
    seed: int,
) -> float:
    """Accuracy of a majority vote that names the fixed factor from the latent that varies least.

    Kim & Mnih 2018 (arXiv:1802.05983), section 4: a vote is the argmin over latents of the variance among observations that
    share one factor's value, in units of that latent's variance over all. The classifier is counted on ``train`` votes and
    scored on ``test`` others. Chance is about 1/factors, and 0 is answered if all latents have collapsed. Duplicated latents
    score 1.

    Parameters
    ----------
    encode : Encode
        The encoder and the source of observations, as `zoo.interpret.latents.factors` describes them.
    sampler : Sampler
        The encoder and the source of observations, as `zoo.interpret.latents.factors` describes them.
    train, test : int
        Number of votes to fit and to judge the classifier on.
    rows : int
        Observations of each vote.
    variance_rows : int
        Observations for the variance over all.
    active : float
        Variance below which a latent is left out as collapsed; disentanglement_lib's default keeps all, so that rounding
        errors may vote.
    seed : int
        Seed of factors, noise and choices.

    Raises
    ------
    InputError
        What `beta_vae_score` refuses, and fewer than two rows.
    """
    if rows < 2 or variance_rows < 2:
        raise InputError(f"a variance needs at least 2 rows, given {rows} and {variance_rows}")
    rng = generator(seed)
    number = _number_of_factors(sampler, min(train, test), rng)
    spread = encoded(encode, sampler, sampler.draw(variance_rows, rng), rng).var(axis=0, ddof=1)
    used = spread > active
    if not used.any():
        return 0.0

    def votes(held: np.ndarray) -> np.ndarray:
        point = np.arange(len(held))
        factors = sampler.draw(len(held) * rows, rng).reshape(len(held), rows, number)
        factors[point, :, held] = factors[point, 0, held][:, None]
        latents = encoded(encode, sampler, factors.reshape(-1, number), rng)[:, used]
        return (latents.reshape(len(held), rows, -1).var(axis=1, ddof=1) / spread[used]).argmin(axis=1)

    held = _held(train + test, number, train, rng)
    least = np.concatenate([votes(some) for some in _batches(held, rows, "FactorVAE score")])
    counts = np.zeros((used.sum(), number), dtype=int)
    np.add.at(counts, (least[:train], held[:train]), 1)
    return float(np.mean(counts.argmax(axis=1)[least[train:]] == held[train:]))


def mig(latents: np.ndarray, factors: np.ndarray, *, bins: int = BINS) -> Gap:
    """MIG: mutual information of each factor with its best latent less that with the second best, over the factor's entropy.

    Chen et al. 2018 (arXiv:1802.04942), eq. 6, with the information of histograms: latents, and factors of a float type, are
    cut into ``bins`` cells of equal width. Nothing is random. One latent that holds all factors may still score 1: the gap
    does not ask what else the best latent holds.

    Parameters
    ----------
    latents, factors : ndarray
        Latents of shape (n, latents) and factors of shape (n, factors) of the same rows.

    Returns
    -------
    Gap
        Gaps, whose matrix is the mutual information in nat.

    Raises
    ------
    InputError
        Different numbers of rows, NaN or infinity, fewer than two latents or bins, a constant factor.
    """
    from scipy.stats import entropy
    from sklearn.metrics import mutual_info_score

    latents, factors = paired(latents, factors)
    expect_counts(2, bins=bins)
    cells = [_cells(column, bins) for column in latents.T]
    truths = [_cells(column, bins) if factors.dtype.kind == "f" else column for column in factors.T]
    matrix = np.array([[mutual_info_score(truth, cell) for truth in truths] for cell in cells])
    entropies = [entropy(np.unique(truth, return_counts=True)[1]) for truth in truths]
    return _gap(matrix, np.array(entropies))


def sap(latents: np.ndarray, factors: np.ndarray, *, seed: int) -> Gap:
    """SAP: how much better the best single latent predicts each factor than the second best.

    Kumar et al. 2018 (arXiv:1711.00848), section 3. Continuous factors: squared correlation. Classes: accuracy, on a
    held-out third of the rows, of a linear SVM (C = 0.01, balanced classes). As a line of one variable cannot single out
    classes in the middle of their order, a perfect latent of many classes scores low; of k = 2 it scores 1 - 1/2.

    Parameters
    ----------
    latents, factors : ndarray
        Latents of shape (n, latents) and factors of shape (n, factors) of the same rows.
    seed : int
        Seed of the split.

    Raises
    ------
    InputError
        What `mig` refuses, but for bins.
    """
    from sklearn.svm import LinearSVC

    latents, factors = paired(latents, factors)
    if factors.dtype.kind == "f":
        return _gap(_squared_correlation(latents, factors), np.ones(factors.shape[1]))
    train, test = _split(len(latents), factors, seed)
    matrix = np.empty((latents.shape[1], factors.shape[1]))
    for i, latent in enumerate(latents.T):
        for j, factor in enumerate(factors.T):
            fitted = LinearSVC(C=0.01, class_weight="balanced", random_state=seed).fit(latent[train, None], factor[train])
            matrix[i, j] = fitted.score(latent[test, None], factor[test])
    return _gap(matrix, np.ones(factors.shape[1]))


def dci(latents: np.ndarray, factors: np.ndarray, *, model: Literal["trees", "lasso"] = "trees", seed: int) -> DCI:
    """Disentanglement, completeness and informativeness, from how much each latent matters for predicting each factor.

    Eastwood & Williams 2018, section 2: with R the importances, ``D_i = 1 - H_factors(R_i. / sum R_i.)`` is averaged with
    weights ``sum_j R_ij``, and ``C_j = 1 - H_latents(R_.j / sum R_.j)``. Here completeness too is weighted, by ``sum_i R_ij``,
    as in disentanglement_lib, and informativeness is what is explained on a held-out third of the rows, not the error.

    Parameters
    ----------
    latents, factors : ndarray
        Latents of shape (n, latents) and factors of shape (n, factors) of the same rows.
    model : EndpointModel
        "trees": gradient-boosted trees of scikit-learn's defaults, classifiers for classes; their importances of each factor
        add up to one. "lasso": absolute coefficients of a cross-validated lasso between standardized variables, which takes
        classes for numbers.
    seed : int
        Seed of the split and the trees.

    Raises
    ------
    InputError
        What `mig` refuses, but for bins.
    """
    latents, factors = paired(latents, factors)
    if model not in ("trees", "lasso"):
        raise InputError(f"model: expected 'trees' or 'lasso', given {model!r}")
    if factors.shape[1] < 2:
        raise InputError("factors: expected at least two, since disentanglement compares them; given one")
    train, test = _split(len(latents), factors, seed)
    center, scale = latents[train].mean(axis=0), latents[train].std(axis=0)
    latents = (latents - center) / np.where(scale > 0, scale, 1)
    importance, explained = np.zeros((latents.shape[1], factors.shape[1])), []
    for j, factor in enumerate(factors.T):
        truth = (factor - factor[train].mean()) / factor[train].std() if model == "lasso" else factor
        fitted = _predictor(model, factors.dtype.kind != "f", seed).fit(latents[train], truth[train])
        importance[:, j] = np.abs(fitted.coef_ if model == "lasso" else fitted.feature_importances_)
        explained.append(fitted.score(latents[test], truth[test]))
    per_latent, per_factor = _concentration(importance.T), _concentration(importance)
    total = importance.sum()
    return DCI(
        disentanglement=float(per_latent @ importance.sum(axis=1) / total) if total else 0.0,
        completeness=float(per_factor @ importance.sum(axis=0) / total) if total else 0.0,
        informativeness=float(np.mean(explained)),
        per_latent=per_latent,
        per_factor=per_factor,
        importance=importance,
    )


def disentanglement_scores(encode: Encode, sampler: Sampler, *, rows: int = 15_000, seed: int) -> dict[str, float]:
    """All five scores by name, of one representation; DCI as three.

    Parameters
    ----------
    encode : Encode
        The encoder and the source of observations, as `zoo.interpret.latents.factors` describes them.
    sampler : Sampler
        The encoder and the source of observations, as `zoo.interpret.latents.factors` describes them.
    rows : int
        Observations for the scores that take arrays; two for training and one for testing of each three.
    seed : int
        Seed of everything random.
    """
    latents, factors = encoded_sample(encode, sampler, rows, seed=seed)
    found = dci(latents, factors, seed=seed)
    return {
        "beta-VAE score": beta_vae_score(encode, sampler, seed=seed),
        "FactorVAE score": factor_vae_score(encode, sampler, seed=seed),
        "MIG": mig(latents, factors).score,
        "SAP": sap(latents, factors, seed=seed).score,
        "DCI disentanglement": found.disentanglement,
        "DCI completeness": found.completeness,
        "DCI informativeness": found.informativeness,
    }


def _number_of_factors(sampler: Sampler, points: int, rng: np.random.Generator) -> int:
    number = sampler.draw(1, rng).shape[1]
    if number < 2:
        raise InputError("the sampler must draw at least two factors, given one: there is nothing to tell apart")
    if points < number:
        raise InputError(f"expected at least as many points for training and testing as factors ({number}), given {points}")
    return number


def _held(points: int, number: int, train: int, rng: np.random.Generator) -> np.ndarray:
    """Which factor each point holds fixed, at random; each at least once among those for training."""
    held = rng.integers(number, size=points)
    held[:number] = np.arange(number)
    held[:train] = rng.permutation(held[:train])
    return held


def _batches(held: np.ndarray, rows: int, description: str) -> Iterator[np.ndarray]:
    """Parts of ``held`` of about one batch of observations each, with a progress bar."""
    size = max(1, BATCH // rows)
    return track([held[start : start + size] for start in range(0, len(held), size)], description)


def _cells(values: np.ndarray, bins: int) -> np.ndarray:
    """Index of the cell of equal width that each value is in."""
    return np.digitize(values, np.histogram_bin_edges(values, bins)[1:-1])


def _gap(matrix: np.ndarray, unit: np.ndarray) -> Gap:
    second, first = np.sort(matrix, axis=0)[-2:]
    per_factor = (first - second) / unit
    return Gap(float(per_factor.mean()), per_factor, matrix)


def _squared_correlation(latents: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Squared correlations (latents, factors); zero for a constant latent."""
    z, y = latents - latents.mean(axis=0), factors - factors.mean(axis=0)
    norms = np.outer((z**2).sum(axis=0), (y**2).sum(axis=0))
    return np.divide((z.T @ y) ** 2, norms, out=np.zeros_like(norms), where=norms > 0)


def _split(rows: int, factors: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two thirds for training and one third for testing.

    Raises
    ------
    InputError
        Too few rows for a factor to vary among those for training and for testing.
    """
    expect_seed(seed, below=SHORT)
    order = generator(seed).permutation(rows)
    train, test = order[rows // 3 :], order[: rows // 3]
    for part in (train, test):
        if len(part) < 10 or (np.ptp(factors[part], axis=0) == 0).any():
            raise InputError(f"{rows} rows are too few: a factor is constant among those for training or testing")
    return train, test


def _predictor(model: str, classes: bool, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
    from sklearn.linear_model import LassoCV

    if model == "lasso":
        return LassoCV(cv=5, random_state=seed)
    return (GradientBoostingClassifier if classes else GradientBoostingRegressor)(random_state=seed)


def _concentration(importance: np.ndarray) -> np.ndarray:
    """One minus the entropy of each column in units of its maximum; 0 for a column of zeros."""
    from scipy.stats import entropy

    columns = np.where(importance.sum(axis=0) > 0, importance, 1.0)
    return 1 - entropy(columns, base=len(importance))
