"""From a released model and a user's data to a model of the user's own: check -> train -> judge -> export -> card.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from zoo.errors import ExportError, InputError
from zoo.model.axes import TensorName, fixed_axes
from zoo.model.card import TEMPLATE
from zoo.model.spec import Data, Endpoint, Export, Lineage, ModelSpec, Name, Tensor
from zoo.workflows.folder import test_inputs, write_model_folder

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.families.base import ZooModel
    from zoo.training.checks import Checked
    from zoo.training.fine_tune import FineTuned, FineTuning
    from zoo.training.user_data import UserData

TEST_ROWS = 16


def fine_tune(
    model: str | Path | ZooModel,
    data: Any,
    *,
    folder: str | Path,
    target: str | Sequence[str] | None = None,
    group: str | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    unfreeze: Literal["head", "all"] | int | list[str] = "head",
    learning_rate: float = 1e-3,
    layer_decay: float = 1.0,
    epochs: int = 100,
    batch_size: int = 32,
    patience: int = 10,
    seed: int = 0,
    outputs: int | None = None,
    task: Literal["classification", "regression"] | None = None,
    inputs: int | None = None,
    restandardize: bool = False,
    lora: int | None = None,
    overwrite: bool = False,
) -> ZooModel:
    """Go on training a released model on data of your own.

    ``folder`` becomes a model like any other, for ``zoo.load``, ``zoo export``, ``zoo serve`` and ``zoo push``: its card says
    what it came from and compares it with its parent and with the same network from scratch on the same held-out fifth of the
    groups. The run lies in ``<folder>.run``; the same call goes on where it was killed.

    Parameters
    ----------
    model : as ``zoo.load`` takes or returns it
    data : path of a CSV, ``.npz``, HDF5 or Parquet file or of a folder of ``.npy``; arrays by column name; or a `Dataset`,
        which brings its own splits. Columns are called as the model's inputs, those of a vector ``name_0``, ``name_1``, ...
    folder : to be made; its name is the model's
    target : column or columns to be predicted; by default called as the model's first output. A density has none
    group : column that names the simulation, object or run of each row: no two splits share one
    columns : input -> its columns, where they are called otherwise
    units : column -> its unit, as ``astropy.units`` writes it, where the file does not say it; converted into the model's
    unfreeze : blocks to train: the last ("head"), "all", the last so many, or by name (``model.blocks``)
    learning_rate : of Adam, after a short warm-up; it falls along a cosine
    layer_decay : learning rate of each trained layer over that of the next
    epochs : at most
    batch_size : rows a step
    patience : epochs without a lower validation loss after which training stops; the weights of the lowest are kept
    seed : of split, order and new weights
    outputs : size of a new head: 1 for one quantity or two classes, else quantities or classes
    task : of the new head, "classification" or "regression"; by default the parent's
    inputs : how many numbers a row of your first input has, where they are not those of the parent: a new first layer takes
        them, and is trained whatever else is
    restandardize : whether scalings are measured anew on the training rows
    lora : rank of what is added to the frozen kernels of the unfrozen blocks in place of training them
    overwrite : replace an earlier model in ``folder``

    Raises
    ------
    InputError, UnknownNameError
        For data, blocks or settings that do not fit, before the first step; the message says what to do.
    FolderError
        If ``<folder>.run`` holds a run with other settings or data.
    ExportError
        If ``folder`` exists.
    ParityError
        If an exported graph does not answer as the model does; nothing is written then.

    Warns
    -----
    UserWarning
        For data that can be trained on and may be wrong all the same: drift, values out of range, unbalanced classes.

    Examples
    --------
    >>> mine = zoo.fine_tune("mlp-cmb-feature", "spectra.csv", target="feature", folder="my-feature")  # doctest: +SKIP
    >>> mine.spec.metrics[0]  # doctest: +SKIP
    """
    from zoo.families.base import ZooModel as Network
    from zoo.loading import load
    from zoo.training.checks import check
    from zoo.training.columns import read_columns
    from zoo.training.comparison import compare
    from zoo.training.fine_tune import FineTuning, untrained
    from zoo.training.fine_tune import fine_tune as train
    from zoo.training.user_data import UserData

    folder = Path(folder).expanduser().resolve()
    name = _name(folder, overwrite)
    try:
        settings = FineTuning(
            unfreeze=unfreeze,
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
    except ValidationError as error:
        raise InputError("; ".join(dict.fromkeys(_reason(one) for one in error.errors()))) from error
    parent = load(model) if isinstance(model, str | Path) else model
    if reason := getattr(parent, "no_fine_tuning", None):
        raise InputError(f"{parent.spec.name if hasattr(parent, 'spec') else type(parent).__name__}: {reason}")
    if not isinstance(parent, Network) or not hasattr(parent, "spec"):
        raise InputError(
            f"expected the name of a model, a folder or a model of the zoo, given {type(parent).__name__}: to one that was"
            " built by hand, assign model.spec"
        )
    family, network = untrained(parent, settings)
    described = parent.spec if inputs is None else _with_inputs(parent.spec, network, inputs)
    if callable(getattr(data, "rows", None)):
        if given := [
            word for word, value in {"target": target, "group": group, "columns": columns, "units": units}.items() if value
        ]:
            raise InputError(f"{', '.join(given)}: expected with columns only, given with a data set, which brings its own")
        dataset, source, sha256 = data, type(data).__name__, None
    else:
        found = read_columns(data)
        dataset = UserData(
            found, network, described, target=target, group=group, matched=columns, units=units, outputs=outputs, seed=seed
        )
        source, sha256 = found.source, found.sha256
    checked = check(dataset, network, described)
    for warning in checked.warnings:
        warnings.warn(warning, stacklevel=2)
    run = folder.with_name(f"{folder.name}.run")
    tuned = train(parent, network, dataset, settings, checked, run)
    beside = {"before": parent} if outputs is None and inputs is None else {}
    metrics = compare({"fine-tuned": tuned.model, **beside, "from scratch": tuned.scratch}, dataset.rows("test"))
    spec = described.model_copy(
        update={
            "name": name,
            "revision": "1",
            "family": family,
            "config": network.config,
            "summary": f"{parent.spec.summary}; fine-tuned on {Path(source).name}",
            "endpoints": _with_extremes(described.endpoints, checked.extremes),
            "data": _data(Path(source).name, dataset, checked),
            "metrics": metrics,
            "files": [],
            "export": Export(),
            "lineage": Lineage(parent=parent.spec.name, revision=parent.spec.revision, data_sha256=sha256 or checked.sha256),
            "earlier_revisions": {},
            "physzoo_version": version("physzoo"),
        }
    )
    if outputs is not None:
        spec = _with_head(spec, tuned.model, dataset)
    _write(folder, spec, tuned, dataset, settings, checked)
    return load(folder)


def _name(folder: Path, overwrite: bool) -> str:
    """The model's name, before anything is trained for a folder that cannot be written."""
    try:
        name: str = TypeAdapter(Name).validate_python(folder.name)
    except ValidationError as error:
        raise InputError(
            f"folder {folder.name!r} names the model: expected lower case letters, digits and hyphens, such as my-model"
        ) from error
    if folder.exists() and not overwrite:
        raise ExportError(
            f"{folder} exists: choose a new folder, or pass overwrite=True or --overwrite to replace the model there"
        )
    return name


