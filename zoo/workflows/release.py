"""From a recipe to a released model: train -> evaluate -> export -> parity -> card.

This joins the three wings, so it lies beside them in the core and imports them only when it runs.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import whole_file, whole_folder
from zoo.data.dataset import KnowsAxes, Split
from zoo.errors import ZooError, option
from zoo.families.state import apart
from zoo.model.axes import Axis
from zoo.model.card import prose_of, write_card
from zoo.model.misspecification import Reference
from zoo.model.model_json import read_spec, write_spec
from zoo.model.reference_file import make_reference, observed_tensors
from zoo.model.registry import RELEASED, get_family, refuse_released_name
from zoo.model.spec import CARD, FIGURES, METRICS, REFERENCE, SPEC, WEIGHTS, Data, Endpoint, Metric, ModelSpec, Tensor
from zoo.workflows.folder import exported, test_inputs, write_test_tensors
from zoo.workflows.new_folder import expect_exportable
from zoo.workflows.run_report import write_report
from zoo.workflows.trained_ranges import with_ranges
from zoo.workflows.verdict import beside_baselines, calibrated, fitted, say

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset, Rows
    from zoo.families.base import EndpointModel
    from zoo.training.evaluate import Evaluation, Run, Runs
    from zoo.training.recipe import Recipe

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
PACKAGES = ("numpy", "keras", "tensorflow", "onnx", "tf2onnx", "skl2onnx", "onnxruntime", "scikit-learn", "physzoo")


@apart()
def train(recipe: Recipe, out: Path, *, seeds: list[int] | None = None, variants: bool = False) -> tuple[Runs, Evaluation]:
    """Train a recipe, judge it and leave weights, ``metrics.json`` and plots in ``out``.

    Goes on with what is there: finished runs are read, a killed one is resumed.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    out : Path
        The folder of the runs.
    seeds : list of int, optional
        The seeds to train; by default the recipe's first.
    variants : bool
        Whether the recipe's variants are trained too.

    Returns
    -------
    tuple of Runs and Evaluation
        What was trained, and what was measured on it.
    """
    from zoo.training.evaluate import evaluate
    from zoo.training.fit import trained

    seeds = recipe.seeds[:1] if seeds is None else seeds
    # Before hours of training, as a recipe that does not fit its data set cannot be released.
    described = describe(recipe, recipe.data.dataset(), [])
    runs: Runs = {}
    for variant in ["", *(recipe.variants if variants else [])]:
        changed = recipe.changed(recipe.variants[variant].set) if variant else recipe
        runs[variant] = []
        for seed in seeds:
            title = f"{recipe.name}{' ' + variant if variant else ''}, seed {seed}"
            runs[variant].append(trained(changed, out / (variant or "model") / f"seed-{seed}", seed, title=title))
    runs[""][0] = replace(runs[""][0], load=partial(_described, runs[""][0].load, described))
    evaluation = evaluate(runs)
    evaluation.verdict = _verdict(runs[""][0], evaluation)
    plots = out / "plots"
    plots.mkdir(exist_ok=True)
    for name, figure in evaluation.figures.items():
        with whole_file(plots / f"{name}.png") as file:
            figure.savefig(file, dpi=120)
    runs[""][0].load().save_weights(out / WEIGHTS)
    with whole_file(out / METRICS, "w") as file:
        json.dump(_measured(recipe, evaluation, runs), file, indent=1)
    _write_report(out, runs[""][0], evaluation)
    say(evaluation.verdict)
    return runs, evaluation


@apart()
def release(recipe: Recipe, out: Path, folder: Path | None = None) -> Path:
    """Train all seeds and variants in ``out``, then write the released model.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    out : Path
        The folder of the runs, where a killed release goes on.
    folder : Path, optional
        Folder of the released model; by default among the released ones, ``model_cards/<name>``.

    Returns
    -------
    Path
        The folder. The prose of a card that is already there stays.

    Raises
    ------
    ParityError
        If an exported graph does not answer as the model does; nothing is released then.
    ZooError
        A recipe that is not the package's own takes a released name, or comes without a folder.
    """
    import keras

    expect_exportable()
    target = RELEASED / recipe.name if folder is None else folder
    if not _is_of_the_package(recipe):
        refuse_released_name(recipe.name, target)
        if folder is None:
            raise ZooError(f"{recipe.name}: a recipe of your own is released into a folder: give {option('folder', 'DIR')}")
    elif (backend := keras.backend.backend()) != "tensorflow":
        raise ZooError(f"{recipe.name}: released models hold ONNX graphs, which need KERAS_BACKEND=tensorflow, given {backend}")
    runs, evaluation = train(recipe, out, seeds=recipe.seeds, variants=True)
    if recipe.limit is not None:
        recipe.limit.value(evaluation.metrics)
    model = runs[""][0].load()
    dataset = recipe.data.dataset()
    prose, marker = first_card(target)
    earlier = _earlier_revisions(target, recipe.revision) if folder is None else {}
    with whole_folder(target, overwrite=True, marker=marker) as staged:
        shutil.copy(out / WEIGHTS, staged / WEIGHTS)
        shutil.copy(out / METRICS, staged / METRICS)
        shutil.copytree(out / "plots", staged / FIGURES)
        model.spec = describe(recipe, dataset, evaluation.metrics).model_copy(
            update={
                "limit": recipe.limit,
                "notes": evaluation.notes or None,
                "verdict": evaluation.verdict,
                "earlier_revisions": earlier,
            }
        )
        if recipe.evaluation.kind == "posterior" and (reference := _reference(model.spec, dataset)):
            (staged / REFERENCE).write_bytes(reference.to_bytes())
        write_test_tensors(model, test_inputs(model, dataset, recipe.test_rows), staged)
        spec = write_spec(staged, exported(model, model.spec, staged))
        write_card(staged, spec, prose)
    model.spec = spec
    return target


def first_card(folder: Path) -> tuple[str | None, str]:
    """The prose of the card that lies where a model is released, and the file by which that folder may be replaced.

    Parameters
    ----------
    folder : Path
        The folder. Whoever writes the card before the first release has nothing else there, and front matter or none.

    Returns
    -------
    tuple of (str or None, str)
        The prose, None where there is no card; and the name of a file.

    Raises
    ------
    IntegrityError
        The card of a model that was released has lost its front matter.
    """
    card = folder / CARD
    if not card.is_file() or {path.name for path in folder.iterdir()} > {CARD}:
        return prose_of(card), METRICS
    text = card.read_text(encoding="utf-8")
    return (prose_of(card) if text.startswith("---") else text), CARD


def _verdict(run: Run, evaluation: Evaluation) -> list[str]:
    return [
        *calibrated(evaluation.metrics, evaluation.miscalibrated),
        *beside_baselines(evaluation.metrics),
        *fitted(run.history, kept_best=run.recipe.patience is not None),
    ]


def _write_report(out: Path, run: Run, evaluation: Evaluation) -> None:
    """The page of a run, beside its weights and metrics."""
    from zoo.training.failures import failures

    recipe, model = run.recipe, run.load()
    write_report(
        out / "report.html",
        f"{recipe.name}, revision {recipe.revision}",
        evaluation.verdict,
        evaluation.metrics,
        evaluation.figures,
        failures(model, recipe.data.dataset()),
        {
            "summary": recipe.summary,
            "notes": evaluation.notes,
            "data": model.spec.data.model_dump(mode="json"),
            "recipe": recipe.model_dump(mode="json", exclude={"endpoints"}),
            "seed": run.seed,
            "versions": versions(),
        },
    )


def _is_of_the_package(recipe: Recipe) -> bool:
    """Whether a recipe is the package's own of that name, with perhaps other settings."""
    from zoo.training.recipe import load_recipe, recipe_names

    if recipe.data._folder is not None or recipe.name not in recipe_names():
        return False
    own = load_recipe(recipe.name)
    return (own.family, own.data.source) == (recipe.family, recipe.data.source)


