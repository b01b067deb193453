"""A formula as a regressor of scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from zoo.errors import InputError
from zoo.families.expression import Expression
from zoo.interpret.formulae.constants import fitted_constants


class FormulaRegressor(RegressorMixin, BaseEstimator):
    """A formula as a regressor of scikit-learn.

    Parameters
    ----------
    expression : Expression
        The formula, x1 being the first column.
    names : tuple of str
        Names of the columns, which are taken by name of a table that has them.

    Attributes
    ----------
    expression_ : Expression
        The formula with the constants that were fitted.
    """

    def __init__(self, expression: Expression, names: tuple[str, ...]) -> None:
        self.expression, self.names = expression, names

    def fit(self, X: Any, y: Any) -> FormulaRegressor:
        """Fit the constants to rows (n, q) and values (n,) by least squares, from those that the formula has."""
        table, target = self._table(X), np.asarray(y, float)
        constants, _ = fitted_constants(self.expression.tokens, table, target, first=self.expression.constants)
        self.expression_ = replace(self.expression, constants=constants)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Values (n,) at rows (n, q)."""
        return self.expression_(self._table(X))

    def _table(self, X: Any) -> np.ndarray:
        named = [X[name] for name in self.names] if hasattr(X, "columns") else None
        table = np.asarray(X, float) if named is None else np.column_stack(named).astype(float)
        if table.ndim != 2 or table.shape[1] != len(self.names):
            raise InputError(f"X: expected columns {', '.join(self.names)}, given shape {table.shape}")
        return table
