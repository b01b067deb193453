"""From a recipe to weights, numbers, figures and a verdict: train -> evaluate -> report.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.atomic import whole_file
from zoo.errors import InputError
from zoo.extras import expect_trainable
from zoo.families.state import apart
from zoo.model.spec import METRICS, WEIGHTS, ModelSpec
from zoo.seeds import SHORT, expect_seed
from zoo.workflows.described import describe
from zoo.workflows.run_report import write_report
from zoo.workflows.verdict import beside_baselines, calibrated, fitted, say

if TYPE_CHECKING:
    from zoo.families.base import EndpointModel
    from zoo.training.evaluate import Evaluation, Run, Runs
    from zoo.training.recipe import Recipe

PACKAGES = ("numpy", "keras", "tensorflow", "onnx", "tf2onnx", "skl2onnx", "onnxruntime", "scikit-learn", "physzoo")


@apart()
def train(
    recipe: Recipe, out: Path, *, seeds: list[int] | None = None, variants: bool = False, devices: int = 1
) -> tuple[Runs, Evaluation]:
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
    devices : int
        On how many devices batches are spread, with Keras on JAX.

    Returns
    -------
    tuple of Runs and Evaluation
        What was trained, and what was measured on it.

    Raises
    ------
    MissingExtraError
        What trains, judges or draws is not installed.
    InputError
        There are fewer devices, or several on another backend than JAX or of trees.
    """
    expect_trainable()
    from zoo.families.contracts import Boosted
    from zoo.model.registry import get_family

    if devices > 1 and issubclass(get_family(recipe.family), Boosted):
        raise InputError(f"devices: boosted trees grow on one, given {devices}: leave it out")
    from zoo.training.devices import across
    from zoo.training.evaluate import evaluate
    from zoo.training.fit import trained

    seeds = recipe.seeds[:1] if seeds is None else seeds
    expect_seed(seeds, below=SHORT)
    # Before hours of training, as a recipe that does not fit its data set cannot be released.
    described = describe(recipe, recipe.data.dataset(), [])
    changes = {name: variant.set for name, variant in recipe.variants.items()} if variants else {}
    trainings = {"": recipe} | {name: recipe.changed(change) for name, change in changes.items()}
    recipe.evaluation.expect(recipe.name, {name: changed.untrained() for name, changed in trainings.items()})
    runs: Runs = {}
    for variant, changed in trainings.items():
        runs[variant] = []
        for seed in seeds:
            title = f"{recipe.name}{' ' + variant if variant else ''}, seed {seed}"
            with across(devices):
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


def _described(load: Callable[[], EndpointModel], spec: ModelSpec) -> EndpointModel:
    """The model of a run, with what is known of it before it is judged."""
    model = load()
    model.spec = spec
    return model


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
            "recipe": recipe.recorded(),
            "seed": run.seed,
            "versions": versions(),
        },
    )


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
        "recipe": recipe.recorded(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a model's numbers, of those that are installed."""
    import keras

    found = {"python": platform.python_version()}
    for package in dict.fromkeys((*PACKAGES, keras.backend.backend())):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
