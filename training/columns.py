"""A user's data by column: arrays, ``.npz``, HDF5, a folder of ``.npy``, Parquet or CSV, with units where they are given.

HDF5 and ``.npy`` stay on disk and are cut row by row, so that they may be larger than memory.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, UnknownNameError, ZooError
from zoo.model.test_tensors import read_npz

SUFFIXES = ".csv, .npz, .h5, .hdf5, .parquet, or a folder of .npy files"
CHUNK = 2**20
"""Numbers of a column on disk that are looked at together."""


@dataclass(frozen=True)
class Column:
    """One named array (n, ...), in memory or on disk, and its unit where the file says it."""

    values: Any
    unit: str | None = None


class OnDisk:
    """Rows of arrays that stay on disk, cut as they are asked for, as float32 (n, *shape).

    Parameters
    ----------
    sources : sequence of object
        One array (m, *shape), or one (m,) for each element of a row.
    factors : sequence of float
        Number by which the unit of each source is multiplied.
    rows : ndarray of shape (n,)
        Which of the m rows these are.
    shape : tuple of int
        Shape of a row.
    """

    def __init__(self, sources: Sequence[Any], factors: Sequence[float], rows: np.ndarray, shape: tuple[int, ...]) -> None:
        self.sources, self.factors, self.rows = list(sources), list(factors), rows
        self.shape = (len(rows), *shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, back = np.unique(self.rows[index], return_inverse=True)  # h5py takes rising indices only
        parts = [
            np.asarray(source[rows], np.float32) * np.float32(f) for source, f in zip(self.sources, self.factors, strict=True)
        ]
        read = parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)
        return read[back].reshape(-1, *self.shape[1:])

    def of(self, rows: np.ndarray) -> OnDisk:
        """Some of its rows."""
        return OnDisk(self.sources, self.factors, self.rows[rows], self.shape[1:])


class Columns:
    """What a file or arrays hold, by name.

    Parameters
    ----------
    columns : mapping of str to Column
        Columns by name, all of the same number of rows.
    source : str
        What to call them in messages and on the card.
    sha256 : str, optional
        Hash of the file, None where it is not one file.
    """

    def __init__(self, columns: Mapping[str, Column], source: str, sha256: str | None = None) -> None:
        self.columns, self.source, self.sha256 = dict(columns), source, sha256
        for name, column in self.columns.items():
            if not np.shape(column.values):
                raise InputError(f"{source}: {name} is a single value, expected an array with a row for each row of data")
        lengths = {name: len(column.values) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise InputError(f"{source}: expected columns of the same number of rows, given {said}")
        self.n = next(iter(lengths.values()), 0)

    def one(self, name: str) -> Column:
        """A column by name; UnknownNameError with the nearest names."""
        if name not in self.columns:
            raise UnknownNameError(f"column of {self.source}", name, self.columns)
        return self.columns[name]

    def find(self, name: str, chosen: Sequence[str] | None = None) -> list[str] | None:
        """Names of the columns that make a tensor: those chosen, one of its name, or all of ``name_0``, ``name_1``, ...

        Returns
        -------
        list of str or None
            The names, or None where there are none.

        Raises
        ------
        UnknownNameError
            If a chosen column is missing, or one between the numbered ones.
        """
        if chosen:
            return [name for name in chosen if self.one(name)]
        if name in self.columns:
            return [name]
        if f"{name}_0" not in self.columns:
            return None
        numbered = sum(bool(re.fullmatch(rf"{re.escape(name)}_\d+", other)) for other in self.columns)
        return [name for name in (f"{name}_{i}" for i in range(numbered)) if self.one(name)]

    def shape(self, names: Sequence[str]) -> tuple[int, ...]:
        """Shape of a row of one column, or of several that hold a number each."""
        return tuple(np.shape(self.columns[names[0]].values)[1:]) if len(names) == 1 else (len(names),)

    def array(self, names: Sequence[str], shape: tuple[int, ...], unit: str | None, units: Mapping[str, str]) -> Any:
        """Columns as one tensor (n, *shape) in ``unit``: float32 in memory, or :class:`OnDisk`.

        Parameters
        ----------
        unit : str, optional
            Unit that is wanted, None to take the columns as they are.
        units : mapping of str to str
            Units of columns, over those that the file gives.

        Raises
        ------
        InputError
            Columns have another width, are no numbers, or have a unit that cannot be converted.
        """
        columns = [self.columns[name] for name in names]
        width = int(np.prod(shape, dtype=int))
        for name, column in zip(names, columns, strict=True):
            self._expect_numbers(name, column.values)
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
        factors = [
            1.0 if unit is None else factor(units.get(name, column.unit), unit, f"{self.source}: {name}")
            for name, column in zip(names, columns, strict=True)
        ]
        sources = [column.values for column in columns]
        if any(isinstance(source, np.memmap) or not isinstance(source, np.ndarray) for source in sources):
            return OnDisk(sources, factors, np.arange(self.n), shape)
        parts = [(source * f).astype(np.float32) for source, f in zip(sources, factors, strict=True)]
        return (parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)).reshape(self.n, *shape)

    def labels(self, name: str) -> np.ndarray:
        """Values (n,) of a column whatever they are, such as names of groups or classes."""
        values = np.asarray(self.one(name).values[:])
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1 or values.dtype.kind not in "biufUSO":
            raise InputError(f"{self.source}: expected one value a row in {name}, given {values.dtype} of shape {values.shape}")
        return values.astype(str) if values.dtype.kind in "SO" else values

    def _expect_numbers(self, name: str, values: Any) -> None:
        if values.dtype.kind in "biuf":
            return
        said = f"{self.source}: expected numbers in column {name}, given {values.dtype}"
        for start in range(0, len(values), CHUNK) if values.dtype.kind in "USO" else ():
            for row, value in enumerate(values[start : start + CHUNK], start):
                if not _is_number(value):
                    raise InputError(
                        f"{said}, in row {row} {_text(value)!r}: remove or correct that row, or leave the column out"
                    )
        raise InputError(said)


def read_columns(data: Any) -> Columns:
    """Columns of a path, or of arrays by name (a dict, a data frame).

    Raises
    ------
    InputError
        The file is of another kind or cannot be read.
    """
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        readers = {".csv": _csv, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".parquet": _parquet}
        if path.is_dir() and any(path.glob("*.npy")):
            return Columns({file.stem: Column(_mapped(file)) for file in sorted(path.glob("*.npy"))}, str(path))
        if path.suffix not in readers:
            raise InputError(f"{path}: expected data as {SUFFIXES}")
        if not path.is_file():
            raise InputError(f"{path}: there is no such file, expected data as {SUFFIXES}")
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return Columns(readers[path.suffix](path), str(path), sha256)
    if not (hasattr(data, "keys") and hasattr(data, "__getitem__")):
        raise InputError(f"expected data as a path ({SUFFIXES}), arrays by name or a data set, given {type(data).__name__}")
    return Columns({str(name): Column(_plain(data[name])) for name in data.keys()}, "arrays")  # noqa: SIM118 - data frames


def _plain(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) or hasattr(values, "chunks") else np.asarray(values)


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a .npy of plain numbers: {error}") from error


def _npz(path: Path) -> dict[str, Column]:
    return {name: Column(array) for name, array in read_npz(path).items()}


def _hdf5(path: Path) -> dict[str, Column]:
    import h5py

    columns: dict[str, Column] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            unit = next((_text(item.attrs[key]) for key in ("unit", "units") if key in item.attrs), None)
            columns[name] = Column(item, unit)

    try:
        h5py.File(path, "r").visititems(add)  # open as long as its arrays are
    except OSError as error:
        raise InputError(f"{path} is not a readable HDF5 file: {error}") from error
    return columns


def _parquet(path: Path) -> dict[str, Column]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ZooError(f"{path}: Parquet needs pyarrow, which is not installed: pip install pyarrow") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error
    columns = {}
    for field in table.schema:
        values = table[field.name].to_numpy()
        if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
            if len({len(row) for row in values}) > 1:
                raise InputError(f"{path}: expected lists of the same length in every row of {field.name}")
            values = np.stack(values)
        columns[field.name] = Column(values, (field.metadata or {}).get(b"unit", b"").decode() or None)
    return columns


def _csv(path: Path) -> dict[str, Column]:
    """A header of names, each with its unit in brackets or without one, and lines of as many values."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            header, *lines = (line for line in csv.reader(stream) if line)
        except ValueError as error:
            raise InputError(f"{path} is empty: expected a line of column names, then a line for each row") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a CSV in UTF-8: {error}") from error
    if all(_is_number(name) for name in header):
        raise InputError(f"{path}: expected a first line of column names, given numbers: {', '.join(header[:5])}")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise InputError(f"{path}: line {number} has {len(line)} values, expected {len(header)} as in the header")
    columns: dict[str, Column] = {}
    for place, title in enumerate(header):
        match = re.fullmatch(r"(.*?)\s*(?:\[(.*)\])?", title.strip())
        assert match is not None  # it fits any text
        if match[1] in columns:
            raise InputError(f"{path}: two columns are named {match[1]!r}: rename one of them")
        texts = [line[place].strip() for line in lines]
        columns[match[1]] = Column(_numbers(texts), match[2])
    return columns


