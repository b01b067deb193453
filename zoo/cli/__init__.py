"""The command line: ``zoo --help``. Thin: each command calls what the Python API offers, imported only then."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
import typer.core

from zoo.errors import ZooError
from zoo.interpret.methods import OPTIONS, described, given_options

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.dataset import Rows
    from zoo.model.spec import ModelSpec

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A zoo of pretrained physics models.")

NameArgument = Annotated[str, typer.Argument(help="released name, name@revision, folder or hf://owner/name")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
OutOption = Annotated[Optional[Path], typer.Option("--out", help="folder to write to")]  # noqa: UP045 - typer reads it
InputOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--input", help=".npz with one array per input tensor, or .npy for a single one; default: shipped test rows"),
]
PlanckOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--planck", help="folder with Planck's public binned spectra (COM_PowerSpect_CMB-*-binned_R3.0*.txt)"),
]
SettingsOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="change a value of the recipe, e.g. --set optimizer.learning_rate=1e-4; repeatable"),
]


RecipeArgument = Annotated[
    Optional[str],  # noqa: UP045
    typer.Argument(help="model name, or path of a recipe.yaml; a simulator that such a file names is run"),
]
RecipeOption = Annotated[Optional[Path], typer.Option("--recipe", help="path of a recipe.yaml, as the argument")]  # noqa: UP045


EXPLAIN_HELP = (
    "Explain what drives a model's answer, what it has learned, and whether an explanation can be believed.\n\n"
    "Writes arrays (.npz) and a figure (.png). Attribution and trust are of rows of --input or --planck, or of the shipped test"
    " rows; global methods ask test rows of its own data set, or --input with inputs, target and quantities by name.\n\n"
    + described()
)


class SimulationGroup(typer.core.TyperGroup):
    """Says which simulations there are when asked for another."""

    def get_command(self, ctx, cmd_name):
        from zoo.errors import UnknownNameError

        if cmd_name not in self.commands:
            raise UnknownNameError("simulation", cmd_name, self.commands)
        return super().get_command(ctx, cmd_name)


class Format(StrEnum):
    """What a model can be exported to."""

    onnx = "onnx"
    savedmodel = "savedmodel"


class PrecisionChoice(StrEnum):
    """In what the large matrices of a graph are."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


class FeatureChoice(StrEnum):
    """In what a primordial oscillation is periodic: ln k or k."""

    logarithmic = "logarithmic"
    linear = "linear"


