"""Arguments and options that several commands have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import InputError, ZooError


def right_jobs(jobs: int) -> int:
    """The number of processes that was given; InputError for one that there cannot be."""
    from zoo.jobs import expect_jobs

    expect_jobs(jobs)
    return jobs


def right_seed(seed: int | None) -> int | None:
    """The seed that was given; InputError for a negative one, before anything is loaded."""
    from zoo.seeds import expect_seed

    expect_seed(seed)
    return seed


FILES = frozenset({".csv", ".fits", ".h5", ".hdf5", ".json", ".npy", ".npz", ".parquet", ".pdf", ".png", ".root", ".txt"})
"""What ends the name of a file and no folder's."""


def right_folder(folder: Path | None) -> Path | None:
    """The folder that was given for results; InputError for a file, or what is called as one, before any work."""
    if folder is None or folder.is_dir():
        return folder
    if folder.exists() or folder.suffix.lower() in FILES:
        raise InputError(f"out: expected a folder, in which files have names of their own, given {folder}")
    return folder


def names(incomplete: str) -> list[str]:
    """Names of models that begin like this, for the completion of a shell, which takes no warnings."""
    from zoo.model.registry import list_models

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [name for name in list_models() if name.startswith(incomplete)]


NameArgument = Annotated[
    str, typer.Argument(help="released name, name@revision, folder or hf://owner/name", autocompletion=names)
]
NamesArgument = Annotated[
    list[str],
    typer.Argument(help="models: released names, name@revision, folders or hf://owner/name", autocompletion=names),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
JobsOption = Annotated[int, typer.Option(help="processes, -1 for one per core", callback=right_jobs)]
OutOption = Annotated[Path | None, typer.Option("--out", help="folder that files are written to", callback=right_folder)]
FolderOption = Annotated[Path, typer.Option("--folder", help="folder to be made; its name becomes the model's")]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", help="column of event weights, of either sign, by which rows of --data count")
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(help="INPUT=A,B,... where the columns A, B, ... are not called after the model's input; repeatable"),
]
UnitsOption = Annotated[
    list[str] | None, typer.Option(help="COLUMN=UNIT where it is not the model's, e.g. time=ms; repeatable")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="replace an earlier model in --folder")]
InputOption = Annotated[
    Path | None,
    typer.Option(
        "--input",
        help="rows: .csv, .npz, .h5, .fits, .root, .parquet by column name, or one tensor as .npy or FITS image;"
        " default: shipped test rows",
    ),
]
ObservationOption = Annotated[
    Path | None,
    typer.Option(
        "--observation",
        help="what was measured: a file or folder as the data source reads it, or one row as .npy, FITS image or columns",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda or cuda:NUMBER; auto: whichever is faster for a size of batch")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="change a value of the recipe, e.g. --set optimizer.learning_rate=1e-4; repeatable"),
]
RecipeArgument = Annotated[
    str | None,
    typer.Argument(help="model name, or path of a recipe.yaml; a simulator that such a file names is run"),
]
RecipeOption = Annotated[Path | None, typer.Option("--recipe", help="path of a recipe.yaml, as the argument")]


def expect_file_for(data: Path | None, given: Mapping[str, object]) -> None:
    """Refuse options, by their names, that say something of the columns of a file where none is handed in."""
    for option, value in given.items():
        if value and data is None:
            raise ZooError(f"{option} is of columns of --input: give the file too")


def columns_by_input(given: list[str] | None) -> dict[str, list[str]]:
    """Names of columns by input, from what was given as INPUT=A,B,...; ZooError for what is not of this form."""
    return {key: value.split(",") for key, value in pairs("--columns", given)}


def pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    """Take apart what was given as NAME=VALUE.

    Parameters
    ----------
    option : str
        The option, for the message.
    given : list of str or None
        Its values.

    Returns
    -------
    list of tuple
        Name and value of each.

    Raises
    ------
    ZooError
        A value is not of this form.
    """
    found = [text.partition("=") for text in given or []]
    for (key, equals, value), text in zip(found, given or [], strict=True):
        if not (key and equals and value):
            raise ZooError(f"expected {option} NAME=VALUE, given {text!r}")
    return [(key, value) for key, _, value in found]


def one_recipe(name: str | None, file: Path | None) -> str | Path:
    """The recipe that was given by name or by file; ZooError for none, and for both."""
    chosen = [given for given in (name, file) if given is not None]
    if len(chosen) != 1:
        raise ZooError("expected one recipe: a model's name, or --recipe FILE")
    return chosen[0]