def _earlier_revisions(folder: Path, revision: str) -> dict[str, str]:
    """The sha256 of the ``model.json`` of each revision before this one, of the released model that lies in a folder."""
    if not (folder / SPEC).exists():
        return {}
    before = read_spec(folder)
    if before.revision == revision:
        return before.earlier_revisions
    return {**before.earlier_revisions, before.revision: hashlib.sha256((folder / SPEC).read_bytes()).hexdigest()}


def _described(load: Callable[[], EndpointModel], spec: ModelSpec) -> EndpointModel:
    """The model of a run, with what is known of it before it is judged."""
    model = load()
    model.spec = spec
    return model


def describe(recipe: Recipe, dataset: Dataset, metrics: list[Metric], splits: Mapping[Split, Rows] | None = None) -> ModelSpec:
    """The spec of what a recipe trains, files and exports left out.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    dataset : Dataset
        Its data set.
    metrics : list of Metric
        What was measured.
    splits : mapping, optional
        The rows of each split, where they are not to be all.

    Returns
    -------
    ModelSpec
        The spec, with the ranges of the training rows.
    """
    splits = splits or {split: dataset.rows(split) for split in SPLITS}
    endpoints = with_axes(recipe.endpoints, dataset.axes if isinstance(dataset, KnowsAxes) else {})
    return ModelSpec(
        name=recipe.name,
        revision=recipe.revision,
        family=recipe.family,
        library=get_family(recipe.family).library,
        config=recipe.config,
        task=recipe.task,
        summary=recipe.summary,
        endpoints=with_ranges(endpoints, splits["train"].inputs),
        data=Data(
            source=recipe.data.source,
            description=dataset.description,
            simulator=dataset.simulator,
            seed=dataset.seed,
            parameters=recipe.data.parameters,
            rows={split: len(rows) for split, rows in splits.items()},
            groups={split: len(np.unique(rows.group)) for split, rows in splits.items()},
        ),
        metrics=metrics,
        files=[],
        tolerance=recipe.tolerance,
        physzoo_version=version("physzoo"),
    )


