"""The commands that ask a model: predict, infer and explain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from zoo.cli.options import (
    ColumnsOption,
    InputOption,
    JsonOption,
    NameArgument,
    ObservationOption,
    OutOption,
    UnitsOption,
    columns_by_input,
    expect_file_for,
    pairs,
    right_seed,
)
from zoo.cli.terminal import plain_warnings, quiet_tensorflow
from zoo.errors import ZooError

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.observation import Observation
    from zoo.interpret.to_files import DataRows
    from zoo.model.spec import ModelSpec
    from zoo.serving import Session


app = typer.Typer()


EXPLAIN = "Explain what drives a model's answer, what it has learned, and whether an explanation can be believed."


class ExplainCommand(typer.core.TyperCommand):
    """A command whose help names every method, which are imported only when it is asked for."""

    def format_help(self, ctx, formatter) -> None:
        """Write the help, with a line for each method."""
        from zoo.interpret.methods import described

        self.help = (
            f"{EXPLAIN}\n\nWrites arrays (.npz) and a figure (.png). Attribution and trust are of rows of --input or of an"
            " --observation, or of the shipped test rows; global methods ask test rows of the model's own data set, or --input"
            f" with inputs, target and quantities by name.\n\n{described(('patch', 'layer', 'features', 'of'))}"
        )
        super().format_help(ctx, formatter)


@app.command()
def predict(
    name: NameArgument,
    data: InputOption = None,
    observation: ObservationOption = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="function of the model; by default predict, or the first where there is none"),
    ] = None,
    columns: ColumnsOption = None,
    units: UnitsOption = None,
    allow_out_of_range: Annotated[
        bool, typer.Option("--allow-out-of-range", help="answer inputs outside the trained range too")
    ] = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict with ONNX Runtime, on a file, on an observation, or on the shipped test rows."""
    if observation is not None and data is not None:
        raise ZooError("give --observation or --input, not both")
    expect_file_for(data, {"--columns": columns, "--units": units})
    from zoo.model.array_files import read_inputs
    from zoo.serving import Session

    session = Session(name, device="cpu")  # which is done with one batch before a GPU is ready
    endpoint = endpoint or session.spec.default_endpoint
    if observation is not None:
        outputs = _predict_observation(session, endpoint, observation, allow_out_of_range, as_json)
    else:
        chosen, said = columns_by_input(columns), dict(pairs("--units", units))
        inputs = read_inputs(session.folder, endpoint, data, columns=chosen, units=said)
        outputs = session.run(inputs, endpoint, allow_out_of_range=allow_out_of_range)
        if as_json:
            print(json.dumps({key: value.tolist() for key, value in outputs.items()}))
        else:
            _show_outputs(session.spec, endpoint, outputs, "the model's shipped test rows" if data is None else str(data))
    if out is not None:
        from zoo.model.array_files import write_outputs

        written = write_outputs(out / f"{session.spec.name}-{endpoint}.npz", outputs)
        if not as_json:
            print(f"wrote {written}")


def _predict_observation(
    session: Session, endpoint: str, path: Path, allow_out_of_range: bool, as_json: bool
) -> dict[str, np.ndarray]:
    """Answer an observation, and say what is known of it besides."""
    import numpy as np

    from zoo.data.observation import read_observation
    from zoo.interpret.observed import answer_observation

    observation = read_observation(session.spec, path)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return session.run(inputs, endpoint, allow_out_of_range=allow_out_of_range)

    found = answer_observation(session.spec, run, observation, endpoint)
    outputs = {key: np.asarray(rows) for key, rows in found.answers.items()}
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        _show_outputs(session.spec, endpoint, outputs, observation.description)
        if known := found.text():
            print(known)
    return outputs


def _show_outputs(spec: ModelSpec, endpoint: str, outputs: dict[str, np.ndarray], source: str) -> None:
    from zoo.cli.tables import output_table
    from zoo.cli.terminal import show as print_table

    print_table(output_table(spec, endpoint, outputs, source))


