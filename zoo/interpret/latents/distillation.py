"""Symbolic distillation: a latent as a short polynomial of named physical quantities, with how much of it that explains.

Candidates are all products of the quantities up to a degree, each quantity measured from its mean: uncentered powers of one
quantity would be nearly the same column. Orthogonal matching pursuit orders them, cross-validation says how many to take. Give
logarithms where power laws are expected: their sums are products.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.tensors import numbers_alone
from zoo.progress import track

FOLDS = 5
ROWS_PER_FOLD = 10
GAIN = 0.01
"""Part of the variance that a longer formula must explain beyond a shorter one."""
FOUND = 0.5
"""Held-out R^2 below which a formula is reported, but not called found."""
DIGITS = 3


@dataclass(frozen=True, eq=False)
class Formula:
    """A formula intercept + sum_i coefficient_i prod_j (quantity_j - center_j)^power_ij, in the units of the quantities.

    Attributes
    ----------
    text : str
        The formula as people write it, in numbers of three digits.
    names : tuple of str
        Names and means of the quantities, (q,) of each.
    centers : ndarray
        Names and means of the quantities, (q,) of each.
    powers : ndarray
        The power of each quantity in each term, of shape (terms, q).
    coefficients : ndarray
        The coefficient of each term, of shape (terms,).
    intercept : float
        The value where all quantities are at their centers.
    r2, r2_error : float
        R^2 on rows that neither fitted the numbers nor chose the terms: its mean over folds and the standard error.
    """

    text: str
    names: tuple[str, ...]
    centers: np.ndarray
    powers: np.ndarray
    coefficients: np.ndarray
    intercept: float
    r2: float
    r2_error: float

    @property
    def terms(self) -> int:
        """Its complexity: how many terms it has beside the intercept."""
        return len(self.coefficients)

    @property
    def symbols(self) -> int:
        """How many names and numbers are written in it."""
        written = 1 + self.terms + np.count_nonzero(self.powers) + np.count_nonzero(self.powers > 1)
        curved = self.powers.sum(axis=1) > 1
        return int(written + np.count_nonzero((self.powers[curved] > 0) & (self.centers != 0)))

    @property
    def found(self) -> bool:
        """Whether it explains at least half of the variance."""
        return self.terms > 0 and self.r2 >= FOUND

    def predict(self, quantities: Mapping[str, np.ndarray]) -> np.ndarray:
        """Values (n,) for named quantities (n,).

        Raises
        ------
        InputError
            If a quantity is missing, or their lengths differ.
        """
        table = _table({name: quantities[name] for name in self.names if name in quantities}, self.names)
        factors = (table - self.centers)[:, None, :] ** self.powers
        return self.intercept + factors.prod(axis=2) @ self.coefficients

    def __str__(self) -> str:
        """Write the formula with how well it explains held-out rows."""
        found = "" if self.found else "no formula found; the best is "
        return f"{found}{self.text}   (R^2 {self.r2:.3f} +- {self.r2_error:.3f}, {self.terms} term{'s' * (self.terms != 1)})"


def distill(
    latent: np.ndarray, quantities: Mapping[str, np.ndarray], *, degree: int = 2, most_terms: int = 5, seed: int = 0
) -> Formula:
    """The shortest formula that explains a latent about as well as longer ones do.

    As many terms as bring the cross-validated error within one standard error, or 1% of the variance, of the smallest
    (Breiman et al. 1984, section 3.4.3). R^2 is of outer folds, in each of which terms are chosen anew.

    Parameters
    ----------
    latent : ndarray
        Mean of the latent's posterior, of shape (n,).
    quantities : mapping of str to ndarray
        Quantities by name, of shape (n,), in physical units or their logarithms.
    degree : int
        Degree of the products of quantities.
    most_terms : int
        Terms at most beside the intercept.
    seed : int
        Seed of the shuffled folds.

    Raises
    ------
    InputError
        No quantity, different lengths, NaN or infinity, a constant latent or quantity, fewer than 50 rows, a degree that is
        not 1, 2 or 3, no terms.
    """
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import PolynomialFeatures

    names = tuple(quantities)
    table, target = _table(quantities, names), numbers_alone(latent, "latent").astype(float)
    if target.shape != (len(table),) or not np.isfinite(target).all() or np.ptp(target) == 0:
        raise InputError(f"latent: expected {len(table)} finite values that are not all equal, given shape {target.shape}")
    if len(table) < ROWS_PER_FOLD * FOLDS:
        raise InputError(f"expected at least {ROWS_PER_FOLD * FOLDS} rows for {FOLDS} folds, given {len(table)}")
    if constant := [name for name, column in zip(names, table.T, strict=True) if np.ptp(column) == 0]:
        raise InputError(f"quantities: {', '.join(constant)} are constant: leave them out")
    if degree not in (1, 2, 3) or most_terms < 1:
        raise InputError(f"expected degree 1, 2 or 3 and at least one term, given {degree} and {most_terms}")

    spread = table.std(axis=0)
    centers = np.array([_rounded(mean, 0.1 * width) for mean, width in zip(table.mean(axis=0), spread, strict=True)])
    products = PolynomialFeatures(degree, include_bias=False)
    features = products.fit_transform((table - centers) / spread)

    scores = []
    for train, held_out in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        weights, intercept = _fit(features[train], target[train], most_terms, seed)
        left = np.mean((target[held_out] - intercept - features[held_out] @ weights) ** 2)
        scores.append(1 - left / target[held_out].var())
    weights, intercept = _fit(features, target, most_terms, seed)
    kept = np.flatnonzero(weights)
    powers = products.powers_[kept]
    coefficients = weights[kept] / np.prod(spread**powers, axis=1)
    return Formula(
        text=_written(names, centers, powers, coefficients, table, target),
        names=names,
        centers=centers,
        powers=powers,
        coefficients=coefficients,
        intercept=intercept,
        r2=float(np.mean(scores)),
        r2_error=float(np.std(scores, ddof=1) / np.sqrt(FOLDS)),
    )


def distill_latents(
    mean: np.ndarray, quantities: Mapping[str, np.ndarray], *, degree: int = 2, most_terms: int = 5, seed: int = 0
) -> list[Formula]:
    """A formula for each latent, from the means of their posteriors (n, latents); options and errors as for `distill`."""
    array = numbers_alone(mean, "mean").astype(float)
    if array.ndim != 2:
        raise InputError(f"mean: expected shape (n, latents), given {array.shape}")
    options = {"degree": degree, "most_terms": most_terms, "seed": seed}
    return [distill(latent, quantities, **options) for latent in track(list(array.T), "formulae")]


def _table(quantities: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """The quantities side by side as finite numbers (n, q)."""
    if not names or (missing := [name for name in names if name not in quantities]):
        raise InputError(f"quantities: expected {', '.join(missing) if names else 'at least one'}, given none")
    columns = {name: numbers_alone(quantities[name], name).astype(float) for name in names}
    rows = columns[names[0]].shape
    for name, column in columns.items():
        if column.ndim != 1 or column.shape != rows or not np.isfinite(column).all():
            raise InputError(f"{name}: expected finite numbers of shape (n,), the same for all, given shape {column.shape}")
    return np.column_stack(list(columns.values()))


def _fit(features: np.ndarray, target: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, float]:
    """Weights (f,), most of them zero, and the intercept."""
    from sklearn.model_selection import KFold

    errors = []
    for train, held_out in KFold(FOLDS, shuffle=True, random_state=seed + 1).split(features):
        weights, intercepts = _path(features[train], target[train], most)
        errors.append(np.mean((target[held_out] - intercepts[:, None] - weights @ features[held_out].T) ** 2, axis=1))
    mean, scatter = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(FOLDS)
    best = mean.argmin()
    chosen = np.flatnonzero(mean <= mean[best] + max(scatter[best], GAIN * target.var()))[0]
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
