"""Formulae for points: a network writes skeletons, their constants are fitted, and held-out points say which of them hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.formulae.canonical import Degenerate, simplified
from zoo.errors import InputError, warn
from zoo.families.expression import CONSTANT, PLUS, TIMES, TOKENS, VARIABLES, Expression, Skeleton
from zoo.interpret.formulae.constants import fitted_constants
from zoo.interpret.formulae.writing import Writer
from zoo.model.handed_in.tensors import numbers_alone
from zoo.model.spec import Endpoint
from zoo.seeds import generator

FEWEST = 10
"""Points at the least, as the network was trained on no fewer."""
HELD_OUT = 0.25
"""Share of the points that no constant is fitted to."""
MOST_FITTED = 2000
"""Points at most that constants are fitted to."""
SIZES, VALUE_SIZES = (0.05, 50.0), (1e-3, 1e3)
"""Sizes of the largest of a variable, and of the values, beyond which it is divided by a power of ten."""
FLOOR = 1e-14
"""Squared error, relative to the variance, that is the rounding of double precision."""


@dataclass(frozen=True, eq=False)
class FoundFormula:
    """A formula that was found.

    Attributes
    ----------
    expression : Expression
        The formula with its constants.
    r2 : float
        Share of the variance of the held-out points that it explains, 1 at the best, negative where the mean is better.
    """

    expression: Expression
    r2: float

    @property
    def complexity(self) -> int:
        """How many variables, constants and operators are written."""
        return self.expression.complexity

    @property
    def constants(self) -> np.ndarray:
        """Constants, in the order in which they are written, (k,)."""
        return self.expression.constants

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Values (n,) at points (n, variables)."""
        return self.expression(x)

    def __str__(self) -> str:
        """Write the formula with how well it explains held-out points."""
        return f"{self.expression}   (R^2 {self.r2:.6f}, complexity {self.complexity})"


class FormulaSearch:
    """A search that asks one model for the formulae of one set of points after another.

    Parameters
    ----------
    model : ZooModel or Session
        A model that writes formulae: what ``zoo.load`` gives, or ``zoo.serving.Session``.
    beams : int
        How many skeletons are followed at a time.
    seed : int
        Seed of which points are held out, of those that the network sees, and of the starts of the fits.
    endpoints : mapping of str to Endpoint, optional
        What its tensors are, for a model without a spec.

    Raises
    ------
    InputError
        There is no beam, or the model writes no formulae.
    """

    def __init__(self, model: Any, *, beams: int = 32, seed: int = 0, endpoints: Mapping[str, Endpoint] | None = None) -> None:
        if beams < 1:
            raise InputError(f"expected at least one beam, given {beams}")
        self.writer, self.beams, self.seed = Writer(model, endpoints), beams, seed

    def __call__(self, x: np.ndarray, y: np.ndarray) -> list[FoundFormula]:
        """Formulae for values y (n,) at points x (n, variables), the best first; errors as for `find_formulae`."""
        x, y = checked_points(x, y)
        scale, unit = _scales(x, SIZES), float(_scales(y[:, None], VALUE_SIZES)[0])
        rng = generator(self.seed)
        order = rng.permutation(len(y))
        held_out, fitted = np.split(order, [max(2, round(HELD_OUT * len(y)))])
        points = np.zeros((min(len(fitted), self.writer.most_points), VARIABLES + 1), np.float32)
        seen = fitted[: len(points)]
        points[:, : x.shape[1]], points[:, -1] = x[seen] / scale, y[seen] / unit
        skeletons = self._skeletons(points, x.shape[1])
        fitted = fitted[:MOST_FITTED]
        candidates = [
            Candidate.judged(
                Expression(skeleton, fitted_constants(skeleton, x[fitted] / scale, y[fitted] / unit, self.seed)[0]),
                x[held_out] / scale,
                y[held_out] / unit,
            )
            for skeleton in skeletons
        ]
        return [FoundFormula(_in_units(each.expression, scale, unit), each.r2) for each in ranked(candidates)]

    def _skeletons(self, points: np.ndarray, variables: int) -> list[Skeleton]:
        """What the network writes, and the same on a scale and from an origin that are fitted, each once."""
        found: dict[Skeleton, None] = {}
        for written in self.writer.written(points, variables, self.beams):
            for skeleton in (written, (PLUS, TIMES, CONSTANT, *written, CONSTANT)):
                try:
                    found[simplified(skeleton)] = None
                except Degenerate:
                    continue
        return [skeleton for skeleton in found if skeleton != (CONSTANT,)]


