"""Whether a file is the one that a spec describes."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

from zoo.errors import IntegrityError
from zoo.model.spec import File

_verified: set[tuple[Path, int, int, str]] = set()
MOST_BYTES = 2**31
"""Bytes of the largest file that is read: protobuf holds no more in a graph, and weights have tens of megabytes."""


class InMemory(io.BytesIO):
    """A file in memory, which messages name, and by whose name Keras tells what is to be in it.

    Parameters
    ----------
    name : str or Path
        The name of the file, or where it was read.
    content : bytes
        What is in it.
    """

    def __init__(self, name: str | Path, content: bytes = b"") -> None:
        super().__init__(content)
        self._name = str(name)

    def __str__(self) -> str:
        return self._name


def checked(local: Path, file: File, inside: Path | None) -> Path:
    """The path of a file, once its size and sha256 are those of the spec.

    Parameters
    ----------
    local : Path
        Where the file lies.
    file : File
        What the spec says of it.
    inside : Path or None
        The folder that the file may not leave by a link; None for what was installed with physzoo.

    Returns
    -------
    Path
        The path as given.

    Raises
    ------
    IntegrityError
        The file is missing, is a link that leaves the folder, or is not the one described.
    """
    refuse_link_out(local, inside)
    if fault := file_fault(local, file.sha256, file.bytes):
        raise IntegrityError(f"{local}: {fault}: copy the model's folder again, or release the model anew if you changed it")
    return local


def refuse_link_out(local: Path, inside: Path | None) -> None:
    """Refuse a file that lies elsewhere than it seems.

    Parameters
    ----------
    local : Path
        Where the file seems to lie.
    inside : Path or None
        The folder that it may not leave by a link; None for what was installed with physzoo.

    Raises
    ------
    IntegrityError
        It is a link that leaves the folder, or into a circle.
    """
    try:
        leaves = inside is not None and not local.resolve().is_relative_to(inside.resolve())
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, in Python 3.11
        raise IntegrityError(f"{local} cannot be read: {error}") from error
    if leaves:
        raise IntegrityError(f"{local} is a link that leaves the model's folder: put the file itself there")


def read(local: Path, file: File, inside: Path | None) -> InMemory:
    """A file whose bytes have the size and sha256 of the spec, whatever becomes of it on the disk meanwhile.

    Parameters
    ----------
    local : Path
        Where the file lies.
    file : File
        What the spec says of it.
    inside : Path or None
        The folder that the file may not leave by a link; None for what was installed with physzoo.

    Returns
    -------
    InMemory
        All of it.

    Raises
    ------
    IntegrityError
        As ``checked`` does.
    """
    refuse_link_out(local, inside)
    try:
        found = read_bounded(local, min(file.bytes, MOST_BYTES))
    except IntegrityError:
        found = b""
    if len(found) != file.bytes or hashlib.sha256(found).hexdigest() != file.sha256:
        checked(local, file, inside)  # says what is wrong
        raise IntegrityError(f"{local} changed while it was read: open the model again")
    return InMemory(local, found)


def file_fault(local: Path, sha256: str, size: int | None = None) -> str | None:
    """What is wrong with a file; it is hashed once in a process as long as it is unchanged.

    Parameters
    ----------
    local : Path
        Where the file lies.
    sha256 : str
        The hash that it should have.
    size : int, optional
        The number of bytes that it should have.

    Returns
    -------
    str or None
        The fault in words, None where the file is the one described.
    """
    try:
        status = local.stat()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "not a plain file"
    if size not in (None, status.st_size):
        return f"expected {size} bytes, found {status.st_size}"
    key = (local, status.st_mtime_ns, status.st_size, sha256)
    if key in _verified:
        return None
    try:
        with local.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if found != sha256:
        return f"expected sha256 {sha256[:16]}..., found {found[:16]}..."
    _verified.add(key)
    return None


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file that anyone may have put there: a plain one, for a pipe would be waited for, and of limited size.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        The number of bytes that it may have.

    Returns
    -------
    bytes
        All of it.

    Raises
    ------
    IntegrityError
        It is missing or cannot be read, is no plain file, or is larger.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise IntegrityError(f"{path}: expected a plain file")
        with path.open("rb") as stream:
            # Python takes the memory of as many bytes as are asked for before it reads.
            content = stream.read(min(most, os.fstat(stream.fileno()).st_size) + 1)
    except OSError as error:
        raise IntegrityError(f"{path}: expected a file, which cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise IntegrityError(f"{path}: expected at most {most} bytes, this file is larger")
    return content
