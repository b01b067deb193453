"""The command line: ``zoo --help``. Thin: each command calls what the Python API offers, imported only then."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.cli import anomalies, catalog, deploy, fill_maps, new, simulate, train, unfold, use
from zoo.cli.terminal import name_options
from zoo.errors import ZooError

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A zoo of pretrained physics models.",
)
for commands in (catalog, use, train, deploy, unfold, anomalies, fill_maps, new):
    app.add_typer(commands.app)
app.add_typer(simulate.app, name="simulate")


def _print_version(asked: bool) -> None:
    if asked:
        from zoo import __version__

        print(f"physzoo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options before any command, and what the errors of this command are to call its options."""
    if context.invoked_subcommand != "serve":  # the clients of a server write requests, no options
        name_options(context)


def _with_space(error: Exception) -> Exception:
    """The error itself, or of a full disk that says no more than that, one that tells how full."""
    from zoo.space import is_full, no_space

    if isinstance(error, ZooError) or not isinstance(error, OSError) or not is_full(error):
        return error
    return no_space(Path(error.filename or "."), 0, error)


def main() -> None:
    """Run the command line; an error that the zoo raises on purpose is one line and exit code 1."""
    try:
        app()
    except (ZooError, OSError) as error:
        print(f"error: {_with_space(error)}", file=sys.stderr)
        sys.exit(1)
    except ImportError as error:
        from zoo.extras import missing

        print(f"error: {missing(error)}", file=sys.stderr)
        sys.exit(1)
