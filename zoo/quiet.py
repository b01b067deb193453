"""TensorFlow's words about the machine that it starts on, which nobody asked for."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGED = re.compile(rb"[IWE]\d{4} \d\d:\d\d|WARNING: All log messages before absl::InitializeLog")
"""How a line of TensorFlow's log begins that is no fatal one."""


@contextmanager
def quiet_start() -> Iterator[None]:
    """Leave out what TensorFlow logs where it is imported in the block; ``ZOO_DEBUG=1`` shows it.

    Its C++ code writes some lines about absent GPUs to descriptor 2 before any of its log levels applies. Whatever else is
    written there follows when the block ends. What TensorFlow logs later is left to TF_CPP_MIN_LOG_LEVEL; where it is not set,
    nothing is logged, since errors are raised.

    Yields
    ------
    None
        For the imports.
    """
    if os.environ.get("ZOO_DEBUG") or "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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
                if not _LOGGED.match(line):
                    os.write(2, line)
