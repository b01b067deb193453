"""Arrays from a file that may be anything."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.spec import ElementTolerance, ModelSpec, Tolerance


def read_npz(path: Path, most: int | None = None) -> dict[str, np.ndarray]:
    """All arrays of a ``.npz`` by name.

    Parameters
    ----------
    path : Path
        The file.
    most : int, optional
        Bytes that the arrays may take in memory.

    Returns
    -------
    dict of str to ndarray
        The arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    IntegrityError
        If it is damaged, larger than is allowed, or holds an array twice or Python objects, which are never unpickled.
    """
    try:
        if most is not None:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
            if sum(member.file_size for member in members) > most:
                raise IntegrityError(f"{path}: expected arrays of at most {most} bytes, these are larger")
            if len({member.filename for member in members}) < len(members):
                raise IntegrityError(f"{path}: an array is in the file twice")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise
    except (AttributeError, EOFError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path} is not a whole .npz of plain arrays: {error}") from error


TestTensors = dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]
"""Inputs and expected outputs by tensor name, of each endpoint."""


def read_test_tensors(path: Path, spec: ModelSpec) -> TestTensors:
    """Read ``test_tensors.npz``; IntegrityError where a tensor of the spec is missing."""
    stored = read_npz(path)
    try:
        return {
            name: (
                {t.name: stored[f"{name}/in/{t.name}"] for t in endpoint.inputs},
                {t.name: stored[f"{name}/out/{t.name}"] for t in endpoint.outputs},
            )
            for name, endpoint in spec.endpoints.items()
        }
    except KeyError as error:
        raise IntegrityError(f"{path} does not hold the test tensors of {spec.name}: no {error}") from error


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
