"""One array of a user's, of whatever library: its numbers, which of them are missing, and its unit.

A library is told by the module of the type, so that none is imported that the user has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.errors import InputError

_SPEAKING = ("mask", "unit", "units", "isna", "is_null")
"""Attributes of what says more than its numbers."""


@dataclass(frozen=True, eq=False)
class Values:
    """An array, and what its library says beside the numbers.

    Attributes
    ----------
    array : ndarray or array_like
        The numbers; of rows of different lengths, an array of arrays. What lies on disk is cut like an array.
    missing : ndarray of bool, optional
        Which of them are missing, of the shape of ``array``; what lies beneath means nothing.
    unit : object, optional
        The unit, as text or as astropy's.
    """

    array: Any
    missing: np.ndarray | None = None
    unit: Any = None

    @property
    def jagged(self) -> bool:
        """Whether the rows have different lengths."""
        array = self.array
        return isinstance(array, np.ndarray) and array.dtype == object and bool(len(array)) and isinstance(array[0], np.ndarray)

    @property
    def on_disk(self) -> bool:
        """Whether rows are read when they are cut."""
        return isinstance(self.array, np.memmap) or not isinstance(self.array, np.ndarray)


def values_of(given: Any) -> Values:
    """What was handed in as an array, with its mask and its unit.

    Parameters
    ----------
    given : array_like
        An array, a list, values; a column or quantity of pandas, astropy, pyarrow, polars, awkward, pint, unyt, xarray or h5py.

    Returns
    -------
    Values
        Numbers in memory.

    Raises
    ------
    InputError
        It is no array.
    """
    if isinstance(given, Values):
        return replace(given, array=np.asarray(given.array[...])) if given.on_disk else given
    if type(given) is np.ndarray:
        return _settled(Values(given))
    packages = {base.__module__.partition(".")[0] for base in type(given).__mro__}
    for package, read in _READERS.items():
        if package in packages:
            return _settled(read(given))
    if isinstance(given, np.ma.MaskedArray):
        unit = getattr(given, "units", getattr(given.data, "unit", None))  # of a quantity beneath, which numpy leaves there
        return _settled(Values(np.asarray(given.data), np.ma.getmaskarray(given), unit))
    if isinstance(given, list | tuple):
        return _settled(Values(_of_list(given)))
    if hasattr(given, "magnitude") and hasattr(given, "units"):  # pint, which may hold a masked array
        return replace(values_of(given.magnitude), unit=f"{given.units:~}" or "1")
    return _settled(Values(_array(given), unit=_unit(given)))


def unit_in(attributes: Any) -> str | None:
    """The unit among the attributes of a data set.

    Parameters
    ----------
    attributes : mapping of str to object
        The attributes.

    Returns
    -------
    str or None
        What ``unit`` or ``units`` says, None without one.
    """
    found = next((attributes[key] for key in ("unit", "units") if key in attributes), None)
    return found.decode(errors="replace") if isinstance(found, bytes) else None if found is None else str(found)


def _unit(given: Any) -> Any:
    if hasattr(given, "units"):  # unyt
        return str(given.units)
    attributes = getattr(given, "attrs", None)  # h5py, xarray, zarr
    return None if attributes is None else unit_in(attributes)


def _array(given: Any) -> np.ndarray:
    """The numbers of an object that numpy can read."""
    try:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)  # of torch
    except Exception as error:  # the errors of tracers and lazy arrays share no base
        raise InputError(
            f"expected an array, given {type(given).__module__}.{type(given).__name__}, which cannot be read as numbers"
            f" ({str(error).splitlines()[0] if str(error) else type(error).__name__}); inside a traced function, call the"
            " model's own method"
        ) from error


def _of_list(given: Any) -> np.ndarray:
    """A list of numbers or of rows, whose elements have no mask and no unit of their own."""
    for element in _leaves(given):
        if any(hasattr(element, word) for word in _SPEAKING):
            raise InputError(
                f"expected an array, given a list of {type(element).__name__}, whose masks and units a list has no place for:"
                " make one array of them with the same library"
            )
    try:
        return np.asarray(given)
    except ValueError:
        return _rows([np.asarray(row) for row in given])


def _leaves(given: Any) -> Iterator[Any]:
    for element in given:
        if isinstance(element, list | tuple):
            yield from _leaves(element)
        elif type(element) not in (float, int, bool, str, np.ndarray):
            yield element


def padded(rows: Iterable[Any], what: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of several lengths as one array, zero where nothing is, and which of its elements are real.

    Parameters
    ----------
    rows : iterable of ndarray
        The rows, which differ in the length of their first axis only.
    what : str
        What they are, for messages.

    Returns
    -------
    array : ndarray of shape (n, length, ...)
        The padded rows.
    mask : ndarray of shape (n, length)
        True for real elements.

    Raises
    ------
    InputError
        The rows differ in other axes too.
    """
    arrays = [np.asarray(row) for row in rows]
    if len({row.shape[1:] for row in arrays}) != 1:
        raise InputError(f"{what}: expected rows that differ in the length of their first axis only")
    counts = np.array([len(row) for row in arrays])
    flat = np.concatenate(arrays)
    mask = np.arange(counts.max()) < counts[:, None]
    array = np.zeros((*mask.shape, *flat.shape[1:]), flat.dtype)
    array[mask] = flat
    return array, mask


