"""From a released model and a user's data to a model of the user's own: check -> train -> judge -> export -> card.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zoo.data.dataset import FromUser
from zoo.errors import InputError, UnknownNameError, in_words, warn
from zoo.families.state import apart, deterministic
from zoo.model.card import TEMPLATE
from zoo.model.license import UNKNOWN as UNKNOWN_LICENSE
from zoo.model.spec import Data, Export, ModelSpec, Tensor
from zoo.workflows.fine_tuned_spec import with_extremes, with_head, with_inputs
from zoo.workflows.folder import lineage_of, test_inputs, write_model_folder
from zoo.workflows.new_folder import new_folder
from zoo.workflows.rows import UNKNOWN, UserColumns, UserRows
from zoo.workflows.run_report import write_report
from zoo.workflows.trained_ranges import with_answers
from zoo.workflows.verdict import beside_others, calibrated, fitted, held_back, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.data.dataset import Dataset
    from zoo.families.base import ZooModel
    from zoo.training.checks import Checked
    from zoo.training.fine_tune import FineTuned, FineTuning

TEST_ROWS = 16
"""Rows of the new model's test tensors at most."""


def fine_tune(
    model: str | Path | ZooModel,
    data: Any,
    *,
    folder: str | Path,
    target: str | Sequence[str] | None = None,
    group: str | None = None,
    weights: str | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    license: str | None = None,
    citation: str | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> ZooModel:
    """Go on training a model on data of your own.

    ``folder`` becomes a model like any other, for ``zoo.load``, ``zoo export``, ``zoo serve`` and ``zoo push``: its card says
    what it came from and compares it with its parent and with the same network from scratch on the same held-out fifth of the
    groups. The run lies in ``<folder>.run``; the same call goes on where it was killed. What came of it is printed, is
    ``spec.verdict``, and stands with curves, failures and settings in ``<folder>.run/report.html``.

    Parameters
    ----------
    model : str, Path or ZooModel
        The model to start from, as ``zoo.load`` takes or returns it.
    data : path, mapping or Dataset
        A CSV, ``.npz``, HDF5 or Parquet file or a folder of ``.npy``; arrays by column name; or a `Dataset`, which brings its
        own splits. Columns are called as the model's inputs, those of a vector ``name_0``, ``name_1``, ...
    folder : str or Path
        The folder to be made. Its name is the model's.
    target : str or sequence of str, optional
        The column or columns to be predicted, by default called as the model's first output. A density has none.
    group : str, optional
        The column that names the simulation, object or run of each row: no two splits share one.
    weights : str, optional
        The column of event weights, of either sign, by which rows count in training and in every metric.
    columns : mapping, optional
        The columns of each input that is called otherwise.
    units : mapping, optional
        The unit of each column whose file does not say it, as ``astropy.units`` writes it. It is converted into the model's.
    license : str, optional
        The license of the data, such as ``"CC-BY-4.0"``, or an address. It stands on the card, and is the model's on the Hub;
        without it both say that the license is not known.
    citation : str, optional
        What is to be cited for the data; it stands on the card. A data set of the Hub that it has the address of,
        ``huggingface.co/datasets/owner/name``, is linked there.
    overwrite : bool
        Whether an earlier model in ``folder`` is replaced. Where the run is the same, such as to add a license, nothing is
        trained again.
    **settings : Any
        How it is trained; these words have a meaning:

        - ``unfreeze``: the blocks to train, the last ("head"), "all", the last so many, or by name (``model.blocks``).
        - ``learning_rate`` (1e-3): the rate of Adam after a short warm-up, from where it falls along a cosine.
        - ``layer_decay`` (1): the learning rate of each trained layer over that of the next.
        - ``epochs`` (100), ``batch_size`` (32): epochs at most, and rows a step.
        - ``patience`` (10): epochs without a lower validation loss after which training stops; the weights of the lowest stay.
        - ``seed`` (0): the seed of split, order and new weights.
        - ``outputs``: the size of a new head: 1 for one quantity or two classes, else quantities or classes.
        - ``task``: what a new head is for, "classification" or "regression"; by default what the parent's is for.
        - ``inputs``: how many numbers a row of your first input has, where they are not those of the parent. A new first layer
          takes them, and is trained whatever else is.
        - ``restandardize`` (False): whether scalings are measured anew on the training rows.
        - ``lora``: the rank of what is added to the frozen kernels of the unfrozen blocks in place of training them.

    Returns
    -------
    ZooModel
        The new model, as ``zoo.load(folder)`` gives it.

    Raises
    ------
    InputError, UnknownNameError
        Data, blocks or settings do not fit, which is said before the first step with what to do.
    ZooError
        A released model has the folder's name.
    FolderError
        ``<folder>.run`` holds a run with other settings or data.
    ExportError
        The folder exists.
    ParityError
        An exported graph does not answer as the model does; nothing is written then.

    Warns
    -----
    UserWarning
        Data can be trained on and may be wrong all the same: drift, values out of range, unbalanced classes.

    Examples
    --------
    >>> mine = zoo.fine_tune("mlp-cmb-feature", "spectra.csv", target="feature", folder="my-feature")  # doctest: +SKIP
    >>> mine.spec.metrics[0]  # doctest: +SKIP
    """
    path, _ = new_folder(folder, overwrite)
    chosen = _settings(settings)
    parent = _parent(model)
    terms = {"license": UNKNOWN_LICENSE if license is None else _text("license", license)}
    terms |= {} if citation is None else {"citation": _text("citation", citation)}
    with apart(chosen.seed), deterministic():
        return _fine_tuned(parent, data, chosen, _words(target, group, weights, columns, units), path, terms)


def _fine_tuned(
    parent: ZooModel, data: Any, chosen: FineTuning, words: UserColumns, path: Path, terms: dict[str, str]
) -> ZooModel:
    """Train, judge and write the model in ``path``."""
    from zoo.interpret.plots import learning_curves
    from zoo.loading import load
    from zoo.training.calibration import calibration_of
    from zoo.training.checks import check
    from zoo.training.comparison import compare
    from zoo.training.fine_tune import fine_tune as train
    from zoo.training.fine_tune import untrained

    family, network = untrained(parent, chosen)
    described = parent.spec if chosen.inputs is None else with_inputs(parent.spec, network, chosen.inputs)
    dataset, source, rows = _dataset(data, network, described, chosen, words)
    checked = check(dataset, network, described)
    for warning in checked.warnings:
        warn(warning)
    tuned = train(parent, network, dataset, chosen, checked, path.with_name(f"{path.name}.run"))
    beside = {"before": parent} if chosen.outputs is None and chosen.inputs is None else {}
    output, new = described.endpoint(network.data_endpoint).outputs[0], chosen.outputs is not None
    metrics = compare(
        {"fine-tuned": tuned.model, **beside, "from scratch": tuned.scratch},
        dataset.rows("test"),
        _unit(output, dataset, new=new),
        {} if new else _quantities(output),
    )
    calibration, figures = calibration_of(tuned.model, dataset.rows("test"))
    metrics += calibration
    figures = {"learning_curves": learning_curves(tuned.history), **figures}
    verdict = [
        *calibrated(metrics),
        *beside_others(metrics, chosen.unfreeze),
        *fitted(tuned.history, kept_best=True, held_back=held_back(metrics, chosen.unfreeze)),
    ]
    rows = rows or UserRows(sha256=checked.sha256)
    spec = described.model_copy(
        update={
            "name": path.name,
            "revision": "1",
            "family": family,
            "config": network.config,
            "summary": f"{parent.spec.summary}; fine-tuned on {source}",
            "endpoints": with_extremes(described.endpoints, checked.extremes, checked.jets),
            "data": _data(source, dataset, checked, rows, parent.spec.data.fields).model_copy(update=terms),
            "metrics": metrics,
            "files": [],
            "export": Export(),
            "lineage": lineage_of(parent, rows.sha256),
            "limit": None,
            "notes": None,
            "verdict": verdict,
            "earlier_revisions": {},
            "physzoo_version": version("physzoo"),
        }
    )
    if chosen.outputs is not None:
        spec = with_head(spec, tuned.model, dataset)
    spec = with_answers(spec, tuned.model, dataset.rows("train").inputs)
    _write(path, spec, tuned, dataset, chosen, checked, figures)
    fine_tuned: ZooModel = load(path)
    _write_report(path.with_name(f"{path.name}.run"), fine_tuned.spec, tuned, dataset, chosen, checked, figures)
    say(verdict)
    return fine_tuned


def _unit(output: Tensor, dataset: Dataset, *, new: bool) -> str | None:
    """The unit of an answer, of a new head that of the user's column; None where it has none, or its elements several."""
    units = {unit for axis in output.axes for unit in axis.units or ()} or {output.unit}
    one = units.pop() if len(units) == 1 else None
    if new:
        one = dataset.target_unit if isinstance(dataset, FromUser) else None
    return None if one == "1" else one


def _quantities(output: Tensor) -> dict[str, str | None]:
    """The unit of each of several numbers that an answer names, None where it has none."""
    if len(output.axes) != 1 or not (labels := output.axes[0].labels) or len(labels) < 2:
        return {}
    units = output.axes[0].units or [output.unit] * len(labels)
    return {label: None if unit == "1" else unit for label, unit in zip(labels, units, strict=True)}


def _write_report(
    run: Path,
    spec: ModelSpec,
    tuned: FineTuned,
    dataset: Dataset,
    settings: FineTuning,
    checked: Checked,
    figures: dict[str, Figure],
) -> None:
    """The page of a run, beside its checkpoints."""
    from zoo.training.failures import failures
    from zoo.workflows.train import versions

    write_report(
        run / "report.html",
        spec.name,
        spec.verdict or [],
        spec.metrics,
        figures,
        failures(tuned.model, dataset),
        {
            "summary": spec.summary,
            "made from": None if spec.lineage is None else spec.lineage.model_dump(mode="json"),
            "found in the data": checked.warnings,
            "data": spec.data.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json"),
            "versions": versions(),
        },
    )


def _settings(given: Mapping[str, Any]) -> FineTuning:
    from zoo.training.fine_tune import FineTuning

    for name, value in given.items():
        if name in FineTuning.model_fields:
            continue
        if isinstance(value, Mapping):  # as zoo.train_npe takes changes of a recipe
            each = ", ".join(f"{key}={one!r}" for key, one in value.items()) or "learning_rate=0.001"
            raise InputError(f"{name}: expected each setting by its own name, fine_tune(..., {each}), given {name}={value!r}")
        keywords = [key for key in inspect.signature(fine_tune).parameters if key != "settings"]
        raise UnknownNameError("setting of a fine-tuning", name, [*FineTuning.model_fields, *keywords])
    try:
        return FineTuning(**given)
    except ValidationError as error:
        raise InputError("; ".join(dict.fromkeys(_reason(one) for one in error.errors()))) from error


def _reason(error: Any) -> str:
    where = str(error["loc"][0]) if error["loc"] else ""
    if where == "unfreeze":
        return f"unfreeze: expected head, all, a number of blocks or names of blocks, given {error['input']!r}"
    return f"{where}: {in_words(error['msg'])}, given {error['input']!r}" if where else in_words(error["msg"])


def _parent(model: str | Path | ZooModel) -> ZooModel:
    """The model that is to be fine-tuned; InputError for one that cannot be."""
    from zoo.families.base import ZooModel as Network
    from zoo.loading import load

    parent = load(model) if isinstance(model, str | Path) else model
    if reason := getattr(parent, "no_fine_tuning", None):
        raise InputError(f"{parent.spec.name if hasattr(parent, 'spec') else type(parent).__name__}: {reason}")
    if not isinstance(parent, Network) or not hasattr(parent, "spec"):
        raise InputError(
            f"expected the name of a model, a folder or a model of the zoo, given {type(parent).__name__}: to one that was"
            " built by hand, assign model.spec"
        )
    return parent


def _text(name: str, given: Any) -> str:
    """Words of a user's; InputError for nothing."""
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"{name}: expected some words, or leave it out, given {given!r}")
    return " ".join(given.split())


