"""The commands that say which models there are: list, show and compare."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from zoo.cli.options import JsonOption, NameArgument, NamesArgument

app = typer.Typer()


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help='part of the name, as "halo", or a shell pattern, as "ive-*"')] = "*",
    task: Annotated[str | None, typer.Option(help="only this task")] = None,
    family: Annotated[str | None, typer.Option(help="only this family")] = None,
    long: Annotated[bool, typer.Option("--long", help="with the family and what each model does")] = False,
    latency: Annotated[bool, typer.Option("--latency", help="with the time that one row takes on this machine")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the models at hand by task, a line each: its name, its first number on held-out data, its size."""
    from zoo.model.registry import summaries

    found = summaries(pattern, task=task, family=family)
    times = None
    if latency:
        from zoo.workflows.compare import latencies

        times = latencies([summary.name for summary in found])
    if as_json:
        from zoo.workflows.compare import listed

        print(json.dumps([listed(summary, None if times is None else times[summary.name]) for summary in found], indent=1))
        return
    from zoo.cli.catalog_tables import listed as lines
    from zoo.cli.terminal import show as print_table

    print_table(*lines(found, long=long, times=times))


@app.command()
def show(
    name: NameArgument,
    full: Annotated[bool, typer.Option("--full", help="every metric, and every description whole")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a model takes, gives and is worth."""
    from zoo.model.store import locate

    spec = locate(name).spec
    if as_json:
        print(spec.model_dump_json(indent=1))
        return
    from zoo.cli.catalog_tables import brief_details
    from zoo.cli.tables import model_details
    from zoo.cli.terminal import show as print_table

    print_table(*(model_details(spec) if full else brief_details(spec, name)))


@app.command()
def compare(
    names: NamesArgument,
    as_json: JsonOption = False,
) -> None:
    """Compare models in one table: size, latency on this machine, runtimes, and the metrics that they share."""
    from zoo.workflows.compare import compare as run

    found = run(names)
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
        return
    from zoo.cli.catalog_tables import comparison
    from zoo.cli.terminal import show as print_table

    print_table(*comparison(found))
