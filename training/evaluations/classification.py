"""Evaluation of binary classifiers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import keras
import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score, roc_curve

from zoo.data.dataset import Rows
from zoo.families.base import ZooModel
from zoo.interpret import plots
from zoo.interpret.uncertainty.calibration import expected_calibration_error, reliability
from zoo.model.spec import Metric
from zoo.training.baselines import baseline_scores
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Classification

NEAR = 0.25
"""Half-width of the windows in difficulty."""


def evaluate(runs: Runs, settings: Classification) -> Evaluation:
    """ROC, accuracy, confusion, reliability and recall against difficulty of every variant."""
    released = runs[""][0]
    evaluation = Evaluation()
    baseline = baseline_scores(settings.baseline, released.recipe) if settings.baseline else None
    curves: dict[str, dict] = {}

    def judge(label: str, members: list[Run], changes: dict | None = None, compared=None) -> tuple[Rows, np.ndarray]:
        rows = held_out(members[0], changes)
        scores = [probabilities(run.model, rows) for run in members]
        prefix = f"{label}/" if label else ""
        for name, (statistic, chosen) in statistics(rows, settings).items():
            beside = None if compared is None else statistic(compared(rows), np.arange(len(chosen))[chosen])
            evaluation.metrics.append(
                _metric(f"{prefix}{name}", statistic, scores, rows.group, chosen, beside, settings.baseline)
            )
        if settings.difficulty:
            curves[label or "model"] = recall_curve(scores[0], rows, settings.difficulty)
        return rows, scores[0]

    rows, score = judge("", runs[""], compared=baseline)
    for label, changes in settings.also_on.items():
        judge(label, runs[""], changes, compared=baseline)
    for variant, members in runs.items():
        if variant:
            judge(variant, members)

    truth = rows.target[:, 0]
    false_positive, true_positive, _ = roc_curve(truth, score)
    counts = confusion_matrix(truth, score > 0.5)
    bins = reliability(score, truth)
    evaluation.curves = {
        "confusion": counts.tolist(),
        "recall": curves,  # type: ignore[dict-item]
    }
    auc = next(metric.value for metric in evaluation.metrics if metric.name == "auc")
    evaluation.figures = {
        "roc": plots.roc({f"{released.recipe.name} (AUC {auc:.3f})": (false_positive, true_positive)}),
        "confusion": plots.confusion(counts, settings.classes),
        "reliability": plots.reliability_diagram(bins),
        "learning_curves": plots.learning_curves(released.history),
    }
    if settings.difficulty:
        evaluation.figures["recall"] = plots.recall_against_difficulty(
            curves, settings.difficulty, {figure.metric: figure.value for figure in settings.published}
        )
    return evaluation


def held_out(run: Run, changes: dict | None = None) -> Rows:
    """The test split of a run's data, its parameters changed for a further test set."""
    return run.recipe.data.dataset(**(changes or {})).rows("test")


def probabilities(model: ZooModel, rows: Rows) -> np.ndarray:
    """Probability of class 1 of each row, (n,)."""
    (inputs,) = rows.inputs.values()
    return keras.ops.convert_to_numpy(model(inputs))[:, 0].astype(np.float64)


Statistic = Callable[[np.ndarray, np.ndarray], float]
"""Of scores (n,) and row indices."""


def statistics(rows: Rows, settings: Classification) -> dict[str, tuple[Statistic, np.ndarray]]:
    """Each statistic with the mask (n,) of the rows it is taken over."""
    label = rows.target[:, 0].astype(int)
    everything = np.ones(len(label), dtype=bool)
    found: dict[str, tuple[Statistic, np.ndarray]] = {
        "auc": (lambda score, i: float(roc_auc_score(label[i], score[i])), everything),
        "accuracy": (lambda score, i: float(accuracy_score(label[i], score[i] > 0.5)), everything),
        "ece": (lambda score, i: expected_calibration_error(score[i], label[i]), everything),
        "specificity": (lambda score, i: float(np.mean(score[i] <= 0.5)), label == 0),
    }
    for value in settings.difficulty_at if settings.difficulty else ():
        near = (label == 1) & (np.abs(rows.truth[settings.difficulty or ""] - value) <= NEAR)
        found[f"recall at {settings.difficulty} {value:g}"] = (lambda score, i: float(np.mean(score[i] > 0.5)), near)
    return found


def _metric(
    name: str,
    statistic: Statistic,
    scores: list[np.ndarray],
    group: np.ndarray,
    chosen: np.ndarray,
    beside: float | None,
    baseline: str | None,
) -> Metric:
    rows = np.flatnonzero(chosen)
    values = [statistic(score, rows) for score in scores]
    return Metric(
        name=name,
        value=values[0],
        interval=bootstrap(lambda i: statistic(scores[0], rows[i]), group[rows]),
        n=len(rows),
        seeds=len(scores),
        baseline=beside,
        baseline_name=baseline if beside is not None else None,
        detail=f"{over_seeds(values)}; interval by bootstrap over {len(np.unique(group[rows]))} simulations",
    )


def _mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())


def recall_curve(score: np.ndarray, rows: Rows, difficulty: str, bins: int = 12) -> dict[str, list[float]]:
    """Fraction of positive rows found, in bins of difficulty, with 95% bootstrap intervals."""
    positive = np.flatnonzero(rows.target[:, 0] == 1)
    value, found = rows.truth[difficulty][positive], score[positive] > 0.5
    edges = np.linspace(value.min(), value.max(), bins + 1)
    curve: dict[str, list[float]] = {"at": [], "recall": [], "low": [], "high": [], "n": []}
    for low_edge, high_edge in pairwise(edges):
        inside = np.flatnonzero((value >= low_edge) & (value <= high_edge))
        if inside.size == 0:
            continue
        found_here = found[inside].astype(float)
        low, high = bootstrap(partial(_mean_of, found_here), rows.group[positive][inside])
        for key, number in zip(curve, (value[inside].mean(), found_here.mean(), low, high, inside.size), strict=True):
            curve[key].append(float(number))
    return curve
