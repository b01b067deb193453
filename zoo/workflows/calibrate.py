"""A classifier whose probabilities mean what they say: its temperature, fitted on held-out rows, goes into its weights."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import InputError, ZooError
from zoo.families.batches import in_batches
from zoo.interpret.uncertainty.calibration import expected_calibration_error, fit_temperature
from zoo.loading import load
from zoo.model.spec import TEST_TENSORS, Lineage, Metric, ModelSpec
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.workflows.folder import revision_of, write_model_folder

if TYPE_CHECKING:
    from zoo.data.dataset import Rows
    from zoo.families.base import ZooModel

TEMPERATURE = "temperature"


def calibrate(
    name: str | Path,
    folder: str | Path,
    *,
    validation: Rows | None = None,
    test: Rows | None = None,
    new_name: str | None = None,
    overwrite: bool = False,
) -> ModelFolder:
    """Write a binary classifier with its logits divided by the temperature that suits the validation rows best.

    The division is in the weights of the head, so that every export has it and no graph another operation. Which rows are
    classified how at a threshold of one half, and the order of all rows, stay as they were.

    Parameters
    ----------
    name : of the classifier, as ``zoo.load`` takes it
    folder : to be made
    validation : rows on which the temperature is fitted, on which the model was not trained; by default, where neither is
        given, those of a released model's own recipe
    test : rows of which the metrics are, each beside that of the model as it was
    new_name : by default the model's with ``-calibrated``; under the model's own it is its next revision

    Raises
    ------
    ZooError
        When the model is no classifier of two classes whose head can be rescaled, it has no recipe and no rows are given, or
        validation and test rows share a simulation.
    InputError
        When no temperature is the best: the logits separate the rows, or say nothing about them.
    """
    from zoo.training.intervals import bootstrap

    model, source = load(name), locate(name)
    spec = source.spec
    if model.answers_with != "probability" or not hasattr(model, "soften") or spec.endpoint("predict").outputs[0].shape != [1]:
        raise ZooError(f"{spec.name}: expected a classifier of two classes whose head can be rescaled, such as of family mlp")
    if validation is None or test is None:
        validation, test = _own_rows(spec, validation, test)
    if shared := np.intersect1d(validation.group, test.group).size:
        raise ZooError(f"validation and test rows share {shared} simulations: the calibration would be judged on what made it")
    fitted, label = _logits(model, validation)
    temperature = fit_temperature(fitted, label)
    before, truth = _logits(model, test)
    after = before / temperature

    def against(name: str, statistic: Callable[[np.ndarray, np.ndarray], float]) -> Metric:
        return Metric(
            name=name,
            value=statistic(after, truth),
            interval=bootstrap(lambda i: statistic(after[i], truth[i]), test.group),
            n=len(truth),
            baseline=statistic(before, truth),
            baseline_name=f"{spec.name} before",
            detail=f"before: {_text(bootstrap(lambda i: statistic(before[i], truth[i]), test.group))}; simulations resampled",
        )

    found = Metric(
        name=TEMPERATURE,
        value=temperature,
        interval=bootstrap(lambda i: _or_nan(fitted[i], label[i]), validation.group),
        n=len(label),
        split="validation",
        detail="simulations resampled",
    )
    called = new_name or f"{spec.name}-calibrated"
    described = spec.model_copy(
        update={
            "name": called,
            "revision": revision_of(called, spec),
            "summary": f"{spec.summary}; probabilities calibrated by temperature",
            "metrics": [against("ece", _ece), against("log loss", _log_loss), found],
            "lineage": Lineage(parent=spec.name, revision=spec.revision),
            "earlier_revisions": {},
            "physzoo_version": version("physzoo"),
        }
    )
    model.soften(temperature)
    tensors = read_test_tensors(source.path(TEST_TENSORS), spec)
    rows = {name: tuple(inputs[t.name] for t in spec.endpoint(name).inputs) for name, (inputs, _) in tensors.items()}
    write_model_folder(model, described, Path(folder), rows, prose=_prose(described.name, spec.name), overwrite=overwrite)
    return locate(Path(folder))


def _own_rows(spec: ModelSpec, *given: Rows | None) -> tuple[Rows, Rows]:
    from zoo.training.recipe import load_recipe, recipe_names

    if any(rows is not None for rows in given):
        raise ZooError("expected validation and test rows, given one of them: pass both, or neither for the recipe's own")
    if spec.name not in recipe_names():
        raise ZooError(
            f"{spec.name} has no recipe whose data it could be calibrated on: give rows of your own,"
            " zoo.workflows.calibrate.calibrate(name, folder, validation=..., test=...)"
        )
    data = load_recipe(spec.name).data.dataset()
    return data.rows("validation"), data.rows("test")


def _logits(model: ZooModel, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    if not len(rows):
        raise InputError("expected rows to calibrate with, given none")
    logits = in_batches(model.logits, *rows.inputs.values())  # type: ignore[attr-defined]
    return logits[:, 0].astype(np.float64), np.asarray(rows.target)[:, 0].astype(int)


def _ece(logit: np.ndarray, label: np.ndarray) -> float:
    return expected_calibration_error(0.5 * (1 + np.tanh(logit / 2)), label)


def _log_loss(logit: np.ndarray, label: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0.0, np.where(label == 1, -logit, logit))))


def _or_nan(logit: np.ndarray, label: np.ndarray) -> float:
    """A temperature, NaN for resampled rows that have none."""
    try:
        return fit_temperature(logit, label)
    except InputError:
        return float("nan")


def _text(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4g} to {interval[1]:.4g}"


def _prose(name: str, parent: str) -> str:
    return f"""# {name}

`{parent}` with its logits divided by a temperature that was fitted on held-out rows, in the weights of its head. What it
learned and where it fails is on the card of `{parent}`: a temperature changes how sure the answers are, not their order.
"""
