"""The commands that make a model: train, release, finetune, calibrate and ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import (
    ColumnsOption,
    FolderOption,
    NameArgument,
    OutOption,
    OverwriteOption,
    RecipeArgument,
    RecipeOption,
    SettingsOption,
    UnitsOption,
    WeightsOption,
    columns_by_input,
    one_recipe,
    pairs,
    right_seed,
)
from zoo.cli.terminal import as_argument, plain_warnings, quiet_tensorflow

app = typer.Typer()


@app.command()
def train(
    recipe: RecipeArgument = None,
    file: RecipeOption = None,
    settings: SettingsOption = None,
    out: OutOption = None,
    seed: Annotated[int | None, typer.Option(help="instead of the recipe's first", callback=right_seed)] = None,
    devices: Annotated[int, typer.Option(help="over which batches are spread; several with KERAS_BACKEND=jax")] = 1,
) -> None:
    """Train a recipe: progress, checkpoints, metrics and plots; run it again to resume or extend."""
    with quiet_tensorflow():
        from zoo.training.recipe import load_recipe, parse_changes
        from zoo.workflows.train import train as run

        chosen = load_recipe(one_recipe(recipe, file)).changed(parse_changes(settings or []))
        folder = out or Path("runs") / chosen.name
        _, evaluation = run(chosen, folder, seeds=None if seed is None else [seed], devices=devices)
        from zoo.cli.tables import metric_table
        from zoo.cli.terminal import show as print_table

        print_table(metric_table(evaluation.metrics))
        print(f"weights, metrics.json, plots and, on TensorFlow, TensorBoard logs in {folder}")


@app.command()
def release(
    recipe: RecipeArgument = None,
    file: RecipeOption = None,
    settings: SettingsOption = None,
    out: OutOption = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="write the model there; default: into this package, model_cards/<name>"),
    ] = None,
    card: Annotated[
        bool,
        typer.Option(
            "--card", help="train nothing: write summary, limit, license and citation onto the card of the model that is there"
        ),
    ] = False,
) -> None:
    """Train all seeds and variants, evaluate, export, check parity and write the card."""
    with quiet_tensorflow():
        from zoo.training.recipe import load_recipe, parse_changes
        from zoo.workflows.recard import recard
        from zoo.workflows.releasable import expect_releasable
        from zoo.workflows.release import release as run

        chosen = load_recipe(one_recipe(recipe, file)).changed(parse_changes(settings or []))
        if card:
            released = recard(chosen, folder)
        else:
            expect_releasable(chosen, folder)
            released = run(chosen, out or Path("runs") / chosen.name, folder)
    print(f"released {chosen.name}@{chosen.revision}: {released}")


@app.command()
def finetune(
    name: NameArgument,
    data: Annotated[Path, typer.Option(help="your rows: .csv, .npz, .h5, .fits, .root, .parquet, or a folder of .npy")],
    folder: FolderOption,
    target: Annotated[str | None, typer.Option(help="column to be predicted, or several with commas")] = None,
    group: Annotated[
        str | None,
        typer.Option(help="column that names the simulation or object of each row, which no two splits share"),
    ] = None,
    weights: WeightsOption = None,
    columns: ColumnsOption = None,
    units: UnitsOption = None,
    license: Annotated[
        str | None, typer.Option(help="license of your data, such as CC-BY-4.0, for the card and the Hub; default: not known")
    ] = None,
    citation: Annotated[str | None, typer.Option(help="what is to be cited for your data")] = None,
    unfreeze: Annotated[str, typer.Option(help="blocks to train: head, all, the last so many, or names with commas")] = "head",
    learning_rate: Annotated[float, typer.Option(help="of Adam")] = 1e-3,
    layer_decay: Annotated[float, typer.Option(help="learning rate of each trained layer over that of the next")] = 1.0,
    epochs: Annotated[int, typer.Option(help="at most")] = 100,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 32,
    patience: Annotated[int, typer.Option(help="epochs without a lower validation loss after which training stops")] = 10,
    seed: Annotated[int, typer.Option(help="of split, order and new weights", callback=right_seed)] = 0,
    outputs: Annotated[
        int | None,
        typer.Option(help="size of a new head: 1 for one quantity or two classes, else quantities or classes"),
    ] = None,
    task: Annotated[str | None, typer.Option(help="of the new head: classification or regression")] = None,
    inputs: Annotated[
        int | None,
        typer.Option(help="numbers in a row of your first input, where they are not the model's: a new first layer takes them"),
    ] = None,
    restandardize: Annotated[bool, typer.Option("--restandardize", help="measure scalings anew on your rows")] = False,
    lora: Annotated[int | None, typer.Option(help="rank of what is added to frozen kernels")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Go on training a model on your own data: a new model folder, compared with its parent on held-out rows."""
    with quiet_tensorflow(), plain_warnings():
        from zoo.cli.tables import metric_table
        from zoo.cli.terminal import show as print_table
        from zoo.workflows.fine_tune import fine_tune as run

        model = run(
            name,
            data,
            folder=folder,
            target=target,
            group=group,
            weights=weights,
            columns=columns_by_input(columns),
            units=dict(pairs("--units", units)),
            license=license,
            citation=citation,
            overwrite=overwrite,
            unfreeze=_blocks(unfreeze),
            learning_rate=learning_rate,
            layer_decay=layer_decay,
            epochs=epochs,
            batch_size=batch_size,
            patience=patience,
            seed=seed,
            outputs=outputs,
            task=task,
            inputs=inputs,
            restandardize=restandardize,
            lora=lora,
        )
        print_table(metric_table([metric for metric in model.spec.metrics if "/" not in metric.name], model.spec.units))
    print(f"{_wrote(folder)}; say what it is for in {folder / 'README.md'}")
    if license is None:
        print(
            "its card says that the license of the data is not known: --license LICENSE --overwrite says it, and trains nothing"
        )