def _numbers(texts: list[str]) -> np.ndarray:
    """Values as float64, empty fields NaN; as text where one is no number."""
    try:
        return np.array([text or "nan" for text in texts], dtype=np.float64)
    except ValueError:
        return np.array(texts)


def _is_number(value: Any) -> bool:
    try:
        float(value or "nan")
    except (TypeError, ValueError):
        return False
    return True


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def said(names: Sequence[str]) -> str:
    """Columns in a sentence."""
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def factor(given: str | None, wanted: str, where: str) -> float:
    """What a number in one unit is multiplied by to be in another; 1 where none is given or both are the same text.

    Raises
    ------
    InputError
        If astropy knows one of them not, or no way between them.
    ZooError
        If they differ and astropy is not installed.
    """
    if given is None or given.strip() == wanted:
        return 1.0
    try:
        from astropy import units
    except ImportError as error:
        raise ZooError(f"{where}: {given} to {wanted} needs astropy, which is not installed: pip install astropy") from error
    try:
        # "mu" is how cards write the prefix that astropy calls "u"
        first, second = (units.Unit(re.sub(r"\bmu(?=[A-Za-z])", "u", text)) for text in (given, wanted))
        return float(first.to(second))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where}: expected {wanted}, given {given}, between which astropy.units knows no way"
            f" ({' '.join(str(error).split())}): convert the column, or name its unit {wanted!r} if it is the same"
        ) from error
