"""Files and folders that appear whole or not at all, whatever kills the process or fills the disk."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zoo.errors import ExportError, FolderError


@contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file beside ``path`` that takes its name when the block ends well and is removed otherwise."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open(mode) as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def claim(marker: Path, settings: dict[str, Any], what: str) -> None:
    """Write in a folder with which settings its content is made, or see that they are those written there.

    Parameters
    ----------
    marker : JSON file in the folder
    settings : plain data
    what : lies in the folder, for the message

    Raises
    ------
    FolderError
        If the folder's are others.
    """
    if marker.exists():
        found = json.loads(marker.read_text())
        if differing := sorted(key for key in settings.keys() | found.keys() if settings.get(key) != found.get(key)):
            said = "; ".join(f"{key} {found.get(key)!r}, not {settings.get(key)!r}" for key in differing)
            raise FolderError(f"{marker.parent} holds {what} made with {said}: give another folder")
        return
    with whole_file(marker, "w") as file:
        json.dump(settings, file, indent=1)


@contextmanager
def whole_folder(target: Path, *, overwrite: bool, marker: str) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` that takes its name when the block ends well and is removed otherwise.

    A killed process leaves at most a hidden ``.<name>.<random>`` beside the target.

    Parameters
    ----------
    overwrite : replace what is there
    marker : file that a folder must hold to be replaced, so that nothing of the user's own is

    Raises
    ------
    ExportError
        When the target exists and may not be replaced, or cannot be written.
    """
    target = target.expanduser().resolve()
    if target.exists():
        if not overwrite:
            raise ExportError(f"{target} exists: choose a new folder, or pass overwrite=True to replace an earlier export")
        if not (target / marker).is_file():
            raise ExportError(f"{target} is no earlier export, it has no {marker}: only exports are overwritten")
    new, old = (target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}") for _ in range(2))
    try:
        new.mkdir(parents=True)
        yield new
        if target.exists():
            if not overwrite:
                raise ExportError(f"{target} has appeared meanwhile: choose a new folder")
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ExportError(f"{target} was not written: {error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