def _blocks(text: str) -> str | int | list[str]:
    """What is to be unfrozen: head, all, a number of blocks, or names."""
    if text in ("head", "all"):
        return text
    return int(text) if text.isdecimal() else text.split(",")


def _wrote(folder: Path) -> str:
    return f"wrote {folder}, which zoo show, explain, export, serve and push take as {as_argument(folder)}"


@app.command()
def calibrate(
    name: NameArgument,
    folder: FolderOption,
    data: Annotated[
        Path | None, typer.Option(help="rows to fit and judge it on, of any format that zoo finetune reads; default: its own")
    ] = None,
    weights: WeightsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Fit a classifier's temperature on validation rows of its own data and write the calibrated model."""
    with quiet_tensorflow():
        from zoo.cli.tables import metric_table
        from zoo.cli.terminal import show as print_table
        from zoo.workflows.calibrate import calibrate as run

        model = run(name, folder=folder, data=data, weights=weights, overwrite=overwrite)
    print_table(metric_table(model.spec.metrics, model.spec.units))
    print(_wrote(folder))


@app.command()
def ensemble(
    members: Annotated[list[str], typer.Argument(help="models of one family and config; or with --like, finished runs")],
    folder: FolderOption,
    like: Annotated[str | None, typer.Option(help="model whose spec describes what the runs trained")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="rows new to all members, whose test split, a fifth, it is judged on; default: the members' own"),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make one model of several trainings: their mean, and how far they are apart."""
    with quiet_tensorflow():
        from zoo.cli.tables import metric_table
        from zoo.cli.terminal import show as print_table
        from zoo.workflows.ensemble import ensemble as run

        model = run(members, folder=folder, like=like, data=data, overwrite=overwrite)
    if model.spec.metrics:
        print_table(metric_table(model.spec.metrics, model.spec.units))
    print(f"{model.spec.config['count']} members: {_wrote(folder)}")
