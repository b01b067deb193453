"""The commands that ask a model: predict, infer and explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.options import InputOption, JsonOption, NameArgument, OutOption, PlanckOption
from zoo.cli.terminal import quiet_tensorflow
from zoo.errors import ZooError
from zoo.interpret.methods import OPTIONS, described, given_options

if TYPE_CHECKING:
    from zoo.data.dataset import Rows


app = typer.Typer()


EXPLAIN_HELP = (
    "Explain what drives a model's answer, what it has learned, and whether an explanation can be believed.\n\n"
    "Writes arrays (.npz) and a figure (.png). Attribution and trust are of rows of --input or --planck, or of the shipped test"
    " rows; global methods ask test rows of its own data set, or --input with inputs, target and quantities by name.\n\n"
    + described()
)


@app.command()
def predict(
    name: NameArgument,
    file: InputOption = None,
    planck: PlanckOption = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="function of the model; by default predict, or the first where there is none"),
    ] = None,
    allow_out_of_range: Annotated[
        bool, typer.Option("--allow-out-of-range", help="answer inputs outside the trained range too")
    ] = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict with ONNX Runtime, on a file, on Planck's spectra, or on the shipped test rows."""
    if planck is not None:
        if file is not None or endpoint is not None:
            raise ZooError("--planck takes neither --input nor --endpoint")
        _predict_planck(name, planck, out or Path("."), as_json)
        return
    from zoo.model.array_files import read_inputs
    from zoo.serving import Session

    session = Session(name)
    endpoint = endpoint or session.spec.default_endpoint
    outputs = session.run(read_inputs(session.folder, endpoint, file), endpoint, allow_out_of_range=allow_out_of_range)
    if as_json:
        print(json.dumps({key: value.tolist() for key, value in outputs.items()}))
        return
    from zoo.cli.tables import output_table
    from zoo.cli.terminal import show as print_table

    print_table(output_table(session.spec, endpoint, outputs, "the model's shipped test rows" if file is None else str(file)))
    if out is not None:
        from zoo.model.array_files import write_outputs

        print(f"wrote {write_outputs(out / f'{session.spec.name}-{endpoint}.npz', outputs)}")


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
        Path | None,
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
    data: InputOption = None,
    planck: PlanckOption = None,
    method: Annotated[
        str | None,
        typer.Option(help="one of those above; default: traversal where there are latents, else integrated_gradients"),
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="function to explain; default predict, or the first")] = None,
    output: Annotated[str | None, typer.Option(help="tensor of its answer; default the first, or logits")] = None,
    target: Annotated[int | None, typer.Option(help="element of the output to explain; default 0")] = None,
    wrt: Annotated[str | None, typer.Option(help="input tensor to attribute to; default the first")] = None,
    of: Annotated[str | None, typer.Option(help="attribution method whose trust is asked; default as above")] = None,
    patch: Annotated[int | None, typer.Option(help="elements along a side of what is taken away together")] = None,
    layer: Annotated[str | None, typer.Option(help="name of a layer, or of a block for its last")] = None,
    features: Annotated[str | None, typer.Option(help="elements or names, with commas; default: what matters")] = None,
    rows: Annotated[int | None, typer.Option(help="of the data set at most; default 1000, for latents 5000")] = None,
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
        _explain_latents(name, data, 5000 if rows is None else rows, out)
        return
    with quiet_tensorflow():
        from zoo.interpret.to_files import explain_to_files, rows_from_file
        from zoo.loading import load
        from zoo.workflows.rows import own_rows

        model = load(name)

        def many() -> Rows:
            if data is None:
                (found,) = own_rows(model, "test")
            else:
                found = rows_from_file(model.spec, data, endpoint or model.spec.default_endpoint)
            return found.some(1000 if rows is None else rows)

        paths = explain_to_files(model, out, file=data, planck=planck, method=method, data=many, **options)
    print("wrote " + " and ".join(map(str, paths)))


def _explain_latents(name: str, data: Path | None, rows: int, out: Path) -> None:
    with quiet_tensorflow():
        from zoo.cli.terminal import show as print_table
        from zoo.interpret.to_files import latents_to_files, rows_from_file
        from zoo.loading import load
        from zoo.workflows.rows import own_rows, quantities_of, source_of_rows

        model = load(name)
        model.spec.endpoint("encode")  # before any data are simulated
        if data is None:
            (found,), quantities, source = own_rows(model, "test"), quantities_of(model), source_of_rows(model.spec)
        else:
            found, quantities, source = rows_from_file(model.spec, data), None, str(data)
        report, paths = latents_to_files(model, found, out, quantities=quantities, rows=rows)
    print_table(report.table())
    print(f"rows of {source}\nwrote " + ", ".join(map(str, paths)))
