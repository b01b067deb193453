"""The command that searches for anomalies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import right_folder, right_seed
from zoo.cli.terminal import keep, plain_warnings, quiet_tensorflow
from zoo.cli.unfold import FILES

app = typer.Typer()


@app.command()
def find_anomalies(
    events: Annotated[Path, typer.Argument(help=f"the data, a column for the mass and for each observable: {FILES}")],
    background: Annotated[str, typer.Argument(help="density of the background given the mass: name or folder of a model")],
    *,
    region: Annotated[tuple[float, float], typer.Option(help="ends of the signal region, in the unit of the density")],
    out: Annotated[Path, typer.Option("--out", help="folder for anomalies.npz and anomalies.png", callback=right_folder)],
    weights: Annotated[str | None, typer.Option(help="column of event weights, none negative; default: all count once")] = None,
    trainings: Annotated[int, typer.Option(help="how many cross-validations are averaged")] = 2,
    classifier: Annotated[str, typer.Option(help="trees, or a family of networks such as mlp")] = "trees",
    seed: Annotated[int, typer.Option(help="of all random numbers", callback=right_seed)] = 0,
    allow_out_of_range: Annotated[
        bool, typer.Option("--allow-out-of-range", help="let events outside the trained range through")
    ] = False,
) -> None:
    """Score events by how much denser the data are than their background, and count the excess beyond cuts."""
    from zoo.workflows.anomalies import find_anomalies as run

    with quiet_tensorflow(), plain_warnings():
        found = run(
            events,
            background,
            region,
            weights=weights,
            trainings=trainings,
            classifier=classifier,
            seed=seed,
            allow_out_of_range=allow_out_of_range,
        )
    keep(found, out, "anomalies", "scores", events)