@app.command()
def infer(
    name: NameArgument,
    observation: ObservationOption = None,
    draws: Annotated[int, typer.Option(help="from the posterior")] = 10_000,
    seed: Annotated[int, typer.Option(help="of the draws", callback=right_seed)] = 0,
    prior: Annotated[
        list[str] | None,
        typer.Option(help="another law of a parameter, 'tau={distribution: normal, mean: 0.054, sd: 0.007}'; repeatable"),
    ] = None,
    together: Annotated[
        bool,
        typer.Option("--together", help="rows of the file are independent observations of the same parameters"),
    ] = False,
    allow_out_of_range: Annotated[
        bool,
        typer.Option("--allow-out-of-range", help="take an observation out of range, or unlike any simulation"),
    ] = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the posterior of an observation from a conditional flow; writes samples (.npz) and a corner plot (.png)."""
    if observation is None:
        raise ZooError(
            "infer needs one observation: --observation PATH, as the model's data source reads it or a .npy of one row"
        )
    from zoo.data.observation import read_observation
    from zoo.interpret.posteriors.infer import infer as run
    from zoo.interpret.posteriors.infer import infer_together
    from zoo.interpret.posteriors.observed import conditional_flow
    from zoo.model.store import locate
    from zoo.serving import Session

    laws = {}
    if prior:
        from zoo.training.recipe import parse_changes

        laws = parse_changes(prior, "--prior")
    model = locate(name)
    conditional_flow(model.spec)  # before anything is read
    found = read_observation(model.spec, observation, several=together)
    with plain_warnings():
        how: dict[str, Any] = {"draws": draws, "seed": seed, "prior": laws, "allow_out_of_range": allow_out_of_range}
        if together:
            from zoo.loading import load

            loaded = load(name)
            report = infer_together(loaded, found, out or Path("."), reference=loaded.reference, **how)
        else:
            session = Session(name, device="cpu")
            how["reference"] = session.reference

            def sample(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
                return session.run(inputs, "sample", allow_out_of_range=allow_out_of_range)

            how["emulate"] = lambda emulator, theta: Session(emulator, device="cpu").run(theta)
            report = run(session.spec, sample, found, out or Path("."), **how)
    print(json.dumps(report.model_dump(mode="json"), indent=1) if as_json else report.text())


@app.command(cls=ExplainCommand, help=EXPLAIN)
def explain(
    name: NameArgument,
    data: InputOption = None,
    observation: ObservationOption = None,
    method: Annotated[
        str | None,
        typer.Option(help="one of those above; default: traversal where there are latents, else integrated_gradients"),
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="function to explain; default predict, or the first")] = None,
    output: Annotated[str | None, typer.Option(help="tensor of its answer; default the first, or logits")] = None,
    target: Annotated[str | None, typer.Option(help="element of the output to explain, its number or name; default 0")] = None,
    wrt: Annotated[str | None, typer.Option(help="input tensor to attribute to; default the first")] = None,
    of: Annotated[str | None, typer.Option(help="attribution method whose trust is asked; default as above")] = None,
    patch: Annotated[int | None, typer.Option(help="elements along a side of what is taken away together")] = None,
    layer: Annotated[str | None, typer.Option(help="name of a layer, or of a block for its last")] = None,
    search: Annotated[
        str | None, typer.Option(help="formulae of latents: symbolic (default), or polynomial, which loads no network")
    ] = None,
    features: Annotated[str | None, typer.Option(help="elements or names, with commas; default: what matters")] = None,
    rows: Annotated[int | None, typer.Option(help="of the data set at most; default 1000, for latents 5000")] = None,
    weights: Annotated[
        str | None, typer.Option(help="column of event weights, of either sign, by which rows of --input count in a mean")
    ] = None,
    columns: ColumnsOption = None,
    units: UnitsOption = None,
    out: OutOption = None,
) -> None:
    """Explain a model by one method; its help is written by `ExplainCommand`."""
    from zoo.data.observation import read_observation
    from zoo.interpret.methods import given_options, method_named, registered
    from zoo.model.store import locate

    options = {
        "endpoint": endpoint,
        "output": output,
        "target": target,
        "wrt": wrt,
        "of": of,
        "patch": patch,
        "layer": layer,
        "search": search,
        "features": None if features is None else features.split(","),
        "rows": rows,
        "weights": weights,
    }
    expect_file_for(data, {"--weights": weights, "--columns": columns, "--units": units})
    how = {"columns": columns_by_input(columns), "units": dict(pairs("--units", units))}
    if method is not None:  # what is wrong is said before anything is loaded
        from zoo.interpret.to_files import check_rows

        given_options(method_named(method), options)
        check_rows(method_named(method), data is not None, observation is not None)
    elif rows is not None:
        takers = [taker.name for taker in registered().values() if "rows" in taker.options]
        raise ZooError(f"--rows goes with --method {', '.join(takers)}")
    observed = None if observation is None else read_observation(locate(name).spec, observation)
    _explain(name, out or Path("."), data, how, observed, method, options)


def _explain(
    name: str,
    out: Path,
    data: Path | None,
    how: dict[str, Any],
    observation: Observation | None,
    method: str | None,
    options: dict[str, Any],
) -> None:
    with quiet_tensorflow():
        from zoo.interpret.to_files import DataRows, explain_to_files, rows_from_file
        from zoo.loading import load
        from zoo.workflows.rows import own_rows, quantities_of, source_of_rows

        model = load(name)

        def rows(endpoint: str, most: int) -> DataRows:
            if data is not None:
                with plain_warnings():
                    found = rows_from_file(model.spec, data, endpoint, options["weights"], **how)
            else:
                (test,) = own_rows(model, "test")
                found = DataRows(test, source_of_rows(model.spec), quantities_of(model))
            return replace(found, rows=found.rows.some(most))

        written = explain_to_files(model, out, file=data, **how, observation=observation, method=method, data=rows, **options)
    if (table := written.result.table()) is not None:
        from zoo.cli.terminal import show as print_table

        print_table(table)
    if written.source:
        print(f"rows of {written.source}")
    print("wrote " + ", ".join(map(str, written.paths)))
