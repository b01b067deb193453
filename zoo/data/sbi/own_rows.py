"""A user's own rows of parameters and data, read as they were meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from zoo.data.sbi.datum import Datum
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.joint_prior import plain_rows
from zoo.data.sbi.priors.parameters import expect_names
from zoo.data.sbi.priors.rows_prior import RowsPrior, inside
from zoo.data.sbi.simulating.simulations import SimulationError
from zoo.errors import InputError, option, warn
from zoo.model.axes import Axis
from zoo.model.handed_in.columns import Columns, named_as_weights
from zoo.model.handed_in.tables import columns_of, expect_one_index, is_table
from zoo.model.handed_in.tensors import array_of
from zoo.model.handed_in.units import spec_unit
from zoo.model.handed_in.values import padded, values_of
from zoo.model.spec import Tensor
from zoo.seeds import generator


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Rows of a user that a flow can be trained on.

    Attributes
    ----------
    theta : ndarray
        Parameters, of shape (n, D).
    x : ndarray
        Data, of shape (n, C) or any other; padded with zeros where they are of several lengths.
    prior : Prior, JointPrior or RowsPrior
        The prior; that of the rows where none was given.
    datum : Datum
        What a row of x is.
    dropped : int
        Number of rows that were left out.
    mask : ndarray, optional
        Which elements of data of several lengths are real, of shape (n, length).
    """

    theta: np.ndarray
    x: np.ndarray
    prior: AnyPrior | RowsPrior
    datum: Datum
    dropped: int
    mask: np.ndarray | None = None


def read_own_rows(
    theta: Any, x: Any, prior: AnyPrior | None, *, on_nonfinite: Literal["drop", "fail"] = "drop", seed: int = 0
) -> OwnRows:
    """Read a user's parameters and data, and put their rows into a random order that follows from a seed.

    Parameters
    ----------
    theta : array_like
        Parameters (n, D) in the order of the prior, or a table or mapping with a column for each by its name.
    x : array_like
        Data (n, C) or of any other shape, n arrays of several lengths, or a table or mapping of columns, all of which are used.
    prior : Prior or JointPrior, optional
        The prior that the parameters were drawn from.
    on_nonfinite : {"drop", "fail"}
        What becomes of rows with missing values, NaN or infinity.
    seed : int
        Seed of the order.

    Returns
    -------
    OwnRows
        The rows.

    Raises
    ------
    InputError
        Shapes do not fit, values are no numbers, parameters lie outside the prior, or there are event weights.
    SimulationError
        Rows have missing values, NaN or infinity and are to fail, or all have.
    """
    if on_nonfinite not in ("drop", "fail"):
        raise InputError(f"on_nonfinite: expected 'drop' or 'fail', given {on_nonfinite!r}")
    expect_one_index(theta, x, ("theta", "x"))
    given, parameters = _theta(theta, prior)
    data, datum, mask = _x(x)
    if len(given) != len(data):
        raise InputError(f"expected as many rows of theta as of x, given {len(given)} and {len(data)}")
    bad = {name: ~np.isfinite(array).reshape(len(array), -1).all(axis=1) for name, array in (("theta", given), ("x", data))}
    dropped = bad["theta"] | bad["x"]
    if dropped.any():
        said = ", ".join(f"{np.count_nonzero(rows)} in {name}" for name, rows in bad.items() if rows.any())
        words = f"{np.count_nonzero(dropped)} of {len(given)} rows with missing values, NaN or infinity ({said}), the first"
        words += f" row {int(np.flatnonzero(dropped)[0])}"
        if on_nonfinite == "fail" or dropped.all():
            raise SimulationError(f"expected finite numbers, given {words}")
        warn(f"left out {words}")
    given, data = given[~dropped], data[~dropped]
    known: AnyPrior | RowsPrior = RowsPrior(parameters, given) if prior is None else prior
    given = inside(given, known.names, known.ends)
    if prior is not None:
        _expect_possible(given, prior)
    order = generator(seed).permutation(len(given))
    real = None if mask is None else mask[~dropped][order]
    return OwnRows(given[order], data[order], known, datum, int(dropped.sum()), real)


