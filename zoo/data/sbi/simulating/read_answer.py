"""One answer of a simulator, read as it was meant: its numbers, and the names and units that it comes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.model.handed_in.units import spec_unit
from zoo.model.handed_in.values import Values, values_of

PLAIN = (np.ndarray, np.float64, float, int, list, tuple)
"""Types of answers that have no names, but for records among arrays."""


@dataclass(frozen=True)
class Labels:
    """What stands beside the numbers of an answer.

    Attributes
    ----------
    names : tuple of str, optional
        Name of each number along the last axis.
    units : tuple of str, optional
        Unit of each number along the last axis, or the one of all of them.
    """

    names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None

    def plain(self) -> dict[str, list[str]]:
        """What there is of it, as a file keeps it."""
        return {key: list(value) for key, value in (("names", self.names), ("units", self.units)) if value is not None}

    def along(self, size: int) -> dict[str, Any]:
        """The same for each of so many numbers along the last axis."""
        plain: dict[str, Any] = self.plain()
        if self.units is not None:
            plain["units"] = list(self.units) * (size // len(self.units))
        return plain

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Labels:
        """What a file has kept."""
        return cls(*(None if plain.get(key) is None else tuple(map(str, plain[key])) for key in ("names", "units")))

    def __str__(self) -> str:
        names = "" if self.names is None else f"the names {', '.join(self.names)}"
        units = "" if self.units is None else f"the unit{'s' if len(self.units) > 1 else ''} {', '.join(self.units)}"
        return " and ".join(filter(None, (names, units))) or "neither names nor units"


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer that has been read.

    Attributes
    ----------
    array : ndarray
        Its numbers, float64, NaN where they are missing, of at least one axis.
    labels : Labels
        What stands beside them.
    """

    array: np.ndarray
    labels: Labels = Labels()


def read_answer(given: Any) -> Answer:
    """Read what a simulator answers.

    Parameters
    ----------
    given : object
        Numbers of whatever library, with their mask and unit; or numbers by name: a mapping, a row of a table, or a table.

    Returns
    -------
    Answer
        A copy of the numbers, since a simulator may write its next answer into the same array; numbers by name lie along the
        last axis.

    Raises
    ------
    TypeError, ValueError
        It is nothing, or no numbers.
    InputError
        Its unit is none that a spec can have.
    """
    if given is None:
        raise TypeError("it answers nothing; does it return?")
    if isinstance(given, Answer):
        return given
    if type(given) in PLAIN and not getattr(getattr(given, "dtype", None), "names", None):
        return _unnamed(given)
    from zoo.model.handed_in.tables import columns_of, columns_of_row, has_names, is_row

    if not has_names(given):
        return _unnamed(given)
    row = is_row(given)
    columns = (columns_of_row if row else columns_of)(given, "the answer")
    parts = [values_of(columns.one(name).values) for name in columns]
    arrays = [_numbers(part)[0] if row else _numbers(part) for part in parts]
    if len({array.shape for array in arrays}) > 1:
        said = ", ".join(f"{name} {array.shape}" for name, array in zip(columns, arrays, strict=True))
        raise ValueError(
            f"it answers by name with arrays of several shapes, {said}: expected one number, or arrays of one shape, under each"
            " name; or one array of all numbers together"
        )
    if not arrays:
        raise ValueError("it answers no numbers")
    return Answer(np.stack(arrays, axis=-1), Labels(tuple(columns), _units(parts)))


def _unnamed(given: Any) -> Answer:
    values = values_of(given)
    return Answer(np.atleast_1d(_numbers(values)), Labels(None, _units([values])))


def _units(parts: list[Values]) -> tuple[str, ...] | None:
    """The units of some parts, the one of all if it is the same; None where no part has one."""
    units = [None if part.unit is None else spec_unit(part.unit) for part in parts]
    if not any(units):
        return None
    found = tuple(unit or "1" for unit in units)
    return found[:1] if len(set(found)) == 1 else found


def _numbers(values: Values) -> np.ndarray:
    """A copy in double precision, NaN where something is missing."""
    array = np.asarray(values.array)
    if values.jagged:
        raise ValueError("it answers with lists of several lengths, an inhomogeneous shape")
    if array.dtype.kind not in "biufO":
        raise TypeError(f"could not convert an answer of dtype {array.dtype} to numbers")
    if not array.size and array.ndim == 1:
        raise ValueError("it answers no numbers")
    if values.missing is not None:
        array = np.where(values.missing, np.nan, array)
    return np.array(array, dtype=np.float64)
