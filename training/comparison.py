"""What a fine-tuning is worth: the model, its parent and the same network from scratch on the same held-out rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.data.dataset import Rows
from zoo.families.base import ZooModel
from zoo.model.spec import Metric
from zoo.training.fine_tune import losses
from zoo.training.metrics import Units, auc, measured

Statistic = Callable[[np.ndarray], float]
"""A function of row indices."""


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
    metrics, everything = [], np.arange(len(rows))
    for statistic, (ours, meaning) in found[label].items():
        beside = {name: found[name][statistic][0] for name in others}
        first = next(iter(beside), None)
        baseline = None if first is None else beside[first](everything)
        metrics.append(_metric(statistic, ours, meaning, rows, baseline, first))
        for name, theirs in beside.items():
            metrics.append(_metric(f"{name}/{statistic}", theirs, meaning, rows))

            def difference(i: np.ndarray, ours: Statistic = ours, theirs: Statistic = theirs) -> float:
                return ours(i) - theirs(i)

            metrics.append(_metric(f"{statistic} minus that {name}", difference, f"{meaning}; on the same rows", rows))
    return metrics


def _metric(
    name: str, statistic: Statistic, meaning: str, rows: Rows, baseline: float | None = None, baseline_name: str | None = None
) -> Metric:
    def of_rows(chosen: np.ndarray, weights: np.ndarray | None) -> float:
        return statistic(chosen)

    units = Units(rows.group)  # a user's rows count the same
    return measured(name, of_rows, [np.arange(len(rows))], units, meaning, baseline=baseline, baseline_name=baseline_name)


def statistics(model: ZooModel, rows: Rows) -> dict[str, tuple[Statistic, str]]:
    """Each statistic by name, and what it is."""
    loss, answer = losses(model, rows)
    found: dict[str, tuple[Statistic, str]] = {}
    if answer is not None:
        target = np.asarray(rows.target[:], np.float64)
        answer = answer.astype(np.float64)
        found = _of_classes(answer, target[:, 0]) if model.classes else _of_quantities(answer, target)
    return found | {"loss": (lambda i: float(loss[i].mean()), f"{model.objective_name}, mean over rows")}


def _of_classes(probability: np.ndarray, target: np.ndarray) -> dict[str, tuple[Statistic, str]]:
    binary = probability.shape[1] == 1
    chosen = probability[:, 0] > 0.5 if binary else probability.argmax(axis=1)
    right = (chosen == target).astype(np.float64)
    share = np.bincount(target.astype(int)).max() / len(target)
    found: dict[str, tuple[Statistic, str]] = {
        "accuracy": (lambda i: float(right[i].mean()), f"the most frequent class alone would have {share:.4g}")
    }
    if binary:
        scored = np.column_stack([probability[:, 0], target])
        found["auc"] = (lambda i: auc(scored[i]), "area under the ROC curve")
    return found


def _of_quantities(answer: np.ndarray, target: np.ndarray) -> dict[str, tuple[Statistic, str]]:
    squared = np.square(answer - target).mean(axis=1)
    spread = float(np.sqrt(np.square(target - target.mean(axis=0)).mean()))
    meaning = f"root mean square over rows and outputs, in their unit; the mean of the test rows alone would have {spread:.4g}"
    return {"rmse": (lambda i: float(np.sqrt(squared[i].mean())), meaning)}
