"""Evaluation of regressors that answer with a distribution: how far off, how sure, and beside trees on engineered features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import keras
import numpy as np

from zoo.batches import in_batches
from zoo.data.dataset import Rows
from zoo.interpret import plots
from zoo.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Distribution
from zoo.training.trees import TREES, Featured

LEVELS = (0.68, 0.95)
"""Of the central intervals whose coverage is reported."""


@dataclass(frozen=True)
class Tested:
    """A run's answers to the rows of one test set."""

    run: Run
    rows: Rows
    answer: np.ndarray
    """(n, 2) location and scale, in units of the target."""

    @property
    def error(self) -> np.ndarray:
        """(n,) answer - truth."""
        return self.answer[:, 0] - self.rows.target[:, 0]

    @property
    def log_likelihood(self) -> np.ndarray:
        """(n,) nat."""
        found = self.run.model.log_likelihood(self.rows.target, self.answer.astype(np.float32))
        return keras.ops.convert_to_numpy(found).astype(np.float64)

    def covered(self, level: float) -> np.ndarray:
        """(n,) whether the truth lies in the central interval."""
        return np.abs(self.error) <= self.run.model.half_width(level) * self.answer[:, 1]


def scatter(error: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(error))))


def mean(values: np.ndarray) -> float:
    return float(np.mean(values))


STATISTICS: dict[str, tuple[Callable[[Tested], np.ndarray], Callable[[np.ndarray], float], str]] = {
    "scatter": (lambda t: t.error, scatter, "root mean square of answer - truth"),
    "bias": (lambda t: t.error, mean, "mean of answer - truth"),
    "log likelihood": (lambda t: t.log_likelihood, mean, "mean over rows, nat"),
    f"coverage of {LEVELS[0]:.0%}": (lambda t: t.covered(LEVELS[0]), mean, "rows whose truth lies in the central interval"),
    f"coverage of {LEVELS[1]:.0%}": (lambda t: t.covered(LEVELS[1]), mean, "rows whose truth lies in the central interval"),
}
"""Name -> values of the rows, how they are summed up, and what that is."""


def evaluate(runs: Runs, settings: Distribution) -> Evaluation:
    """Every variant on the test split, the model also on further test sets, beside trees tuned on the validation split."""
    evaluation = Evaluation()
    dataset = cast(Featured, runs[""][0].recipe.data.dataset())
    trees = fitted_trees(dataset)

    def judge(label: str, members: list[Run], changes: dict | None = None) -> list[Tested]:
        found = [answers(run, changes) for run in members]
        evaluation.metrics += [_metric(label, name, found) for name in STATISTICS]
        return found

    found = {variant: judge(f"{variant}/" if variant else "", members) for variant, members in runs.items()}
    for label, changes in settings.also_on.items():
        other = judge(f"{label}/", runs[""], changes)
        described = cast(Featured, runs[""][0].recipe.data.dataset(**changes))
        evaluation.metrics += [_tree_metric(f"{label}/", key, tree, described, other) for key, tree in trees.items()]
    evaluation.metrics += [_tree_metric("", key, tree, dataset, found[""]) for key, tree in trees.items()]
    for variant, others in found.items():
        if variant:
            evaluation.metrics.append(_gain(variant, found[""], others))
    evaluation.figures = {"learning_curves": plots.learning_curves(runs[""][0].history)}
    return evaluation


def answers(run: Run, changes: dict | None) -> Tested:
    """A run on its test split, the data's parameters changed for a further test set."""
    rows = run.recipe.data.dataset(**(changes or {})).rows("test")
    (inputs,) = rows.inputs.values()
    return Tested(run, rows, in_batches(run.model, inputs).astype(np.float64))


def fitted_trees(dataset: Featured) -> dict[tuple[str, str], Any]:
    """Each kind of tree on each set of features, its settings chosen on the validation split."""
    train, validation = dataset.rows("train"), dataset.rows("validation")
    found = {}
    for names in dataset.feature_sets:
        x, held_x = dataset.features(train, names), dataset.features(validation, names)
        for kind, fit in TREES.items():
            found[kind, names] = fit(x, train.target[:, 0], held_x, validation.target[:, 0])
    return found


def _metric(prefix: str, name: str, found: list[Tested]) -> Metric:
    values_of, statistic, meaning = STATISTICS[name]
    values = [values_of(t) for t in found]
    group = found[0].rows.group
    return Metric(
        name=f"{prefix}{name}",
        value=statistic(values[0]),
        interval=bootstrap(lambda i: statistic(values[0][i]), group),
        n=len(group),
        seeds=len(found),
        detail=f"{meaning}; {over_seeds([statistic(v) for v in values])}; {_bootstrapped(group)}",
    )


def _tree_metric(prefix: str, key: tuple[str, str], tree: Any, dataset: Featured, beside: list[Tested]) -> Metric:
    """Scatter of a tree, and of the model beside it on the same rows."""
    kind, names = key
    rows = dataset.rows("test")
    error = tree.predict(dataset.features(rows, names)) - rows.target[:, 0]
    ratio = [scatter(t.error) / scatter(error) for t in beside]
    low, high = bootstrap(lambda i: scatter(beside[0].error[i]) / scatter(error[i]), rows.group)
    return Metric(
        name=f"{prefix}scatter of {kind} on {names}",
        value=scatter(error),
        interval=bootstrap(lambda i: scatter(error[i]), rows.group),
        n=len(rows),
        detail=f"{_bootstrapped(rows.group)}; the model's over it {ratio[0]:.3f} ({low:.3f}, {high:.3f}), {over_seeds(ratio)}",
    )


def _gain(variant: str, model: list[Tested], others: list[Tested]) -> Metric:
    ratio = [scatter(a.error) / scatter(b.error) for a, b in zip(model, others, strict=True)]
    group = model[0].rows.group
    return Metric(
        name=f"scatter over that of {variant}",
        value=ratio[0],
        interval=bootstrap(lambda i: scatter(model[0].error[i]) / scatter(others[0].error[i]), group),
        n=len(group),
        seeds=len(model),
        detail=f"on the same rows; {over_seeds(ratio)}; {_bootstrapped(group)}",
    )


def _bootstrapped(group: np.ndarray) -> str:
    return f"interval by bootstrap over {len(np.unique(group))} simulations"
