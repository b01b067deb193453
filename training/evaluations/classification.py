"""Evaluation of binary classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

import numpy as np
from keras import ops
from pydantic import Field, JsonValue
from sklearn.metrics import confusion_matrix, roc_curve

from zoo.data.dataset import KnowsBest, Rows, Split, get_dataset
from zoo.families.contracts import LinearLogit
from zoo.interpret import plots
from zoo.interpret.uncertainty.calibration import expected_calibration_error, reliability
from zoo.model.axes import Strict
from zoo.model.spec import OUTSIDE, Metric
from zoo.training.baselines import baseline_scores
from zoo.training.calibration import calibration
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Statistic, Units, auc, bootstrapped, mean, measured, quantile

NEAR = 0.25
"""Half-width of the windows in difficulty."""


class Other(Strict):
    """A data set of ``zoo.data`` that a model was not trained on."""

    source: str
    parameters: dict[str, JsonValue] = {}


@register_evaluation("classification")
class Classification(EvaluationSettings):
    """Binary classification: ROC, accuracy, calibration, and recall as detection gets harder."""

    kind: Literal["classification"] = "classification"
    classes: tuple[str, str]
    """What targets 0 and 1 mean."""
    baseline: str | None = None
    """A released model, or "scikit-learn" for its logistic regression tuned on the validation split."""
    difficulty: str | None = None
    """The truth of a positive row on which its detection depends."""
    difficulty_at: list[float] = []
    """Values of it at which recall is reported, from rows within a quarter to either side."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of rows of class 0 at which it is said how many of class 1 are found."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters."""
    outside: dict[str, Other] = {}
    """Data of other classes by label, in each of which class 0 is that of the model, and class 1 what it was never shown."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


def evaluate(runs: Runs, settings: Classification) -> Evaluation:
    """ROC, accuracy, confusion, reliability and recall against difficulty of every variant."""
    released = runs[""][0]
    evaluation = Evaluation()
    baseline = baseline_scores(settings.baseline, released.recipe) if settings.baseline else None
    curves: dict[str, dict] = {}

    def judge(label: str, members: list[Run], changes: dict | None = None, compared=None, own=True) -> tuple[Rows, np.ndarray]:
        rows = members[0].held_out(changes)
        scores = [probabilities(run, rows) for run in members]
        beside = None if compared is None else compared(rows)
        prefix = f"{label}/" if label else ""
        dataset = released.recipe.data.dataset(**(changes or {}))
        best = dataset.best_scores(rows) if isinstance(dataset, KnowsBest) and own else {}
        for name, (statistic, chosen, meaning) in statistics(rows, settings).items():
            pairs = [np.stack([score, rows.target[:, 0]], axis=1)[chosen] for score in scores]
            other = None if beside is None else np.stack([beside, rows.target[:, 0]], axis=1)[chosen]
            units = Units.of(rows, chosen)
            evaluation.metrics.append(
                measured(
                    f"{prefix}{name}",
                    statistic,
                    pairs,
                    units,
                    meaning,
                    trials=_trials(statistic, rows, chosen),
                    baseline=None if other is None else statistic(other, units.weight),
                    baseline_name=settings.baseline,
                )
            )
            if name == "auc" or name.startswith("found at "):
                evaluation.metrics += [
                    measured(
                        f"{prefix}{name}, {what}",
                        statistic,
                        [np.stack([score, rows.target[:, 0]], axis=1)[chosen]],
                        units,
                        f"{meaning}, by the {what}, which is not trained",
                        trials=_trials(statistic, rows, chosen),
                    )
                    for what, score in best.items()
                ]
        if settings.difficulty:
            curves[label or "model"] = recall_curve(scores[0], rows, settings.difficulty)
        return rows, scores[0]

    rows, score = judge("", runs[""], compared=baseline)
    for label, changes in settings.also_on.items():
        judge(label, runs[""], changes, compared=baseline)
    for variant, members in runs.items():
        if variant:
            judge(variant, members, own=False)
    for label, other in settings.outside.items():
        evaluation.metrics += _outside(label, other, runs[""], settings.false_alarms)
    evaluation.metrics += calibration(score, rows.target[:, 0], Units.of(rows))
    evaluation.curves = {"confusion": _confusion(rows, score).tolist(), "recall": curves}  # type: ignore[dict-item]
    evaluation.figures = _figures(evaluation, released, settings, rows, score, curves)
    return evaluation


