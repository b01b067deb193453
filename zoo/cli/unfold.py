"""The command that unfolds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import right_folder, right_seed
from zoo.cli.terminal import keep, plain_warnings

app = typer.Typer()
FILES = ".root, .csv, .npz, .h5, .fits, .parquet"


def _several(help_text: str) -> typer.models.OptionInfo:
    return typer.Option(metavar="NAME,NAME,...", help=help_text)


@app.command()
def unfold(
    data: Annotated[Path, typer.Argument(help=f"what was measured, a column for each observable: {FILES}")],
    simulated: Annotated[Path, typer.Argument(help="simulated events at detector level, with the columns of the data")],
    truth: Annotated[
        Path | None,
        typer.Argument(help="the same events at particle level, in the same order; default: other columns of SIMULATED"),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="folder for unfolded.npz and unfolded.png", callback=right_folder)],
    observables: Annotated[str | None, _several("at detector level; default: all columns of DATA")] = None,
    truth_observables: Annotated[str | None, _several("at particle level; default: all columns of TRUTH")] = None,
    data_weights: Annotated[str | None, typer.Option(help="column of event weights of the data, of either sign")] = None,
    simulated_weights: Annotated[str | None, typer.Option(help="the same of the simulation")] = None,
    pass_reco: Annotated[str | None, typer.Option(help="column that says which events pass at detector level")] = None,
    pass_truth: Annotated[str | None, typer.Option(help="column that says which events pass at particle level")] = None,
    iterations: Annotated[int, typer.Option(help="the more, the less is left of the simulation, and the more noise")] = 4,
    bootstrap: Annotated[int, typer.Option(help="how often data and simulation are resampled, for errors; 0: no errors")] = 0,
    trainings: Annotated[int, typer.Option(help="of each classifier, which are averaged")] = 1,
    classifier: Annotated[str, typer.Option(help="trees, or a family of networks such as mlp")] = "trees",
    seed: Annotated[int, typer.Option(help="of all random numbers", callback=right_seed)] = 0,
) -> None:
    """Unfold by OmniFold: weights of simulated events by which they are distributed as the data at particle level."""
    from zoo.workflows.unfolding.unfold import unfold as run

    with plain_warnings():
        found = run(
            data,
            simulated,
            simulated if truth is None else truth,
            observables=_split(observables),
            truth_observables=_split(truth_observables),
            data_weights=data_weights,
            simulated_weights=simulated_weights,
            pass_reco=pass_reco,
            pass_truth=pass_truth,
            iterations=iterations,
            bootstrap=bootstrap,
            trainings=trainings,
            classifier=classifier,
            seed=seed,
        )
    keep(found, out, "unfolded", "weights", simulated)


def _split(names: str | None) -> list[str] | None:
    return None if names is None else names.split(",")
