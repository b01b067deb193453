"""The command that fills holes of maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import right_folder, right_seed
from zoo.cli.terminal import keep, plain_warnings
from zoo.errors import ZooError

app = typer.Typer()


@app.command()
def fill_maps(
    maps: Annotated[
        Path,
        typer.Argument(
            help="overdensities with NaN in holes: .npy or FITS image of one map or several, or .npz, .h5, .fits, .root,"
            " .parquet by column name"
        ),
    ],
    model: Annotated[str, typer.Argument(help="what denoises maps: name or folder of a model")] = "diffusion-maps",
    *,
    out: Annotated[Path, typer.Option("--out", help="folder for filled_maps.npz and filled_maps.png", callback=right_folder)],
    theta: Annotated[
        str | None,
        typer.Option(metavar="NUMBER,NUMBER,...", help="parameters of all maps; default: the columns of MAPS that name them"),
    ] = None,
    draws: Annotated[int, typer.Option(help="in how many ways each is filled")] = 16,
    seed: Annotated[int, typer.Option(help="of all random numbers", callback=right_seed)] = 0,
    allow_out_of_range: Annotated[
        bool, typer.Option("--allow-out-of-range", help="take maps that are none such as the model draws, and any parameters")
    ] = False,
) -> None:
    """Fill the holes of maps in several ways, given all other cells and the parameters."""
    from zoo.workflows.fill_maps import fill_maps as run

    parameters = None if theta is None else _numbers(theta)
    with plain_warnings():
        found = run(maps, model, theta=parameters, draws=draws, seed=seed, allow_out_of_range=allow_out_of_range)
    keep(found, out, "filled_maps", "maps", maps)


def _numbers(given: str) -> list[float]:
    try:
        return [float(number) for number in given.split(",")]
    except ValueError as error:
        raise ZooError(f"expected --theta NUMBER,NUMBER,..., given {given!r}") from error
