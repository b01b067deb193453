"""What a disk has left, asked before a long run and said where there is not enough."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from zoo.errors import FullDiskError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk, a user's share that is used up, and a file larger than the system lets it be."""
_NUMPY = re.compile(r"\d+ requested and \d+ written")


def is_full(error: OSError) -> bool:
    """Whether a write failed because there is no space for it; NumPy says so without the system's number."""
    return isinstance(error, FullDiskError) or error.errno in _FULL or bool(_NUMPY.search(str(error)))


def no_space(path: Path, written: int, error: OSError) -> FullDiskError:
    """The error of a disk that was full after so many bytes.

    Parameters
    ----------
    path : Path
        What could not be written; what was written of it is removed again.
    written : int
        Bytes that were written before there was no more space.
    error : OSError
        What the system said, or the same of a file in the folder.

    Returns
    -------
    FullDiskError
        Naming the path, the bytes that it takes and those that are free.
    """
    number, free = error.errno or errno.ENOSPC, free_bytes(path)
    if isinstance(error, FullDiskError):
        return FullDiskError(path, written + error.needed, free, error.reason)
    needed = max(written, free) if number == errno.ENOSPC else written  # a library may have removed what it wrote
    return FullDiskError(path, needed, free, os.strerror(number))


def expect_space(path: Path, needed: int) -> None:
    """Refuse to begin what would fill the disk.

    Parameters
    ----------
    path : Path
        What is going to be written; it need not be there yet.
    needed : int
        Bytes that it takes.

    Raises
    ------
    FullDiskError
        Fewer are free.
    """
    if (free := free_bytes(path)) < needed:
        raise FullDiskError(path, needed, free, os.strerror(errno.ENOSPC), exactly=True)


def free_bytes(path: Path) -> int:
    """Bytes that are free where a file or folder is, or would be."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
