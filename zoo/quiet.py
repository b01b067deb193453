"""What libraries write to standard error that nobody asked for, TensorFlow about the machine that it starts on before all."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""The variable that says from which level on TensorFlow logs: 0 all, 1 warnings, 2 errors, 3 what ends the process."""


def log_level() -> int:
    """The level that the user has chosen, else 3, as errors are raised anyway; 0 with ``ZOO_DEBUG=1``."""
    if os.environ.get("ZOO_DEBUG"):
        return 0
    given = os.environ.get(LEVEL, "3")
    return min(int(given), 3) if given.isdecimal() else 0


class QuietImport:
    """A finder that has TensorFlow imported quietly, whoever imports it first: the zoo, Keras, a plugin or the user."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find TensorFlow alone, as Python does; what it logs while it is imported is left out."""
        spec = PathFinder.find_spec(name, path, target) if name == "tensorflow" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        @wraps(execute)
        def quietly(module: Any) -> None:
            with quiet_start():
                execute(module)

        spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


def import_quietly() -> None:
    """Have TensorFlow imported quietly from now on in this process."""
    if QuietImport not in sys.meta_path:
        sys.meta_path.insert(0, QuietImport)


@contextmanager
def quiet_start() -> Iterator[None]:
    """Leave out what TensorFlow logs in the block below the level that the user has chosen.

    Its C++ code writes some lines about absent GPUs to descriptor 2 before any of its log levels applies. What TensorFlow logs
    later is left to TF_CPP_MIN_LOG_LEVEL.

    Yields
    ------
    None
        For the import.
    """
    if not (level := log_level()):
        yield
        return
    os.environ.setdefault(LEVEL, str(level))
    with without_lines(rb"[%s]\d{4} \d\d:\d\d|WARNING: All log messages before absl::InitializeLog" % b"IWE"[:level]):
        yield


@contextmanager
def quiet_arviz() -> Iterator[None]:
    """Leave out that arviz before 1 announces arviz 1 when it is imported; every other warning of the block is given.

    Yields
    ------
    None
        For the import of arviz, or of a library that imports it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)
        yield


@contextmanager
def without_messages(words: str) -> Iterator[None]:
    """Leave out what TensorFlow's Python code logs with such words in the block; everything else is logged.

    Parameters
    ----------
    words : str
        Part of the message, before its values are put in.

    Yields
    ------
    None
        For the block.
    """

    def kept(record: logging.LogRecord) -> bool:
        return words not in str(record.msg)

    logger = logging.getLogger("tensorflow")
    logger.addFilter(kept)
    try:
        yield
    finally:
        logger.removeFilter(kept)


@contextmanager
def quiet_autocorrelation() -> Iterator[None]:
    """Leave out that TensorFlow Probability's autocorrelation drops the imaginary part of a Fourier transform, which is zero.

    Yields
    ------
    None
        For an effective sample size.
    """
    with without_messages("discard the imaginary part"):
        yield


@contextmanager
def without_lines(hidden: bytes) -> Iterator[None]:
    """Leave out lines that a library's C++ code writes to descriptor 2 in the block; all others follow when it ends.

    Parameters
    ----------
    hidden : bytes
        Regular expression of how such a line begins.

    Yields
    ------
    None
        For what is called.
    """
    import tempfile

    try:
        terminal = os.dup(2)
    except OSError:  # a process without standard error
        yield
        return
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            if sys.__stderr__ is not None:
                sys.__stderr__.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log:
                if not re.match(hidden, line):
                    os.write(2, line)