def find_formulae(model: Any, x: np.ndarray, y: np.ndarray, *, beams: int = 32, seed: int = 0) -> list[FoundFormula]:
    """Formulae for points, the best first.

    A network writes skeletons, constants are fitted to three quarters of the points, and the others rank the formulae: first
    those which no other is surely better than, by one standard error of the difference, the shortest of them first; then the
    others by R^2.

    Parameters
    ----------
    model : ZooModel or Session
        A model that writes formulae: what ``zoo.load`` gives, or ``zoo.serving.Session``.
    x : ndarray of shape (n, variables)
        The points, of up to four variables.
    y : ndarray of shape (n,)
        The values there.
    beams : int
        How many skeletons are followed at a time.
    seed : int
        Seed of which points are held out, of those that the network sees, and of the starts of the fits.

    Returns
    -------
    list of FoundFormula
        The formulae; none where no skeleton has a value at all points.

    Raises
    ------
    InputError
        There are more than four variables, fewer than ten different points, NaN or infinity, a variable or values that are
        constant, or the model writes no formulae.

    Warns
    -----
    UserWarning
        Points stand there twice, and are taken once.

    Examples
    --------
    >>> found = find_formulae(zoo.load("transformer-formulae"), x, y)  # doctest: +SKIP
    >>> print(found[0])  # doctest: +SKIP
    """
    return FormulaSearch(model, beams=beams, seed=seed)(x, y)


def checked_points(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, variables) and values (n,) in double precision, each point once, or an `InputError` as for `find_formulae`."""
    x, y = (numbers_alone(array, name).astype(float) for array, name in ((x, "x"), (y, "y")))
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise InputError(f"expected points x (n, variables) and values y (n,), given shapes {x.shape} and {y.shape}")
    n, variables = x.shape
    if not 1 <= variables <= VARIABLES:
        raise InputError(
            f"x: expected 1 to {VARIABLES} variables, given {variables}: leave out those that matter least, which"
            " zoo.interpret.permutation_importance tells"
        )
    for name, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            raise InputError(f"{name}: expected finite numbers, given {np.count_nonzero(~np.isfinite(array))} that are not")
    once = np.sort(np.unique(np.column_stack([x, y]), axis=0, return_index=True)[1])
    if len(once) < max(FEWEST, variables + 1):
        raise InputError(
            f"expected at least {max(FEWEST, variables + 1)} different points for {variables} variables, given {len(once)}"
            + (f" among {n}" if len(once) < n else "")
        )
    if len(once) < n:
        warn(f"{n - len(once)} of {n} points stand there twice, and are taken once")
        x, y = x[once], y[once]
    if constant := [TOKENS[1 + i] for i in range(variables) if np.ptp(x[:, i]) == 0]:
        raise InputError(f"x: {', '.join(constant)} constant: leave such columns out, of which no formula can tell anything")
    if np.ptp(y) == 0:
        raise InputError(f"y: expected values that differ, given {y[0]:g} at all points")
    return x, y


def _scales(x: np.ndarray, sizes: tuple[float, float]) -> np.ndarray:
    """Powers of ten that bring columns (n, k) to sizes on which the network was trained; 1 where they have such."""
    largest = np.abs(x).max(axis=0)
    return np.where((largest >= sizes[0]) & (largest <= sizes[1]), 1.0, 10.0 ** np.floor(np.log10(largest)))


def _in_units(expression: Expression, scale: np.ndarray, unit: float) -> Expression:
    """The formula of variables and values that were divided by their scales, of themselves."""
    tokens: list[int] = []
    constants: list[float] = []
    if unit != 1:
        tokens, constants = [TIMES, CONSTANT], [unit]
    own = iter(expression.constants)
    for token in expression.tokens:
        if 0 < token < CONSTANT and scale[token - 1] != 1:
            tokens += [TIMES, CONSTANT]
            constants.append(1 / scale[token - 1])
        tokens.append(token)
        if token == CONSTANT:
            constants.append(next(own))
    return Expression(tuple(tokens), np.array(constants))


@dataclass(frozen=True, eq=False)
class Candidate(FoundFormula):
    """A formula with its squared errors at the held-out points, relative to the variance there."""

    errors: np.ndarray

    @classmethod
    def judged(cls, expression: Expression, x: np.ndarray, y: np.ndarray) -> Candidate:
        """A formula by held-out points (n, variables) and their values (n,); its R^2 is no number where it has no value."""
        with np.errstate(all="ignore"):
            errors = np.square(expression(x) - y) / y.var()
        return cls(expression, 1 - float(np.mean(errors)), errors)


def ranked(candidates: Iterable[Candidate], gain: float = FLOOR) -> list[Candidate]:
    """Those that no other is surely better than, the shortest first, then the others by their error.

    Parameters
    ----------
    candidates : iterable of Candidate
        Formulae by the same held-out points; those without a value at some of them are left out.
    gain : float
        Part of the variance that a longer formula must explain beyond a shorter one.

    Returns
    -------
    list of Candidate
        The formulae, the best first.
    """
    candidates = [candidate for candidate in candidates if np.isfinite(candidate.r2)]
    if not candidates:
        return []
    best = max(candidates, key=lambda candidate: candidate.r2)

    def place(candidate: Candidate) -> tuple[bool, float, float]:
        behind = candidate.errors - best.errors
        with np.errstate(over="ignore"):  # of a formula that is far off
            as_good = behind.mean() <= max(gain, behind.std() / np.sqrt(len(behind)))
        return not as_good, candidate.complexity if as_good else 0, -candidate.r2

    return sorted(candidates, key=place)
