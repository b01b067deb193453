"""A progress bar for work that turns out to be long."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds of silence before the bar appears."""


def track(items: Sequence[T], description: str) -> Iterator[T]:
    """Yield the items; after two seconds show a bar on stderr, so that quick work and piped output stay clean."""
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(description, total=len(items))
    start, shown = time.monotonic(), False
    try:
        for item in items:
            yield item
            progress.advance(task)
            if not shown and time.monotonic() - start > PATIENCE:
                progress.start()
                shown = True
    finally:
        if shown:
            progress.stop()