def _reason(error: Any) -> str:
    where = str(error["loc"][0]) if error["loc"] else ""
    if where == "unfreeze":
        return f"unfreeze: expected head, all, a number of blocks or names of blocks, given {error['input']!r}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}, given {error['input']!r}" if where else error["msg"]


def _data(source: str, dataset: Dataset, checked: Checked) -> Data:
    return Data(
        source=source,
        description=dataset.description,
        simulator=dataset.simulator,
        seed=dataset.seed,
        rows=checked.rows,
        groups=checked.groups,
    )


def _with_extremes(endpoints: dict[str, Endpoint], extremes: dict[str, tuple[Any, Any]]) -> dict[str, Endpoint]:
    """Trained ranges that take in the new training rows, wherever these leave the parent's or the parent has none."""
    from zoo.workflows.release import widened

    def extended(tensor: Tensor) -> Tensor:
        if tensor.name not in extremes:
            return tensor
        (low, high), (least, most) = (tensor.low, tensor.high), extremes[tensor.name]
        wide_low, wide_high = widened(np.asarray(least), np.asarray(most))
        if tensor.unbounded:
            return tensor.model_copy(update={"low": wide_low, "high": wide_high})
        if low is None or high is None:
            return tensor
        lowest = np.where(least < np.asarray(low, np.float32), wide_low, low)
        highest = np.where(most > np.asarray(high, np.float32), wide_high, high)
        return tensor.model_copy(update={"low": lowest.tolist(), "high": highest.tolist()})

    return {
        name: endpoint.model_copy(update={"inputs": [extended(tensor) for tensor in endpoint.inputs]})
        for name, endpoint in endpoints.items()
    }