_NAMED = {
    "target": "the name of a column, or a list of them",
    "group": "the name of a column, which names the simulation or object of each row",
    "weights": "the name of a column of the data, which holds the numbers",
    "columns": "lists of names of columns by input, such as {'input': ['a', 'b']}",
    "units": "units by the name of a column, such as {'time': 'ms'}",
}
"""How each of the words for columns is written."""


def _words(target: Any, group: Any, weights: Any, columns: Any, units: Any) -> UserColumns:
    try:
        return UserColumns(target=target, group=group, weights=weights, columns=columns or {}, units=units or {})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        given = {"target": target, "group": group, "weights": weights, "columns": columns, "units": units}[name]
        shown = repr(given) if isinstance(given, str | int | float | Mapping | list) else type(given).__name__
        raise InputError(f"{name}: expected {_NAMED[name]}, given {shown[:200]}") from error


def _dataset(
    data: Any, model: ZooModel, spec: ModelSpec, settings: FineTuning, words: UserColumns
) -> tuple[Dataset, str, UserRows | None]:
    """The user's rows, what to call them, and where they lie in a file, how to cut the same rows from it again."""
    from zoo.model.handed_in.files import read_columns

    if callable(getattr(data, "rows", None)):
        if given := list(words.model_dump(exclude_defaults=True)):
            raise InputError(f"{', '.join(given)}: expected with columns only, given with a data set, which brings its own")
        return data, type(data).__name__, None
    found = read_columns(data)
    how = {**words.model_dump(), "outputs": settings.outputs, "seed": settings.seed}
    read = UserRows(sha256=found.sha256 or UNKNOWN, file=None if found.sha256 is None else str(data), **how)
    dataset = read.cut(found, model, spec)
    known = None if found.sha256 is None else read.model_copy(update={"target": dataset.target_names or None})
    return dataset, Path(found.source).name, known


def _data(source: str, dataset: Dataset, checked: Checked, rows: UserRows, fields: list[str] | None) -> Data:
    return Data(
        source=source,
        description=dataset.description,
        simulator=dataset.simulator,
        seed=dataset.seed,
        parameters=rows.model_dump(mode="json", exclude_defaults=True),
        rows=checked.rows,
        groups=checked.groups,
        fields=fields,
    )


def _write(
    folder: Path,
    spec: ModelSpec,
    tuned: FineTuned,
    dataset: Dataset,
    settings: FineTuning,
    checked: Checked,
    figures: dict[str, Figure],
) -> None:
    """The model's folder, whole or not at all."""
    from zoo.workflows.train import versions

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
            "data": checked.model_dump(mode="json", exclude={"extremes", "jets"}),
            "versions": versions(),
        },
        figures=figures,
        prose=f"{TEMPLATE.format(name=spec.name)}\n## Found in the data\n\n{found}",
        overwrite=True,
    )
