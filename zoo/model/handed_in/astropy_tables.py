"""Columns of tables that astropy reads from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.model.handed_in.columns import Column
from zoo.model.handed_in.values import Values, values_of


def astropy_table(path: Path, names: list[str], rows: int, read: Callable[[], Any]) -> dict[str, Column]:
    """Columns of a table that astropy reads, when one is asked for.

    Parameters
    ----------
    path : Path
        The file, for messages.
    names : list of str
        Names of the columns.
    rows : int
        Number of rows.
    read : callable
        Reads the table.

    Returns
    -------
    dict of str to Column
        The columns.
    """
    table = lru_cache(maxsize=1)(read)

    def column(name: str) -> Values:
        try:
            found = values_of(table()[name])
        except (KeyError, ValueError, OSError) as error:
            raise InputError(f"{path}: column {name} cannot be read as numbers: {error}") from error
        return _as_text(found)

    return {name: Column(rows, lambda name=name: column(name)) for name in names}  # type: ignore[misc]


def _as_text(values: Values) -> Values:
    """Values with the unit as the file writes it: of a text nobody knows whether h is the hour."""
    return replace(values, unit=None if values.unit is None else str(values.unit) or "1")
