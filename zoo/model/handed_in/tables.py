"""Tables that a user has in memory, and single rows of them, as columns; told by the module of the type, importing none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    return _row(given) is None and _names(given) is not None


def is_row(given: Any) -> bool:
    """Whether something handed in is one row whose numbers have names.

    Parameters
    ----------
    given : object
        A row of a table of pandas, as ``frame.iloc[0]``, of astropy or awkward, or of a structured array; a named tuple; or a
        mapping with single numbers, such as a ``dict``, or one observation of a data set of xarray.

    Returns
    -------
    bool
        Whether it is.
    """
    return _row(given) is not None


def has_names(given: Any) -> bool:
    """Whether something handed in is taken by name: a table, columns by name, or one row whose numbers have names.

    Parameters
    ----------
    given : object
        Whatever was handed in.

    Returns
    -------
    bool
        Whether it is.
    """
    return isinstance(given, Mapping) or is_row(given) or is_table(given)


def by_label(given: Any) -> Any:
    """An array of xarray whose last axis has names for its elements, as columns by these names; anything else as it is.

    Parameters
    ----------
    given : object
        Whatever was handed in.

    Returns
    -------
    object
        A mapping of arrays, or what was given.
    """
    if not type(given).__module__.startswith("xarray") or isinstance(given, Mapping) or not given.dims:
        return given
    last = given.dims[-1]
    labels = given.coords[last].values if last in given.coords else np.empty(0)
    if labels.dtype.kind not in "UO":
        return given
    return {str(label): given.isel({last: place}) for place, label in enumerate(labels)}


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
    _refuse_twice([str(name) for name in names], source)
    units = _units_of(given)
    return Columns({str(name): _column(given[name], units.get(name), f"{source}: column {name}") for name in names}, source)


def columns_of_row(given: Any, source: str) -> Columns:
    """The columns of a table that holds one row alone.

    Parameters
    ----------
    given : object
        A row as `is_row` knows them.
    source : str
        What to call it in messages.

    Returns
    -------
    Columns
        Its columns.

    Raises
    ------
    InputError
        Two numbers have one name.
    """
    row = _row(given)
    assert row is not None  # the caller has asked
    _refuse_twice([str(name) for name, _ in row], source)
    columns = {str(name): Column(1, _reading(read, None, f"{source}: column {name}")) for name, read in row}
    return Columns(columns, source)


def _refuse_twice(names: Sequence[str], source: str) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{source}: two columns are named {twice!r}: rename one of them")


def _column(given: Any, unit: str | None, where: str) -> Column:
    """A column of a table; what lies on disk stays there."""
    shape: tuple[Any, ...] = given.shape if hasattr(given, "shape") else (len(given),) if hasattr(given, "__len__") else ()
    rows = int(shape[0]) if len(shape) else None
    if type(given).__module__.startswith("uproot"):  # a branch, whose shape is that of what it is written in
        rows = int(given.num_entries)
    if type(given).__module__.startswith("h5py") or isinstance(given, np.memmap):
        return Column(rows, lambda: Values(given, None, unit_in(getattr(given, "attrs", {}))))
    return Column(rows, _reading(lambda: values_of(given), unit, where))


def _reading(read: Callable[[], Values], unit: str | None, where: str) -> Callable[[], Values]:
    """What reads a column, and says which one cannot be read."""

    def named() -> Values:
        try:
            found = read()
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        return found if unit is None else replace(found, unit=unit)

    return named


Row = list[tuple[Any, Callable[[], Values]]]
"""Names of a row, and what reads what stands under each, with an axis before for the one row."""


def _row(given: Any) -> Row | None:
    """A row that has names; None for anything else."""
    if isinstance(given, np.ndarray | np.void):
        return _under(given, given.dtype.names) if given.dtype.names and not given.ndim else None
    if isinstance(given, tuple):
        return _row_of(given._asdict()) if hasattr(given, "_asdict") else None
    if isinstance(given, Mapping):
        return _row_of(given) if any(map(_is_single, given.values())) else None
    packages = _packages(given)
    if "pandas" in packages and hasattr(given, "to_frame") and hasattr(given, "index"):
        named = len(given) and all(isinstance(label, str) for label in given.index)
        return list(zip(given.index, map(_reader, given), strict=True)) if named else None
    if "astropy" in packages and hasattr(given, "colnames") and hasattr(given, "table"):
        place = slice(given.index, given.index + 1)  # a single number would have lost its unit
        return [(name, lambda name=name: values_of(given.table[name][place])) for name in given.colnames]  # type: ignore[misc]
    if "awkward" in packages and type(given).__name__ == "Record":
        return _under(given, given.fields)
    return None


def _under(given: Any, names: Sequence[str]) -> Row:
    return [(name, _reader(given[name])) for name in names]


def _row_of(given: Mapping[Any, Any]) -> Row:
    return [(name, _reader(value)) for name, value in given.items()]


def _reader(value: Any) -> Callable[[], Values]:
    """What reads the value of a row as a column of one row."""

    def read() -> Values:
        found = values_of(value.as_py() if hasattr(value, "as_py") else value)  # of pyarrow
        return replace(found, array=found.array[None], missing=None if found.missing is None else found.missing[None])

    return read


def _is_single(value: Any) -> bool:
    """Whether a value of a mapping is one number, rather than a column or a text."""
    if isinstance(value, str | bytes):
        return False
    return value.shape == () if hasattr(value, "shape") else not hasattr(value, "__len__")


def _packages(given: Any) -> set[str]:
    return {base.__module__.partition(".")[0] for base in type(given).__mro__}


def _names(given: Any) -> Sequence[Any] | None:
    """Names of the columns of a table; None for anything else."""
    if isinstance(given, np.ndarray) and given.dtype.names:
        return list(given.dtype.names)
    packages = _packages(given)
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