class Control(StrEnum):
    """Who decides which models a server has."""

    none = "none"
    poll = "poll"
    explicit = "explicit"


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help='shell pattern, e.g. "ive-*"')] = "*",
    task: Annotated[Optional[str], typer.Option(help="only this task")] = None,  # noqa: UP045
    family: Annotated[Optional[str], typer.Option(help="only this family")] = None,  # noqa: UP045
    as_json: JsonOption = False,
) -> None:
    """List the models at hand."""
    from zoo.model.registry import summaries

    found = summaries(pattern, task=task, family=family)
    if as_json:
        print(json.dumps([summary.model_dump(mode="json", exclude={"metric"}) for summary in found], indent=1))
        return
    from zoo.cli.tables import model_list, show

    show(model_list(found))


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show what a model takes, gives and is worth."""
    from zoo.model.store import locate

    spec = locate(name).spec
    if as_json:
        print(spec.model_dump_json(indent=1))
        return
    from zoo.cli.tables import model_details
    from zoo.cli.tables import show as print_table

    print_table(*model_details(spec))


simulate_app = typer.Typer(cls=SimulationGroup, no_args_is_help=True, help="Simulate the data that models are trained on.")
app.add_typer(simulate_app, name="simulate")

SimulationsOption = Annotated[Path, typer.Option("--out", help="folder; a killed run goes on there")]
JobsOption = Annotated[int, typer.Option(help="processes, -1 for one per core")]


@simulate_app.command("cmb-feature")
def simulate_cmb_feature(
    out: SimulationsOption,
    cosmologies: Annotated[int, typer.Option(help="points of the Latin hypercube")] = 1600,
    pairs: Annotated[int, typer.Option(help="primordial spectra on each, with and without the feature")] = 4,
    seed: Annotated[int, typer.Option(help="of the design")] = 20181,
    feature: Annotated[FeatureChoice, typer.Option(help="in what it oscillates: ln k or k")] = FeatureChoice.logarithmic,
    jobs: JobsOption = -1,
) -> None:
    """Simulate the spectra that the CMB classifiers train on (the shipped set: the defaults, about an hour on 2 cores)."""
    from zoo.data.cmb.simulate import SimulationConfig
    from zoo.data.cmb.simulate import simulate as run

    config = SimulationConfig(cosmologies=cosmologies, pairs=pairs, seed=seed, feature=feature.value)
    print(f"wrote {run(out, config, jobs)}")


@simulate_app.command("nbody")
def simulate_nbody(
    out: SimulationsOption,
    seeds: Annotated[str, typer.Option(help="first and one past the last, e.g. 0:200")],
    particles: Annotated[int, typer.Option(help="a side of the cube")] = 64,
    box: Annotated[float, typer.Option(help="side in comoving Mpc/h")] = 50.0,
    steps: Annotated[int, typer.Option(help="from scale factor 0.1 to 1")] = 30,
    softening: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="of direct forces between near particles, in their mean separation; default: the mesh's alone"),
    ] = None,
    sigma8: Annotated[float, typer.Option(help="of the linear field at z = 0")] = 0.812,
    omega_m: Annotated[float, typer.Option(help="matter density, of a flat universe")] = 0.3166,
    jobs: JobsOption = -1,
) -> None:
    """Simulate matter in periodic boxes and find its halos; one HDF5 file a seed."""
    from pydantic import ValidationError

    from zoo.data.nbody.simulate import NBodyConfig
    from zoo.data.nbody.simulate import simulate as run

    first, colon, end = seeds.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise ZooError(f"--seeds: expected FIRST:END with FIRST < END, e.g. 0:200, given {seeds!r}")
    cosmology = {"sigma8": sigma8, "omega_m": omega_m}
    try:
        config = NBodyConfig.model_validate(
            {"cosmology": cosmology, "particles": particles, "box": box, "steps": steps, "softening": softening}
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        reason = wrong["msg"].removeprefix("Value error, ")
        raise ZooError(f"{'.'.join(map(str, wrong['loc']))}: {reason}, given {wrong['input']}") from error
    paths = run(out, config, range(int(first), int(end)), jobs)
    print(f"{len(paths)} simulations in {out}")


@app.command()
def train(
    recipe: RecipeArgument = None,
    file: RecipeOption = None,
    settings: SettingsOption = None,
    out: OutOption = None,
    seed: Annotated[Optional[int], typer.Option(help="instead of the recipe's first")] = None,  # noqa: UP045
) -> None:
    """Train a recipe: progress, checkpoints, metrics and plots; run it again to resume or extend."""
    with quiet_tensorflow():
        from zoo.training.recipe import load_recipe, parse_changes
        from zoo.workflows.release import train as run

        chosen = load_recipe(_one_recipe(recipe, file)).changed(parse_changes(settings or []))
        folder = out or Path("runs") / chosen.name
        _, evaluation = run(chosen, folder, seeds=None if seed is None else [seed])
        from zoo.cli.tables import metric_table
        from zoo.cli.tables import show as print_table

        print_table(metric_table(evaluation.metrics))
        print(f"weights, metrics.json, plots and TensorBoard logs in {folder}")


@app.command()
def release(
    recipe: RecipeArgument = None,
    file: RecipeOption = None,
    settings: SettingsOption = None,
    out: OutOption = None,
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the model there; default: into this package, model_cards/<name>"),
    ] = None,
) -> None:
    """Train all seeds and variants, evaluate, export, check parity and write the card."""
    with quiet_tensorflow():
        from zoo.training.recipe import load_recipe, parse_changes
        from zoo.workflows.release import release as run

        chosen = load_recipe(_one_recipe(recipe, file)).changed(parse_changes(settings or []))
        released = run(chosen, out or Path("runs") / chosen.name, folder)
    print(f"released {chosen.name}@{chosen.revision}: {released}")


@app.command()
def finetune(
    name: NameArgument,
    data: Annotated[Path, typer.Option(help="your rows: .csv, .npz, .h5, .parquet, or a folder of .npy")],
    out: Annotated[Path, typer.Option("--out", help="folder of the new model, whose name it becomes")],
    target: Annotated[Optional[str], typer.Option(help="column to be predicted, or several with commas")] = None,  # noqa: UP045
    group: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="column that names the simulation or object of each row, which no two splits share"),
    ] = None,
    columns: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="INPUT=COLUMN,COLUMN,... where columns are not called after the model's input; repeatable"),
    ] = None,
    units: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="COLUMN=UNIT where it is not the model's, e.g. time=ms; repeatable"),
    ] = None,
    unfreeze: Annotated[str, typer.Option(help="blocks to train: head, all, the last so many, or names with commas")] = "head",
    learning_rate: Annotated[float, typer.Option(help="of Adam")] = 1e-3,
    layer_decay: Annotated[float, typer.Option(help="learning rate of each trained layer over that of the next")] = 1.0,
    epochs: Annotated[int, typer.Option(help="at most")] = 100,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 32,
    patience: Annotated[int, typer.Option(help="epochs without a lower validation loss after which training stops")] = 10,
    seed: Annotated[int, typer.Option(help="of split, order and new weights")] = 0,
    outputs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="size of a new head: 1 for one quantity or two classes, else quantities or classes"),
    ] = None,
    task: Annotated[Optional[str], typer.Option(help="of the new head: classification or regression")] = None,  # noqa: UP045
    inputs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="numbers in a row of your first input, where they are not the model's: a new first layer takes them"),
    ] = None,
    restandardize: Annotated[bool, typer.Option(help="measure scalings anew on your rows")] = False,
    lora: Annotated[Optional[int], typer.Option(help="rank of what is added to frozen kernels")] = None,  # noqa: UP045
    overwrite: Annotated[bool, typer.Option(help="replace an earlier model in --out")] = False,
) -> None:
    """Go on training a model on your own data: a new model folder, compared with its parent on held-out rows."""
    with quiet_tensorflow(), _plain_warnings():
        from zoo.cli.tables import metric_table
        from zoo.cli.tables import show as print_table
        from zoo.workflows.fine_tune import fine_tune as run

        blocks: str | int | list[str] = unfreeze
        if unfreeze not in ("head", "all"):
            blocks = int(unfreeze) if unfreeze.isdecimal() else unfreeze.split(",")
        model = run(
            name,
            data,
            folder=out,
            target=target,
            group=group,
            columns={key: value.split(",") for key, value in _pairs("--columns", columns)},
            units=dict(_pairs("--units", units)),
            unfreeze=blocks,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            layer_decay=layer_decay,
            epochs=epochs,
            batch_size=batch_size,
            patience=patience,
            seed=seed,
            outputs=outputs,
            task=task,  # type: ignore[arg-type]
            inputs=inputs,
            restandardize=restandardize,
            lora=lora,
            overwrite=overwrite,
        )
        print_table(metric_table([metric for metric in model.spec.metrics if "/" not in metric.name]))
    print(
        f"wrote {out}, which zoo show, export, serve and push take as {_as_argument(out)};"
        f" say what it is for in {out / 'README.md'}"
    )


def _as_argument(folder: Path) -> str:
    """A folder as commands take it, so that it is not read as a released name."""
    return str(folder) if folder.is_absolute() else f"./{folder}"


def _pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in given or []]
    for (key, equals, value), text in zip(pairs, given or [], strict=True):
        if not (key and equals and value):
            raise ZooError(f"expected {option} NAME=VALUE, given {text!r}")
    return [(key, value) for key, _, value in pairs]


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """A warning of the zoo's is a line on standard error, without the place in our code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        yield


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="of a model, as zoo finetune writes it")],
    address: Annotated[str, typer.Argument(help="hf://owner/name")],
    private: Annotated[bool, typer.Option(help="a new repository that only its owner sees")] = False,
) -> None:
    """Upload a model to the Hugging Face Hub, from where its address loads it."""
    from zoo.workflows.push import push as run

    print(f"pushed {folder}: zoo.load({run(folder, address, private=private)!r})")


