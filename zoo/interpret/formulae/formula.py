"""A formula of named quantities, as a search found it, with how much it explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.tensors import numbers_alone

FOUND = 0.5
"""Held-out R^2 below which a formula is reported, but not called found."""


@dataclass(frozen=True, eq=False)
class Formula:
    """A formula of named quantities.

    Attributes
    ----------
    text : str
        The formula as people write it, its numbers in as many digits as they are worth.
    names : tuple of str
        Names of the quantities.
    r2, r2_error : float
        R^2 on rows that neither fitted the numbers nor chose the formula, and its standard error.
    """

    text: str
    names: tuple[str, ...]
    r2: float
    r2_error: float

    @property
    def symbols(self) -> int:
        """Its complexity: how many names, numbers and functions are written in it."""
        raise NotImplementedError

    def of_columns(self, table: np.ndarray) -> np.ndarray:
        """Values (n,) for quantities (n, q) in the order of ``names``."""
        raise NotImplementedError

    @property
    def found(self) -> bool:
        """Whether it explains at least half of the variance."""
        return self.r2 >= FOUND

    def predict(self, quantities: Mapping[str, np.ndarray]) -> np.ndarray:
        """Values for named quantities.

        Parameters
        ----------
        quantities : mapping of str to ndarray
            Quantities by name, of shape (n,); those that the formula does not hold may be there too.

        Returns
        -------
        ndarray of shape (n,)
            The values.

        Raises
        ------
        InputError
            If a quantity is missing, or their lengths differ.
        """
        return self.of_columns(columns({name: quantities[name] for name in self.names if name in quantities}, self.names))

    def __str__(self) -> str:
        """Write the formula with how well it explains held-out rows."""
        found = "" if self.found else "no formula found; the best is "
        return f"{found}{self.text}   (R^2 {self.r2:.3f} +- {self.r2_error:.3f}, {self.symbols} symbols)"


def columns(quantities: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """Quantities side by side.

    Parameters
    ----------
    quantities : mapping of str to ndarray
        Quantities by name, of shape (n,).
    names : tuple of str
        Those that are taken, in this order.

    Returns
    -------
    ndarray of shape (n, q)
        Finite numbers.

    Raises
    ------
    InputError
        There is none, one is missing, not finite or of another shape.
    """
    if not names or (missing := [name for name in names if name not in quantities]):
        raise InputError(f"quantities: expected {', '.join(missing) if names else 'at least one'}, given none")
    found = {name: numbers_alone(quantities[name], name).astype(float) for name in names}
    rows = found[names[0]].shape
    for name, column in found.items():
        if column.ndim != 1 or column.shape != rows or not np.isfinite(column).all():
            raise InputError(f"{name}: expected finite numbers of shape (n,), the same for all, given shape {column.shape}")
    return np.column_stack(list(found.values()))
