"""Columns by name, matched to the elements of a tensor.

A column is taken by its name and never by its place. What lies on disk is cut row by row, so that it may be larger than memory.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zoo.errors import InputError, UnknownNameError, option, warn
from zoo.model.handed_in.on_disk import OnDisk, joined
from zoo.model.handed_in.units import Convert, converter, same_unit
from zoo.model.handed_in.values import Values
from zoo.model.jet import OTHERWISE
from zoo.model.spec import Tensor

CHUNK = 2**20
"""Numbers of a column on disk that are looked at together."""
SHOWN = 12
"""Columns that a message names."""
NEAR = 0.8
"""Likeness of two names, as ``difflib`` measures it, from which a message asks whether one is meant by the other."""
PSEUDORAPIDITY = re.compile(r"((^|[^a-z])eta|[a-z](?-i:Eta))$", re.IGNORECASE)
"""What columns are called that hold pseudorapidity: ``eta``, ``part_eta``, ``partEta``, and not ``theta``."""
WEIGHTS = re.compile(r"w|weights?_.*|.*(weights?|wgts?)", re.IGNORECASE)
"""What columns are called that hold event weights: ``w``, ``weight_mc``, ``genWeight``, ``event_weights``, ``mcwgt``."""


@dataclass(eq=False)
class Column:
    """A column, which is read when it is asked for.

    Attributes
    ----------
    rows : int or None
        Number of its rows; None for a single value.
    read : callable
        Reads its values.
    """

    rows: int | None
    read: Callable[[], Values]

    @cached_property
    def values(self) -> Values:
        """What the column holds."""
        return self.read()

    @property
    def unit(self) -> str | None:
        """Its unit as text, None where it is not known."""
        unit = self.values.unit
        return None if unit is None else str(unit)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row."""
        return tuple(np.shape(self.values.array)[1:])