def unpadded(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Rows without their padding.

    Parameters
    ----------
    array : ndarray of shape (n, length, ...)
        Padded rows.
    mask : ndarray of shape (n, length)
        Which elements are real.

    Returns
    -------
    ndarray of shape (n,)
        An array of arrays, one for each row.
    """
    return _rows([row[real] for row, real in zip(array, mask, strict=True)])


def _rows(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as an array of arrays."""
    found = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        found[place] = row
    return found


def _settled(values: Values) -> Values:
    """Values of an array of objects: numbers with some missing, or rows, of one length or of several."""
    array = values.array
    if not (isinstance(array, np.ndarray) and array.dtype == object and array.size):
        return values
    absent = np.array([element is None or type(element).__name__ == "NAType" for element in array.flat]).reshape(array.shape)
    present = array[~absent]
    if (
        array.ndim == 1
        and len(present)
        and all(isinstance(element, list | np.ndarray) and np.ndim(element) for element in present)
    ):
        if absent.any():
            raise InputError(f"{np.count_nonzero(absent)} values are missing, the first in row {int(absent.argmax())}")
        rows = [np.asarray(element) for element in array]
        same = len({row.shape for row in rows}) == 1
        return replace(values, array=np.stack(rows) if same else _rows(rows))
    if all(isinstance(element, int | float | np.number | np.bool) for element in present):
        kind = np.result_type(*set(map(type, present))) if len(present) else np.float64
        filled = array.copy()
        filled[absent] = 0
        missing = absent if values.missing is None else absent | values.missing
        return replace(values, array=filled.astype(kind), missing=missing)
    return replace(values, missing=absent if absent.any() else values.missing)


def _astropy(given: Any) -> Values:
    bare = getattr(given, "unmasked", given)
    if not isinstance(bare, np.ndarray):
        raise InputError(f"expected numbers, given {type(given).__name__}: hand in the quantity that you mean")
    missing = getattr(given, "mask", None)
    array = np.asarray(np.ma.getdata(bare) if isinstance(bare, np.ma.MaskedArray) else bare)
    return Values(array, None if missing is None else np.broadcast_to(missing, array.shape), getattr(given, "unit", None))


def _pandas(given: Any) -> Values:
    if not hasattr(given, "isna"):  # a single value, such as pandas.NA
        return Values(np.asarray(given, dtype=object))
    missing = np.asarray(given.isna())
    unit = unit_in(getattr(given, "attrs", {}))
    dtype = getattr(given.dtype, "numpy_dtype", None)  # of columns that can have missing whole numbers
    if dtype is None or dtype.kind not in "biuf":
        return Values(given.to_numpy(), missing, unit)
    return Values(given.to_numpy(dtype=dtype, **({"na_value": dtype.type(0)} if missing.any() else {})), missing, unit)


def _pyarrow(given: Any) -> Values:
    import pyarrow as pa

    column = given if isinstance(given, pa.ChunkedArray) else pa.chunked_array([given])
    missing = column.is_null().to_numpy() if column.null_count else None
    if missing is not None and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        column = column.fill_null(pa.scalar(False if pa.types.is_boolean(column.type) else 0, column.type))
    return Values(column.to_numpy(), missing)


def _polars(given: Any) -> Values:
    missing = given.is_null().to_numpy() if given.null_count() else None
    filled = given.fill_null(strategy="zero") if missing is not None and given.dtype.is_numeric() else given
    return Values(filled.to_numpy(), missing)


def _awkward(given: Any) -> Values:
    import awkward

    try:
        array = awkward.to_numpy(given)
    except ValueError:
        try:
            flat = awkward.to_numpy(awkward.flatten(given))
            ends = np.cumsum(awkward.to_numpy(awkward.num(given)))
        except ValueError as error:
            raise InputError(f"expected numbers, or a list of numbers in each row, given {given.type}") from error
        if np.ma.getmaskarray(flat).any():
            row = int(np.searchsorted(ends, np.ma.getmaskarray(flat).argmax(), side="right"))
            raise InputError(f"values are missing, the first in row {row}") from None
        return Values(_rows(np.split(np.asarray(flat), ends[:-1])))
    return Values(np.ma.getdata(array), np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None)


def _uproot(given: Any) -> Values:
    return _awkward(given.array(library="ak"))


_READERS = {
    "uproot": _uproot,
    "astropy": _astropy,
    "pandas": _pandas,
    "pyarrow": _pyarrow,
    "polars": _polars,
    "awkward": _awkward,
}
