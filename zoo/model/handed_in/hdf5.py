"""HDF5 files of h5py, astropy, PyTables and pandas as columns; large arrays stay on disk and are cut row by row."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from zoo.errors import InputError, ZooError
from zoo.model.handed_in.columns import Column
from zoo.model.handed_in.values import Values, unit_in, values_of

_META = ".__table_column_meta__"
"""What astropy calls the description of a table beside it."""
_PACKED = ("scale_factor", "add_offset")
"""Attributes of netCDF that say that the numbers are not the values."""
_SIMULATED_JETS = "physzoo jets"
"""How the format of a file of simulated jets begins, whose particles lie one after another, relative to their jets."""
_FILL = ("_FillValue", "missing_value")
"""Attributes of netCDF that name the number which stands for a missing value."""


class Cut:
    """A field of a compound data set, or a column of a block, that is read when rows are cut.

    Parameters
    ----------
    source : object
        What is cut, such as a data set.
    dtype : dtype
        The dtype of what comes out.
    shape : tuple of int
        Its shape.
    take : callable
        What of the rows that were cut it is.
    """

    def __init__(self, source: Any, dtype: np.dtype, shape: tuple[int, ...], take: Callable[[Any], Any]) -> None:
        self._source, self.dtype, self.shape, self._take = source, dtype, shape, take

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.asarray(self._take(self._source[rows]))


def read_hdf5(path: Path) -> dict[str, Column]:
    """Columns of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file, which stays open as long as its columns are there.

    Returns
    -------
    dict of str to Column
        Each array, and each field of a table, by its path in the file.

    Raises
    ------
    InputError
        It is no HDF5 file, or one of ``zoo simulate jets``.
    ZooError
        h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ZooError(f"{path}: HDF5 needs h5py, which is not installed: pip install h5py") from error
    columns: dict[str, Column] = {}

    def add(name: str, item: Any) -> None:
        frame = _is_frame(item.parent) if isinstance(item, h5py.Dataset) else False
        if isinstance(item, h5py.Group) and _is_frame(item):
            columns.update(_frame(path, name, item))
        elif isinstance(item, h5py.Dataset) and item.shape and not frame and "_i_" not in name and not name.endswith(_META):
            columns.update(_dataset(path, name, item))

    try:
        file = h5py.File(path, "r")
        if str(file.attrs.get("format", "")).startswith(_SIMULATED_JETS):
            raise InputError(
                f"{path} is a file of 'zoo simulate jets', which is packed: zoo.data.jets.from_simulation of it gives the"
                " particles that a model takes, which numpy.savez writes to an .npz"
            )
        file.visititems(add)
    except OSError as error:
        raise InputError(f"{path} is not a readable HDF5 file: {error}") from error
    return columns


def _dataset(path: Path, name: str, item: Any) -> dict[str, Column]:
    rows = int(item.shape[0])
    if item.external:
        return {name: _unread(rows, f"{path}: {name} lies in another file, which is not followed")}
    if item.dtype.names is None:
        return {name: Column(rows, lambda: _array(path, name, item))}
    if name + _META in item.file:
        return _of_astropy(path, name, item)
    return {f"{name}/{field}": column for field, column in _fields(path, name, item).items()}


def _array(path: Path, name: str, item: Any) -> Values:
    """One array, on disk where it is of plain numbers."""
    import h5py

    if any(word in item.attrs for word in _PACKED):
        raise InputError(
            f"{path}: {name} holds packed numbers ({', '.join(_PACKED)}): read it with xarray, and give its values"
        )
    unit = unit_in(item.attrs)
    if h5py.check_string_dtype(item.dtype) is not None:
        return Values(item.asstr()[:].astype(str))
    if item.dtype.kind == "O":
        inner = h5py.check_vlen_dtype(item.dtype)
        if inner is None or inner.kind not in "biuf" or "PSEUDOATOM" in item.attrs:
            raise InputError(f"{path}: {name} holds Python objects, which are never unpickled")
        return Values(values_of(item[:]).array, unit=unit)
    fill = next((item.attrs[word] for word in _FILL if word in item.attrs), None)
    if fill is None:
        return Values(item, unit=unit)
    array = item[:]
    return Values(array, array == np.asarray(fill).reshape(-1)[0], unit)


