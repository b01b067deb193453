"""A progress bar for work that turns out to be long."""

from __future__ import annotations

import importlib.util
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds of silence before the bar appears."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def track(items: Sequence[T], description: str) -> Iterator[T]:
    """Yield the items; after two seconds show a bar on stderr, so that quick work and piped output stay clean."""
    with bar(len(items), description) as advance:
        for item in items:
            yield item
            advance(1)


def console(*, stderr: bool = False) -> Console:
    """Where bars are drawn; in a notebook without ipywidgets a line that is shown anew, where rich would warn instead.

    Parameters
    ----------
    stderr : bool
        Whether it is stderr rather than stdout.

    Returns
    -------
    Console
        The console.
    """
    from rich.console import Console

    found = Console(stderr=stderr)
    if found.is_jupyter and importlib.util.find_spec("ipywidgets") is None:
        return Console(file=_Shown(), force_jupyter=False, force_terminal=True, color_system=None, width=100)
    return found


class _Shown(io.StringIO):
    """One output of a notebook that holds the last line that was written, live and where the notebook is kept.

    What moves a cursor is left out: a notebook keeps all of it, a line for every time that a bar was drawn.
    """

    _handle: Any = None

    def write(self, text: str) -> int:
        if lines := [line.rstrip() for line in _CONTROL.sub("", text).split("\n") if line.strip()]:
            self._show({"text/plain": lines[-1]})
        return len(text)

    def _show(self, shown: dict[str, str]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


@contextmanager
def bar(total: int, description: str) -> Iterator[Callable[[int], None]]:
    """Yield what is to be told how many of ``total`` were done, 0 included; it shows the bar after two seconds."""
    from rich.markup import escape
    from rich.progress import Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    progress = Progress(*columns, console=console(stderr=True), transient=True)
    task = progress.add_task(escape(description), total=total)
    start, shown = time.monotonic(), False

    def advance(done: int) -> None:
        nonlocal shown
        progress.advance(task, done)
        if not shown and time.monotonic() - start > PATIENCE:
            progress.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            progress.stop()
