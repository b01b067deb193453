"""Files of a user as columns: CSV, ECSV, ``.npz``, ``.npy``, HDF5, FITS, ROOT and Parquet, with units where they are given.

Files may come from anyone: nothing in them is unpickled. Of a file, that is read which is asked for.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, needs_library
from zoo.model.handed_in.astropy_tables import astropy_table
from zoo.model.handed_in.columns import Column, Columns, is_number
from zoo.model.handed_in.fits import read_fits, read_image
from zoo.model.handed_in.hdf5 import read_hdf5
from zoo.model.handed_in.tables import columns_of, is_table
from zoo.model.handed_in.values import Values, values_of
from zoo.model.test_tensors import read_npz
from zoo.paths import expect_there, user_path

Found = dict[str, Column]


def read_columns(data: Any) -> Columns:
    """Columns of a path, of a table, or of arrays by name.

    Parameters
    ----------
    data : path, mapping or object
        A file of one of `SUFFIXES`, a folder of ``.npy`` files, arrays by name, or a data frame or table with columns.

    Returns
    -------
    Columns
        The columns.

    Raises
    ------
    InputError
        The file is of another kind or cannot be read.
    ZooError
        A library that reads it is not installed.
    """
    if isinstance(data, Columns):
        return data
    if not isinstance(data, str | Path):
        if is_table(data) or (hasattr(data, "keys") and hasattr(data, "__getitem__")):
            return columns_of(data, "arrays")
        raise InputError(f"expected data as a path ({SUFFIXES}), arrays by name or a data set, given {type(data).__name__}")
    path = user_path(data)
    expect_there(path, f"data as {SUFFIXES}")
    if path.is_dir() and any(path.glob("*.npy")):
        return columns_of({file.stem: read_npy(file, True) for file in sorted(path.glob("*.npy"))}, str(path))
    if path.suffix not in READERS or not path.is_file():
        raise InputError(f"{path}: expected data as {SUFFIXES}")
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Columns(READERS[path.suffix](path), str(path), sha256)


def one_name(tables: Mapping[str, Found]) -> Found:
    """Columns of the tables of a file, called by their table where there are several.

    Parameters
    ----------
    tables : mapping of str to dict
        Columns by the name of their table.

    Returns
    -------
    dict of str to Column
        The columns by one name each.
    """
    if len(tables) == 1:
        return next(iter(tables.values()))
    return {f"{table}/{name}": column for table, columns in tables.items() for name, column in columns.items()}


def read_npy(path: Path, on_disk: bool = False) -> np.ndarray:
    """The array of a ``.npy``.

    Parameters
    ----------
    path : Path
        The file.
    on_disk : bool
        Whether it stays on disk and is cut there.

    Returns
    -------
    ndarray
        The array.

    Raises
    ------
    InputError
        There is no such file, it is no ``.npy`` or holds Python objects, which are never unpickled.
    """
    expect_there(path, f"data as {SUFFIXES}, or a .npy of one tensor")
    try:
        found: np.ndarray = np.load(path, mmap_mode="r" if on_disk else None, allow_pickle=False)
    except (ValueError, EOFError, IsADirectoryError) as error:
        raise InputError(f"{path} is not a .npy of plain numbers: {error}") from error
    return found


def read_array(path: Path) -> np.ndarray | Values | None:
    """The one array of a file that gives it no name: a ``.npy``, or a FITS file with an image and no table.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    ndarray, Values or None
        The array, of an image with its unit; None of a file of columns, which `read_columns` takes.

    Raises
    ------
    InputError
        There is no such file, it cannot be read, or has several images.
    ZooError
        A library that reads it is not installed.
    """
    if path.suffix == ".npy":
        return read_npy(path)
    return read_image(path) if READERS.get(path.suffix) is _fits and path.is_file() else None


def _npy(path: Path) -> Found:
    array = read_npy(path, True)
    if not array.dtype.names:
        raise InputError(f"{path}: expected columns with names, given one array without: write a .npz of arrays by name")
    return columns_of(array, str(path)).columns


def _npz(path: Path) -> Found:
    found: Found = {}
    for name, array in read_npz(path).items():
        if array.dtype.names:
            found |= {f"{name}/{field}": column for field, column in columns_of(array, str(path)).columns.items()}
        else:
            found |= columns_of({name: array}, str(path)).columns
    return found


def _fits(path: Path) -> Found:
    return one_name(read_fits(path))


def _ecsv(path: Path) -> Found:
    try:
        from astropy.table import Table
    except ImportError as error:
        raise needs_library(path, "astropy") from error
    try:
        table = Table.read(path, format="ascii.ecsv")
    except Exception as error:  # astropy's own and those of the YAML in the header
        raise InputError(f"{path} is not a readable ECSV file: {str(error).splitlines()[0]}") from error
    return astropy_table(path, table.colnames, len(table), lambda: table)


def _root(path: Path) -> Found:
    return one_name(root_trees(path))


def root_trees(path: Path) -> dict[str, Found]:
    """Columns of each tree of a ROOT file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to dict
        Branches by the name of their tree or RNTuple, of which there is at least one.

    Raises
    ------
    InputError
        It is no ROOT file, or has no tree.
    ZooError
        uproot is not installed.
    """
    try:
        import uproot
    except ImportError as error:
        raise needs_library(path, "uproot") from error
    try:
        file = uproot.open(path)
        kinds = {
            name: kind
            for name, kind in file.classnames(cycle=False).items()
            if kind in ("TTree", "TNtuple", "TNtupleD") or kind.endswith("RNTuple")
        }
        tables = {name: _branches(path, file[name]) for name in kinds}
    except (OSError, ValueError, KeyError, TypeError, uproot.DeserializationError) as error:
        raise InputError(f"{path} is not a readable ROOT file: {str(error).splitlines()[0]}") from error
    if not tables:
        raise InputError(f"{path}: expected a tree, given {', '.join(file.keys(cycle=False)) or 'an empty file'}")
    return tables


def _branches(path: Path, tree: Any) -> Found:
    def branch(name: str) -> Values:
        try:
            return values_of(tree[name].array(library="ak"))
        except Exception as error:  # what uproot raises of a branch that it cannot interpret has no base
            raise InputError(f"{path}: branch {name} cannot be read as numbers: {str(error).splitlines()[0]}") from error

    rows = int(tree.num_entries)
    return {name: Column(rows, lambda name=name: branch(name)) for name in tree.keys()}  # type: ignore[misc]  # noqa: SIM118


def _parquet(path: Path) -> Found:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise needs_library(path, "pyarrow") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error
    if b"table_meta_yaml" in (table.schema.metadata or {}):  # by astropy, with masks as columns and units in the metadata
        from astropy.table import Table

        names = [name for name in table.column_names if not name.endswith(".mask")]
        return astropy_table(path, names, table.num_rows, lambda: Table.read(path, format="parquet"))
    return columns_of(table, str(path)).columns


def _csv(path: Path) -> Found:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            header, *lines = (line for line in csv.reader(stream) if line)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a CSV in UTF-8: {error}") from error
        except ValueError as error:
            raise InputError(f"{path} is empty: expected a line of column names, then a line for each row") from error
    if header[0].startswith("# %ECSV"):
        return _ecsv(path)
    if all(is_number(name) for name in header):
        raise InputError(f"{path}: expected a first line of column names, given numbers: {', '.join(header[:5])}")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise InputError(f"{path}: line {number} has {len(line)} values, expected {len(header)} as in the header")
    columns: Found = {}
    for place, title in enumerate(header):
        match = re.fullmatch(r"(.*?)\s*(?:\[(.*)\])?", title.strip())
        assert match is not None  # it fits any text
        if match[1] in columns:
            raise InputError(f"{path}: two columns are named {match[1]!r}: rename one of them")
        values = Values(_numbers([line[place].strip() for line in lines]), unit=match[2])
        columns[match[1]] = Column(len(lines), lambda values=values: values)  # type: ignore[misc]
    return columns


def _numbers(texts: list[str]) -> np.ndarray:
    """Values as float64, empty fields NaN; as text where one is no number."""
    try:
        return np.array([text or "nan" for text in texts], dtype=np.float64)
    except ValueError:
        return np.array(texts)


READERS: dict[str, Callable[[Path], Found]] = {
    ".csv": _csv,
    ".ecsv": _ecsv,
    ".npz": _npz,
    ".npy": _npy,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".hdf": read_hdf5,
    ".fits": _fits,
    ".fit": _fits,
    ".root": _root,
    ".parquet": _parquet,
}
"""What reads a file, by its suffix."""
SUFFIXES = ".csv, .npz, .h5, .hdf5, .fits, .ecsv, .root, .parquet, or a folder of .npy files"
"""Kinds of files, for messages."""
