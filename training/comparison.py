"""What a fine-tuning is worth: the model, its parent and the same network from scratch on the same held-out rows."""

from __future__ import annotations

import numpy as np

from zoo.data.dataset import Rows
from zoo.families.base import ZooModel
from zoo.model.spec import Metric
from zoo.training.fine_tune import losses
from zoo.training.metrics import Statistic, Units, auc, mean, measured, rms, root_mean, taken

Measured = tuple[Statistic, np.ndarray, str]
"""A statistic, the values of rows (n, ...) that it is taken of, and what it is."""


def compare(models: dict[str, ZooModel], rows: Rows) -> list[Metric]:
    """Metrics of the first of several models, the others beside it, and how much it differs from each.

    Parameters
    ----------
    models : dict of str to ZooModel
        Models by what to call them, the fine-tuned one first; all answer the same question.
    rows : Rows
        Rows that no choice has used.
    """
    label, *others = models
    found = {name: statistics(model, rows) for name, model in models.items()}
    metrics, units = [], Units.of(rows)
    for name, (statistic, ours, meaning) in found[label].items():
        beside = {other: found[other][name][1] for other in others}
        first = next(iter(beside), None)
        baseline = None if first is None else statistic(beside[first], units.weight)
        metrics.append(measured(name, statistic, [ours], units, meaning, baseline=baseline, baseline_name=first))
        for other, theirs in beside.items():
            metrics.append(measured(f"{other}/{name}", statistic, [theirs], units, meaning))

            def difference(both: np.ndarray, weight: np.ndarray | None, statistic: Statistic = statistic) -> float:
                return taken(statistic, both[:, 0], weight) - taken(statistic, both[:, 1], weight)

            both = np.stack([ours, theirs], axis=1)
            metrics.append(measured(f"{name} minus that {other}", difference, [both], units, f"{meaning}; on the same rows"))
    return metrics


def statistics(model: ZooModel, rows: Rows) -> dict[str, Measured]:
    """Each statistic by name."""
    loss, answer = losses(model, rows)
    found: dict[str, Measured] = {}
    if answer is not None:
        target = np.asarray(rows.target[:], np.float64)
        answer = answer.astype(np.float64)
        of_kind = _of_classes if model.classes else _of_quantities
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


def _of_quantities(answer: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> dict[str, Measured]:
    squared = np.square(answer - target).mean(axis=1)
    spread = rms(target - np.average(target, axis=0, weights=weight), weight)
    meaning = f"root mean square over rows and outputs, in their unit; the mean of the test rows alone would have {spread:.4g}"
    return {"rmse": (root_mean, squared, meaning)}