@app.command()
def export(
    names: Annotated[list[str], typer.Argument(help="models: released names, name@revision, folders or hf://owner/name")],
    format_: Annotated[Format, typer.Option("--format", help="what to write")] = Format.onnx,
    opset: Annotated[int, typer.Option(help="9 to 18; 11 for old runtimes")] = 13,
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="where the graphs are to run, and are checked for: cmssw, athena, triton, hls4ml, web"),
    ] = None,
    endpoint: Annotated[Optional[list[str]], typer.Option(help="only this function of the model; repeatable")] = None,  # noqa: UP045
    precision: Annotated[
        PrecisionChoice, typer.Option(help="of large matrices; inputs and outputs stay float32, differences are in the card")
    ] = PrecisionChoice.float32,
    explain: Annotated[
        bool, typer.Option("--explain", help="add the endpoint explain: the answer and its gradient with respect to the input")
    ] = False,
    repository: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="model repository of Triton, KServe and zoo serve, to add the models to"),
    ] = None,
    storage_uri: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="where KServe finds the repository, e.g. s3://bucket/models"),
    ] = None,
    out: OutOption = None,
    overwrite: Annotated[bool, typer.Option(help="replace an existing folder, or an existing version")] = False,
) -> None:
    """Export models, each endpoint compared with the model on 1,000 rows; or add them to a model repository."""
    if repository is not None:
        if format_ is not Format.onnx or out is not None or target not in (None, "triton"):
            raise ZooError("--repository takes neither --format, --out nor a --target other than triton")
        if precision is not PrecisionChoice.float32:
            raise ZooError("--repository takes no --precision: export the model first, then add the folder that it is in")
        if explain:
            raise ZooError(
                "--repository takes no --explain: zoo export NAME --explain --out DIR first, then zoo export ./DIR --repository"
            )
        for name in names:
            _add_to_repository(name, repository, endpoint, opset, storage_uri, overwrite)
        return
    if storage_uri is not None:
        raise ZooError("--storage-uri goes with --repository")
    if out is not None and len(names) > 1:
        raise ZooError(f"--out is the folder of one model, given {len(names)}: leave it out, and each gets its own in exports/")
    with quiet_tensorflow():
        from zoo.cli.tables import parity_table
        from zoo.cli.tables import show as print_table
        from zoo.export import export as run
        from zoo.loading import load

        for name in names:
            model = load(name)
            reduced = None if precision is PrecisionChoice.float32 else precision.value
            folder = out or Path("exports") / "-".join(filter(None, (model.spec.name, target or format_.value, reduced)))
            report = run(
                model,
                folder,
                format=format_.value,
                opset=opset,
                target=target,
                endpoints=endpoint,
                precision=precision.value,
                calibration=_validation_rows(model.spec) if reduced == "int8" else None,
                explain=explain,
                overwrite=overwrite,
            )
            print_table(parity_table(report))
            taken = ", which zoo predict, verify and serve take as " + _as_argument(folder) if format_ is Format.onnx else ""
            print(f"wrote {folder}{taken}")