class Columns:
    """What a table or a file holds, by name.

    Parameters
    ----------
    columns : mapping of str to Column
        Columns by name. One in a group of a file is called by the group too, ``group/name``, which may be left out where no
        other has the name.
    source : str
        What to call them in messages and on the card.
    sha256 : str, optional
        Hash of the file, None where it is not one file.
    """

    def __init__(self, columns: Mapping[str, Column], source: str, sha256: str | None = None) -> None:
        self.columns, self.source, self.sha256 = dict(columns), source, sha256
        self._full: dict[str, list[str]] = {}
        for name in self.columns:
            self._full.setdefault(name.rpartition("/")[2], []).append(name)

    def __contains__(self, name: str) -> bool:
        return name in self.columns or name in self._full

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def without(self, names: Collection[str]) -> Columns:
        """The other columns."""
        left_out = {id(self.one(name)) for name in names}
        others = {name: column for name, column in self.columns.items() if id(column) not in left_out}
        return Columns(others, self.source, self.sha256)

    def one(self, name: str) -> Column:
        """A column by name; UnknownNameError with the nearest names, InputError where several are called so."""
        if name in self.columns:
            return self.columns[name]
        if len(found := self._full.get(name, [])) > 1:
            raise InputError(
                f"{self.source}: expected one column {name}, given {', '.join(found)}: name the one that is meant in full, such"
                f" as {found[0]!r}"
            )
        if not found:
            raise UnknownNameError(f"column of {self.source}", name, self.columns)
        return self.columns[found[0]]

    def in_full(self, name: str) -> str:
        """The name of a column with that of its group."""
        return name if name in self.columns else self._full[name][0]

    def find(self, tensor: Tensor, chosen: Sequence[str] | None = None) -> list[str] | None:
        """Names of the columns that make a tensor.

        Parameters
        ----------
        tensor : Tensor
            The tensor.
        chosen : sequence of str, optional
            Names that the user says.

        Returns
        -------
        list of str or None
            Those chosen, in the order of the tensor's elements where they are called as these; one of the tensor's name; all
            of ``name_0``, ``name_1``, ...; those called as the labels of its last axis, ``label`` or ``name_label``. None
            where there are none.

        Raises
        ------
        UnknownNameError
            If a chosen column is missing, or one between the numbered ones or of the labels.
        InputError
            If one that is called as an element of the tensor is chosen for another.
        """
        name = tensor.name
        if chosen:
            return self._by_name(tensor, [one for one in chosen if self.one(one)])
        if name in self:
            return [name]
        if f"{name}_0" in self:
            numbered = sum(bool(re.fullmatch(rf"{re.escape(name)}_\d+", other)) for other in self._full)
            return [one for one in (f"{name}_{i}" for i in range(numbered)) if self.one(one)]
        spelled = _labeled(tensor)
        for names in spelled:
            if all(one in self for one in names):
                return names
        for names in () if tensor.jet is not None else spelled:  # of jets other numbers say the same
            if any(one in self for one in names):
                return [one for one in names if self.one(one)]  # says which is missing
        return None

    def _by_name(self, tensor: Tensor, chosen: list[str]) -> list[str]:
        """Chosen columns, of which those that are called as the tensor's elements stand for these and for no others."""
        called = [one.rpartition("/")[2] for one in chosen]
        for names in (*_labeled(tensor), [f"{tensor.name}_{i}" for i in range(len(chosen))]):
            if len(names) != len(called):
                continue
            if sorted(called) == sorted(names):
                return [chosen[called.index(one)] for one in names]
            if wrong := [(a, b) for a, b in zip(called, names, strict=True) if a != b and a in names]:
                raise InputError(
                    f"{self.source}: expected {', '.join(names)}, the elements of {tensor.name}, in their order, given"
                    f" {wrong[0][0]} for {wrong[0][1]}: say the columns in that order, or call that one otherwise"
                )
        if tensor.jet is not None and (eta := [one for one in chosen if PSEUDORAPIDITY.search(one)]):
            raise InputError(
                f"{self.source}: expected the rapidity y of particles in {tensor.name}, given {eta[0]}, the pseudorapidity,"
                f" which is another number where a particle has a mass; {OTHERWISE}"
            )
        return chosen

    def rows(self, names: Sequence[str]) -> int:
        """Number of rows of some columns, which is one for all.

        Parameters
        ----------
        names : sequence of str
            Names of the columns.

        Returns
        -------
        int
            The number.

        Raises
        ------
        InputError
            They have several, or one is a single value.
        """
        found = {name: self.one(name).rows for name in names}
        if single := [name for name, rows in found.items() if rows is None]:
            raise InputError(f"{self.source}: {single[0]} is a single value, expected an array with a row for each row of data")
        if len(set(found.values())) > 1:
            said = ", ".join(f"{name} {rows}" for name, rows in found.items())
            raise InputError(f"{self.source}: expected columns of the same number of rows, given {said}")
        return next((rows for rows in found.values() if rows is not None), 0)

    def shape(self, names: Sequence[str]) -> tuple[int, ...]:
        """Shape of a row of one column, or of several that hold a number each."""
        return self.one(names[0]).shape if len(names) == 1 else (len(names),)

    def array(
        self,
        names: Sequence[str],
        shape: tuple[int, ...],
        wanted: Sequence[str] | None,
        units: Mapping[str, str] | None = None,
        *,
        allow_missing: bool = False,
        on_disk: bool = False,
    ) -> np.ndarray | OnDisk:
        """Columns as one tensor (n, *shape).

        Parameters
        ----------
        names : sequence of str
            Names of the columns.
        shape : tuple of int
            Shape of a row.
        wanted : sequence of str, optional
            Unit of each element of a row in C order; None to take the columns as they are.
        units : mapping of str to str, optional
            Units of columns, of which the table gives none.
        allow_missing : bool
            Whether missing values become NaN in place of an error.
        on_disk : bool
            Whether columns that lie on disk stay there, as :class:`OnDisk`.

        Raises
        ------
        InputError
            Columns have another width, are no numbers, miss values or have a unit that cannot be converted.
        """
        n = self.rows(names)
        parts = [self._numbers(name, allow_missing) for name in names]
        width = int(np.prod(shape, dtype=int))
        found = [self.shape([name]) for name in names]
        if len(names) > 1 and any(np.prod(one, dtype=int) != 1 for one in found):
            raise InputError(f"{self.source}: expected one number a row in each of {', '.join(names)}, given shapes {found}")
        given = self.shape(names)
        if int(np.prod(given, dtype=int)) != width or (len(given) > 1 and given != shape):
            raise InputError(
                f"{self.source}: expected {said(names)} to hold rows of shape {shape}, given"
                f" {given if len(names) == 1 else f'{len(names)} columns'}: choose the columns that belong to it, or give"
                " one array"
            )
        each = [wanted] if wanted is None or len(names) == 1 else [[unit] for unit in wanted]
        converters = [
            None if of is None else self.converter(name, of, units)
            for name, of in zip(names, each * (len(names) if wanted is None else 1), strict=True)
        ]
        if on_disk and any(part.on_disk for part in parts):
            return OnDisk([part.array for part in parts], converters, np.arange(n), shape)
        return joined([np.asarray(part.array[:]) for part in parts], converters).reshape(n, *shape)

    def converter(self, name: str, wanted: Sequence[str], units: Mapping[str, str] | None = None) -> Convert | None:
        """What converts a column to the unit of each element of its rows."""
        given = (units or {}).get(name, self.one(name).values.unit)
        return converter(given, wanted, f"{self.source}: {name}")

    def labels(self, name: str) -> np.ndarray:
        """Values (n,) of a column whatever they are, such as names of groups or classes."""
        found = self.one(name).values
        self._refuse_missing(name, found.missing)
        values = np.asarray(found.array[:])
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1 or values.dtype.kind not in "biufUSOT":
            raise InputError(f"{self.source}: expected one value a row in {name}, given {values.dtype} of shape {values.shape}")
        return values.astype(str) if values.dtype.kind in "SOT" else values

    def weights(self, name: str) -> np.ndarray:
        """Event weights (n,) of either sign; InputError for what is no finite number in every row."""
        values = self.labels(name)
        where = f"{self.source}: weights {name}"
        if values.dtype.kind not in "biuf":
            raise InputError(f"{where}: expected numbers, given {values.dtype}")
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{where}: expected a finite number in every row, given {values[row]} in row {row}")
        return values.astype(np.float64)

    def warn_of_weights(self, used: Collection[str | None]) -> None:
        """Warn of columns that are called as if rows did not count the same and are not used as weights.

        Parameters
        ----------
        used : collection of str
            Columns that are used for something else.
        """
        for name in self.columns:
            if name not in used and named_as_weights(name):
                warn(
                    f"{self.source}: the column {name} is left out and every row counts the same: name it with"
                    f" {option('weights', repr(name), name)} if it holds event weights"
                )

    def expect_unit(self, name: str, said: str) -> None:
        """Refuse a unit that is said of a column whose table says another."""
        unit = self.one(name).values.unit
        if unit is not None and not same_unit(unit, said):
            raise InputError(
                f"{self.source}: the column {name} has the unit {unit}, and {said} is said of it: leave out"
                f" {option('units', f'{{{name!r}: {said!r}}}', f'{name}={said}')} if the table is right, else correct the table"
            )

    def there(self) -> str:
        """The columns in a sentence."""
        names = list(self.columns)
        return "the columns " + (
            ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "") if names else "none"
        )

    def meant(self, tensor: Tensor) -> str:
        """A question, where columns are called nearly as a tensor or its elements: misspelled, or in the capitals of FITS."""
        short = {name.rpartition("/")[2].casefold(): name for name in self.columns}
        found = {
            wanted: short[near]
            for wanted in (tensor.name, *(tensor.labels or []))
            for near in difflib.get_close_matches(wanted.casefold(), short, n=1, cutoff=NEAR)
        }
        said = [f"{name} for {wanted}" for wanted, name in found.items()]
        return f"; did you mean {', '.join(said[:SHOWN])}?" if said else ""

    def _numbers(self, name: str, allow_missing: bool) -> Values:
        """Values of a column that are numbers; where some are missing, NaN or an error."""
        found = self.one(name).values
        if found.jagged:
            raise InputError(f"{self.source}: expected rows of one length in column {name}, given lists of several lengths")
        if found.array.dtype.kind not in "biuf":
            raise InputError(self._no_number(name, found.array))
        if found.missing is None or not found.missing.any():
            return found
        if not allow_missing:
            self._refuse_missing(name, found.missing)
        return Values(np.where(found.missing, np.nan, found.array), unit=found.unit)

    def _refuse_missing(self, name: str, missing: np.ndarray | None) -> None:
        if missing is not None and missing.any():
            row = int(np.argwhere(missing)[0][0])
            raise InputError(
                f"{self.source}: {np.count_nonzero(missing)} values of column {name} are missing, the first in row {row}:"
                " remove those rows, or leave the column out"
            )

    def _no_number(self, name: str, values: Any) -> str:
        """What to say of a column that holds no numbers, with the first row that does not."""
        said = f"{self.source}: expected numbers in column {name}, given {values.dtype}"
        for start in range(0, len(values), CHUNK) if values.dtype.kind in "USOT" else ():
            for row, value in enumerate(values[start : start + CHUNK], start):
                if not is_number(value):
                    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                    return f"{said}, in row {row} {text!r}: remove or correct that row, or leave the column out"
        return said


def _labeled(tensor: Tensor) -> list[list[str]]:
    """What columns of the elements of a tensor may be called by their labels; nothing where they have none."""
    labels = tensor.labels or []
    return [labels, [f"{tensor.name}_{label}" for label in labels]] if labels else []


def named_as_weights(name: str) -> bool:
    """Whether a column is called as if rows did not count the same.

    Parameters
    ----------
    name : str
        Its name, with that of its group where it has one.

    Returns
    -------
    bool
        Whether it is.
    """
    return WEIGHTS.fullmatch(name.rpartition("/")[2]) is not None


def is_number(value: Any) -> bool:
    """Whether a text reads as a number, an empty one as NaN.

    Parameters
    ----------
    value : object
        The text.

    Returns
    -------
    bool
        Whether it does.
    """
    try:
        float(value or "nan")
    except (TypeError, ValueError):
        return False
    return True


def said(names: Sequence[str]) -> str:
    """Columns in a sentence.

    Parameters
    ----------
    names : sequence of str
        Their names.

    Returns
    -------
    str
        The one name, or the first and the last.
    """
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
