"""A latent as a short polynomial of named physical quantities.

Candidates are all products of the quantities up to a degree, each quantity measured from its mean: uncentered powers of one
quantity would be nearly the same column. Orthogonal matching pursuit orders them, cross-validation says how many to take. Give
logarithms where power laws are expected: their sums are products.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.interpret.formulae.formula import Formula

FOLDS = 5
ROWS_PER_FOLD = 10
DIGITS = 3


@dataclass(frozen=True, eq=False)
class Polynomial(Formula):
    """A formula intercept + sum_i coefficient_i prod_j (quantity_j - center_j)^power_ij, in the units of the quantities.

    Attributes
    ----------
    centers : ndarray
        Means of the quantities, (q,).
    powers : ndarray
        The power of each quantity in each term, of shape (terms, q).
    coefficients : ndarray
        The coefficient of each term, of shape (terms,).
    intercept : float
        The value where all quantities are at their centers.
    """

    centers: np.ndarray
    powers: np.ndarray
    coefficients: np.ndarray
    intercept: float

    @property
    def terms(self) -> int:
        """How many terms it has beside the intercept."""
        return len(self.coefficients)

    @property
    def symbols(self) -> int:
        """How many names and numbers are written in it."""
        written = 1 + self.terms + np.count_nonzero(self.powers) + np.count_nonzero(self.powers > 1)
        curved = self.powers.sum(axis=1) > 1
        return int(written + np.count_nonzero((self.powers[curved] > 0) & (self.centers != 0)))

    def of_columns(self, table: np.ndarray) -> np.ndarray:
        """Values (n,) for quantities (n, q)."""
        factors = (table - self.centers)[:, None, :] ** self.powers
        return self.intercept + factors.prod(axis=2) @ self.coefficients


def polynomial(
    target: np.ndarray, table: np.ndarray, names: tuple[str, ...], degree: int, most_terms: int, gain: float, seed: int
) -> Polynomial:
    """The shortest polynomial that explains a latent about as well as longer ones do.

    As many terms as bring the cross-validated error within one standard error, or the gain, of the smallest
    (Breiman et al. 1984, section 3.4.3). R^2 is of outer folds, in each of which terms are chosen anew.

    Parameters
    ----------
    target : ndarray of shape (n,)
        The latent.
    table : ndarray of shape (n, q)
        The quantities.
    names : tuple of str
        Their names.
    degree : int
        Degree of the products of quantities.
    most_terms : int
        Terms at most beside the intercept.
    gain : float
        Part of the variance that a longer formula must explain beyond a shorter one.
    seed : int
        Seed of the shuffled folds.

    Returns
    -------
    Polynomial
        The formula.

    Raises
    ------
    InputError
        Fewer than 50 rows, a degree that is not 1, 2 or 3, or no terms.
    """
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import PolynomialFeatures

    if len(table) < ROWS_PER_FOLD * FOLDS:
        raise InputError(f"expected at least {ROWS_PER_FOLD * FOLDS} rows for {FOLDS} folds, given {len(table)}")
    if degree not in (1, 2, 3) or most_terms < 1:
        raise InputError(f"expected degree 1, 2 or 3 and at least one term, given {degree} and {most_terms}")

    spread = table.std(axis=0)
    centers = np.array([_rounded(mean, 0.1 * width) for mean, width in zip(table.mean(axis=0), spread, strict=True)])
    products = PolynomialFeatures(degree, include_bias=False)
    features = products.fit_transform((table - centers) / spread)

    scores = []
    for train, held_out in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        weights, intercept = _fit(features[train], target[train], most_terms, gain, seed)
        left = np.mean((target[held_out] - intercept - features[held_out] @ weights) ** 2)
        scores.append(1 - left / target[held_out].var())
    weights, intercept = _fit(features, target, most_terms, gain, seed)
    kept = np.flatnonzero(weights)
    powers = products.powers_[kept]
    coefficients = weights[kept] / np.prod(spread**powers, axis=1)
    return Polynomial(
        text=_written(names, centers, powers, coefficients, table, target),
        names=names,
        centers=centers,
        powers=powers,
        coefficients=coefficients,
        intercept=intercept,
        r2=float(np.mean(scores)),
        r2_error=float(np.std(scores, ddof=1) / np.sqrt(FOLDS)),
    )


def _fit(features: np.ndarray, target: np.ndarray, most: int, gain: float, seed: int) -> tuple[np.ndarray, float]:
    """Weights (f,), most of them zero, and the intercept."""
    from sklearn.model_selection import KFold

    errors = []
    for train, held_out in KFold(FOLDS, shuffle=True, random_state=seed + 1).split(features):
        weights, intercepts = _path(features[train], target[train], most)
        errors.append(np.mean((target[held_out] - intercepts[:, None] - weights @ features[held_out].T) ** 2, axis=1))
    mean, scatter = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(FOLDS)
    best = mean.argmin()
    chosen = np.flatnonzero(mean <= mean[best] + max(scatter[best], gain * target.var()))[0]
    weights, intercepts = _path(features, target, most)
    return weights[chosen], float(intercepts[chosen])


def _path(features: np.ndarray, target: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (most + 1, f) and intercepts (most + 1,) of fits with 0, 1, ... terms; the last repeats where no more fit."""
    from sklearn.linear_model import orthogonal_mp

    center, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1  # a quantity that is rarely not zero
    number, scaled = min(most, features.shape[1]), (features - center) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it stops where all that is left depends on what it has
        path = orthogonal_mp(scaled, target - target.mean(), n_nonzero_coefs=number, return_path=True)
    steps = np.zeros((most + 1, features.shape[1]))
    found = path.reshape(features.shape[1], -1).T / scale
    steps[1 : len(found) + 1] = found
    steps[len(found) + 1 :] = steps[len(found)]
    return steps, target.mean() - steps @ center


def _rounded(value: float, step: float) -> float:
    """Round to the decimal place next to the step, so that the number is short and exact."""
    return round(float(value), round(-float(np.log10(step)))) + 0.0


def _written(
    names: tuple[str, ...],
    centers: np.ndarray,
    powers: np.ndarray,
    coefficients: np.ndarray,
    table: np.ndarray,
    target: np.ndarray,
) -> str:
    """Centers of linear terms go into the intercept, which makes up for the rounding of the coefficients at the mean."""
    terms, left = [], target.copy()
    for power, coefficient in zip(powers, coefficients, strict=True):
        shifts = centers if power.sum() > 1 else np.zeros(len(centers))
        rounded = float(f"{coefficient:.{DIGITS}g}")
        left -= rounded * np.prod((table - shifts) ** power, axis=1)
        factors = [
            (f"({name} {'-' if shift > 0 else '+'} {abs(shift):.10g})" if shift else name)
            + (f"^{exponent}" if exponent > 1 else "")
            for name, shift, exponent in zip(names, shifts, power, strict=True)
            if exponent
        ]
        terms.append((rounded, " ".join(factors)))
    constant = _rounded(left.mean(), 0.01 * target.std())
    if constant or not terms:
        terms.append((constant, ""))
    written = " ".join(f"{'-' if number < 0 else '+'} {abs(number):.10g} {what}".rstrip() for number, what in terms)
    return ("-" + written[2:]) if written.startswith("-") else written[2:]
