"""Arrays from a file that may be anything."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from zoo.errors import IntegrityError


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a ``.npz`` by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    IntegrityError
        If it is damaged or holds Python objects, which are never unpickled.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise
    except (AttributeError, EOFError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path} is not a whole .npz of plain arrays: {error}") from error
