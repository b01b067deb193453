"""The command of contributors: new."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer()


@app.command()
def new(
    kind: Annotated[Literal["model", "family", "dataset"], typer.Argument(help="what is to be written")],
    name: Annotated[str, typer.Argument(help="lower case letters, digits and hyphens")],
    package: Annotated[
        Path | None,
        typer.Option(help="folder of a package of your own, made where there is none; default: this clone of physzoo"),
    ] = None,
    family: Annotated[str | None, typer.Option(help="of a new model")] = None,
    dataset: Annotated[str | None, typer.Option(help="of a new model")] = None,
) -> None:
    """Write what a new model, family or data set begins with, which trains and passes its checks as it stands."""
    from zoo.workflows.scaffold import new as run

    for path in run(kind, name, package=package, family=family, dataset=dataset):
        print(f"wrote {path}")
