"""Evaluation of regressors of one quantity: how far off, how sure, and beside trees on engineered features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from pydantic import JsonValue

from zoo.data.dataset import Featured, Rows
from zoo.families.contracts import Latent, Predictive
from zoo.interpret import plots
from zoo.interpret.kernel_density import divergence
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.latents import encoded, kl_metrics, related, report_metrics
from zoo.training.evaluations.tree_baseline import Key, described, fitted_trees, importance_figures
from zoo.training.metrics import Statistic, Units, mean, measured, rms
from zoo.training.recipe import RecipeError, Source

LEVELS = (0.68, 0.95)
"""Probabilities of the central intervals whose coverage is reported."""


@register_evaluation("distribution")
class Distribution(EvaluationSettings):
    """Scatter, bias, coverage and likelihood of answers with an uncertainty, beside trees on the data set's own features."""

    kind: Literal["distribution"] = "distribution"
    trees: Source | None = None
    """The same rows with features for trees, which then stand beside the model."""
    quantities: list[str] = []
    """Truths that the latents may have found, of a model that answers through latents."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)

    def expect(self, name: str, models: Mapping[str, Any]) -> None:
        if not all(isinstance(model, Predictive) for model in models.values()):
            raise RecipeError(f"{name}: expected a family with predictive(inputs, target): choose another evaluation")
        if self.quantities and not isinstance(models[""], Latent):
            raise RecipeError(f"{name}: quantities: expected a family with latents, given {type(models['']).__name__}")


@dataclass(frozen=True)
class Answers:
    """What was answered to the rows of one test set, in units of the target.

    Attributes
    ----------
    location : ndarray of shape (n,)
        The answer, the middle of a distribution.
    log_likelihood : ndarray of shape (n,), optional
        Log-likelihood of the truth in nat; None without a distribution.
    probability : ndarray of shape (n,), optional
        Probability of a value below the truth; None without a distribution.
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
        """Answer minus truth, (n,)."""
        return self.location - self.truth

    def covered(self, level: float) -> np.ndarray | None:
        """Whether the truth lies in the central interval, (n,)."""
        return None if self.probability is None else np.abs(2 * self.probability - 1) <= level


def scatter(answers: Answers) -> float:
    """Root mean square of the error."""
    return rms(answers.error, answers.rows.weight)


def _divergence(pairs: np.ndarray, weights: np.ndarray | None) -> float:
    return divergence(*pairs.T)


STATISTICS: dict[str, tuple[Callable[[Answers], np.ndarray | None], Statistic, str]] = {
    "scatter": (lambda a: a.error, rms, "root mean square of answer - truth"),
    "bias": (lambda a: a.error, mean, "mean of answer - truth"),
    "log likelihood": (lambda a: a.log_likelihood, mean, "mean over rows, nat"),
    f"coverage of {LEVELS[0]:.0%}": (lambda a: a.covered(LEVELS[0]), mean, "rows whose truth lies in the central interval"),
    f"coverage of {LEVELS[1]:.0%}": (lambda a: a.covered(LEVELS[1]), mean, "rows whose truth lies in the central interval"),
    "divergence": (
        lambda a: None if a.rows.weight is not None else np.stack([a.truth, a.location], axis=1),
        _divergence,
        "Kullback-Leibler divergence of the answers' distribution from the truths', Gaussian kernels of Scott's width, nat",
    ),
}
"""Name -> values of the rows, None where the answers have none, how they are summed up, and what that is; no divergence of rows
with event weights."""


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
        best, beside = _trees(evaluation, settings, settings.trees, found[""], elsewhere)
        shown[" on ".join(best)] = beside
    evaluation.figures |= _figures(shown, released.recipe.data.dataset().units)
    if settings.quantities:
        _informed(evaluation, runs[""], found[""][0].rows, settings.quantities)
    evaluation.figures["learning_curves"] = plots.learning_curves(released.history)
    return evaluation


def _informed(evaluation: Evaluation, members: list[Run], rows: Rows, quantities: list[str]) -> None:
    """What the latents carry, and of which quantities."""
    name = members[0].recipe.name
    latents = [encoded(member.load(), rows) for member in members]
    evaluation.metrics += kl_metrics("", latents, Units.of(rows))
    report = related(name, latents[0], rows, quantities)
    evaluation.metrics += report_metrics(report)
    evaluation.figures["information"] = report.plot()