def _validation_rows(spec: ModelSpec) -> Mapping[str, np.ndarray] | None:
    """Inputs of a released model's own validation rows; None, which is said, where they would have to be simulated first."""
    import inspect

    from zoo.data.dataset import DATASETS
    from zoo.training.recipe import load_recipe, recipe_names

    if spec.name not in recipe_names():
        return None
    data = load_recipe(spec.name).data
    simulated = "on_missing" in inspect.signature(DATASETS.get(data.source)).parameters
    try:
        return data.dataset(**({"on_missing": "fail"} if simulated else {})).rows("validation").inputs
    except (ZooError, OSError, ImportError) as error:
        print(f"{spec.name}: no validation rows here, int8 is calibrated on the test tensors: {error}", file=sys.stderr)
        return None


def _add_to_repository(
    name: str, repository: Path, endpoints: list[str] | None, opset: int, storage_uri: str | None, overwrite: bool
) -> None:
    from zoo.export.repository import add_to_repository, needs_conversion

    with quiet_tensorflow() if needs_conversion(name, endpoints, opset) else nullcontext():
        added = add_to_repository(
            name, repository, endpoints=endpoints, opset=opset, storage_uri=storage_uri, overwrite=overwrite
        )
    for version in added:
        print(f"added {version.model} version {version.version} (revision {version.revision}) to {repository}")


