"""Evaluation of regressors of one quantity: how far off, how sure, and beside trees on engineered features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from zoo.data.dataset import Rows
from zoo.interpret import plots
from zoo.interpret.latents.smoothing import divergence
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.evaluations.tree_baseline import Featured, Key, described, fitted_trees, importance_figures
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Distribution

LEVELS = (0.68, 0.95)
"""Of the central intervals whose coverage is reported."""


@dataclass(frozen=True)
class Answers:
    """What was answered to the rows of one test set, in units of the target.

    Attributes
    ----------
    location : (n,) the answer, the middle of a distribution
    log_likelihood : (n,) nat, of the truth; None without a distribution
    probability : (n,) of a value below the truth; None without a distribution
    """

    rows: Rows
    location: np.ndarray
    log_likelihood: np.ndarray | None = None
    probability: np.ndarray | None = None

    @property
    def truth(self) -> np.ndarray:
        return self.rows.target[:, 0].astype(np.float64)

    @property
    def error(self) -> np.ndarray:
        """(n,) answer - truth."""
        return self.location - self.truth

    def covered(self, level: float) -> np.ndarray | None:
        """(n,) whether the truth lies in the central interval."""
        return None if self.probability is None else np.abs(2 * self.probability - 1) <= level


def scatter(error: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(error))))


def mean(values: np.ndarray) -> float:
    return float(np.mean(values))


STATISTICS: dict[str, tuple[Callable[[Answers], np.ndarray | None], Callable[[np.ndarray], float], str]] = {
    "scatter": (lambda a: a.error, scatter, "root mean square of answer - truth"),
    "bias": (lambda a: a.error, mean, "mean of answer - truth"),
    "log likelihood": (lambda a: a.log_likelihood, mean, "mean over rows, nat"),
    f"coverage of {LEVELS[0]:.0%}": (lambda a: a.covered(LEVELS[0]), mean, "rows whose truth lies in the central interval"),
    f"coverage of {LEVELS[1]:.0%}": (lambda a: a.covered(LEVELS[1]), mean, "rows whose truth lies in the central interval"),
    "divergence": (
        lambda a: np.stack([a.truth, a.location], axis=1),
        lambda pairs: divergence(*pairs.T),
        "Kullback-Leibler divergence of the answers' distribution from the truths', Gaussian kernels of Scott's width, nat",
    ),
}
"""Name -> values of the rows, None where the answers have none, how they are summed up, and what that is."""


def evaluate(runs: Runs, settings: Distribution) -> Evaluation:
    """Every variant on the test split, the model also on further test sets, beside trees tuned on the validation split."""
    evaluation = Evaluation()
    released = runs[""][0]
    found = {variant: [answers(run) for run in members] for variant, members in runs.items()}
    for variant, members in found.items():
        evaluation.metrics += _statistics(f"{variant}/" if variant else "", members)
    for variant, others in found.items():
        if variant:
            evaluation.metrics.append(_ratio(f"scatter over that of {variant}", found[""], others))
    elsewhere = {label: [answers(run, changes) for run in runs[""]] for label, changes in settings.also_on.items()}
    for label, members in elsewhere.items():
        evaluation.metrics += _statistics(f"{label}/", members)
    shown = {released.recipe.name: found[""][0]} | {variant: members[0] for variant, members in found.items() if variant}
    if settings.trees is not None:
        dataset = cast(Featured, settings.trees.dataset())
        trees = fitted_trees(dataset)
        rows, features = described(dataset, "test")
        beside = tree_answers(trees, rows, features)
        evaluation.metrics += _beside("", beside, found[""]) + _of_features(beside, dataset)
        for label, changes in settings.also_on.items():
            other = cast(Featured, settings.trees.dataset(**changes))
            evaluation.metrics += _beside(f"{label}/", tree_answers(trees, *described(other, "test")), elsewhere[label])
        best = min(beside, key=lambda key: scatter(beside[key].error))
        shown[" on ".join(best)] = beside[best]
        evaluation.figures |= importance_figures(trees, dataset, rows, features)
    evaluation.figures |= _figures(shown, released.recipe.data.dataset().units)
    evaluation.figures["learning_curves"] = plots.learning_curves(released.history)
    return evaluation


def answers(run: Run, changes: dict | None = None) -> Answers:
    """A run on its test split, the data's parameters changed for a further test set."""
    rows = run.recipe.data.dataset(**(changes or {})).rows("test")
    return Answers(rows, *run.model.predictive(rows.inputs, rows.target))