def _with_inputs(spec: ModelSpec, model: ZooModel, inputs: int) -> ModelSpec:
    """The spec with a first input of another length, of whose range nothing is known yet."""
    first = spec.endpoint(model.data_endpoint).inputs[0]
    said = f"{inputs} numbers of the user's, in place of: {first.description}"
    other = first.model_copy(update={"axes": fixed_axes(first.name, [inputs]), "description": said, "low": None, "high": None})
    endpoints = {
        name: endpoint.model_copy(
            update={"inputs": [other if tensor.name == first.name else tensor for tensor in endpoint.inputs]}
        )
        for name, endpoint in spec.endpoints.items()
    }
    return spec.model_copy(update={"endpoints": endpoints})


def _with_head(spec: ModelSpec, model: ZooModel, dataset: Dataset) -> ModelSpec:
    """The spec with outputs as the new head gives them: other names, shapes, units and labels, and the task they are for."""
    rows = dataset.rows("test")
    examples = model.example({name: array[:2] for name, array in rows.inputs.items()}, np.random.default_rng(0))
    first = spec.endpoint(model.data_endpoint).outputs[0]
    taken = {tensor.name for endpoint in spec.endpoints.values() for tensor in endpoint.inputs}
    endpoints = {}
    for name, endpoint in spec.endpoints.items():
        found = getattr(model, model.endpoints[name])(*examples[name])
        shapes = [list(value.shape[1:]) for value in (found if isinstance(found, tuple) else (found,))]
        outputs = [
            _answer(tensor, shape, model, dataset, taken)
            if tensor.name == first.name
            else tensor.model_copy(
                update={} if shape == tensor.shape else {"axes": fixed_axes(tensor.name, shape), "low": None, "high": None}
            )
            for tensor, shape in zip(endpoint.outputs, shapes, strict=True)
        ]
        endpoints[name] = endpoint.model_copy(update={"outputs": outputs})
    scale = float(np.abs(np.asarray(rows.target[:])).max())
    return spec.model_copy(
        update={
            "task": "classification" if model.classes else "regression",
            "endpoints": endpoints,
            "tolerance": spec.tolerance.model_copy(update={"absolute": max(spec.tolerance.absolute, 1e-5 * scale)}),
        }
    )


def _answer(old: Tensor, shape: list[int], model: ZooModel, dataset: UserData | Any, taken: set[str]) -> Tensor:
    """The output that a new head gives, named after the user's column where that can be a tensor's name."""
    names, labels = getattr(dataset, "target_names", []), getattr(dataset, "labels", None)
    if model.classes:
        labels = labels or [str(number) for number in range(model.classes)]
        labels = labels if shape[-1] == len(labels) else labels[1:]
        said = f"probability of {labels[0]}" if len(labels) == 1 else "probability of each class"
        axes = fixed_axes("probability", shape, labels)
        return Tensor(name="probability", axes=axes, unit="1", description=said, low=0.0, high=1.0)
    name = names[0] if len(names) == 1 and names[0] not in taken else "answer"
    try:
        TypeAdapter(TensorName).validate_python(name)
    except ValidationError:
        name = "answer"
    unit = getattr(dataset, "target_unit", None) or "1"
    return Tensor(name=name, axes=fixed_axes(name, shape), unit=unit, description=", ".join(names) or old.description)


def _write(folder: Path, spec: ModelSpec, tuned: FineTuned, dataset: Dataset, settings: FineTuning, checked: Checked) -> None:
    """The model's folder, whole or not at all."""
    from zoo.interpret.plots import learning_curves
    from zoo.workflows.release import versions

    found = "".join(f"- {warning}\n" for warning in checked.warnings) or "Nothing that calls for attention.\n"
    write_model_folder(
        tuned.model,
        spec,
        folder,
        test_inputs(tuned.model, dataset, min(TEST_ROWS, len(dataset.rows("test")))),
        measured={
            "history": {name: [float(f"{v:.6g}") for v in values] for name, values in tuned.history.items()},
            "fine_tuning": settings.model_dump(mode="json"),
            "trained": tuned.trained,
            "data": checked.model_dump(mode="json", exclude={"extremes"}),
            "versions": versions(),
        },
        figures={"learning_curves": learning_curves(tuned.history)},
        prose=f"{TEMPLATE.format(name=spec.name)}\n## Found in the data\n\n{found}",
        overwrite=True,
    )