def _confusion(rows: Rows, score: np.ndarray) -> np.ndarray:
    return confusion_matrix(rows.target[:, 0], score > 0.5, sample_weight=rows.weight)


def _roc(rows: Rows, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates."""
    false_positive, true_positive, _ = roc_curve(rows.target[:, 0], score, sample_weight=rows.weight)
    return false_positive, true_positive


def _figures(
    evaluation: Evaluation, released: Run, settings: Classification, rows: Rows, score: np.ndarray, curves: dict[str, dict]
) -> dict:
    truth = rows.target[:, 0]
    area = next(metric.value for metric in evaluation.metrics if metric.name == "auc")
    figures = {
        "roc": plots.roc({f"{released.recipe.name} (AUC {area:.3f})": _roc(rows, score)}),
        "confusion": plots.confusion(_confusion(rows, score), settings.classes),
        "learning_curves": plots.learning_curves(released.history),
    }
    figures["reliability"] = plots.reliability_diagram(reliability(score, truth, weight=rows.weight))
    model: Any = released.load()
    coefficients = model.coefficients() if isinstance(model, LinearLogit) else None
    if coefficients is not None and hasattr(model, "spec"):
        axis = model.spec.endpoint(model.data_endpoint).inputs[0].axes[0]
        figures["coefficients"] = plots.coefficients_over_axis(coefficients, axis)
    if settings.difficulty:
        figures["recall"] = plots.recall_against_difficulty(
            curves, settings.difficulty, {figure.metric: figure.value for figure in settings.published}
        )
    return figures


def probabilities(run: Run, rows: Rows) -> np.ndarray:
    """Probability of class 1 of each row, (n,)."""
    inputs = list(rows.inputs.values())
    if len(inputs) == 1:  # all at once, as the released numbers were measured
        return ops.convert_to_numpy(run.load()(inputs[0]))[:, 0].astype(np.float64)
    return run.answer(rows)[:, 0]


def _right(scored: np.ndarray, weights: np.ndarray | None) -> float:
    return mean((scored[:, 0] > 0.5) == (scored[:, 1] == 1), weights)


def _positive(scored: np.ndarray, weights: np.ndarray | None) -> float:
    return mean(scored[:, 0] > 0.5, weights)


def _negative(scored: np.ndarray, weights: np.ndarray | None) -> float:
    return mean(scored[:, 0] <= 0.5, weights)


def _calibration_error(scored: np.ndarray, weights: np.ndarray | None) -> float:
    if weights is not None and not weights.sum() > 0:  # of resampled rows
        return float("nan")
    return expected_calibration_error(scored[:, 0], scored[:, 1].astype(int), weight=weights)


def statistics(rows: Rows, settings: Classification) -> dict[str, tuple[Statistic, np.ndarray, str]]:
    """Each statistic of (n, 2) scores and labels, with the mask (n,) of the rows it is taken over, and what it is."""
    label = rows.target[:, 0].astype(int)
    everything = np.ones(len(label), dtype=bool)
    found: dict[str, tuple[Statistic, np.ndarray, str]] = {
        "auc": (auc, everything, "area under the ROC curve"),
        **_found_at(rows, label, settings),
        "accuracy": (_right, everything, "share of rows on the right side of one half"),
        "ece": (_calibration_error, everything, "expected calibration error"),
        "specificity": (_negative, label == 0, "share of rows of class 0 that are told as such"),
    }
    for value in settings.difficulty_at if settings.difficulty else ():
        near = (label == 1) & (np.abs(rows.truth[settings.difficulty or ""] - value) <= NEAR)
        found[f"recall at {settings.difficulty} {value:g}"] = (
            _positive,
            near,
            f"share of rows of class 1 that are found, within {NEAR} of it",
        )
    return found


def _found_at(rows: Rows, label: np.ndarray, settings: Classification) -> dict[str, tuple[Statistic, np.ndarray, str]]:
    """Shares of rows of class 1 that are found at a share of false alarms: of all, or of those of each difficulty."""
    if settings.false_alarms is None:
        return {}
    name = f"found at {settings.false_alarms:.0%} false alarms"
    meaning = f"share of rows of class 1 above the score that {settings.false_alarms:.0%} of class 0 exceed"
    statistic = Found(settings.false_alarms)
    if settings.difficulty is None:
        return {name: (statistic, np.ones(len(label), dtype=bool), meaning)}
    return {
        f"{name}, {settings.difficulty} {value:g}": (
            statistic,
            (label == 0) | (np.abs(rows.truth[settings.difficulty] - value) <= NEAR),
            f"{meaning}, within {NEAR} of it",
        )
        for value in settings.difficulty_at
    }


@dataclass(frozen=True)
class Found:
    """The share of rows of class 1 above the score that a share of those of class 0 exceed."""

    false_alarms: float

    def __call__(self, scored: np.ndarray, weights: np.ndarray | None = None) -> float:
        """Of (n, 2) scores and labels; NaN where resampled rows lack a class."""
        signal = scored[:, 1] == 1
        if signal.all() or not signal.any():
            return float("nan")
        of_background = None if weights is None else weights[~signal]
        least = float(quantile(scored[~signal, 0], 1 - self.false_alarms, of_background))
        return mean(scored[signal, 0] > least, None if weights is None else weights[signal])


def _trials(statistic: Statistic, rows: Rows, chosen: np.ndarray) -> int | None:
    """Independent units that a share is of: those of the chosen rows, of class 1 where those of class 0 set the threshold."""
    if statistic in (auc, _calibration_error):
        return None
    of = chosen & (rows.target[:, 0] == 1) if isinstance(statistic, Found) else chosen
    return len(np.unique(rows.group[of]))


def _outside(label: str, other: Other, members: list[Run], false_alarms: float | None) -> list[Metric]:
    """What the model says of another class than its own: its area against class 0, and the share that is taken for class 1."""
    parameters: dict[str, Any] = other.parameters
    dataset = get_dataset(other.source, **parameters)
    splits = [dataset.rows(split) for split in get_args(Split)]  # none of which the model was trained on
    rows = Rows(
        inputs={name: np.concatenate([rows.inputs[name] for rows in splits]) for name in splits[0].inputs},
        target=np.concatenate([rows.target for rows in splits]),
        group=np.concatenate([rows.group for rows in splits]),
    )
    pairs = [np.stack([probabilities(run, rows), rows.target[:, 0]], axis=1) for run in members]
    every = np.full(len(rows), True)
    asked: dict[str, tuple[Statistic, str]] = {"auc": (auc, "area under the ROC curve of it against class 0")}
    if false_alarms is not None:
        alarms = f"{false_alarms:.0%} false alarms"
        asked[f"found at {alarms}"] = (Found(false_alarms), f"share that is taken for class 1 at {alarms}")
    return [
        measured(f"{OUTSIDE}{label}/{name}", statistic, pairs, Units.of(rows), meaning, trials=_trials(statistic, rows, every))
        for name, (statistic, meaning) in asked.items()
    ]


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
        here, units = found[inside].astype(float), Units.of(rows, positive[inside])
        interval = bootstrapped(mean, here, units)
        numbers = (value[inside].mean(), mean(here, units.weight), interval.low, interval.high, inside.size)
        for key, number in zip(curve, numbers, strict=True):
            curve[key].append(float(number))
    return curve
