"""Arrays from a file that may be anything, and the test tensors of a model, which come as one."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.integrity import InMemory
from zoo.model.spec import ElementTolerance, ModelSpec, Tolerance

MOST_BYTES = 2**30
"""Bytes that the test tensors of a model may take in memory: a few rows, whatever they are of."""


def read_npz(source: Path | InMemory, most: int | None = None, *, prefix: str = "") -> dict[str, np.ndarray]:
    """All arrays of a ``.npz`` by name.

    Parameters
    ----------
    source : Path or InMemory
        The file.
    most : int, optional
        Bytes that its arrays may take in memory, where it may come from a stranger: a small file can hold a large one of zeros.
    prefix : str
        Only arrays whose names begin so are read.

    Returns
    -------
    dict of str to ndarray
        The arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    IntegrityError
        If it is damaged, announces more than it holds, or holds Python objects, which are never unpickled.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if len(members) < len(archive.infolist()):
                raise ValueError("an array is in it twice")
            if most is not None and (found := sum(member.file_size for member in members.values())) > most:
                raise ValueError(f"expected arrays of at most {most} bytes, these are {found}")
            wanted = [member for name, member in members.items() if name.startswith(prefix)]
            arrays = [_patiently(_array, archive, member) for member in wanted]
            return {member.filename.removesuffix(".npy"): array for member, array in zip(wanted, arrays, strict=True)}
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy have a dozen kinds of errors for what is damaged
        raise IntegrityError(f"{source} is not a whole .npz of plain arrays: {error}") from error


def _patiently(read: Callable[..., np.ndarray], *args: Any) -> np.ndarray:
    """What ``read`` finds, though other threads read headers at the same time.

    NumPy reads a header by Python's parser, and CPython 3.11 counts how deep it is for all threads together: now and then,
    where two are in it, it ends in a SystemError (python/cpython#106905). The file is whole, and is read again.
    """
    for _ in range(10):
        with contextlib.suppress(SystemError):
            return read(*args)
    return read(*args)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, once its header announces as many bytes as there are: NumPy takes the memory before it reads."""
    with archive.open(member) as stream:
        shape, dtype = _header(stream)
        announced, there = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
    if dtype.hasobject or not dtype.itemsize or announced != there:
        raise ValueError(f"{member.filename}: {dtype} {shape} in {there} bytes")
    with archive.open(member) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array; ValueError where there is no header."""
    try:
        version = np.lib.format.read_magic(stream)
        # Version 3 is version 2 with other letters in the names of fields, which matter to no size.
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except SystemError:
        raise
    except Exception as error:  # what is nested too deep is a MemoryError
        raise ValueError(f"no header of an array: {error}") from error
    return shape, dtype


TestTensors = dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]
"""Inputs and expected outputs by tensor name, of each endpoint."""


def read_test_tensors(source: Path | InMemory, spec: ModelSpec, endpoint: str | None = None) -> TestTensors:
    """Inputs of a model and the answers that it gave to them.

    Parameters
    ----------
    source : Path or InMemory
        Its ``test_tensors.npz``.
    spec : ModelSpec
        The model.
    endpoint : str, optional
        The only endpoint whose tensors are read; by default all.

    Returns
    -------
    dict of str to tuple of dict
        Inputs and outputs of each endpoint, by tensor name.

    Raises
    ------
    IntegrityError
        The file is damaged, or a tensor of the spec is missing, holds no numbers, or has no rows, or not as many as the others
        of its endpoint: a comparison with it would say nothing.
    """
    stored = _Stored(source, spec.name, read_npz(source, MOST_BYTES, prefix="" if endpoint is None else f"{endpoint}/"))
    return {
        name: (
            stored.rows(name, "in", [tensor.name for tensor in described.inputs]),
            stored.rows(name, "out", [tensor.name for tensor in described.outputs]),
        )
        for name, described in spec.endpoints.items()
        if endpoint in (None, name)
    }


class _Stored:
    def __init__(self, source: Path | InMemory, model: str, arrays: dict[str, np.ndarray]) -> None:
        self._where, self._arrays = f"{source} does not hold the test tensors of {model}", arrays
        self._counts: dict[str, int] = {}

    def rows(self, endpoint: str, side: str, names: list[str]) -> dict[str, np.ndarray]:
        found = {}
        for name in names:
            key = f"{endpoint}/{side}/{name}"
            if key not in self._arrays:
                raise IntegrityError(f"{self._where}: no {key}")
            array = self._arrays[key]
            if array.dtype.kind not in "fiub" or not array.ndim or not len(array):
                raise IntegrityError(f"{self._where}: {key}: expected rows of numbers, found {array.dtype} {array.shape}")
            if len(array) != (rows := self._counts.setdefault(endpoint, len(array))):
                raise IntegrityError(f"{self._where}: {key} has {len(array)} rows, others of {endpoint} have {rows}")
            found[name] = array
        return found


def excess(given: np.ndarray, expected: np.ndarray, tolerance: Tolerance | ElementTolerance) -> np.ndarray:
    """By how much each number differs by more than it may.

    Parameters
    ----------
    given : ndarray
        What a model answers.
    expected : ndarray
        What it should answer, of the same shape.
    tolerance : Tolerance or ElementTolerance
        The accepted difference of floating-point numbers; whole numbers and truth values are to be equal.

    Returns
    -------
    ndarray
        The excess of each element in double precision: at most 0 where it is accepted, infinite where a difference is no finite
        number.
    """
    if expected.dtype.kind != "f":
        return np.where(given == expected, 0.0, np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(given.astype(np.float64) - expected)
        accepted = np.asarray(tolerance.relative) * np.abs(expected.astype(np.float64)) + np.asarray(tolerance.absolute)
        beyond = difference - accepted
    return np.where(np.isfinite(difference), beyond, np.inf)