@app.command()
def calibrate(
    name: NameArgument,
    out: Annotated[Path, typer.Option(help="folder to be made")],
    new_name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--name", help="of the calibrated model; under the old one it is the next revision"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an existing folder")] = False,
) -> None:
    """Fit a classifier's temperature on the validation rows of its own recipe and write the calibrated model."""
    with quiet_tensorflow():
        from zoo.cli.tables import metric_table
        from zoo.cli.tables import show as print_table
        from zoo.workflows.calibrate import calibrate as run

        found = run(name, out, new_name=new_name, overwrite=overwrite)
    print_table(metric_table(found.spec.metrics))
    print(f"wrote {out}, which zoo explain, export and serve take as {_as_argument(out)}")


@app.command()
def ensemble(
    members: Annotated[list[str], typer.Argument(help="models of one family and config; or with --like, finished runs")],
    out: Annotated[Path, typer.Option(help="folder to be made")],
    name: Annotated[Optional[str], typer.Option(help="of the ensemble")] = None,  # noqa: UP045
    like: Annotated[Optional[str], typer.Option(help="model whose card describes what the runs trained")] = None,  # noqa: UP045
    overwrite: Annotated[bool, typer.Option(help="replace an existing folder")] = False,
) -> None:
    """Make one model of several trainings: their mean, and how far they are apart."""
    with quiet_tensorflow():
        from zoo.workflows.ensemble import build_ensemble

        found = build_ensemble(members, out, name=name, like=like, overwrite=overwrite)
    print(
        f"wrote {found.spec.name}, {found.spec.config['count']} members, to {out}, which zoo explain, export and serve take as"
        f" {_as_argument(out)}"
    )


