"""Explanations as files: arrays for scripts, a figure for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import whole_file
from zoo.data.dataset import Rows
from zoo.errors import InputError, warn
from zoo.interpret.attribution.explain import explain
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.methods import Asked, ExplanationMethod, given_options, method_named
from zoo.model.array_files import inputs_of_table, read_inputs
from zoo.model.handed_in.columns import Columns
from zoo.model.handed_in.files import read_columns
from zoo.model.handed_in.tensors import array_of
from zoo.model.spec import Endpoint, ModelSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.data.observation import Observation


@dataclass(frozen=True)
class DataRows:
    """Rows of a data set for methods that ask many.

    Attributes
    ----------
    rows : Rows
        Inputs, targets and truth.
    source : str
        Source of the rows, for people.
    quantities : sequence of str, optional
        Physical quantities that are to be looked for; all of them by default.
    """

    rows: Rows
    source: str
    quantities: Sequence[str] | None = None


@dataclass(frozen=True)
class Written:
    """What was explained, and where it was written.

    Attributes
    ----------
    result : object
        The result of the method.
    paths : list of Path
        Files of arrays and the figure.
    source : str
        Source of the rows of a data set; empty for a method that asked for none.
    """

    result: Any
    paths: list[Path]
    source: str = ""


def default_method(model: Any) -> str:
    """The method that is taken where none is asked for.

    Parameters
    ----------
    model : EndpointModel
        The model.

    Returns
    -------
    str
        A traversal of a model with latents to decode, else integrated gradients.
    """
    return "traversal" if "decode" in model.endpoints else "integrated_gradients"


def explain_to_files(
    model: Any,
    out: Path,
    *,
    file: Path | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    observation: Observation | None = None,
    method: str | None = None,
    data: Callable[[str, int], DataRows] | None = None,
    **options: Any,
) -> Written:
    """Explain a loaded model on a file, on an observation, on its shipped test rows or on rows of a data set.

    Parameters
    ----------
    model : EndpointModel
        A loaded model.
    out : Path
        Folder to write to.
    file : Path, optional
        Inputs of the endpoint, as `zoo predict` takes them.
    columns, units : mapping, optional
        How columns of the file are called and in which units they are, as `zoo.model.array_files.read_inputs` takes them.
    observation : Observation, optional
        What is explained in place of a file.
    method : str, optional
        A method of `zoo.interpret.methods`; by default a traversal where the model has latents to decode, else integrated
        gradients.
    data : callable, optional
        Makes rows with truth of an endpoint's inputs, at most so many, for the methods that ask for a data set.
    **options : object
        Options of the method; None is as good as none.

    Returns
    -------
    Written
        The result and the paths of its files.

    Raises
    ------
    UnknownNameError
        There is no such method.
    InputError
        The method does not take an option, a file or an observation, or they are not what it needs.
    ExplanationError
        The model does not have what the method needs.
    """
    chosen = method_named(method or default_method(model))
    given = given_options(chosen, options)
    check_rows(chosen, file is not None, observation is not None)
    chosen.check(model)
    endpoint = chosen.endpoint or given.get("endpoint") or model.spec.default_endpoint
    described = model.spec.endpoint(endpoint)  # an unknown name is said before rows are made
    most, source = given.pop("rows", chosen.rows), ""
    given.pop("weights", None)  # are those of the rows
    if chosen.asks == "nothing":
        asked = Asked(model)
    elif chosen.asks == "data":
        if data is None:
            raise InputError(f"--method {chosen.name} needs rows of a data set, and none are given")
        made = data(endpoint, most)
        if made.rows.weight is not None and not chosen.weighs:
            warn(f"{chosen.name} leaves out the event weights of the rows, each of which counts the same")
        asked, source = _on_data(model, endpoint, made), made.source
    elif observation is not None:
        asked = Asked(model, observation.of(described))
    else:
        if model.folder is None:
            raise InputError("the model was not loaded by zoo.load, so that it has no test rows: give a file")
        asked = Asked(model, read_inputs(model.folder, endpoint, file, columns=columns, units=units))
    result = _run(chosen, asked, given)
    return Written(result, _write(model, chosen, result, out, observation), source)


def check_rows(method: ExplanationMethod, file: bool, observation: bool) -> None:
    """Refuse rows that a method does not take, before anything is loaded.

    Parameters
    ----------
    method : ExplanationMethod
        The method.
    file : bool
        Whether a file of rows is given.
    observation : bool
        Whether an observation is given.

    Raises
    ------
    InputError
        The method asks the model alone or needs a truth, or both are given.
    """
    if file and observation:
        raise InputError("give --observation or --input, not both")
    if method.asks == "nothing" and (file or observation):
        told = "input" if file else "observation"
        raise InputError(
            f"--method {method.name} asks the model alone: leave out --{told}, or choose a --method that takes rows"
        )
    if method.asks == "data" and observation:
        raise InputError(f"--method {method.name} takes no --observation, whose truth nobody knows")


def _run(method: ExplanationMethod, asked: Asked, options: dict[str, Any]) -> Any:
    if method.kind == "attribution":
        return explain(asked.model, asked.inputs, method=method.name, **options)
    return method.function(asked, **options)


def _on_data(model: Any, endpoint: str, made: DataRows) -> Asked:
    names = [tensor.name for tensor in model.spec.endpoint(endpoint).inputs]
    if all(name in made.rows.inputs for name in names):
        inputs = {name: np.asarray(made.rows.inputs[name]) for name in names}
    else:
        tensors = model.example(made.rows.inputs, np.random.default_rng(0))[endpoint]
        inputs = dict(zip(names, map(np.asarray, tensors), strict=True))
    return Asked(model, inputs, made.rows, made.quantities)


def _write(model: Any, method: ExplanationMethod, result: Any, out: Path, observation: Observation | None) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{model.spec.name}-{method.name.replace('_', '-')}"
    paths = [result.save(out / f"{stem}{suffix}") for suffix in result.suffixes]
    picture = out / f"{stem}.png"
    with whole_file(picture) as file:
        _figure(result, observation).savefig(file, dpi=120)
    return [*paths, picture]


def _figure(result: Any, observation: Observation | None) -> Figure:
    """The figure of a result; of an attribution to an observation with errors and a reference, the two together."""
    if observation is not None and isinstance(result, Explanation):
        known = result.tensor in observation.error and result.tensor in observation.reference
        if known and result.inputs.ndim == 2:
            from zoo.interpret import plots

            return plots.attribution_over_observation(result, observation)
    return result.plot()


def rows_from_file(
    spec: ModelSpec,
    file: Path,
    endpoint: str = "encode",
    weights: str | None = None,
    *,
    columns: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
) -> DataRows:
    """Read a user's own rows with their truth.

    Parameters
    ----------
    spec : ModelSpec
        Spec of the model that is asked.
    file : Path
        A file of columns with the inputs of an endpoint under their names; ``target``, what the model should answer; every
        other column of one number a row is a quantity.
    endpoint : str
        Name of the endpoint.
    weights : str, optional
        The column of event weights.
    columns, units : mapping, optional
        How columns of the inputs are called and in which units they are, as `zoo.model.array_files.read_inputs` takes them.

    Returns
    -------
    DataRows
        The rows.

    Raises
    ------
    InputError
        An input is missing.
    """
    table, described = read_columns(file), spec.endpoint(endpoint)
    inputs, used = inputs_of_table(table, described, columns, units)
    weight = None if weights is None else table.weights(weights)
    if weights is None:
        table.warn_of_weights(used)
    first = next(iter(inputs.values()))
    rest = [name for name, column in table.columns.items() if name not in {*used, weights} and column.rows == len(first)]
    numbers = {name: _plain(table, name, described) for name in rest}
    rows = Rows(
        inputs=inputs,
        target=numbers.pop("target", first),
        group=np.arange(len(first)),
        truth={name: array for name, array in numbers.items() if array.dtype.kind in "biuf"},
        weight=weight,
    )
    return DataRows(rows, str(file))


def _plain(columns: Columns, name: str, endpoint: Endpoint) -> np.ndarray:
    """Values of a column, all of which are there; the target is in the unit of the endpoint's first output."""
    values = columns.one(name).values
    found = np.asarray(values.array[...] if values.on_disk else values.array)
    if values.missing is not None and values.missing.any():
        row = int(np.argwhere(values.missing)[0][0])
        raise InputError(f"{columns.source}: values of {name} are missing, the first in row {row}: leave those rows out")
    if name != "target" or values.unit is None:
        return found
    return array_of(replace(values, array=found), endpoint.outputs[0])
