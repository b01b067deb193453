"""What a network computes as a formula of any shape, of those that a network writes for points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError
from zoo.extras import expect_installed
from zoo.families.expression import CONSTANT, PLUS, TIMES, VARIABLES, Expression, Skeleton, operators_of, walked
from zoo.interpret.formulae.constants import fitted_constants
from zoo.interpret.formulae.formula import Formula
from zoo.interpret.formulae.search import FLOOR, Candidate, FormulaSearch, ranked
from zoo.seeds import generator

if TYPE_CHECKING:
    from zoo.interpret.formulae.regressor import FormulaRegressor

LEAST_ROWS = 50
RESAMPLINGS = 100
"""Sets of rows, drawn with replacement, that constants are fitted to anew."""
TREES = 100
"""Trees that say which quantities matter."""
ROUNDED = 0.1
"""Part of what a formula leaves that the rounding of its constants may be off by."""
MOST_DIGITS = 12
MOST_FITTED = 2000
"""Rows at most that constants are fitted to."""


@dataclass(frozen=True, eq=False)
class SymbolicFormula(Formula):
    """A formula of up to four quantities.

    Attributes
    ----------
    expression : Expression
        The formula, x1 being the first of ``names``.
    errors : ndarray
        Standard error of each constant of it, (k,): the scatter of fits to resampled rows.
    digits : tuple of str
        The constants as they are written.
    rows : int
        How many rows ``r2`` is of.
    """

    expression: Expression
    errors: np.ndarray
    digits: tuple[str, ...]
    rows: int

    @property
    def constants(self) -> np.ndarray:
        """Constants, in the order in which they are written, (k,)."""
        return self.expression.constants

    @property
    def symbols(self) -> int:
        """How many names, numbers and operators are written in it."""
        return self.expression.complexity

    def of_columns(self, table: np.ndarray) -> np.ndarray:
        """Values (n,) for quantities (n, q)."""
        return self.expression(table)

    def sympy(self) -> Any:
        """The formula as one of SymPy, its constants in the digits that they are worth.

        Returns
        -------
        sympy.Expr
            What can be simplified, differentiated, and printed as code.

        Raises
        ------
        MissingExtraError
            SymPy is not installed.
        """
        expect_installed("sympy")
        import sympy

        numbers = [sympy.Float(text, len(text)) for text in self.digits]
        symbols = [sympy.Symbol(name, real=True) for name in self.names]
        return walked(self.expression.tokens, numbers.__getitem__, symbols.__getitem__, operators_of(sympy))

    def latex(self) -> str:
        """The formula as LaTeX, names of more than a letter upright; errors as for `sympy`."""
        law = self.sympy()
        import sympy

        escaped = {one: one.name.replace("_", r"\_") for one in law.free_symbols if len(one.name) > 1}
        names = {one: rf"\mathrm{{{name}}}" for one, name in escaped.items()}
        return str(sympy.latex(law, symbol_names=names, mul_symbol=r"\,"))

    def estimator(self) -> FormulaRegressor:
        """The formula as a fitted regressor of scikit-learn, whose ``fit`` fits its constants to other rows."""
        from zoo.interpret.formulae.regressor import FormulaRegressor

        regressor = FormulaRegressor(self.expression, self.names)
        regressor.expression_ = self.expression
        return regressor


def symbolic(
    target: np.ndarray, table: np.ndarray, names: tuple[str, ...], search: FormulaSearch, gain: float, seed: int
) -> SymbolicFormula:
    """The shortest formula that no other is surely better than, of those that a network writes.

    Trees say which quantities matter most. The network is asked about the first of them, the first two, and so on, and lines
    are tried beside what it writes. A quarter of the rows chooses among all of these; another, which nothing else has seen,
    gives R^2.

    Parameters
    ----------
    target : ndarray of shape (n,)
        What is to be explained.
    table : ndarray of shape (n, q)
        The quantities.
    names : tuple of str
        Their names.
    search : FormulaSearch
        Asks the network.
    gain : float
        Part of the variance that a longer formula must explain beyond a shorter one.
    seed : int
        Seed of rows and trees.

    Returns
    -------
    SymbolicFormula
        The formula, of the quantities that stand in it.

    Raises
    ------
    InputError
        There are fewer than 50 rows, or no formula has a value at all of them.
    """
    if len(table) < LEAST_ROWS:
        raise InputError(f"expected at least {LEAST_ROWS} rows, given {len(table)}")
    order = generator(seed).permutation(len(table))
    tested, chosen, fitted = np.split(order, [len(order) // 4, len(order) // 2])
    fitted = fitted[:MOST_FITTED]
    by_use = _by_use(table[fitted], target[fitted], seed)
    candidates = [
        Candidate.judged(expression, table[chosen][:, by_use], target[chosen])
        for count in range(1, len(by_use) + 1)
        for expression in _tried(search, table[fitted][:, by_use[:count]], target[fitted])
    ]
    best = next(iter(ranked(candidates, max(gain, FLOOR))), None)
    if best is None:
        raise InputError("no formula was found that has a value at all rows")
    expression, used = _of_used(best.expression, by_use)
    table, seen = table[:, used], order[len(tested) :]
    expression, errors = _with_errors(expression, table[seen], target[seen], seed)
    left = np.square(expression(table[tested]) - target[tested]) / target[tested].var()
    digits = _digits(expression, errors, table[seen], target[seen])
    return SymbolicFormula(
        text=expression.written(digits, [names[number] for number in used]),
        names=tuple(names[number] for number in used),
        r2=1 - float(left.mean()),
        r2_error=float(left.std() / np.sqrt(len(left))),
        expression=expression,
        errors=errors,
        digits=tuple(digits),
        rows=len(tested),
    )


def _by_use(table: np.ndarray, target: np.ndarray, seed: int) -> np.ndarray:
    """Numbers of the quantities that trees use most, four at most."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(TREES, min_samples_leaf=5, random_state=seed).fit(table, target)
    return np.argsort(-trees.feature_importances_, kind="stable")[:VARIABLES]