@app.command()
def verify(path: NameArgument, as_json: JsonOption = False) -> None:
    """Check an ONNX folder against its sha256s and test tensors, without TensorFlow."""
    from zoo.serving.verify import verify as run

    report = run(path)
    if as_json:
        print(json.dumps({**report.model_dump(mode="json"), "ok": report.ok}, indent=1))
    else:
        from zoo.cli.tables import show as print_table
        from zoo.cli.tables import verify_table

        print_table(verify_table(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def predict(
    name: NameArgument,
    file: InputOption = None,
    planck: PlanckOption = None,
    endpoint: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="function of the model; by default predict, or the first where there is none"),
    ] = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict with ONNX Runtime, on a file, on Planck's spectra, or on the shipped test rows."""
    if planck is not None:
        if file is not None or endpoint is not None:
            raise ZooError("--planck takes neither --input nor --endpoint")
        _predict_planck(name, planck, out or Path("."), as_json)
        return
    from zoo.cli.files import read_inputs
    from zoo.serving import Session

    session = Session(name)
    endpoint = endpoint or session.spec.default_endpoint
    outputs = session.run(read_inputs(session.folder, endpoint, file), endpoint)
    if as_json:
        print(json.dumps({key: value.tolist() for key, value in outputs.items()}))
        return
    from zoo.cli.tables import output_table
    from zoo.cli.tables import show as print_table

    print_table(output_table(session.spec, endpoint, outputs, "the model's shipped test rows" if file is None else str(file)))
    if out is not None:
        from zoo.cli.files import write_outputs

        print(f"wrote {write_outputs(out / f'{session.spec.name}-{endpoint}.npz', outputs)}")


def _one_recipe(name: str | None, file: Path | None) -> str | Path:
    chosen = [given for given in (name, file) if given is not None]
    if len(chosen) != 1:
        raise ZooError("expected one recipe: a model's name, or --recipe FILE")
    return chosen[0]


def _predict_planck(name: str, folder: Path, out: Path, as_json: bool) -> None:
    with quiet_tensorflow():
        from zoo.interpret.planck import planck_report
        from zoo.loading import load

        report = planck_report(load(name), folder, out)
    print(json.dumps(report.model_dump(mode="json"), indent=1) if as_json else report.text())


@app.command()
def infer(
    name: NameArgument,
    planck: PlanckOption = None,
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--input", help=".npy with one observation, or .npz that holds it under its tensor's name"),
    ] = None,
    draws: Annotated[int, typer.Option(help="from the posterior")] = 10_000,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the posterior of one observation from a conditional flow; writes samples (.npz) and a corner plot (.png)."""
    from zoo.interpret.observation import planck_observation, read_observation
    from zoo.interpret.posteriors.infer import infer as run
    from zoo.serving import Session

    session = Session(name)
    if planck is not None and file is None:
        observation = planck_observation(session.spec, planck)
    elif file is not None and planck is None:
        observation = read_observation(session.spec, file)
    else:
        raise ZooError("infer needs one observation: --planck FOLDER or --input FILE")
    endpoint = session.spec.endpoint("sample")
    (noise, observed), (parameters,) = endpoint.inputs, endpoint.outputs

    def sample(z, x):
        return session.run({noise.name: z, observed.name: x}, "sample")[parameters.name]

    report = run(session.spec.name, sample, observation, out or Path("."), draws=draws, seed=seed)
    print(json.dumps(report.model_dump(mode="json"), indent=1) if as_json else report.text())


@app.command(help=EXPLAIN_HELP)
def explain(
    name: NameArgument,
    file: InputOption = None,
    planck: PlanckOption = None,
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="one of those above; default: traversal where there are latents, else integrated_gradients"),
    ] = None,
    endpoint: Annotated[Optional[str], typer.Option(help="function to explain; default predict, or the first")] = None,  # noqa: UP045
    output: Annotated[Optional[str], typer.Option(help="tensor of its answer; default the first, or logits")] = None,  # noqa: UP045
    target: Annotated[Optional[int], typer.Option(help="element of the output to explain; default 0")] = None,  # noqa: UP045
    wrt: Annotated[Optional[str], typer.Option(help="input tensor to attribute to; default the first")] = None,  # noqa: UP045
    of: Annotated[Optional[str], typer.Option(help="attribution method whose trust is asked; default as above")] = None,  # noqa: UP045
    patch: Annotated[Optional[int], typer.Option(help="elements along a side of what is taken away together")] = None,  # noqa: UP045
    layer: Annotated[Optional[str], typer.Option(help="name of a layer, or of a block for its last")] = None,  # noqa: UP045
    features: Annotated[Optional[str], typer.Option(help="elements or names, with commas; default: what matters")] = None,  # noqa: UP045
    rows: Annotated[Optional[int], typer.Option(help="of the data set at most; default 1000, for latents 5000")] = None,  # noqa: UP045
    out: OutOption = None,
) -> None:
    out = out or Path(".")
    options = {
        "endpoint": endpoint,
        "output": output,
        "target": target,
        "wrt": wrt,
        "of": of,
        "patch": patch,
        "layer": layer,
        "features": None if features is None else features.split(","),
    }
    if method is not None:
        given_options(method, options | {"rows": rows})  # before anything is loaded
    elif rows is not None:
        raise ZooError(f"--rows goes with --method {', '.join(OPTIONS['rows'])}")
    if planck is not None and method in OPTIONS["rows"]:
        raise ZooError(f"--method {method} takes no --planck, whose sky has no known truth")
    if method == "latents":
        _explain_latents(name, file, 5000 if rows is None else rows, out)
        return
    with quiet_tensorflow():
        from zoo.interpret.to_files import explain_to_files, rows_from_file
        from zoo.loading import load

        model = load(name)
        spec = model.spec

        def data() -> Rows:
            asked = endpoint or spec.default_endpoint
            found = _own_test_rows(spec)[0] if file is None else rows_from_file(spec, file, asked)
            return found.some(1000 if rows is None else rows)

        paths = explain_to_files(model, out, file=file, planck=planck, method=method, data=data, **options)
    print("wrote " + " and ".join(map(str, paths)))


def _explain_latents(name: str, file: Path | None, rows: int, out: Path) -> None:
    with quiet_tensorflow():
        from zoo.cli.tables import show as print_table
        from zoo.interpret.to_files import latents_to_files, rows_from_file
        from zoo.loading import load

        model = load(name)
        model.spec.endpoint("encode")  # before any data are simulated
        if file is None:
            data, quantities, source = _own_test_rows(model.spec)
        else:
            data, quantities, source = rows_from_file(model.spec, file), None, str(file)
        report, paths = latents_to_files(model, data, out, quantities=quantities, rows=rows)
    print_table(report.table())
    print(f"rows of {source}\nwrote " + ", ".join(map(str, paths)))


def _own_test_rows(spec: ModelSpec) -> tuple[Rows, list[str] | None, str]:
    """Test rows of the data set that a model names, the quantities to look for, and what to say of both.

    A card does not record the parameters of its data set; the recipe of a released model does.
    """
    from zoo.data.dataset import get_dataset
    from zoo.training.recipe import load_recipe, recipe_names

    recipe = load_recipe(spec.name) if spec.name in recipe_names() else None
    if recipe is not None and recipe.revision == spec.revision:
        quantities = getattr(recipe.evaluation, "quantities", None)
        return recipe.data.dataset().rows("test"), quantities, f"the test split of {spec.data.source}, as its recipe makes it"
    data = get_dataset(spec.data.source).rows("test")
    card = f"its card counts {spec.data.rows.get('test', 0)} test rows, here are {len(data)}"
    return data, None, f"the test split of {spec.data.source} with default parameters, as no recipe is known; {card}"


@app.command()
def serve(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="names, model folders or folders of models; default: every model that zoo list shows"),
    ] = None,
    host: Annotated[str, typer.Option(help="address to bind to")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port of REST")] = 8000,
    grpc_port: Annotated[Optional[int], typer.Option(help="port of gRPC; none unless given")] = None,  # noqa: UP045
    model_control: Annotated[
        Control, typer.Option(help="as Triton's: load at start, follow the folder, or clients")
    ] = Control.none,
    poll: Annotated[float, typer.Option(help="seconds between looks at the folder, with --model-control poll")] = 15.0,
    max_batch: Annotated[int, typer.Option(help="rows up to which requests are joined", min=1)] = 256,
    max_delay: Annotated[float, typer.Option(help="milliseconds a busy model waits to fill a batch", min=0)] = 0.0,
    max_queue: Annotated[int, typer.Option(help="requests that may wait for a model; one more is refused", min=1)] = 1024,
    timeout: Annotated[float, typer.Option(help="seconds for a request that sets none", min=0)] = 60.0,
    max_body: Annotated[int, typer.Option(help="largest request in bytes", min=1)] = 64 * 2**20,
    workers: Annotated[Optional[int], typer.Option(help="threads; default: one a core", min=1)] = None,  # noqa: UP045
    log_requests: Annotated[bool, typer.Option(help="a line of JSON a request on standard error")] = False,
) -> None:
    """Serve models over the Open Inference Protocol V2: REST, and gRPC on a port of its own."""
    from zoo.serving.batching import Policy
    from zoo.serving.rest import Limits
    from zoo.serving.server import Settings
    from zoo.serving.server import serve as run

    settings = Settings(
        policy=Policy(max_batch=max_batch, max_delay=max_delay / 1e3, max_queue=max_queue),
        limits=Limits(body=max_body),
        control=model_control.value,
        poll=poll,
        timeout=timeout or None,
        workers=workers,
        log_requests=log_requests,
    )
    run(names or [], host=host, port=port, grpc_port=grpc_port, settings=settings)


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Send what TensorFlow's C++ code writes to descriptor 2 to a file; Python's own stderr stays where it is.

    TensorFlow logs a dozen lines about absent GPUs before any of its log levels applies. ``ZOO_DEBUG=1`` shows them.
    """
    if os.environ.get("ZOO_DEBUG"):
        yield
        return
    from rich.console import Console

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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


def main() -> None:
    """Run the command line; an error that the zoo raises on purpose is one line and exit code 1."""
    try:
        app()
    except (ZooError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except ImportError as error:
        print(f"error: {error}; pip install 'physzoo[all]' brings everything that a command needs", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