def _theta(given: Any, prior: AnyPrior | None) -> tuple[np.ndarray, dict[str, dict[str, Any]]]:
    """Parameters (n, D) as float64, NaN where they are missing, and what is plain data of them."""
    if is_table(given) or isinstance(given, Mapping):
        columns = columns_of(given, "theta")
        names = list(columns) if prior is None else prior.names
        _expect_no_weights(columns, () if prior is None else names)
        expect_names(names)
        units = {name: _unit(columns.one(name).values.unit) or "1" for name in names} if prior is None else prior.units
        array = columns.array(names, (len(names),), None if prior is None else list(units.values()), allow_missing=True)
        return _numbers(array, "theta"), plain_rows(names, units, [(-np.inf, np.inf)] * len(names))
    if prior is None:
        values = values_of(given)
        width = np.shape(values.array)[1] if np.ndim(values.array) == 2 else 1
        names = [f"theta_{i + 1}" for i in range(width)]
        units = dict.fromkeys(names, _unit(values.unit) or "1")
    else:
        names, units = prior.names, prior.units
    parameters = Axis(name="parameter", size=len(names), labels=list(names), units=list(units.values()))
    tensor = Tensor(name="theta", axes=[parameters], unit=", ".join(units.values()), description=", ".join(names))
    array = _numbers(array_of(given, tensor, allow_missing=True), "theta")
    if array.shape[1] != len(names):
        raise InputError(f"theta: expected {len(names)} columns ({', '.join(names)}), given {array.shape[1]}")
    return array, plain_rows(names, units, [(-np.inf, np.inf)] * len(names))


def _x(given: Any) -> tuple[np.ndarray, Datum, np.ndarray | None]:
    """Data (n, ...) as float64, NaN where they are missing, what a row is, and which elements are real of several lengths."""
    if is_table(given) or isinstance(given, Mapping):
        columns = columns_of(given, "x")
        _expect_no_weights(columns)
        names = list(columns)
        units = [_unit(columns.one(name).values.unit) for name in names]
        array = _numbers(columns.array(names, (len(names),), None, allow_missing=True), "x")
        return array, Datum((len(names),), names, [unit or "1" for unit in units] if any(units) else None), None
    values = values_of(given)
    if values.jagged:
        array, mask = padded(values.array, "x")
        array = _numbers(array[..., None] if array.ndim == 2 else array, "x")
        datum = Datum.of(array, mask)
    else:
        array, mask = values.array if values.missing is None else np.where(values.missing, np.nan, values.array), None
        array = _numbers(array, "x")
        datum = Datum.of(array)
    if unit := _unit(values.unit):
        datum = replace(datum, units=[unit] * array.shape[-1])
    return array, datum, mask


def _unit(given: Any) -> str | None:
    """A unit as a spec writes it, None where none is known."""
    return None if given is None else spec_unit(given)


def _numbers(array: Any, what: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what}: expected numbers, given {array.dtype}")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim < 2 or (array.ndim > 2 and what != "x") or 0 in array.shape:
        raise InputError(f"{what}: expected rows of numbers, (n, columns), given shape {array.shape}")
    return array.astype(np.float64)


def _expect_no_weights(columns: Columns, parameters: Collection[str] = ()) -> None:
    """Refuse rows that count differently, which were not drawn from the prior; ``w`` alone may be something else."""
    found = [name for name in columns if name not in parameters and named_as_weights(name)]
    if not found:
        return
    what = "which a posterior is not trained with: draw rows again in proportion to their weights, so that each counts the same"
    if sure := [name for name in found if len(name.rpartition("/")[2]) > 1]:
        raise InputError(
            f"{columns.source}: the column {sure[0]} holds weights, {what}, and leave the column out; or rename it, if it is"
            " data"
        )
    taken = "left out" if parameters else "taken as it is"
    warn(
        f"{columns.source}: the column {found[0]} is {taken}, and every row counts the same; if it holds event weights, {what}"
    )


def _expect_possible(theta: np.ndarray, prior: AnyPrior) -> None:
    """Refuse parameters at which the prior is zero."""
    with np.errstate(all="ignore"):
        impossible = np.isneginf(prior.log_density(theta))
    if impossible.any():
        row = int(np.flatnonzero(impossible)[0])
        there = ", ".join(f"{name} = {value:g}" for name, value in zip(prior.names, theta[row], strict=True))
        raise InputError(
            f"{np.count_nonzero(impossible)} of {len(theta)} simulations lie outside the prior, the first at {there}: give the"
            f" prior that they were drawn from, {option('prior', '{...}')}"
        )
