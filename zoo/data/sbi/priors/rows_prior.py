"""A prior as it is known from the rows of a file: what a data set knows of one that is not plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, RootModel, ValidationError

from zoo.data.sbi.priors.joint_prior import ROWS, plain_rows
from zoo.data.sbi.priors.laws import Law
from zoo.data.sbi.priors.prior import Prior, rows_of
from zoo.data.sbi.priors.scale_entries import Ends, Entry, measured_entry
from zoo.errors import InputError, fault


class _Row(Law):
    distribution: Literal["rows"]
    low: float = Field(-math.inf, allow_inf_nan=True)
    high: float = Field(math.inf, allow_inf_nan=True)


_Rows = RootModel[Annotated[dict[str, _Row], Field(min_length=1)]]


class RowsPrior:
    """The distribution that rows of parameters were drawn from.

    Parameters
    ----------
    plain : mapping of str to object
        Names, units and bounds of the parameters, as ``JointPrior.plain`` gives them.
    theta : ndarray
        Rows of parameters, of shape (n, D).
    log_prior : ndarray, optional
        Natural logarithm of their prior density, (n,); None where only the rows are known.

    Raises
    ------
    InputError
        The plain data are none of such a prior, or there are not as many values as rows.
    """

    def __init__(self, plain: Mapping[str, Any], theta: np.ndarray, log_prior: np.ndarray | None = None) -> None:
        try:
            entries = _Rows.model_validate(dict(plain)).root
        except ValidationError as error:
            problems = "; ".join(fault(one) for one in error.errors())
            raise InputError(f"prior: {problems}") from error
        self.names = list(entries)
        self.units = {name: entry.unit for name, entry in entries.items()}
        self.ends: list[Ends] = [(entry.low, entry.high) for entry in entries.values()]
        self.theta = inside(rows_of(theta, self.names), self.names, self.ends)
        if log_prior is not None and np.shape(log_prior) != (len(self.theta),):
            raise InputError(f"log_prior: expected one number for each of {len(self.theta)} rows, given {np.shape(log_prior)}")
        self._log_prior = log_prior

    @property
    def has_density(self) -> bool:
        """Whether the density at the rows is known."""
        return self._log_prior is not None

    @property
    def support(self) -> list[list[float] | None]:
        """Limits [low, high] of each parameter that has both, else None: the ``support`` of a flow."""
        return [list(ends) if np.isfinite(ends).all() else None for ends in self.ends]

    @property
    def scales(self) -> list[Entry]:
        """How a flow maps each parameter to unbounded numbers, chosen and measured on the rows."""
        return [measured_entry(column, ends) for column, ends in zip(self.theta.T, self.ends, strict=True)]

    def plain(self) -> dict[str, dict[str, Any]]:
        """Names, units and bounds."""
        return plain_rows(self.names, self.units, self.ends)

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D), which are among the rows."""
        theta = rows_of(theta, self.names)
        try:
            return np.array([self._known[row.tobytes()] for row in theta])
        except KeyError:
            raise InputError(
                "prior: its density is known at the rows that it was given with, and asked for elsewhere"
            ) from None

    def standard_deviation(self) -> np.ndarray:
        """Standard deviation (D,) of each parameter over the rows."""
        return self.theta.std(axis=0)

    @cached_property
    def _known(self) -> dict[bytes, float]:
        values = np.empty(0) if self._log_prior is None else self._log_prior
        return {row.tobytes(): float(value) for row, value in zip(self.theta, values, strict=False)}


def prior_of_rows(plain: Mapping[str, Any], theta: np.ndarray, log_prior: np.ndarray | None) -> Prior | RowsPrior:
    """The prior that a recipe writes as plain data, with what a file knows of one that it cannot write.

    Parameters
    ----------
    plain : mapping of str to object
        An entry for each parameter.
    theta : ndarray
        Rows of parameters, of shape (n, D).
    log_prior : ndarray, optional
        Natural logarithm of their prior density, (n,), where the file has it.

    Returns
    -------
    Prior or RowsPrior
        The prior.

    Raises
    ------
    InputError
        The entries are not valid.
    """
    return RowsPrior(plain, theta, log_prior) if is_of_rows(plain) else Prior(plain)


def is_of_rows(plain: Mapping[str, Any]) -> bool:
    """Whether a prior that a recipe writes as plain data is known from its rows alone."""
    return any(isinstance(entry, Mapping) and entry.get("distribution") == ROWS for entry in plain.values())


def inside(theta: np.ndarray, names: list[str], ends: list[Ends]) -> np.ndarray:
    """Parameters within the ends of their support: what single precision has rounded across an end is put on it.

    Parameters
    ----------
    theta : ndarray
        Parameters, of shape (n, D).
    names : list of str
        Their names.
    ends : list of tuple of float
        Ends of the support of each.

    Returns
    -------
    ndarray
        The parameters, (n, D).

    Raises
    ------
    InputError
        Some lie outside by more than that.
    """
    for name, (low, high), values in zip(names, ends, theta.T, strict=True):
        outside = (values < _rounded(low, -1)) | (values > _rounded(high, 1))
        if outside.any():
            first = values[np.flatnonzero(outside)[0]]
            raise InputError(
                f"{np.count_nonzero(outside)} of {len(values)} simulations have {name} outside the prior's [{low:g}, {high:g}],"
                f" the first {first:g}: give the prior that they were drawn from, in its units"
            )
    return np.clip(theta, *np.transpose(ends))


def _rounded(end: float, sign: int) -> float:
    """An end of a support, moved outward by a step of single precision."""
    return end + sign * float(np.finfo(np.float32).eps) * abs(end) if math.isfinite(end) else end