def _fields(path: Path, name: str, item: Any) -> dict[str, Column]:
    """Fields of a compound data set, as h5py, PyTables and pandas write tables."""
    rows = int(item.shape[0])
    found: dict[str, Column] = {}
    for place, (field, (dtype, *_)) in enumerate(item.dtype.fields.items()):
        kind = _text(item.attrs.get(f"{field}_dtype", b""))
        block = field.startswith("values_block_") and f"{field}_kind" in item.attrs
        names = (_pickled_names(item.attrs[f"{field}_kind"]) or []) if block else [field]
        if kind.startswith(("datetime", "timedelta")) or _text(item.attrs.get(f"{field}_meta", b"")) == "category":
            reason = f"holds {kind} of pandas, expected numbers: convert the column"
            found |= {title: _unread(rows, f"{path}: {name}/{title} {reason}") for title in names}
        elif block:
            for number, title in enumerate(names):
                take = partial(np.take, indices=number, axis=-1)
                found[title] = _cut(item.fields(field), dtype.base, (rows,), None, take)
        else:
            unit = next(
                (
                    _text(value)
                    for key, value in item.attrs.items()
                    if re.fullmatch(rf"(CTA)?FIELD_{place}_(ATTR_)?UNITS?|{re.escape(field)}_units?", key, re.IGNORECASE)
                ),
                None,
            )
            found[field] = _cut(item.fields(field), dtype.base, (rows, *dtype.shape), unit, np.asarray)
    return found


def _cut(source: Any, dtype: np.dtype, shape: tuple[int, ...], unit: str | None, take: Callable[[Any], Any]) -> Column:
    return Column(shape[0], lambda: Values(Cut(source, dtype, shape, take), unit=unit))


def _of_astropy(path: Path, name: str, item: Any) -> dict[str, Column]:
    """A table whose units and masks astropy has described beside it."""
    from zoo.model.handed_in.astropy_tables import astropy_table

    def read() -> Any:
        try:
            from astropy.table import Table
        except ImportError as error:
            raise ZooError(f"{path}: a table of astropy needs it, and it is not installed: pip install astropy") from error
        return Table.read(path, path=name, format="hdf5")

    names = [field for field in item.dtype.names if not field.endswith(".mask")]
    found = astropy_table(path, names, int(item.shape[0]), read)
    return {f"{name}/{field}": column for field, column in found.items()}


def _is_frame(group: Any) -> bool:
    return _text(group.attrs.get("pandas_type", b"")) == "frame"


def _frame(path: Path, name: str, group: Any) -> dict[str, Column]:
    """A data frame that pandas wrote with its format ``fixed``."""
    found = {}
    for block in range(int(group.attrs.get("nblocks", 0))):
        items, values = group[f"block{block}_items"], group[f"block{block}_values"]
        rows = len(group["axis1"]) if "axis1" in group else int(values.shape[0])
        for number, title in enumerate(items[:]):
            column = f"{name}/{_text(title)}"
            kind = _text(values.attrs.get("value_type", b""))
            if values.dtype.kind not in "biuf" or kind.startswith(("datetime", "timedelta")):
                found[column] = _unread(rows, f"{path}: {column} holds {kind or 'Python'} objects, which are never unpickled")
            else:
                take = partial(np.take, indices=number, axis=-1)
                found[column] = _cut(values, values.dtype, (rows,), None, take)
    return found


def _unread(rows: int, reason: str) -> Column:
    def refuse() -> NoReturn:
        raise InputError(reason)

    return Column(rows, refuse)


def _pickled_names(pickled: bytes) -> list[str] | None:
    """Names of columns that pandas has pickled as a list of texts, read from the opcodes; None of anything else."""
    names: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(bytes(pickled)):
            if opcode.name in ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE"):
                names.append(str(argument))
            elif opcode.name not in _PLAIN:
                return None
    except ValueError:
        return None
    return names


_PLAIN = {
    "MARK",
    "LIST",
    "EMPTY_LIST",
    "APPEND",
    "APPENDS",
    "PUT",
    "BINPUT",
    "LONG_BINPUT",
    "MEMOIZE",
    "PROTO",
    "FRAME",
    "STOP",
}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