def tree_answers(trees: dict[Key, Any], rows: Rows, features: dict[str, np.ndarray]) -> dict[Key, Answers]:
    """Each tree on rows with their features."""
    return {key: Answers(rows, tree.predict(features[key[1]])) for key, tree in trees.items()}


def _statistics(prefix: str, members: list[Answers]) -> list[Metric]:
    metrics = []
    for name, (values_of, statistic, meaning) in STATISTICS.items():
        values = [values_of(member) for member in members]
        if values[0] is not None:
            metrics.append(
                metric_of_runs(f"{prefix}{name}", cast(list[np.ndarray], values), statistic, meaning, members[0].rows)
            )
    return metrics


def metric_of_runs(
    name: str,
    values: list[np.ndarray],
    statistic: Callable[[np.ndarray], float],
    meaning: str,
    rows: Rows,
    *,
    draws: int = 400,
) -> Metric:
    """Of the first of several runs; ``values`` has the rows of each."""
    found = [statistic(v) for v in values]
    return Metric(
        name=name,
        value=found[0],
        interval=bootstrap(lambda i: statistic(values[0][i]), rows.group, draws=draws),
        n=len(rows),
        seeds=len(values),
        detail=f"{meaning}; {over_seeds(found)}; interval by bootstrap over {len(np.unique(rows.group))} simulations",
    )


def _ratio(name: str, ours: list[Answers], theirs: list[Answers]) -> Metric:
    """Scatter over scatter, on the same rows; one run may stand beside several."""
    pairs = zip(ours, theirs * (len(ours) // len(theirs)), strict=True)
    values = [np.stack([a.error, b.error], axis=1) for a, b in pairs]
    return metric_of_runs(name, values, lambda e: scatter(e[:, 0]) / scatter(e[:, 1]), "on the same rows", ours[0].rows)


def _beside(prefix: str, trees: dict[Key, Answers], model: list[Answers]) -> list[Metric]:
    """Scatter and divergence of each tree, and the model's scatter over it."""
    metrics = []
    for key, found in trees.items():
        for name in ("scatter", "divergence"):
            values_of, statistic, meaning = STATISTICS[name]
            values = cast(np.ndarray, values_of(found))
            metrics.append(metric_of_runs(f"{prefix}{name} of {' on '.join(key)}", [values], statistic, meaning, found.rows))
        metrics.append(_ratio(f"{prefix}scatter over that of {' on '.join(key)}", model, [found]))
    return metrics


def _of_features(trees: dict[Key, Answers], dataset: Featured) -> list[Metric]:
    """What each set of features adds to the first, to each kind of tree."""
    first, *others = dataset.feature_sets
    return [
        _ratio(f"{kind}: scatter on {names} over that on {first}", [trees[kind, names]], [trees[kind, first]])
        for names in others
        for kind in dict.fromkeys(kind for kind, _ in trees)
    ]


def _figures(shown: dict[str, Answers], units: dict[str, str]) -> dict[str, Any]:
    """Of the first run and its variants, and of the best tree."""
    ((quantity, unit),) = units.items()
    truth = next(iter(shown.values())).truth
    locations = {label: found.location for label, found in shown.items()}
    sure = {label: found.probability for label, found in shown.items() if found.probability is not None}
    figures = {
        "error": plots.error_against_truth(truth, locations, quantity, unit),
        "values": plots.distribution_of_answers(truth, locations, quantity, unit),
    }
    return figures | ({"coverage": plots.coverage_of_intervals(sure)} if sure else {})