def with_axes(endpoints: dict[str, Endpoint], known: Mapping[str, Axis]) -> dict[str, Endpoint]:
    """Fill in what a data set knows of the axes that a recipe names: labels, units, coordinates and groups.

    Parameters
    ----------
    endpoints : dict
        The endpoints of a recipe.
    known : mapping
        Name of an axis -> what the data set says of it.

    Returns
    -------
    dict
        The endpoints with every axis of a known name filled in; what the recipe says of an axis itself stays.

    Raises
    ------
    ValueError
        An axis has another size in the data set than in the recipe.
    """

    def filled(axis: Axis) -> Axis:
        if axis.name not in known:
            return axis
        if known[axis.name].size != axis.size:
            raise ValueError(f"axis {axis.name}: {axis.length} in the recipe, {known[axis.name].length} in its data set")
        return known[axis.name].model_copy(update=dict(axis.model_dump(exclude_none=True)))

    def of(tensors: list[Tensor]) -> list[Tensor]:
        return [tensor.model_copy(update={"axes": [filled(axis) for axis in tensor.axes]}) for tensor in tensors]

    return {
        name: endpoint.model_copy(update={"inputs": of(endpoint.inputs), "outputs": of(endpoint.outputs)})
        for name, endpoint in endpoints.items()
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a model's numbers, of those that are installed."""
    import keras

    found = {"python": platform.python_version()}
    for package in dict.fromkeys((*PACKAGES, keras.backend.backend())):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _reference(spec: ModelSpec, dataset: Dataset) -> Reference | None:
    """What simulated observations are like, by which a posterior says of an observation that it is unlike them."""
    tensors = observed_tensors(spec.endpoint("sample"))
    if tensors is None:
        return None
    tensor, mask = tensors
    train, validation, test = (dataset.rows(split).inputs for split in SPLITS)

    def held_out(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(rows[name][:]) for rows in (validation, test)])

    masks = (None, None) if mask is None else (train[mask.name], held_out(mask.name))
    return make_reference(tensor, train[tensor.name], held_out(tensor.name), masks)


def _measured(recipe: Recipe, evaluation: Evaluation, runs: Runs) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "revision": recipe.revision,
        "metrics": [metric.model_dump(mode="json") for metric in evaluation.metrics],
        **({"notes": evaluation.notes} if evaluation.notes else {}),
        "verdict": evaluation.verdict,
        "curves": evaluation.curves,
        "variants": {name: recipe.variants[name].description for name in runs if name},
        "seeds": [run.seed for run in runs[""]],
        "history": {name: [float(f"{v:.6g}") for v in values] for name, values in runs[""][0].history.items()},
        "recipe": recipe.model_dump(mode="json", exclude={"endpoints"}),
        "versions": versions(),
    }
