"""Data that ship with the models: in a clone beside this module, else in an installed package such as ``physzoo-models``."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import ZooError
from zoo.model.registry import packages

FOLDER = Path(__file__).parent / "shipped"


def shipped_file(name: str) -> Path:
    """Where a shipped file lies.

    Parameters
    ----------
    name : str
        Name of the file.

    Returns
    -------
    Path
        Path of the file, whole and checked.

    Raises
    ------
    ZooError
        The file is not on this machine; the message says how to get it.
    """
    if (FOLDER / name).is_file():
        return FOLDER / name
    for _, package in packages():
        if (package / FOLDER.name / name).is_file():
            return package / FOLDER.name / name
    raise ZooError(f"{name} is not on this machine: pip install 'physzoo[models]'")
