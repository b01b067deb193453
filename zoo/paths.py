"""Paths as users write them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from zoo.errors import ZooError


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
    ZooError
        It begins with ``~`` and a name that no user has.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ZooError(
            f"{path}: there is no user of that name; for a folder that is called so write {'./' + str(path)!r}"
        ) from error
