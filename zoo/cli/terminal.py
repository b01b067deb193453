"""What all commands share in speaking to a person."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import INTERFACE, ZooError
from zoo.quiet import log_level

if TYPE_CHECKING:
    import typer
    from rich.console import RenderableType
    from typer.core import TyperCommand as Command
    from typer.core import TyperGroup

    from zoo.workflows.anomalies import Anomalies
    from zoo.workflows.fill_maps import FilledMaps
    from zoo.workflows.unfolding.unfolded import Unfolded


def show(*renderables: RenderableType) -> None:
    """Print to the terminal; where there is none, 120 columns wide.

    Names, units and summaries are a user's own as often as ours, so square brackets and colons in them are text and no markup.
    """
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, emoji=False, highlight=False, width=120)
    for renderable in renderables:
        console.print(renderable)


def keep(found: Anomalies | FilledMaps | Unfolded, out: Path, name: str, what: str, source: Path) -> None:
    """Write a result to ``name.npz`` and ``name.png`` in a folder and show its table, which is there before the figure fails.

    Parameters
    ----------
    found : Anomalies, FilledMaps or Unfolded
        The result.
    out : Path
        The folder.
    name : str
        Name of the files.
    what : str
        What the numbers are, of each row.
    source : Path
        The rows that they are in the order of.
    """
    from zoo.atomic import whole_file

    out.mkdir(parents=True, exist_ok=True)
    paths = [found.save(out / f"{name}.npz"), out / f"{name}.png"]
    show(found.table())
    with whole_file(paths[1]) as file:
        found.plot().savefig(file, dpi=120)
    print(f"wrote {', '.join(map(str, paths))}; {what} are in the order of {source}")


def as_option(command: Command, name: str, value: str, text: str) -> str:
    """Write an option of the Python interface as a command takes it.

    Parameters
    ----------
    command : Command
        The command that runs. Its parameters are named as the keywords that they are passed on as.
    name : str
        The keyword in Python.
    value : str
        The value in Python, or a word in capitals that stands for it.
    text : str
        The same for a command line.

    Returns
    -------
    str
        Such as ``--overwrite``; or the keyword, and that the command has no option for it.
    """
    if (flag := _flag(command, name)) is None:
        return f"{name}={value} in Python (zoo {command.name} has no option for it)"
    return flag if value == "True" else f"{flag} {text}"


def _flag(command: Command, name: str) -> str | None:
    """The option of a command that is passed on as a keyword; None where it has none."""
    for parameter in command.params:
        if parameter.name == name and parameter.param_type_name == "option":
            return next(text for text in parameter.opts if text.startswith("--"))
    return None


def name_options(context: typer.Context) -> None:
    """Let errors name options as the command that is to run takes them, in advice and where they begin with a keyword.

    Parameters
    ----------
    context : Context
        That of the group of the command.
    """
    if context.invoked_subcommand is not None:
        group: TyperGroup = context.command  # type: ignore[assignment]
        command: Command = group.get_command(context, context.invoked_subcommand)  # type: ignore[assignment]
        context.with_resource(_options_named(command))


@contextmanager
def _options_named(command: Command) -> Iterator[None]:
    token = INTERFACE.set(partial(as_option, command))
    try:
        yield
    except ZooError as error:
        name, colon, rest = str(error).partition(":")
        if colon and (flag := _flag(command, name)):
            error.args = (f"{flag}:{rest}",)
        raise
    finally:
        INTERFACE.reset(token)


def as_argument(folder: Path) -> str:
    """A folder as a shell hands it to commands, so that it is not read as a released name."""
    return shlex.quote(str(folder) if folder.is_absolute() else f"./{folder}")


@contextmanager
def plain_warnings() -> Iterator[None]:
    """A warning of the zoo's is a line on standard error, without the place in our code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        yield


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Send what TensorFlow's C++ code writes to descriptor 2 to a file; Python's own stderr stays where it is.

    TensorFlow logs a dozen lines about absent GPUs before any of its log levels applies. ``ZOO_DEBUG=1`` shows them, and so
    does a lower ``TF_CPP_MIN_LOG_LEVEL``.
    """
    if log_level() < 3:
        yield
        return
    from rich.console import Console

    sys.stderr.flush()
    terminal, native = os.dup(2), sys.stderr
    with tempfile.TemporaryFile() as log, os.fdopen(os.dup(2), "w", buffering=1) as python_stderr:
        os.dup2(log.fileno(), 2)
        sys.stderr = python_stderr
        try:
            with Console(stderr=True).status("starting TensorFlow"):
                import keras  # noqa: F401
            yield
        finally:
            sys.stderr = native
            os.dup2(terminal, 2)
            os.close(terminal)