def _tried(search: FormulaSearch, x: np.ndarray, y: np.ndarray) -> Iterator[Expression]:
    """What the network writes for points (n, k), and the line."""
    line: Skeleton = (CONSTANT,)
    for number in reversed(range(x.shape[1])):
        line = (PLUS, TIMES, CONSTANT, 1 + number, *line)
    slopes, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)
    yield Expression(line, slopes)
    for found in search(x, y):
        yield found.expression


def _of_used(expression: Expression, quantities: Sequence[int] | np.ndarray) -> tuple[Expression, list[int]]:
    """The formula of those variables alone that stand in it, and the numbers of their quantities."""
    present = sorted({token for token in expression.tokens if 0 < token < CONSTANT})
    renumbered = expression.renumbered({token: 1 + place for place, token in enumerate(present)})
    return renumbered, [int(quantities[token - 1]) for token in present]


def _with_errors(expression: Expression, x: np.ndarray, y: np.ndarray, seed: int) -> tuple[Expression, np.ndarray]:
    """The formula with its constants fitted to all rows, and their scatter over resampled ones."""
    rng = generator(seed)

    def fit(rows: np.ndarray, first: np.ndarray) -> np.ndarray:
        return fitted_constants(expression.tokens, x[rows], y[rows], starts=1, first=first)[0]

    few = rng.permutation(len(y))[: 2 * MOST_FITTED]
    constants = fit(few, expression.constants)
    scatter = np.std([fit(rng.choice(few, len(few)), constants) for _ in range(RESAMPLINGS)], axis=0, ddof=1)
    return replace(expression, constants=constants), scatter


def _digits(expression: Expression, errors: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[str]:
    """Constants to the second digit of their errors, or as many more as the values need, where errors go together."""
    exact = expression(x)
    allowed = ROUNDED * float(np.sqrt(np.mean(np.square(exact - y)))) + np.finfo(np.float32).eps * float(y.std())
    for more in range(MOST_DIGITS):
        written = [_rounded(c, e, more) for c, e in zip(expression.constants, errors, strict=True)]
        off = replace(expression, constants=np.array(written, float))(x) - exact
        if np.sqrt(np.mean(np.square(off))) <= allowed:
            break
    return written


def _rounded(constant: float, error: float, more: int) -> str:
    known = error > 0 and constant and np.isfinite(error)
    digits = np.floor(np.log10(abs(constant))) - np.floor(np.log10(error)) + 2 if known else 6
    return f"{constant:.{int(np.clip(digits, 1, MOST_DIGITS)) + more}g}"
