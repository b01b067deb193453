"""A classifier whose probabilities mean what they say: its temperature, fitted on held-out rows, goes into its weights."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError, ZooError
from zoo.families.batches import in_batches
from zoo.families.contracts import Softens
from zoo.families.state import apart
from zoo.interpret.uncertainty.calibration import expected_calibration_error, fit_temperature
from zoo.loading import load
from zoo.model.spec import Metric
from zoo.workflows.folder import lineage_of, revision_of, write_model_folder
from zoo.workflows.new_folder import new_folder, opened, shipped_inputs
from zoo.workflows.rows import own_rows
from zoo.workflows.verdict import beside_uncalibrated, calibrated, say

if TYPE_CHECKING:
    from zoo.data.dataset import Rows
    from zoo.families.base import ZooModel

TEMPERATURE = "temperature"


@apart()
def calibrate(
    model: str | Path | ZooModel,
    *,
    folder: str | Path,
    data: Any = None,
    weights: str | None = None,
    overwrite: bool = False,
) -> ZooModel:
    """Write a binary classifier with its logits divided by the temperature that suits the validation rows best.

    The division is in the weights of the head, so that every export has it and no graph another operation. Which rows are
    classified how at a threshold of one half, and the order of all rows, stay as they were. What came of it on the test rows is
    printed, is ``spec.verdict``, and stands on the card.

    Parameters
    ----------
    model : str, Path or ZooModel
        The classifier, as ``zoo.load`` takes or returns it.
    folder : str or Path
        The folder to be made. Its name is the model's; under the name of the classifier it is the next revision.
    data : path, mapping or Dataset, optional
        Rows to calibrate with in place of the model's own: a file, arrays by column name, or a data set. The temperature is
        fitted on the validation split and judged on the test split; the model must have been trained on neither.
    weights : str, optional
        The column of event weights, by which rows of ``data`` count; by default that of the rows that the model was fine-tuned
        on.
    overwrite : bool
        Whether an earlier model in ``folder`` is replaced.

    Returns
    -------
    ZooModel
        The calibrated model, as ``zoo.load(folder)`` gives it.

    Raises
    ------
    ZooError
        The model is no classifier of two classes whose head can be rescaled, validation and test rows share a simulation, or
        a released model has the folder's name.
    InputError
        The model's own rows cannot be made again and none are given, or no temperature is the best: the logits separate the
        rows, or say nothing about them.
    ExportError
        The folder exists.

    Examples
    --------
    >>> calibrated = calibrate("mlp-cmb-feature", folder="my-calibrated")  # doctest: +SKIP
    """
    from zoo.training.calibration import calibration_of

    path, name = new_folder(folder, overwrite)
    given, source = opened(model)
    spec = source.spec
    softens = isinstance(given, Softens)
    if given.answers_with != "probability" or not softens or spec.endpoint("predict").outputs[0].shape != [1]:
        raise ZooError(f"{spec.name}: expected a classifier of two classes whose head can be rescaled, such as of family mlp")
    validation, test = own_rows(given, "validation", "test", data=data, weights=weights)
    if shared := np.intersect1d(validation.group, test.group).size:
        raise ZooError(f"validation and test rows share {shared} simulations: the calibration would be judged on what made it")
    metrics, temperature = _measured(given, validation, test)
    softened = type(given).from_config(given.get_config())
    softened.set_weights(given.get_weights())
    softened.soften(temperature)
    calibration, figures = calibration_of(softened, test)
    metrics += calibration
    more = "more rows to fit the temperature on, drawn like those that it will meet"
    verdict = [*calibrated(metrics, cooler=more), *beside_uncalibrated(metrics)]
    data_sha256 = None if spec.lineage is None else spec.lineage.data_sha256
    described = spec.model_copy(
        update={
            "name": name,
            "revision": revision_of(name, spec),
            "summary": f"{spec.summary}; probabilities calibrated by temperature",
            "metrics": metrics,
            "lineage": lineage_of(given, data_sha256),
            "limit": None,
            "notes": None,
            "verdict": verdict,
            "earlier_revisions": {},
            "physzoo_version": version("physzoo"),
        }
    )
    inputs, prose = shipped_inputs(source), _prose(name, spec.name)
    write_model_folder(softened, described, path, inputs, figures=figures, prose=prose, overwrite=overwrite)
    written: ZooModel = load(path)
    say(verdict)
    return written


def _measured(model: ZooModel, validation: Rows, test: Rows) -> tuple[list[Metric], float]:
    """How well calibrated the model is afterwards, each metric beside its value before; and the temperature."""
    from zoo.training.intervals import bootstrap
    from zoo.training.metrics import Units, mean, measured

    fitted, label = _logits(model, validation)
    temperature = fit_temperature(fitted, label, validation.weight)
    before, truth = _logits(model, test)
    after, weight = before / temperature, test.weight

    def against(name: str, statistic: Callable[..., float], meaning: str) -> Metric:
        def interval(logit: np.ndarray) -> tuple[float, float]:
            return bootstrap(lambda i: statistic(logit[i], truth[i], _of(weight, i)), test.group)

        return Metric(
            name=name,
            value=statistic(after, truth, weight),
            interval=interval(after),
            n=len(truth),
            baseline=statistic(before, truth, weight),
            baseline_name=f"{model.spec.name} before",
            detail=f"{meaning}; before: {_text(interval(before))}; simulations resampled",
        )

    found = Metric(
        name=TEMPERATURE,
        value=temperature,
        interval=bootstrap(lambda i: _or_nan(fitted[i], label[i], _of(validation.weight, i)), validation.group),
        n=len(label),
        split="validation",
        detail="simulations resampled",
    )
    gain = measured(
        "log loss minus that before",
        mean,
        [_log_losses(after, truth) - _log_losses(before, truth)],
        Units.of(test),
        "mean over rows, nat; on the same rows",
    )
    error = against("ece", _ece, "expected calibration error")
    return [error, against("log loss", _log_loss, "mean over rows, nat"), gain, found], temperature


def _logits(model: ZooModel, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    from zoo.training.weights import relative_weights

    if not len(rows):
        raise InputError("expected rows to calibrate with, given none")
    relative_weights(rows, "rows to calibrate with")
    logits = in_batches(model.logits, *rows.inputs.values())  # type: ignore[attr-defined]
    return logits[:, 0].astype(np.float64), np.asarray(rows.target)[:, 0].astype(int)


def _of(weight: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if weight is None else weight[rows]


def _ece(logit: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> float:
    try:
        return expected_calibration_error(0.5 * (1 + np.tanh(logit / 2)), label, weight=weight)
    except InputError:  # resampled rows whose weights have no positive sum
        return float("nan")


def _log_loss(logit: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> float:
    from zoo.training.metrics import mean

    return mean(_log_losses(logit, label), weight)


def _log_losses(logit: np.ndarray, label: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, np.where(label == 1, -logit, logit))


def _or_nan(logit: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> float:
    """A temperature, or NaN for resampled rows that have none."""
    try:
        return fit_temperature(logit, label, weight)
    except InputError:
        return float("nan")


def _text(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4g} to {interval[1]:.4g}"


def _prose(name: str, parent: str) -> str:
    return f"""# {name}

`{parent}` with its logits divided by a temperature that was fitted on held-out rows, in the weights of its head. What it
learned and where it fails is on the card of `{parent}`: a temperature changes how sure the answers are, not their order.
"""
