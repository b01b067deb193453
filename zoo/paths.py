"""Paths as users write them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from zoo.errors import InputError, ZooError


def user_path(path: str | PathLike[str]) -> Path:
    """A path whose leading ``~`` is the folder of the user.

    Parameters
    ----------
    path : str or PathLike
        What was given.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    InputError
        It is no path.
    ZooError
        It begins with ``~`` and a name that no user has.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"expected a path, given {path!r}")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ZooError(
            f"{path}: there is no user of that name; for a folder that is called so write {'./' + str(path)!r}"
        ) from error


def expect_there(path: Path, expected: str) -> None:
    """Refuse a path at which nothing is, in the same words whatever was asked for.

    Parameters
    ----------
    path : Path
        What was given, as it is looked for.
    expected : str
        What should be there, such as "a recipe (.yaml)".

    Raises
    ------
    InputError
        There is no such file or folder.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder, expected {expected}")
