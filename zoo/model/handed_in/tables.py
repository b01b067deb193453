"""Tables of whatever library as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.model.handed_in.columns import Column, Columns
from zoo.model.handed_in.values import Values, unit_in, values_of


def is_table(given: Any) -> bool:
    """Whether something handed in has columns with names.

    Parameters
    ----------
    given : object
        A data frame or a table of pandas, astropy, pyarrow or polars, records of awkward, or a structured array.

    Returns
    -------
    bool
        Whether it has.
    """
    return _names(given) is not None


def is_row(given: Any) -> bool:
    """Whether something handed in is one row of a pandas table, ``frame.iloc[0]``, whose labels are names of columns."""
    packages = {base.__module__.partition(".")[0] for base in type(given).__mro__}
    index = getattr(given, "index", None)
    if "pandas" not in packages or not hasattr(given, "to_frame") or index is None:
        return False
    return len(index) > 0 and all(isinstance(label, str) for label in index)


def expect_one_index(first: Any, second: Any, names: tuple[str, str]) -> None:
    """Refuse two frames whose rows have other labels: by place, rows of one would go with those of others.

    Parameters
    ----------
    first, second : object
        What was handed in; only what has labels of rows, as frames of pandas have, is looked at.
    names : tuple of str
        What they are called in the message.

    Raises
    ------
    InputError
        The labels differ.
    """
    labels: list[Any] = [getattr(frame, "index", None) for frame in (first, second)]
    if all(hasattr(one, "equals") for one in labels) and len(labels[0]) == len(labels[1]) and not labels[0].equals(labels[1]):
        one, other = names
        raise InputError(
            f"{one} and {other} are tables whose rows have different labels, so that their rows may not belong together: bring"
            f" them into one order, {other}.loc[{one}.index], or let go of the labels with reset_index(drop=True)"
        )


def columns_of(given: Any, source: str) -> Columns:
    """The columns of a table, or of arrays by name.

    Parameters
    ----------
    given : object
        A table as `is_table` knows them, or a mapping of arrays by name.
    source : str
        What to call it in messages.

    Returns
    -------
    Columns
        Its columns.

    Raises
    ------
    InputError
        Two columns have one name.
    """
    names = _names(given)
    names = list(given.keys()) if names is None else list(names)
    texts = [str(name) for name in names]
    if twice := next((name for name in texts if texts.count(name) > 1), None) if len(set(texts)) < len(texts) else None:
        raise InputError(f"{source}: two columns are named {twice!r}: rename one of them")
    units = _units_of(given)
    return Columns({str(name): _column(given[name], units.get(name), f"{source}: column {name}") for name in names}, source)


def _column(given: Any, unit: str | None, where: str) -> Column:
    """A column of a table; what lies on disk stays there."""
    shape: tuple[Any, ...] = given.shape if hasattr(given, "shape") else (len(given),) if hasattr(given, "__len__") else ()
    rows = int(shape[0]) if len(shape) else None
    if type(given).__module__.startswith("h5py") or isinstance(given, np.memmap):
        return Column(rows, lambda: Values(given, None, unit_in(getattr(given, "attrs", {}))))

    def read() -> Values:
        try:
            found = values_of(given)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        return found if unit is None else replace(found, unit=unit)

    return Column(rows, read)


def _names(given: Any) -> Sequence[Any] | None:
    """Names of the columns of a table; None for anything else."""
    if isinstance(given, np.ndarray) and given.dtype.names:
        return list(given.dtype.names)
    packages = {base.__module__.partition(".")[0] for base in type(given).__mro__}
    for package, attribute in _NAMES.items():
        if package in packages:
            if type(given).__name__ == "LazyFrame":
                raise InputError("expected a table, given a LazyFrame: collect it first")
            found = getattr(given, attribute, None)
            return None if found is None or (not len(found) and package == "awkward") else list(found)
    return None


_NAMES = {"pandas": "columns", "astropy": "colnames", "pyarrow": "column_names", "polars": "columns", "awkward": "fields"}


def _units_of(given: Any) -> dict[Any, str]:
    """Units that a table says beside its columns, by name."""
    schema = getattr(given, "schema", None)
    if not type(given).__module__.startswith("pyarrow") or schema is None:
        return {}
    found = {field.name: (field.metadata or {}) for field in schema}
    units = {name: data.get(b"unit", data.get(b"units", b"")).decode(errors="replace") for name, data in found.items()}
    return {name: unit for name, unit in units.items() if unit}
