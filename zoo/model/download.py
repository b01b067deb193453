"""A file from a mirror, which may be anyone's: of the size that is expected, in a time that is bounded, whole or not at all."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import IO

from zoo.atomic import whole_file

PATIENCE = 60.0
"""Seconds that a mirror may take for anything, besides those for the bytes."""
SLOWEST = 50_000
"""Bytes in a second below which a mirror is given up."""
_SILENCE = 30.0
"""Seconds without a byte."""
_PIECE = 2**16


def download(url: str, path: Path, sha256: str, most: int, *, exactly: bool = True) -> None:
    """Bring a file from a mirror.

    The mirror is asked for the file as it is: a small answer that is compressed may be a large one.

    Parameters
    ----------
    url : str
        Address of the file.
    path : Path
        Where it is to be; the folder is made.
    sha256 : str
        The hash that it must have.
    most : int
        Bytes that it may have.
    exactly : bool
        Whether it must have just as many.

    Raises
    ------
    OSError
        It could not be fetched or written, is another file, or took too long; nothing of it is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        fetch = _Fetch(url, most, exactly, file)
        fetch.within(PATIENCE + most / SLOWEST)
        if fetch.hash.hexdigest() != sha256:
            raise OSError(f"expected a file of sha256 hash {sha256[:16]}..., given {fetch.hash.hexdigest()[:16]}...")


class _Fetch:
    """One download in a thread of its own, which is left behind where the mirror keeps it waiting."""

    def __init__(self, url: str, most: int, exactly: bool, file: IO[bytes]) -> None:
        self._url, self._most, self._exactly, self._file = url, most, exactly, file
        self.hash = hashlib.sha256()
        self._error: BaseException | None = None
        self._given_up = False

    def within(self, seconds: float) -> None:
        """Fetch, or raise what went wrong; TimeoutError after so many seconds."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            thread.join(seconds)
        finally:
            self._given_up = thread.is_alive()
        if self._given_up:
            raise TimeoutError(f"it did not arrive within {seconds:.4g} s")
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        from urllib3.exceptions import HTTPError

        try:
            self._fetch()
        except HTTPError as error:
            self._error = OSError(f"the connection broke: {error}")
        except Exception as error:
            self._error = error

    def _fetch(self) -> None:
        import requests

        with requests.get(self._url, stream=True, timeout=_SILENCE, headers={"Accept-Encoding": "identity"}) as answer:
            answer.raise_for_status()
            announced = answer.headers.get("Content-Length", "")
            if announced.isdigit() and len(announced) < 20:
                self._expect(int(announced), whole=True)
            got = 0
            while (piece := answer.raw.read(_PIECE, decode_content=False)) and not self._given_up:
                got += len(piece)
                self._expect(got)
                self.hash.update(piece)
                self._file.write(piece)
            self._expect(got, whole=True)

    def _expect(self, size: int, *, whole: bool = False) -> None:
        if size > self._most:
            raise OSError(f"expected {'' if self._exactly else 'at most '}{self._most} bytes, the mirror sends more")
        if whole and self._exactly and size != self._most:
            raise OSError(f"expected {self._most} bytes, the mirror sends {size}")
