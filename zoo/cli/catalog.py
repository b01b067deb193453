"""The commands that say which models there are: list and show."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from zoo.cli.options import JsonOption, NameArgument

app = typer.Typer()


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help='shell pattern, e.g. "ive-*"')] = "*",
    task: Annotated[str | None, typer.Option(help="only this task")] = None,
    family: Annotated[str | None, typer.Option(help="only this family")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models at hand."""
    from zoo.model.registry import summaries

    found = summaries(pattern, task=task, family=family)
    if as_json:
        print(json.dumps([summary.model_dump(mode="json", exclude={"metric"}) for summary in found], indent=1))
        return
    from zoo.cli.tables import model_list
    from zoo.cli.terminal import show as print_table

    print_table(model_list(found))


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show what a model takes, gives and is worth."""
    from zoo.model.store import locate

    spec = locate(name).spec
    if as_json:
        print(spec.model_dump_json(indent=1))
        return
    from zoo.cli.tables import model_details
    from zoo.cli.terminal import show as print_table

    print_table(*model_details(spec))
