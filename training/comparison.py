"""What a fine-tuning is worth: the model, its parent and the same network from scratch on the same held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtri

from zoo.data.dataset import Rows
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.ensemble import Ensemble
from zoo.model.spec import Metric
from zoo.training.evaluations.distribution import LEVELS
from zoo.training.fine_tune import losses
from zoo.training.fit import model_inputs
from zoo.training.metrics import Statistic, Units, auc, mean, measured, rms, root_mean, taken

SAME = "on the same rows"
Measured = tuple[Statistic, np.ndarray, str]
"""A statistic, the values of rows (n, ...) that it is taken of, and what it is."""


def compare(
    models: dict[str, ZooModel], rows: Rows, unit: str | None = None, quantities: Mapping[str, str | None] | None = None
) -> list[Metric]:
    """Metrics of the first of several models, the others beside it, and how much it differs from each.

    Parameters
    ----------
    models : dict of str to ZooModel
        Models by what to call them, the fine-tuned one first; all answer the same question.
    rows : Rows
        Rows that no choice has used.
    unit : str, optional
        Unit of the answer, where all its elements have the same.
    quantities : mapping of str to str, optional
        The unit of each element of the answer by its name, or None where it has none: each has an error of its own, and there
        is one of all together only where the units are the same.
    """
    label, *others = models
    found = {name: statistics(model, rows, unit, quantities) for name, model in models.items()}
    metrics, units = [], Units.of(rows)
    for name, (statistic, ours, meaning) in found[label].items():
        beside = {other: found[other][name][1] for other in others}
        first = next(iter(beside), None)
        baseline = None if first is None else statistic(beside[first], units.weight)
        metrics.append(measured(name, statistic, [ours], units, meaning, baseline=baseline, baseline_name=first))
        for other, theirs in beside.items():
            metrics.append(measured(f"{other}/{name}", statistic, [theirs], units, meaning))
            both = np.stack([ours, theirs], axis=1)
            metrics.append(measured(f"{name} minus that {other}", _beyond(statistic), [both], units, f"{meaning}; {SAME}"))
    return metrics


def beside_members(ensemble: Ensemble, rows: Rows) -> list[Metric]:
    """Metrics of an ensemble, how much it differs from its members, and how often the intervals of Gaussians hold the truth.

    Parameters
    ----------
    ensemble : Ensemble
        The ensemble.
    rows : Rows
        Rows that no choice has used.

    Returns
    -------
    list of Metric
        Each metric beside the mean of the members, and its differences from that mean and from the best member, which is the
        one of the lowest loss on the same rows.
    """
    together, each, units = statistics(ensemble, rows), [statistics(one, rows) for one in ensemble.members], Units.of(rows)
    losses_of_all = [taken(mean, one["loss"][1], units.weight) for one in each]
    best, metrics = int(np.argmin(losses_of_all)), []
    for name, (statistic, ours, meaning) in together.items():
        theirs = [one[name][1] for one in each]
        of_all = float(np.mean([taken(statistic, one, units.weight) for one in theirs]))
        metrics.append(measured(name, statistic, [ours], units, meaning, baseline=of_all, baseline_name="mean of members"))
        chosen = f"the lowest loss of {len(each)} has number {best}, counted from 0"
        for other, some, note in (("mean", theirs, f"of {len(each)}"), ("best", [theirs[best]], chosen)):
            values, what = np.stack([ours, *some], axis=1), f"{meaning}; {SAME}; {note}"
            metrics.append(measured(f"{name} minus that of the {other} member", _beyond(statistic), [values], units, what))
    return metrics + (_coverage(ensemble, rows, units) if ensemble.kind == "gaussian" else [])


def _coverage(ensemble: Ensemble, rows: Rows, units: Units) -> list[Metric]:
    """How often the central intervals of Gaussian answers hold the truth."""

    def answers(*inputs: Any) -> Any:
        return ensemble(model_inputs([*inputs]))

    with ensemble.exact():
        location, scale = np.split(in_batches(answers, *rows.inputs.values()).astype(np.float64), 2, axis=-1)
    off = np.abs(np.asarray(rows.target[:], np.float64) - location) / scale
    return [
        measured(
            f"coverage of {level:.0%}", mean, [off <= ndtri((1 + level) / 2)], units, "truths that lie in the central interval"
        )
        for level in LEVELS
    ]


def _beyond(statistic: Statistic) -> Statistic:
    """How much a statistic of the first of several models, along the second axis, exceeds its mean over the others."""

    def difference(values: np.ndarray, weight: np.ndarray | None) -> float:
        first, *others = (taken(statistic, values[:, place], weight) for place in range(values.shape[1]))
        return first - float(np.mean(others))

    return difference


def statistics(
    model: ZooModel, rows: Rows, unit: str | None = None, quantities: Mapping[str, str | None] | None = None
) -> dict[str, Measured]:
    """Each statistic by name, of an answer in this unit, or of elements that are named with theirs."""
    loss, answer = losses(model, rows)
    found: dict[str, Measured] = {}
    if answer is not None:
        target = np.asarray(rows.target[:], np.float64)
        answer = answer.astype(np.float64)
        of_kind = _of_classes if model.classes else partial(_of_quantities, unit=unit, quantities=quantities or {})
        found = of_kind(answer, target, rows.weight)
    return found | {"loss": (mean, loss, f"{model.objective_name}, mean over rows")}


def _of_classes(probability: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> dict[str, Measured]:
    binary = probability.shape[1] == 1
    chosen = probability[:, 0] > 0.5 if binary else probability.argmax(axis=1)
    right = (chosen == target[:, 0]).astype(np.float64)
    shares = np.bincount(target[:, 0].astype(int), weight)
    meaning = f"the most frequent class alone would have {shares.max() / shares.sum():.4g}"
    found: dict[str, Measured] = {"accuracy": (mean, right, meaning)}
    if binary:
        found["auc"] = (auc, np.column_stack([probability[:, 0], target[:, 0]]), "area under the ROC curve")
    return found


def _of_quantities(
    answer: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    unit: str | None,
    quantities: Mapping[str, str | None],
) -> dict[str, Measured]:
    squared, off = np.square(answer - target), target - np.average(target, axis=0, weights=weight)

    def error(places: Any, meaning: str) -> Measured:
        spread = f"; the mean of the test rows alone would have {rms(off[:, places], weight):.4g}"
        return root_mean, squared[:, places].mean(axis=1), meaning + spread

    def in_unit(unit: str | None) -> str:
        return f"{'' if unit is None else f'{unit}, '}root mean square over rows"

    found = {}
    if len(set(quantities.values())) < 2:
        found["rmse"] = error(slice(None), f"{in_unit(None)} and outputs, in their unit" if unit is None else in_unit(unit))
    for i, (name, own) in enumerate(quantities.items()):
        found[f"rmse {name}"] = error([i], in_unit(own))
    return found
