"""Files and folders that appear whole or not at all, whatever kills the process or fills the disk.

What is being made lies beside its target under a hidden name, and is locked by the process that makes it. The system lifts the
lock when that process ends, however it ends: the next one that makes the same target so knows the remains of a killed one, and
removes them. A folder that is replaced changes places with the new one in one step where the system can do that. Where it
cannot, a kill between two renames leaves the old folder under a hidden name, and the next process puts it back.

Every file of the zoo that could replace another is written here. ``zoo.space`` says what a full disk lacks.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zoo.errors import ExportError, FolderError, FullDiskError, option
from zoo.paths import user_path
from zoo.space import bytes_below, is_full, no_space

try:
    import fcntl
except ImportError:  # Windows, where remains stay until somebody removes them
    fcntl = None  # type: ignore[assignment]

_PARTIAL, _NEW, _OLD = "part", "new", "old"
_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EPERM}
"""What a system or a file system says that knows no exchange."""


@contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file beside a path that takes its name when the block ends well and is removed otherwise.

    Parameters
    ----------
    path : Path
        The file to be written.
    mode : str
        Mode of the file, as ``open`` takes it.

    Yields
    ------
    IO
        The file that takes the content.

    Raises
    ------
    FullDiskError
        The disk is full; what was there before is as it was.
    """
    written = 0
    try:
        _remove_remains(path, _PARTIAL)
        with _being_made(path, _PARTIAL, Path.touch) as partial:
            try:
                with partial.open(mode, encoding=None if "b" in mode else "utf-8") as file:
                    yield file
                partial.replace(path)
            finally:
                written = partial.stat().st_size if partial.exists() else 0
                partial.unlink(missing_ok=True)
    except OSError as error:
        if not is_full(error):
            raise
        raise no_space(path, written, error) from error


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all, raising as :func:`whole_file` does; text is written in UTF-8, its line ends as given.

    Parameters
    ----------
    path : Path
        The file to be written.
    content : bytes or str
        All of it.
    """
    content = content.encode() if isinstance(content, str) else content
    try:
        with whole_file(path) as file:
            file.write(content)
    except FullDiskError as error:
        raise FullDiskError(path, len(content), error.free, error.reason, exactly=True) from error


@contextmanager
def whole_hdf5(path: Path) -> Iterator[Any]:
    """Make an HDF5 file in memory and write it whole or not at all, raising as :func:`whole_file` does.

    Parameters
    ----------
    path : Path
        The file to be written.

    Yields
    ------
    h5py.File
        What takes the content. HDF5 itself ends the process with a segmentation fault where a disk is full.
    """
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    write_whole(path, content.getvalue())


@contextmanager
def locked(lock: Path) -> Iterator[bool]:
    """Hold a lock against other processes; the system lets go of it when this one ends, however it ends.

    Parameters
    ----------
    lock : Path
        A file that is made where there is none, and stays.

    Yields
    ------
    bool
        False while another process holds it. Where a file system has no locks, nobody is kept out.
    """
    with lock.open("w") as file:
        held = True
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
            except OSError:  # no locks here
                pass
        yield held


def claim(marker: Path, settings: dict[str, Any], what: str) -> None:
    """Write in a folder with which settings its content is made, or see that they are those written there.

    Parameters
    ----------
    marker : Path
        A JSON file in the folder.
    settings : dict
        The settings, as plain data.
    what : str
        What lies in the folder, for the message.

    Raises
    ------
    FolderError
        The settings written there are others.
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
    """Make an empty folder beside a target that takes its name when the block ends well and is removed otherwise.

    Parameters
    ----------
    target : Path
        The folder to be made.
    overwrite : bool
        Whether what is there may be replaced.
    marker : str
        A file that a folder must hold to be replaced, so that nothing of the user's own is.

    Yields
    ------
    Path
        The empty folder.

    Raises
    ------
    ExportError
        The target exists and may not be replaced, or cannot be written.
    """
    target = user_path(target).resolve()
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        recover(target.parent, target.name)
        may_be_made(target, overwrite, marker)
        with folder_beside(target) as new:
            try:
                yield new
                _publish(new, target, overwrite)
            except OSError:
                written = bytes_below(new)
                raise
    except OSError as error:
        if is_full(error):
            raise no_space(target, written, error) from error
        raise ExportError(f"{target} was not written: {error}") from error


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """An empty folder beside a target, in which it is made, and which is removed at the end whatever it then holds.

    Parameters
    ----------
    target : Path
        What is to be made; the folder that it lies in is there.

    Yields
    ------
    Path
        The folder. Those of processes that were killed are removed first.
    """
    _remove_remains(target, _NEW)
    with _being_made(target, _NEW, Path.mkdir) as new:
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Give a finished folder the name of another, which then lies under the name that the finished one had.

    Parameters
    ----------
    new : Path
        The finished folder.
    target : Path
        The folder that it replaces. Killed between two renames, :func:`recover` puts it back.

    Raises
    ------
    OSError
        The system does not let it; nothing has happened then.
    """
    if exchange(new, target):
        return
    old = _hidden(target, _OLD)
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    old.rename(new)


def recover(folder: Path, name: str | None = None) -> None:
    """Put back what a kill between two renames of :func:`replace_folder` has left without its name.

    Parameters
    ----------
    folder : Path
        Where the targets lie.
    name : str, optional
        The name of one target; all by default.
    """
    for old, of in _remains(folder, _OLD, name):
        old.rename(_hidden(folder / of, _NEW) if (folder / of).exists() else folder / of)
        _remove_remains(folder / of, _NEW)


def exchange(one: Path, other: Path) -> bool:
    """Let two files or folders of one file system change places in a single step.

    Parameters
    ----------
    one, other : Path
        What is to change places; both exist.

    Returns
    -------
    bool
        Whether they did; False where the system cannot do it in one step, and then nothing has happened.

    Raises
    ------
    OSError
        The system can, but may not.
    """
    import ctypes  # a list of models, which writes nothing, should not wait for it

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


def may_be_made(target: Path, overwrite: bool, marker: str) -> None:
    """Refuse a folder that :func:`whole_folder` would refuse, by ExportError; its parameters are those."""
    if not target.exists():
        return
    if not overwrite:
        raise ExportError(f"{target} exists: choose a new folder, or replace it with {option('overwrite')}")
    if not (target / marker).is_file():
        raise ExportError(
            f"{target} holds no {marker}: something else has made it, and it is not replaced; choose a new folder"
        )


def _publish(new: Path, target: Path, overwrite: bool) -> None:
    """Give a finished folder its name; what had the name before then lies under the hidden one, to be removed."""
    if not target.exists():
        new.rename(target)
        return
    if not overwrite:
        raise ExportError(f"{target} has appeared meanwhile: choose a new folder")
    replace_folder(new, target)


def _hidden(target: Path, ending: str) -> Path:
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}.{ending}")


def _remains(folder: Path, ending: str, name: str | None = None) -> list[tuple[Path, str]]:
    """What lies in a folder under hidden names, and the names of which it is remains."""
    hidden = re.compile(rf"\.({'.+' if name is None else re.escape(name)})\.[0-9a-f]{{8}}\.{ending}", re.DOTALL)
    with os.scandir(folder) as entries:
        return [(Path(entry.path), match[1]) for entry in entries if (match := hidden.fullmatch(entry.name))]


def _remove_remains(target: Path, ending: str) -> None:
    """Remove what lies beside a target under its hidden names and is nobody's any more."""
    if fcntl is None:
        return
    for path, _ in _remains(target.parent, ending, target.name):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile: it hinders nobody
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # of a pipe the end would be waited for
            try:
                if _lock(descriptor, wait=False):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def _being_made(target: Path, ending: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make something beside a target under a hidden name, and keep its lock meanwhile."""
    descriptor = None
    while descriptor is None:
        path = _hidden(target, ending)
        make(path)
        if fcntl is None:
            yield path
            return
        with contextlib.suppress(FileNotFoundError):  # taken for remains, in the moment before it is locked: make another
            descriptor = os.open(path, os.O_RDONLY)
            _lock(descriptor)
            if not path.exists():
                os.close(descriptor)
                descriptor = None
    try:
        yield path
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file or folder until it is closed or the process ends.

    Parameters
    ----------
    descriptor : int
        The open file or folder.
    wait : bool
        Whether to wait while another process has the lock.

    Returns
    -------
    bool
        False where another has it, or where the file system has no locks: remains then stay, and nothing else is lost.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
