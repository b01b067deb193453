"""Events of a user at detector and at particle level, read as they were meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, option, warn
from zoo.model.handed_in.columns import Columns, named_as_weights
from zoo.model.handed_in.files import read_columns
from zoo.model.handed_in.tables import is_table
from zoo.model.handed_in.tensors import numbers_alone
from zoo.model.handed_in.units import converter
from zoo.model.handed_in.values import values_of

SENTINELS = (-99.0, -999.0, -9999.0, -99999.0)
"""Numbers that many programs write where an event has no such observable."""
Given = Columns | np.ndarray
"""Events as columns by name, or as an array (n, observables) with NaN where values are missing."""


@dataclass(frozen=True, eq=False)
class Observables:
    """What is known of each event at one level.

    Attributes
    ----------
    names : list of str
        Names of the observables.
    units : list of str
        Their units, "" where none is known.
    rows : ndarray
        Their values, of shape (n, observables).
    """

    names: list[str]
    units: list[str]
    rows: np.ndarray


def read(given: Any, what: str) -> Columns | Any:
    """Columns of a path, a table or arrays by name; anything else as it is.

    Parameters
    ----------
    given : object
        What was handed in.
    what : str
        What it is, for messages.

    Returns
    -------
    Columns or object
        The columns.
    """
    if isinstance(given, str | Path | Columns | Mapping) or is_table(given):
        columns = read_columns(given)
        source = what if columns.sha256 is None else f"{what} ({columns.source})"
        return Columns(columns.columns, source, columns.sha256)
    return given


def other_names(columns: Any, used: Sequence[Any], asked: str) -> list[str] | None:
    """Names of all columns but those of weights and selections; None of an array.

    Parameters
    ----------
    columns : Columns or object
        What ``read`` gave.
    used : sequence of object
        What was given as weights and selections, of which text names columns.
    asked : str
        The keyword by which observables are chosen.

    Returns
    -------
    list of str or None
        The names.

    Raises
    ------
    InputError
        A column is called as weights are, and is not named as such.
    """
    if not isinstance(columns, Columns):
        return None
    names = [name for name in columns if name not in used]
    if found := [name for name in names if named_as_weights(name)]:
        raise InputError(
            f"{columns.source}: the column {found[0]} would be taken for an observable: name it with"
            f" {option('data_weights', repr(found[0]), found[0])} or"
            f" {option('simulated_weights', repr(found[0]), found[0])} if it holds event weights, or choose"
            f" the observables with {option(asked, '[...]', 'NAME,NAME,...')}"
        )
    return names


def read_observables(
    given: Any, what: str, names: Sequence[str] | None, units: Sequence[str] | None = None, real: np.ndarray | None = None
) -> Observables:
    """Observables of each event.

    Parameters
    ----------
    given : Columns or array_like
        What ``read`` gave.
    what : str
        What they are, for messages.
    names : sequence of str, optional
        Columns of a table, or what to call the columns of an array.
    units : sequence of str, optional
        Units that they are to have, "" for that of the table.
    real : ndarray of bool, optional
        Which events have them, of shape (n,): what others hold means nothing, and may be NaN or missing.

    Returns
    -------
    Observables
        Values, units and names.

    Raises
    ------
    InputError, UnknownNameError
        A column is missing, values are no finite numbers, or a unit cannot be converted.
    """
    found = _of_columns(given, names, units) if isinstance(given, Columns) else _of_array(given, what, names, units)
    if real is not None and len(real) != len(found.rows):
        raise InputError(f"{what}: expected {len(real)} events, as in the selection, given {len(found.rows)}")
    there = np.ones(len(found.rows), bool) if real is None else real
    bad = ~np.isfinite(found.rows) & there[:, None]
    if bad.any():
        row, column = (int(place) for place in np.argwhere(bad)[0])
        raise InputError(
            f"{what}: expected finite numbers, given {np.count_nonzero(bad)} that are missing, NaN or infinite, the first in"
            f" row {row} of {found.names[column]}: remove those events, or, of simulated ones that fail a selection, name the"
            f" column that says so, {option('pass_reco', 'NAME')} or {option('pass_truth', 'NAME')}"
        )
    for place, name in enumerate(found.names):
        values = found.rows[there, place]
        for number in SENTINELS:
            if 0 < (count := np.count_nonzero(values == number)) < len(values):
                warn(
                    f"{what}: {name} is {number:g} in {count} events, as programs write where there is none: if these fail a"
                    f" selection, name the column that says so, {option('pass_reco', 'NAME')} or"
                    f" {option('pass_truth', 'NAME')}"
                )
    return found


def _of_columns(columns: Columns, names: Sequence[str] | None, units: Sequence[str] | None) -> Observables:
    if not names:
        raise InputError(f"{columns.source}: expected columns of observables, given none")
    columns.rows(names)
    own = [columns.one(name).unit or "" for name in names]
    wanted = [unit or known for unit, known in zip(units or own, own, strict=True)]
    parts = [
        columns.array([name], (), [unit] if unit else None, allow_missing=True)
        for name, unit in zip(names, wanted, strict=True)
    ]
    return Observables(list(names), wanted, np.column_stack([np.asarray(part, np.float64) for part in parts]))


def _of_array(given: Any, what: str, names: Sequence[str] | None, units: Sequence[str] | None) -> Observables:
    try:
        values = values_of(given)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    array = np.asarray(values.array)
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not array.size:
        raise InputError(
            f"{what}: expected a table, or numbers (events,) or (events, observables), given {array.dtype} of shape"
            f" {array.shape}"
        )
    rows = np.array(array if values.missing is None else np.where(values.missing, np.nan, array), np.float64)
    rows = rows.reshape(len(rows), -1)
    called = [f"observable_{i + 1}" for i in range(rows.shape[1])] if names is None else list(names)
    if len(called) != rows.shape[1]:
        raise InputError(f"{what}: expected {len(called)} observables ({', '.join(called)}), given {rows.shape[1]}")
    own = "" if values.unit is None else str(values.unit)
    wanted = [unit or own for unit in units or [own] * len(called)]
    for place, unit in enumerate(wanted):
        if own and (convert := converter(values.unit, [unit], f"{what}: {called[place]}")) is not None:
            rows[:, place] = convert(rows[:, place])
    return Observables(called, wanted, rows)


def event_weights(given: Any, levels: Sequence[Any], n: int, what: str) -> np.ndarray:
    """Event weights of either sign.

    Parameters
    ----------
    given : str or array_like, optional
        Name of the column, or the weights; None where all events count the same.
    levels : sequence of object
        What ``read`` gave, in one of which the column is.
    n : int
        Number of events.
    what : str
        What they are of, for messages.

    Returns
    -------
    ndarray of shape (n,)
        The weights.

    Raises
    ------
    InputError, UnknownNameError
        There is no such column, or weights are not one finite number an event with a positive sum.
    """
    if given is None:
        return np.ones(n)
    weight = (
        _table(given, levels, what).weights(given) if isinstance(given, str) else numbers_alone(given, f"weights of the {what}")
    )
    if weight.shape != (n,) or weight.dtype.kind not in "biuf" or not np.isfinite(weight).all():
        raise InputError(f"{what}: expected a finite event weight for each of the {n} events, given shape {weight.shape}")
    if not (total := float(weight.sum())) > 0:
        raise InputError(f"{what}: expected event weights with a positive sum, given {total:g}")
    return weight.astype(np.float64)


def selection(given: Any, levels: Sequence[Any], what: str) -> np.ndarray | None:
    """Which simulated events pass a selection.

    Parameters
    ----------
    given : str or array_like, optional
        Name of the column, or the answers; None where all pass.
    levels : sequence of object
        What ``read`` gave, in one of which the column is.
    what : str
        The keyword, for messages.

    Returns
    -------
    ndarray of bool or None
        The answers, of shape (n,).

    Raises
    ------
    InputError, UnknownNameError
        There is no such column, or values are other than true and false, 1 and 0.
    """
    if given is None:
        return None
    values = _table(given, levels, what).labels(given) if isinstance(given, str) else numbers_alone(given, what)
    if values.ndim != 1 or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise InputError(f"{what}: expected true or false, or 1 or 0, for each simulated event, given others")
    return values.astype(bool)


def _table(name: str, levels: Sequence[Any], what: str) -> Columns:
    """The table that has a column."""
    tables = [level for level in levels if isinstance(level, Columns)]
    if not tables:
        raise InputError(f"{what}: expected an array, since the events are one, given the name {name!r} of a column")
    found = next((table for table in tables if name in table), tables[0])
    found.one(name)
    return found