def _trees(
    evaluation: Evaluation,
    settings: Distribution,
    source: Source,
    model: list[Answers],
    elsewhere: dict[str, list[Answers]],
) -> tuple[Key, Answers]:
    """Trees on the data set's features beside the model, and the best of them."""
    dataset = source.dataset()
    if not isinstance(dataset, Featured):
        raise RecipeError(f"trees: expected a data set that has features, given {source.source}: name another, or leave it out")
    trees = fitted_trees(dataset)
    rows, features = described(dataset, "test")
    beside = tree_answers(trees, rows, features)
    evaluation.metrics += _beside("", beside, model) + _of_features(beside, dataset)
    for label, changes in settings.also_on.items():
        other = cast(Featured, source.dataset(**changes))
        evaluation.metrics += _beside(f"{label}/", tree_answers(trees, *described(other, "test")), elsewhere[label])
    evaluation.figures |= importance_figures(trees, dataset, rows, features)
    best = min(beside, key=lambda key: scatter(beside[key]))
    return best, beside[best]


def answers(run: Run, changes: dict | None = None) -> Answers:
    """A run on its test split, the data's parameters changed for a further test set."""
    rows = run.held_out(changes)
    return Answers(rows, *cast(Predictive, run.load()).predictive(rows.inputs, rows.target))


def tree_answers(trees: dict[Key, Any], rows: Rows, features: dict[str, np.ndarray]) -> dict[Key, Answers]:
    """Each tree on rows with their features."""
    return {key: Answers(rows, tree.predict(features[key[1]])) for key, tree in trees.items()}


def _statistics(prefix: str, members: list[Answers]) -> list[Metric]:
    metrics = []
    for name, (values_of, statistic, meaning) in STATISTICS.items():
        values = [values_of(member) for member in members]
        if values[0] is not None:
            units = Units.of(members[0].rows)
            metrics.append(measured(f"{prefix}{name}", statistic, cast(list[np.ndarray], values), units, meaning))
    return metrics


def ratio(errors: np.ndarray, weights: np.ndarray | None) -> float:
    """Scatter over scatter, of two errors along the last axis."""
    return rms(errors[..., 0], weights) / rms(errors[..., 1], weights)


def _ratio(name: str, ours: list[Answers], theirs: list[Answers]) -> Metric:
    """Scatter over scatter, on the same rows; one run may stand beside several."""
    return over(name, [member.error for member in ours], [member.error for member in theirs], Units.of(ours[0].rows))


def over(name: str, ours: list[np.ndarray], theirs: list[np.ndarray], units: Units) -> Metric:
    """Root mean square of our errors (n,) over that of theirs, of each run; one run of theirs may stand beside several."""
    pairs = zip(ours, theirs * (len(ours) // len(theirs)), strict=True)
    return measured(name, ratio, [np.stack(pair, axis=1) for pair in pairs], units, "on the same rows")


def _beside(prefix: str, trees: dict[Key, Answers], model: list[Answers]) -> list[Metric]:
    """Scatter and divergence of each tree, and the model's scatter over it."""
    metrics = []
    for key, found in trees.items():
        for name in ("scatter", "divergence"):
            values_of, statistic, meaning = STATISTICS[name]
            if (values := values_of(found)) is not None:
                label = f"{prefix}{name} of {' on '.join(key)}"
                metrics.append(measured(label, statistic, [values], Units.of(found.rows), meaning))
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


def _figures(shown: dict[str, Answers], units: Mapping[str, str]) -> dict[str, Any]:
    """Figures of the first run and its variants, and of the best tree."""
    quantity, unit = next(iter(units.items()))
    truth = next(iter(shown.values())).truth
    weight = next(iter(shown.values())).rows.weight
    locations = {label: found.location for label, found in shown.items()}
    sure = {label: found.probability for label, found in shown.items() if found.probability is not None}
    figures = {
        "error": plots.error_against_truth(truth, locations, quantity, unit, weight),
        "values": plots.distribution_of_answers(truth, locations, quantity, unit, weight),
    }
    return figures | ({"coverage": plots.coverage_of_intervals(sure, weight)} if sure else {})
